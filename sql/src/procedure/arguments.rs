//! The arguments of a procedure, by place or by name, checked against its parameters: every one known, given once, of
//! the right kind, and there if it must be.

use std::collections::BTreeMap;

use datafusion::sql::sqlparser::ast;

use crate::error::{Error, Result};
use crate::plan::{Context, time_ms};
use crate::resolve::nearest;
use crate::sqlstate::SqlState;
use crate::statement::{Argument, ArgumentValue};

/// What a procedure may be told.
pub(crate) struct Parameter {
    pub name: &'static str,
    /// What other engines call it.
    pub aliases: &'static [&'static str],
    pub kind: Kind,
    pub required: bool,
}

impl Parameter {
    pub const fn required(name: &'static str, kind: Kind) -> Parameter {
        Parameter { name, aliases: &[], kind, required: true }
    }

    pub const fn optional(name: &'static str, kind: Kind) -> Parameter {
        Parameter { name, aliases: &[], kind, required: false }
    }

    pub const fn or(self, aliases: &'static [&'static str]) -> Parameter {
        Parameter { aliases, ..self }
    }
}

/// What a parameter's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    /// A whole number, also as text.
    Integer,
    Number,
    Boolean,
    /// A constant expression that is a point in time.
    Time,
    /// `'7d'`, `'36 hours'`; kept in milliseconds.
    Duration,
    /// `'512MB'` or a number of bytes.
    Bytes,
    /// `ARRAY['a', 'b']`, or `'a, b'`.
    Texts,
    /// `map('key', 'value', …)`.
    Map,
}

/// A value of its parameter's kind.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Text(String),
    Integer(i64),
    Number(f64),
    Boolean(bool),
    Time(Box<ast::Expr>),
    Texts(Vec<String>),
    Map(BTreeMap<String, String>),
}

/// One value for each parameter that was given.
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    values: BTreeMap<&'static str, Value>,
}

impl Arguments {
    /// Matches what was given with the parameters: by place first, then by name. NULL is as good as nothing.
    ///
    /// # Errors
    ///
    /// 22023 for an argument that is unknown, doubled, missing or of another kind.
    pub fn check(procedure: &str, parameters: &[Parameter], given: Vec<Argument>) -> Result<Arguments> {
        let mut values = BTreeMap::new();
        for (place, argument) in given.into_iter().enumerate() {
            let parameter = match &argument.name {
                Some(name) => named(procedure, parameters, name)?,
                None => parameters.get(place).ok_or_else(|| {
                    wrong(format!("{procedure} takes {} arguments", parameters.len()))
                        .with_hint(known(parameters))
                })?,
            };
            let value = match argument.value {
                ArgumentValue::Null => continue,
                value => of_kind(parameter, value).ok_or_else(|| {
                    wrong(format!(
                        "argument \"{}\" of {procedure} must be {}",
                        parameter.name,
                        words(parameter.kind)
                    ))
                })?,
            };
            if values.insert(parameter.name, value).is_some() {
                return Err(wrong(format!("argument \"{}\" of {procedure} is given twice", parameter.name)));
            }
        }
        let missing = |parameter: &&Parameter| parameter.required && !values.contains_key(parameter.name);
        match parameters.iter().find(missing) {
            Some(parameter) => Err(wrong(format!("{procedure} needs the argument \"{}\"", parameter.name))
                .with_hint(format!("Write {} => …, where it is {}.", parameter.name, words(parameter.kind)))),
            None => Ok(Arguments { values }),
        }
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        match self.values.get(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// A whole number, a duration in milliseconds or a size in bytes.
    pub fn integer(&self, name: &str) -> Option<i64> {
        match self.values.get(name) {
            Some(Value::Integer(number)) => Some(*number),
            _ => None,
        }
    }

    pub fn number(&self, name: &str) -> Option<f64> {
        match self.values.get(name) {
            Some(Value::Number(number)) => Some(*number),
            _ => None,
        }
    }

    pub fn boolean(&self, name: &str) -> Option<bool> {
        match self.values.get(name) {
            Some(Value::Boolean(truth)) => Some(*truth),
            _ => None,
        }
    }

    pub fn texts(&self, name: &str) -> Option<&[String]> {
        match self.values.get(name) {
            Some(Value::Texts(texts)) => Some(texts),
            _ => None,
        }
    }

    pub fn map(&self, name: &str) -> Option<&BTreeMap<String, String>> {
        match self.values.get(name) {
            Some(Value::Map(map)) => Some(map),
            _ => None,
        }
    }

    /// A point in time, milliseconds since the Unix epoch.
    pub fn time_ms(&self, name: &str, context: &Context) -> Result<Option<i64>> {
        match self.values.get(name) {
            Some(Value::Time(expression)) => time_ms(expression, context).map(Some),
            _ => Ok(None),
        }
    }
}

fn named<'a>(procedure: &str, parameters: &'a [Parameter], name: &str) -> Result<&'a Parameter> {
    let is = |parameter: &&Parameter| parameter.name == name || parameter.aliases.contains(&name);
    parameters.iter().find(is).ok_or_else(|| {
        let error = wrong(format!("{procedure} has no argument \"{name}\""));
        match nearest(name, parameters.iter().map(|parameter| parameter.name)) {
            Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
            None => error.with_hint(known(parameters)),
        }
    })
}

