//! What a query's filters pin down: `oid = 5`, `relname IN ('a', 'b')`, `relname LIKE 'o%'`. A row builder asks for
//! the column it can look up by; everything else it reads in full and the engine filters.
//! Filters are only hints here: the engine applies them again, so a key may admit too much but never too little.

use std::collections::BTreeMap;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, expr::InList, expr::Like};

/// The values a column may have.
#[derive(Debug, Clone, PartialEq)]
pub enum Key {
    Ints(Vec<i64>),
    Texts(Vec<String>),
    Prefix(String),
}

/// At most this many values make a key; a longer list costs more as look-ups than as one pass.
const KEY_VALUES_MAX: usize = 256;

/// The keys of one scan, by column name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Keys(BTreeMap<String, Key>);

impl Keys {
    /// What a conjunction of filters pins down.
    pub fn from_filters<'a>(filters: impl IntoIterator<Item = &'a Expr>) -> Keys {
        let mut keys = Keys::default();
        filters.into_iter().for_each(|filter| keys.add_filter(filter));
        keys
    }

    fn add_filter(&mut self, filter: &Expr) {
        match filter {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
                self.add_filter(left);
                self.add_filter(right);
            }
            other => {
                if let Some((column, key)) = read_filter(other) {
                    self.insert(column, key);
                }
            }
        }
    }

    /// Adds a key; of two on one column the exact one wins.
    pub fn insert(&mut self, column: String, key: Key) {
        let exact = matches!(self.0.get(&column), Some(Key::Ints(_) | Key::Texts(_)));
        if !exact {
            self.0.insert(column, key);
        }
    }

    /// The numbers that `column` must be one of; None when any will do.
    pub fn ints(&self, column: &str) -> Option<&[i64]> {
        if let Some(Key::Ints(values)) = self.0.get(column) { Some(values) } else { None }
    }

    /// The texts that `column` must be one of; None when any will do.
    pub fn texts(&self, column: &str) -> Option<&[String]> {
        if let Some(Key::Texts(values)) = self.0.get(column) { Some(values) } else { None }
    }

    /// What `column` must start with; empty when anything will do.
    pub fn prefix(&self, column: &str) -> &str {
        if let Some(Key::Prefix(prefix)) = self.0.get(column) { prefix } else { "" }
    }

    /// Whether `column` may have this text.
    pub fn admits_text(&self, column: &str, value: &str) -> bool {
        match self.0.get(column) {
            Some(Key::Texts(values)) => values.iter().any(|text| text == value),
            Some(Key::Prefix(prefix)) => value.starts_with(prefix.as_str()),
            _ => true,
        }
    }

    /// Whether `column` may have this number.
    pub fn admits_int(&self, column: &str, value: impl Into<i64>) -> bool {
        let value = value.into();
        self.ints(column).is_none_or(|values| values.contains(&value))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a column is pinned to a few values, so that few rows are to be expected.
    pub fn is_exact(&self) -> bool {
        self.0.values().any(|key| matches!(key, Key::Ints(_) | Key::Texts(_)))
    }
}

impl std::fmt::Display for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, (column, key)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            match key {
                Key::Ints(values) => write!(f, "{separator}{column} in {values:?}")?,
                Key::Texts(values) => write!(f, "{separator}{column} in {values:?}")?,
                Key::Prefix(prefix) => write!(f, "{separator}{column} like {prefix:?}…")?,
            }
        }
        Ok(())
    }
}

/// Whether a filter yields a key, so that the scan wants to be told of it.
pub fn is_key(filter: &Expr) -> bool {
    read_filter(filter).is_some()
}

fn read_filter(filter: &Expr) -> Option<(String, Key)> {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
            let (column, value) = match (column_name(left), column_name(right)) {
                (Some(column), None) => (column, right),
                (None, Some(column)) => (column, left),
                _ => return None,
            };
            Some((column, key_of([literal(value)?])?))
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            let ((column, left), (other, right)) = (read_filter(left)?, read_filter(right)?);
            (column == other).then_some(())?;
            Some((column, union(left, right)?))
        }
        Expr::InList(InList { expr, list, negated: false }) => {
            let values = list.iter().map(literal).collect::<Option<Vec<_>>>()?;
            Some((column_name(expr)?, key_of(values)?))
        }
        Expr::Like(Like { negated: false, expr, pattern, escape_char: None, case_insensitive: false }) => {
            let pattern = literal(pattern)?.try_as_str()??.to_string();
            Some((column_name(expr)?, Key::Prefix(like_prefix(&pattern)?)))
        }
        _ => None,
    }
}

fn column_name(expr: &Expr) -> Option<String> {
    if let Expr::Column(column) = expr { Some(column.name.clone()) } else { None }
}

