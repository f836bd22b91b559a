//! Conditions and values over the columns of one or two tables: their SQL, and what they give by SQL's three-valued
//! logic. Evaluation visits every branch, so that a condition which does not fit the columns is found at once.

use super::table::{Applied, Column, Inapplicable, Lake, Row};
use super::value::{Type, Value};
use std::cmp::Ordering;

/// A column of one side of a join; side 0 is the table that a statement changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    pub side: usize,
    pub name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Predicate {
    Value(Field, Compare, Value),
    Fields(Field, Compare, Field),
    /// `field % modulus = rest`
    Modulo(Field, i64, i64),
    IsNull(Field, bool),
    IsDistinct(Field, Value),
    In(Field, Vec<Value>, bool),
    Between(Field, Value, Value, bool),
    Like(Field, String, bool),
    Truth(Field),
    And(Vec<Predicate>),
    Or(Vec<Predicate>),
    Not(Box<Predicate>),
    /// `field IN (SELECT column FROM table WHERE filter)`
    InTable {
        field: Field,
        table: String,
        column: String,
        filter: Option<Box<Predicate>>,
        negated: bool,
    },
    /// `EXISTS (SELECT 1 FROM table WHERE column = field AND filter)`
    Exists {
        field: Field,
        table: String,
        column: String,
        filter: Option<Box<Predicate>>,
        negated: bool,
    },
}

/// What a column is set to.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    Literal(Value),
    Default,
    Field(Field),
    Plus(Field, i64),
    Concat(Field, String),
}

/// How the sides are called in the SQL of one statement; without a name columns stand alone.
pub struct Names<'a> {
    pub schema: &'a str,
    pub aliases: &'a [&'a str],
}

/// The rows that an expression is computed for, one per side.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    pub lake: &'a Lake,
    pub sides: &'a [(&'a [Column], &'a Row)],
}

pub fn quoted(name: &str) -> String {
    let is_plain = name != "select"
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if is_plain { name.to_string() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

impl Field {
    pub fn of(name: &str) -> Field {
        Field { side: 0, name: name.to_string() }
    }

    pub fn sql(&self, names: &Names<'_>) -> String {
        match names.aliases.get(self.side) {
            Some(alias) => format!("{alias}.{}", quoted(&self.name)),
            None => quoted(&self.name),
        }
    }
}

impl Scope<'_> {
    pub fn column(&self, field: &Field) -> Applied<(&Column, Value)> {
        let (columns, row) = self.sides.get(field.side).ok_or(Inapplicable)?;
        let column = columns.iter().find(|column| column.name == field.name).ok_or(Inapplicable)?;
        Ok((column, row.get(column)))
    }

    /// The value of a field whose type is that of the others in the expression.
    fn like(&self, field: &Field, others: &[&Value]) -> Applied<Value> {
        let (column, value) = self.column(field)?;
        let fit = others.iter().all(|other| other.fits(column.kind));
        if fit { Ok(value) } else { Err(Inapplicable) }
    }
}

impl Compare {
    pub const ALL: [Compare; 6] = [
        Compare::Equal,
        Compare::NotEqual,
        Compare::Less,
        Compare::LessOrEqual,
        Compare::Greater,
        Compare::GreaterOrEqual,
    ];

    fn sql(self) -> &'static str {
        match self {
            Compare::Equal => "=",
            Compare::NotEqual => "<>",
            Compare::Less => "<",
            Compare::LessOrEqual => "<=",
            Compare::Greater => ">",
            Compare::GreaterOrEqual => ">=",
        }
    }

    fn holds(self, left: &Value, right: &Value) -> Option<bool> {
        if left.is_null() || right.is_null() {
            return None;
        }
        let order = left.cmp(right);
        Some(match self {
            Compare::Equal => order == Ordering::Equal,
            Compare::NotEqual => order != Ordering::Equal,
            Compare::Less => order == Ordering::Less,
            Compare::LessOrEqual => order != Ordering::Greater,
            Compare::Greater => order == Ordering::Greater,
            Compare::GreaterOrEqual => order != Ordering::Less,
        })
    }
}