fn known(parameters: &[Parameter]) -> String {
    let names: Vec<&str> = parameters.iter().map(|parameter| parameter.name).collect();
    if names.is_empty() {
        "It takes none.".to_owned()
    } else {
        format!("The arguments are: {}.", names.join(", "))
    }
}

fn wrong(message: String) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

fn words(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "a text",
        Kind::Integer => "a whole number",
        Kind::Number => "a number",
        Kind::Boolean => "true or false",
        Kind::Time => "a point in time such as TIMESTAMP '2026-01-31 12:00:00'",
        Kind::Duration => "a duration such as '7d' or '36h'",
        Kind::Bytes => "a size such as '512MB'",
        Kind::Texts => "a list of texts such as ARRAY['a', 'b']",
        Kind::Map => "a map of texts such as map('key', 'value')",
    }
}

fn of_kind(parameter: &Parameter, given: ArgumentValue) -> Option<Value> {
    let text_of = |given: &ArgumentValue| match given {
        ArgumentValue::Text(text) | ArgumentValue::Number(text) => Some(text.clone()),
        ArgumentValue::Boolean(truth) => Some(truth.to_string()),
        ArgumentValue::Null | ArgumentValue::Expression(_) => None,
    };
    match (parameter.kind, given) {
        (Kind::Text, ArgumentValue::Text(text)) => Some(Value::Text(text)),
        (Kind::Integer, given) => text_of(&given)?.trim().parse().ok().map(Value::Integer),
        (Kind::Number, given) => text_of(&given)?.trim().parse().ok().map(Value::Number),
        (Kind::Boolean, given) => match text_of(&given)?.to_lowercase().as_str() {
            "true" | "on" => Some(Value::Boolean(true)),
            "false" | "off" => Some(Value::Boolean(false)),
            _ => None,
        },
        (Kind::Time, ArgumentValue::Expression(expression)) => Some(Value::Time(expression)),
        (Kind::Time, ArgumentValue::Text(text)) => {
            let text = ast::Value::SingleQuotedString(text);
            Some(Value::Time(Box::new(ast::Expr::Value(text.into()))))
        }
        (Kind::Duration, given) => duration_ms(&text_of(&given)?).map(Value::Integer),
        (Kind::Bytes, given) => bytes(&text_of(&given)?).map(Value::Integer),
        (Kind::Texts, ArgumentValue::Text(text)) => {
            Some(Value::Texts(text.split(',').map(|part| part.trim().to_owned()).collect()))
        }
        (Kind::Texts, ArgumentValue::Expression(expression)) => match *expression {
            ast::Expr::Array(array) => {
                array.elem.iter().map(literal_text).collect::<Option<_>>().map(Value::Texts)
            }
            _ => None,
        },
        (Kind::Map, ArgumentValue::Expression(expression)) => map(&expression).map(Value::Map),
        _ => None,
    }
}

fn literal_text(expression: &ast::Expr) -> Option<String> {
    match expression {
        ast::Expr::Value(value) => match &value.value {
            ast::Value::SingleQuotedString(text) | ast::Value::Number(text, _) => Some(text.clone()),
            ast::Value::Boolean(truth) => Some(truth.to_string()),
            _ => None,
        },
        _ => None,
    }
}

