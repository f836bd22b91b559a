//! The functions and procedures as `pg_proc` has them. Functions are declared in `declared/functions.txt` with the OIDs
//! and signatures that PostgreSQL gives them; that each can be called is shown by `conformance/clients/tools`.
//! Procedures come from the table that `CALL` looks into (`procedure/registry.rs`).

use std::sync::LazyLock;

use tarn_catalog::SUPERUSER;

use super::builtin::PG_CATALOG;
use super::rows::Scan;
use super::value::{Rows, Value};
use crate::error::Result;
use crate::procedure::{self, ParameterKind};
use crate::types::{format_type, oid};

/// OID of schema `system`.
const SYSTEM: u32 = 12;
/// The language of everything here.
const INTERNAL: u32 = 12;
/// The OID of the first procedure.
const FIRST_PROCEDURE: u32 = 15101;
/// What a procedure returns.
const VOID: u32 = 2278;

/// A function, aggregate, window function or procedure.
#[derive(Debug)]
pub struct Function {
    pub oid: u32,
    pub name: &'static str,
    schema: u32,
    /// `f`, `a`, `w` or `p`.
    kind: &'static str,
    variadic: u32,
    strict: bool,
    set: bool,
    volatile: &'static str,
    defaults: usize,
    returns: u32,
    /// The types of what is passed in.
    arguments: Vec<u32>,
    /// Types and modes of all arguments, where some are passed out.
    all: Option<(Vec<u32>, Vec<&'static str>)>,
    names: Option<Vec<&'static str>>,
}

static FUNCTIONS: LazyLock<Vec<Function>> = LazyLock::new(|| {
    let lines = include_str!("declared/functions.txt").lines();
    lines.filter(|line| !line.starts_with('#')).map(read_function).chain(procedures()).collect()
});

fn read_function(line: &'static str) -> Function {
    let words: Vec<&'static str> = line.split(' ').collect();
    let number = |text: &str| text.parse().expect("a declared OID is a number");
    let list = |index: usize| (words[index] != "-").then(|| words[index].split(',').collect::<Vec<_>>());
    let oids = |index: usize| list(index).map(|list| list.into_iter().map(number).collect::<Vec<u32>>());
    Function {
        oid: number(words[0]),
        name: words[1],
        schema: PG_CATALOG,
        kind: words[2],
        variadic: number(words[3]),
        strict: words[4] == "1",
        set: words[5] == "1",
        volatile: words[6],
        defaults: words[7].parse().expect("a declared count is a number"),
        returns: number(words[8]),
        arguments: oids(9).unwrap_or_default(),
        all: oids(10).zip(list(11)),
        names: list(12),
    }
}

/// The procedures of schema `system`, whose arguments can be given by name.
fn procedures() -> impl Iterator<Item = Function> {
    (FIRST_PROCEDURE..).zip(procedure::signatures()).map(|(oid, signature)| Function {
        oid,
        name: signature.name,
        schema: SYSTEM,
        kind: "p",
        variadic: 0,
        strict: false,
        set: false,
        volatile: "v",
        defaults: signature.parameters.iter().filter(|parameter| !parameter.required).count(),
        returns: VOID,
        arguments: signature.parameters.iter().map(|parameter| parameter_type(parameter.kind)).collect(),
        all: None,
        names: Some(signature.parameters.iter().map(|parameter| parameter.name).collect()),
    })
}

fn parameter_type(kind: ParameterKind) -> u32 {
    match kind {
        ParameterKind::Text | ParameterKind::Duration | ParameterKind::Bytes | ParameterKind::Map => {
            oid::TEXT
        }
        ParameterKind::Integer => oid::INT8,
        ParameterKind::Number => oid::FLOAT8,
        ParameterKind::Boolean => oid::BOOL,
        ParameterKind::Time => oid::TIMESTAMPTZ,
        ParameterKind::Texts => TEXT_ARRAY,
    }
}

const TEXT_ARRAY: u32 = 1009;

impl Function {
    /// The function of that OID.
    pub fn of(oid: i64) -> Option<&'static Function> {
        FUNCTIONS.iter().find(|function| i64::from(function.oid) == oid)
    }