fn and(left: Option<bool>, right: Option<bool>) -> Option<bool> {
    match (left, right) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

fn not(truth: Option<bool>) -> Option<bool> {
    truth.map(|truth| !truth)
}

fn or(left: Option<bool>, right: Option<bool>) -> Option<bool> {
    not(and(not(left), not(right)))
}

fn negate_if(negated: bool, truth: Option<bool>) -> Option<bool> {
    if negated { not(truth) } else { truth }
}

fn among<'a>(value: &Value, values: impl Iterator<Item = &'a Value>) -> Option<bool> {
    values.map(|one| Compare::Equal.holds(value, one)).fold(Some(false), or)
}

/// `%` is any text, `_` any one character; there is no escape.
fn is_like(text: &[char], pattern: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('%', rest)) => (0..=text.len()).any(|skipped| is_like(&text[skipped..], rest)),
        Some((wanted, rest)) => match text.split_first() {
            Some((first, others)) => (*wanted == '_' || wanted == first) && is_like(others, rest),
            None => false,
        },
    }
}

impl Predicate {
    pub fn holds(&self, scope: Scope<'_>) -> Applied<Option<bool>> {
        Ok(match self {
            Predicate::Value(field, compare, value) => compare.holds(&scope.like(field, &[value])?, value),
            Predicate::Fields(left, compare, right) => {
                let ((left, left_value), (right, right_value)) = (scope.column(left)?, scope.column(right)?);
                if !left.kind.is_like(right.kind) {
                    return Err(Inapplicable);
                }
                compare.holds(&left_value, &right_value)
            }
            Predicate::Modulo(field, modulus, rest) => match scope.column(field)? {
                (column, _) if !column.kind.is_whole_number() => return Err(Inapplicable),
                (_, Value::Integer(number)) => Some(number.wrapping_rem(*modulus) == *rest),
                _ => None,
            },
            Predicate::IsNull(field, negated) => Some(scope.column(field)?.1.is_null() != *negated),
            Predicate::IsDistinct(field, value) => Some(scope.like(field, &[value])? != *value),
            Predicate::In(field, values, negated) => {
                let value = scope.like(field, &values.iter().collect::<Vec<_>>())?;
                negate_if(*negated, among(&value, values.iter()))
            }
            Predicate::Between(field, low, high, negated) => {
                let value = scope.like(field, &[low, high])?;
                let above = Compare::GreaterOrEqual.holds(&value, low);
                negate_if(*negated, and(above, Compare::LessOrEqual.holds(&value, high)))
            }
            Predicate::Like(field, pattern, negated) => match scope.column(field)? {
                (column, _) if column.kind != Type::Text => return Err(Inapplicable),
                (_, Value::Text(text)) => {
                    let (text, pattern): (Vec<char>, Vec<char>) =
                        (text.chars().collect(), pattern.chars().collect());
                    Some(is_like(&text, &pattern) != *negated)
                }
                _ => None,
            },
            Predicate::Truth(field) => match scope.column(field)? {
                (column, _) if column.kind != Type::Boolean => return Err(Inapplicable),
                (_, Value::Boolean(truth)) => Some(truth),
                _ => None,
            },
            Predicate::And(parts) => fold(parts, scope, Some(true), and)?,
            Predicate::Or(parts) => fold(parts, scope, Some(false), or)?,
            Predicate::Not(inner) => not(inner.holds(scope)?),
            Predicate::InTable { .. } | Predicate::Exists { .. } => self.over_table(scope)?,
        })
    }

    fn over_table(&self, scope: Scope<'_>) -> Applied<Option<bool>> {
        let (Predicate::InTable { field, table, column, filter, negated }
        | Predicate::Exists { field, table, column, filter, negated }) = self
        else {
            return Err(Inapplicable);
        };
        let (outer, value) = scope.column(field)?;
        let inner = scope.lake.table(table)?;
        let column = inner.column(column)?;
        if !outer.kind.is_like(column.kind) {
            return Err(Inapplicable);
        }
        let rows = filtered(scope.lake, &inner.state(), filter.as_deref())?;
        let found: Vec<Value> = rows.iter().map(|row| row.get(column)).collect();
        let truth = among(&value, found.iter());
        let exists = matches!(self, Predicate::Exists { .. });
        Ok(negate_if(*negated, if exists { Some(truth == Some(true)) } else { truth }))
    }