/// `map('key', 'value', 'key', 'value')`.
fn map(expression: &ast::Expr) -> Option<BTreeMap<String, String>> {
    let ast::Expr::Function(function) = expression else { return None };
    let ast::FunctionArguments::List(list) = &function.args else { return None };
    let text = |argument: &ast::FunctionArg| match argument {
        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(value)) => literal_text(value),
        _ => None,
    };
    let texts: Vec<String> = list.args.iter().map(text).collect::<Option<_>>()?;
    let is_map = function.name.to_string().eq_ignore_ascii_case("map") && texts.len().is_multiple_of(2);
    let pairs = texts.chunks(2).filter_map(|pair| Some((pair.first()?.clone(), pair.get(1)?.clone())));
    is_map.then(|| pairs.collect())
}

/// The number at the start of a text, and the unit after it.
fn number_and_unit(text: &str) -> Option<(f64, String)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    Some((number, text[end..].trim().to_lowercase()))
}

pub(crate) fn duration_ms(text: &str) -> Option<i64> {
    let (number, unit) = number_and_unit(text)?;
    let unit_ms = match unit.as_str() {
        "ms" | "millisecond" | "milliseconds" => 1.0,
        "s" | "second" | "seconds" => 1e3,
        "m" | "min" | "minute" | "minutes" => 60e3,
        "h" | "hour" | "hours" => 3_600e3,
        "d" | "day" | "days" => 86_400e3,
        "w" | "week" | "weeks" => 604_800e3,
        _ => return None,
    };
    whole(number * unit_ms)
}

pub(crate) fn bytes(text: &str) -> Option<i64> {
    let (number, unit) = number_and_unit(text)?;
    let power = match unit.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        _ => return None,
    };
    whole(number * 1024f64.powi(power))
}

fn whole(number: f64) -> Option<i64> {
    (number < 9e18).then_some(number as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARAMETERS: [Parameter; 4] = [
        Parameter::required("snapshot_id", Kind::Integer),
        Parameter::optional("keep", Kind::Duration).or(&["retention_threshold"]),
        Parameter::optional("size", Kind::Bytes),
        Parameter::optional("columns", Kind::Texts),
    ];

    fn given(name: Option<&str>, value: &str) -> Argument {
        let value = match value.parse::<f64>() {
            Ok(_) => ArgumentValue::Number(value.to_owned()),
            Err(_) => ArgumentValue::Text(value.to_owned()),
        };
        Argument { name: name.map(str::to_owned), value }
    }

    #[test]
    fn arguments_come_by_place_and_by_name() {
        let arguments = vec![
            given(None, "7"),
            given(Some("size"), "512MB"),
            given(Some("retention_threshold"), "1.5 days"),
            given(Some("columns"), "a, b"),
        ];
        let arguments = Arguments::check("p", &PARAMETERS, arguments).expect("right");
        assert_eq!(arguments.integer("snapshot_id"), Some(7));
        assert_eq!(arguments.integer("size"), Some(512 << 20));
        assert_eq!(arguments.integer("keep"), Some(129_600_000));
        assert_eq!(arguments.values["columns"], Value::Texts(vec!["a".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn wrong_arguments_are_named() {
        let check = |arguments: Vec<Argument>, expect: &str| {
            let error = Arguments::check("p", &PARAMETERS, arguments).expect_err(expect);
            let text = format!("{} {}", error.message, error.hint.unwrap_or_default());
            assert!(text.contains(expect), "{text}");
        };
        check(vec![], "needs the argument \"snapshot_id\"");
        check(vec![given(None, "x")], "must be a whole number");
        check(vec![given(None, "1"), given(Some("snapshot_id"), "2")], "given twice");
        check(vec![given(None, "1"), given(Some("kepe"), "2d")], "p has no argument \"kepe\"");
        check(vec![given(None, "1"), given(Some("keep"), "2 moons")], "a duration");
        let five = ["1", "2d", "3", "a", "b"].map(|value| given(None, value));
        check(five.to_vec(), "takes 4 arguments");
    }
}