fn literal(expr: &Expr) -> Option<&ScalarValue> {
    if let Expr::Literal(value, _) = expr { Some(value) } else { None }
}

fn union(left: Key, right: Key) -> Option<Key> {
    match (left, right) {
        (Key::Ints(left), Key::Ints(right)) => Some(Key::Ints([left, right].concat())),
        (Key::Texts(left), Key::Texts(right)) => Some(Key::Texts([left, right].concat())),
        _ => None,
    }
}

/// Scalars of one kind as a key. NULL equals nothing, so it adds no value.
pub fn key_of<'a>(values: impl IntoIterator<Item = &'a ScalarValue>) -> Option<Key> {
    let (mut ints, mut texts, mut count) = (Vec::new(), Vec::new(), 0);
    for value in values {
        count += 1;
        match (value.try_as_str(), int_value(value)) {
            (Some(text), _) => texts.extend(text.map(str::to_string)),
            (None, Some(int)) => ints.push(int),
            (None, None) if value.is_null() => {}
            _ => return None,
        }
    }
    match (ints.is_empty(), texts.is_empty()) {
        _ if count > KEY_VALUES_MAX => None,
        (false, true) => Some(Key::Ints(ints)),
        (true, false) => Some(Key::Texts(texts)),
        _ => None,
    }
}

/// All values from one to another as a key, if they are few.
pub fn key_between(low: &ScalarValue, high: &ScalarValue) -> Option<Key> {
    if let (Some(low), Some(high)) = (int_value(low), int_value(high)) {
        let few = high.checked_sub(low).is_some_and(|more| more < KEY_VALUES_MAX as i64);
        return few.then(|| Key::Ints((low..=high).collect()));
    }
    let text = low.try_as_str()??;
    (low == high).then(|| Key::Texts(vec![text.to_string()]))
}

fn int_value(value: &ScalarValue) -> Option<i64> {
    match value {
        ScalarValue::Int16(value) => value.map(i64::from),
        ScalarValue::Int32(value) => value.map(i64::from),
        ScalarValue::Int64(value) => *value,
        ScalarValue::UInt32(value) => value.map(i64::from),
        _ => None,
    }
}

/// The fixed start of a LIKE pattern, up to its first wildcard; None when it starts with one.
fn like_prefix(pattern: &str) -> Option<String> {
    let mut prefix = String::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            '%' | '_' => break,
            '\\' => prefix.extend(characters.next()),
            other => prefix.push(other),
        }
    }
    (!prefix.is_empty()).then_some(prefix)
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::{col, lit};

    use super::*;

    fn check(filter: Expr, expect: &str) {
        assert_eq!(Keys::from_filters([&filter]).to_string(), expect, "{filter}");
    }

    #[test]
    fn equality_lists_and_prefixes_are_keys() {
        check(col("oid").eq(lit(5_i64)), "oid in [5]");
        check(lit("a").eq(col("relname")), "relname in [\"a\"]");
        check(col("oid").in_list(vec![lit(1_i64), lit(2_i64)], false), "oid in [1, 2]");
        check(col("n").eq(lit("a")).or(col("n").eq(lit("b"))), "n in [\"a\", \"b\"]");
        check(col("relname").like(lit("pg\\_c%")), "relname like \"pg_c\"…");
        check(col("a").eq(lit(1_i64)).and(col("b").like(lit("x%"))), "a in [1], b like \"x\"…");
    }

    #[test]
    fn anything_else_admits_everything() {
        check(col("oid").gt(lit(5_i64)), "");
        check(col("oid").in_list(vec![lit(1_i64)], true), "");
        check(col("relname").like(lit("%x")), "");
        check(col("n").eq(lit("a")).or(col("m").eq(lit("b"))), "");
        check(col("a").eq(col("b")), "");
        check(col("a").eq(lit(ScalarValue::Int64(None))), "");
    }

    #[test]
    fn bounds_are_keys_where_they_are_close() {
        let key = |low: i64, high: i64| key_between(&low.into(), &high.into());
        assert_eq!(key(5, 6), Some(Key::Ints(vec![5, 6])));
        assert_eq!(key(5, 5_000_000), None);
        assert_eq!(key_between(&"a".into(), &"a".into()), Some(Key::Texts(vec!["a".to_string()])));
        assert_eq!(key_between(&"a".into(), &"b".into()), None);
    }

    #[test]
    fn an_exact_key_beats_a_prefix() {
        let filters = [col("n").eq(lit("orders")), col("n").like(lit("o%"))];
        assert_eq!(Keys::from_filters(&filters).texts("n"), Some(&["orders".to_string()][..]));
        assert_eq!(Keys::from_filters(filters.iter().rev()).texts("n"), Some(&["orders".to_string()][..]));
    }
}