    pub fn sql(&self, names: &Names<'_>, kind_of: &dyn Fn(&Field) -> Type) -> String {
        let not = |negated: &bool| if *negated { "NOT " } else { "" };
        match self {
            Predicate::Value(field, compare, value) => {
                format!("{} {} {}", field.sql(names), compare.sql(), value.sql(kind_of(field)))
            }
            Predicate::Fields(left, compare, right) => {
                format!("{} {} {}", left.sql(names), compare.sql(), right.sql(names))
            }
            Predicate::Modulo(field, modulus, rest) => format!("{} % {modulus} = {rest}", field.sql(names)),
            Predicate::IsNull(field, negated) => format!("{} IS {}NULL", field.sql(names), not(negated)),
            Predicate::IsDistinct(field, value) => {
                format!("{} IS DISTINCT FROM {}", field.sql(names), value.sql(kind_of(field)))
            }
            Predicate::In(field, values, negated) => {
                let values: Vec<String> = values.iter().map(|value| value.sql(kind_of(field))).collect();
                format!("{} {}IN ({})", field.sql(names), not(negated), values.join(", "))
            }
            Predicate::Between(field, low, high, negated) => {
                let (low, high) = (low.sql(kind_of(field)), high.sql(kind_of(field)));
                format!("{} {}BETWEEN {low} AND {high}", field.sql(names), not(negated))
            }
            Predicate::Like(field, pattern, negated) => {
                let pattern = pattern.replace('\'', "''");
                format!("{} {}LIKE '{pattern}'", field.sql(names), not(negated))
            }
            Predicate::Truth(field) => field.sql(names),
            Predicate::And(parts) => joined(parts, " AND ", names, kind_of),
            Predicate::Or(parts) => joined(parts, " OR ", names, kind_of),
            Predicate::Not(inner) => format!("NOT ({})", inner.sql(names, kind_of)),
            Predicate::InTable { .. } | Predicate::Exists { .. } => self.table_sql(names),
        }
    }

    fn table_sql(&self, names: &Names<'_>) -> String {
        let (Predicate::InTable { field, table, column, filter, negated }
        | Predicate::Exists { field, table, column, filter, negated }) = self
        else {
            return String::new();
        };
        let exists = matches!(self, Predicate::Exists { .. });
        let inner = Names { schema: names.schema, aliases: &["x"] };
        // The filters of subqueries hold no typed values that another table could give another type.
        let filter = filter.as_ref().map(|filter| filter.sql(&inner, &|_| Type::Bigint));
        let mut conditions: Vec<String> = filter.into_iter().collect();
        let (column, outer) = (quoted(column), field.sql(names));
        if exists {
            conditions.insert(0, format!("x.{column} = {outer}"));
        }
        let filter = if conditions.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", conditions.join(" AND "))
        };
        let from = format!("FROM {}.{table} AS x{filter}", names.schema);
        let not = if *negated { "NOT " } else { "" };
        if exists {
            format!("{not}EXISTS (SELECT 1 {from})")
        } else {
            format!("{outer} {not}IN (SELECT x.{column} {from})")
        }
    }

    /// Does it name columns inside a subquery, where those of the outer query need their table's name?
    pub fn has_subquery(&self) -> bool {
        match self {
            Predicate::And(parts) | Predicate::Or(parts) => parts.iter().any(Predicate::has_subquery),
            Predicate::Not(inner) => inner.has_subquery(),
            Predicate::InTable { .. } | Predicate::Exists { .. } => true,
            _ => false,
        }
    }

    /// Conditions with a part less, for a shorter program that still fails.
    pub fn simpler(&self) -> Vec<Predicate> {
        match self {
            Predicate::And(parts) | Predicate::Or(parts) => parts.clone(),
            Predicate::Not(inner) => vec![(**inner).clone()],
            Predicate::In(field, values, negated) if values.len() > 1 => {
                let without = |at: usize| {
                    let mut fewer = values.clone();
                    fewer.remove(at);
                    Predicate::In(field.clone(), fewer, *negated)
                };
                (0..values.len()).map(without).collect()
            }
            _ => Vec::new(),
        }
    }
}

fn fold(
    parts: &[Predicate],
    scope: Scope<'_>,
    start: Option<bool>,
    join: fn(Option<bool>, Option<bool>) -> Option<bool>,
) -> Applied<Option<bool>> {
    parts.iter().try_fold(start, |truth, part| Ok(join(truth, part.holds(scope)?)))
}