    /// Those of that name.
    pub fn named(name: &str) -> impl Iterator<Item = &'static Function> {
        FUNCTIONS.iter().filter(move |function| function.name == name)
    }

    /// Whether it gives rows.
    pub fn is_set(&self) -> bool {
        self.set
    }

    /// Whether it gives one value for each row.
    pub fn is_scalar(&self) -> bool {
        self.kind == "f" && !self.set
    }

    pub fn is_procedure(&self) -> bool {
        self.kind == "p"
    }

    pub fn schema_name(&self) -> &'static str {
        if self.schema == SYSTEM { "system" } else { "pg_catalog" }
    }

    /// `SETOF text`: what PostgreSQL's `pg_get_function_result` says; None for a procedure.
    pub fn result(&self) -> Option<String> {
        let set = if self.set { "SETOF " } else { "" };
        (!self.is_procedure()).then(|| format!("{set}{}", format_type(self.returns, -1)))
    }

    /// `text, start integer, OUT word text`: the arguments as they are declared.
    pub fn signature(&self) -> String {
        let inputs = || self.arguments.iter().map(|argument| (*argument, "i")).collect();
        let all: Vec<(u32, &str)> = match &self.all {
            Some((types, modes)) => types.iter().copied().zip(modes.iter().copied()).collect(),
            None => inputs(),
        };
        let name = |place: usize| {
            let name = self.names.as_ref().and_then(|names| names.get(place)).copied();
            name.filter(|name| !name.is_empty() && *name != "\"\"").map(|name| format!("{name} "))
        };
        let argument = |(place, (data_type, mode)): (usize, &(u32, &str))| {
            let mode = match *mode {
                "o" => "OUT ",
                "b" => "INOUT ",
                "v" => "VARIADIC ",
                _ if self.is_procedure() => "IN ",
                _ => "",
            };
            let optional = self.is_procedure() && place + self.defaults >= self.arguments.len();
            let default = if optional { " DEFAULT NULL" } else { "" };
            let name = name(place).unwrap_or_default();
            format!("{mode}{name}{}{default}", format_type(*data_type, -1))
        };
        all.iter().enumerate().map(argument).collect::<Vec<_>>().join(", ")
    }
}

pub fn pg_proc(scan: &Scan) -> Result<Rows> {
    let mut rows = scan.rows();
    let admitted = |function: &&Function| {
        scan.keys.admits_int("oid", function.oid) && scan.keys.admits_text("proname", function.name)
    };
    for function in FUNCTIONS.iter().filter(admitted) {
        let oids = |oids: &[u32]| Value::from(oids.to_vec());
        rows.push([
            ("oid", function.oid.into()),
            ("proname", function.name.into()),
            ("pronamespace", function.schema.into()),
            ("proowner", SUPERUSER.oid().into()),
            ("prolang", INTERNAL.into()),
            ("procost", Value::Float(1.0)),
            ("prorows", Value::Float(if function.set { 1000.0 } else { 0.0 })),
            ("provariadic", function.variadic.into()),
            ("prosupport", "-".into()),
            ("prokind", function.kind.into()),
            ("proisstrict", function.strict.into()),
            ("proretset", function.set.into()),
            ("provolatile", function.volatile.into()),
            ("proparallel", if function.is_procedure() { "u" } else { "s" }.into()),
            ("pronargs", count(function.arguments.len())),
            ("pronargdefaults", count(function.defaults)),
            ("prorettype", function.returns.into()),
            ("proargtypes", oids(&function.arguments)),
            ("proallargtypes", function.all.as_ref().map(|(types, _)| types.clone()).into()),
            ("proargmodes", function.all.as_ref().map(|(_, modes)| modes.clone()).into()),
            ("proargnames", function.names.clone().into()),
            ("prosrc", function.name.into()),
        ])?;
    }
    Ok(rows)
}

fn count(number: usize) -> Value {
    i64::try_from(number).unwrap_or(i64::MAX).into()
}

/// The one language: nobody can define functions.
pub fn pg_language(scan: &Scan) -> Result<Rows> {
    let mut rows = scan.rows();
    rows.push([
        ("oid", INTERNAL.into()),
        ("lanname", "internal".into()),
        ("lanowner", SUPERUSER.oid().into()),
        ("lanispl", false.into()),
        ("lanpltrusted", false.into()),
    ])?;
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_read_as_in_postgresql() {
        let check = |oid: i64, arguments: &str, result: &str| {
            let function = Function::of(oid).expect("declared");
            assert_eq!(
                (function.signature().as_str(), function.result().as_deref()),
                (arguments, Some(result))
            );
        };
        check(870, "text", "text");
        check(3058, "VARIADIC \"any\"", "text");
        check(
            1686,
            "OUT word text, OUT catcode \"char\", OUT barelabel boolean, OUT catdesc text, OUT baredesc text",
            "SETOF record",
        );
        let crawl = Function::named("crawl").next().expect("a procedure");
        assert_eq!((crawl.is_procedure(), crawl.result()), (true, None));
    }

    #[test]
    fn every_type_of_a_function_is_a_type() {
        let called = |function: &&Function| {
            !function.arguments.iter().any(|oid| [2275, 2281].contains(oid)) && function.returns != 2275
        };
        for function in FUNCTIONS.iter().filter(called) {
            let mut types = function.arguments.iter().chain([&function.returns]);
            let known = types.all(|oid| format_type(*oid, -1) != "???");
            assert!(known, "{} of {:?}", function.name, function.arguments);
        }
    }
}