fn joined(parts: &[Predicate], word: &str, names: &Names<'_>, kind_of: &dyn Fn(&Field) -> Type) -> String {
    parts.iter().map(|part| format!("({})", part.sql(names, kind_of))).collect::<Vec<_>>().join(word)
}

/// The rows of a state for which a condition is true.
pub fn filtered(lake: &Lake, state: &super::table::State, filter: Option<&Predicate>) -> Applied<Vec<Row>> {
    let Some(filter) = filter else { return Ok(state.rows.to_vec()) };
    check(filter, lake, &[&state.columns])?;
    let mut kept = Vec::new();
    for row in state.rows.iter() {
        if filter.holds(Scope { lake, sides: &[(&state.columns, row)] })? == Some(true) {
            kept.push(row.clone());
        }
    }
    Ok(kept)
}

/// A row of each side that has a value in every column.
pub fn example_row(columns: &[Column]) -> Row {
    Row::new(columns.iter().map(|column| (column.id, column.kind.example())).collect())
}

/// Does the condition fit the columns? Asked also where there are no rows that would tell.
pub fn check(filter: &Predicate, lake: &Lake, sides: &[&[Column]]) -> Applied<()> {
    let rows: Vec<Row> = sides.iter().map(|columns| example_row(columns)).collect();
    let sides: Vec<(&[Column], &Row)> = sides.iter().copied().zip(&rows).collect();
    filter.holds(Scope { lake, sides: &sides }).map(drop)
}

impl Scalar {
    /// The value for a column; `Inapplicable` where it would not fit, so that no statement depends on overflow.
    pub fn value(&self, scope: Scope<'_>, column: &Column) -> Applied<Value> {
        let value = match self {
            Scalar::Literal(value) => value.clone(),
            Scalar::Default => column.default.clone(),
            Scalar::Field(field) => match scope.column(field)? {
                (other, value) if other.kind.is_like(column.kind) => value,
                _ => return Err(Inapplicable),
            },
            Scalar::Plus(field, added) => match scope.column(field)? {
                (other, Value::Integer(number)) if other.kind.is_whole_number() => {
                    let sum = number.checked_add(*added).map(Value::Integer).ok_or(Inapplicable)?;
                    if sum.fits(other.kind) { sum } else { return Err(Inapplicable) }
                }
                (other, Value::Null) if other.kind.is_whole_number() => Value::Null,
                _ => return Err(Inapplicable),
            },
            Scalar::Concat(field, added) => match scope.column(field)? {
                (_, Value::Text(text)) => Value::Text(format!("{text}{added}")),
                (other, Value::Null) if other.kind == Type::Text => Value::Null,
                _ => return Err(Inapplicable),
            },
        };
        if value.fits(column.kind) { Ok(value) } else { Err(Inapplicable) }
    }

    pub fn sql(&self, names: &Names<'_>, kind: Type) -> String {
        match self {
            Scalar::Literal(Value::Null) => "NULL".into(),
            Scalar::Literal(value) => value.sql(kind),
            Scalar::Default => "DEFAULT".into(),
            Scalar::Field(field) => field.sql(names),
            Scalar::Plus(field, added) => format!("{} + {added}", field.sql(names)),
            Scalar::Concat(field, added) => {
                format!("{} || '{}'", field.sql(names), added.replace('\'', "''"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_make_an_answer_unknown() {
        let check = |values: &[Value], expect| assert_eq!(among(&Value::Integer(1), values.iter()), expect);
        check(&[Value::Integer(1), Value::Null], Some(true));
        check(&[Value::Integer(2), Value::Null], None);
        check(&[Value::Integer(2)], Some(false));
        assert_eq!(among(&Value::Null, [].iter()), Some(false));
    }

    #[test]
    fn like_knows_its_two_signs() {
        let check = |text: &str, pattern: &str, expect| {
            let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
            assert_eq!(is_like(&text, &pattern), expect);
        };
        check("zwölf", "zw_lf", true);
        check("abc", "%c", true);
        check("abc", "a%d", false);
        check("", "%", true);
        check("a%", "a_", true);
    }
}
