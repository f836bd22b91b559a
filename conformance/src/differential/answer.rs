//! What a query must give, computed from the model row by row, and whether what a server gave is that. A LIMIT without
//! a full order leaves a choice: then every choice is right whose rows are rows of the whole answer.

use super::expression::{self, Field, Scope};
use super::query::{Call, Join, JoinKind, Key, Query, Shape};
use super::statement::{Printer, all_fields};
use super::table::{Applied, Column, Inapplicable, Row, State};
use super::value::{Type, Value};
use std::cmp::Ordering;
use std::collections::HashMap;

/// All rows that the query gives without its LIMIT, sorted by its keys.
#[derive(Clone, Debug)]
pub struct Expected {
    pub types: Vec<Type>,
    pub rows: Vec<Vec<Value>>,
    pub order: Vec<Key>,
    pub limit: Option<usize>,
    pub offset: usize,
}

/// Sums of floating point numbers depend on their order, unless all are small multiples of this.
const EXACT_STEP: f64 = 0.25;
const EXACT_MAX: f64 = 1000.0;
/// Beyond it a sum of real numbers has no room for the step.
const EXACT_SUM_MAX: f64 = 2_000_000.0;

/// Pairs of rows and the types of the fields over them.
struct Joined {
    sides: Vec<State>,
    rows: Vec<Vec<Row>>,
}

pub fn expected(printer: &Printer<'_>, query: &Query) -> Applied<Expected> {
    let joined = join(printer, query)?;
    let (types, mut rows) = match &query.shape {
        Shape::Star => {
            let fields: Vec<Field> =
                joined.sides.first().iter().flat_map(|s| all_fields(&s.columns)).collect();
            let types = fields.iter().map(|field| joined.kind(field)).collect::<Applied<Vec<_>>>()?;
            (types, joined.values(&fields)?)
        }
        Shape::Rows { fields, distinct } => {
            let types = fields.iter().map(|field| joined.kind(field)).collect::<Applied<Vec<_>>>()?;
            let mut rows = joined.values(fields)?;
            if *distinct {
                rows.sort();
                rows.dedup();
            }
            (types, rows)
        }
        Shape::Groups { keys, calls } => joined.groups(keys, calls)?,
    };
    if query.order.iter().any(|key| key.column >= types.len()) {
        return Err(Inapplicable);
    }
    rows.sort_by(|a, b| compare(a, b, &query.order));
    Ok(Expected { types, rows, order: query.order.clone(), limit: query.limit, offset: query.offset })
}

fn join(printer: &Printer<'_>, query: &Query) -> Applied<Joined> {
    let left = printer.source_state(&query.source)?;
    let (sides, pairs) = match &query.join {
        None => {
            let rows = left.rows.iter().map(|row| vec![row.clone()]).collect();
            (vec![left], rows)
        }
        Some(join) => {
            let right = printer.source_state(&join.source)?;
            let rows = pairs(join, &left, &right)?;
            (vec![left, right], rows)
        }
    };
    let columns: Vec<&[Column]> = sides.iter().map(|side| side.columns.as_slice()).collect();
    if let Some(filter) = &query.filter {
        expression::check(filter, printer.lake, &columns)?;
    }
    let mut kept = Vec::new();
    for pair in pairs {
        let scope: Vec<(&[Column], &Row)> = columns.iter().copied().zip(&pair).collect();
        let scope = Scope { lake: printer.lake, sides: &scope };
        if super::apply::holds(query.filter.as_ref(), scope)? {
            kept.push(pair);
        }
    }
    Ok(Joined { sides, rows: kept })
}

fn pairs(join: &Join, left: &State, right: &State) -> Applied<Vec<Vec<Row>>> {
    let column = |state: &State, field: &Field| {
        state.columns.iter().find(|column| column.name == field.name).cloned().ok_or(Inapplicable)
    };
    let (left_key, right_key) = (column(left, &join.on.0)?, column(right, &join.on.1)?);
    if !left_key.kind.is_like(right_key.kind) {
        return Err(Inapplicable);
    }
    let mut by_key: HashMap<Value, Vec<(usize, &Row)>> = HashMap::new();
    for (at, row) in right.rows.iter().enumerate() {
        by_key.entry(row.get(&right_key)).or_default().push((at, row));
    }
    let (no_left, no_right) = (nulls(&left.columns), nulls(&right.columns));
    let mut is_matched = vec![false; right.rows.len()];
    let mut pairs = Vec::new();
    for row in left.rows.iter() {
        let key = row.get(&left_key);
        let found = if key.is_null() { None } else { by_key.get(&key) };
        for (at, other) in found.into_iter().flatten() {
            is_matched[*at] = true;
            pairs.push(vec![row.clone(), (*other).clone()]);
        }
        if found.is_none() && join.kind != JoinKind::Inner {
            pairs.push(vec![row.clone(), no_right.clone()]);
        }
    }
    if join.kind == JoinKind::Full {
        let unmatched = right.rows.iter().zip(is_matched).filter(|(_, is_matched)| !is_matched);
        pairs.extend(unmatched.map(|(row, _)| vec![no_left.clone(), row.clone()]));
    }
    Ok(pairs)
}

/// The row of an outer join's missing side; every column is there, so that no default fills it.
fn nulls(columns: &[Column]) -> Row {
    Row::new(columns.iter().map(|column| (column.id, Value::Null)).collect())
}

impl Joined {
    fn column(&self, field: &Field) -> Applied<&Column> {
        let side = self.sides.get(field.side).ok_or(Inapplicable)?;
        side.columns.iter().find(|column| column.name == field.name).ok_or(Inapplicable)
    }

    fn kind(&self, field: &Field) -> Applied<Type> {
        Ok(self.column(field)?.kind)
    }

    fn values(&self, fields: &[Field]) -> Applied<Vec<Vec<Value>>> {
        let columns = fields.iter().map(|field| Ok((field.side, self.column(field)?)));
        let columns: Vec<(usize, &Column)> = columns.collect::<Applied<_>>()?;
        let row = |pair: &Vec<Row>| columns.iter().map(|(side, column)| pair[*side].get(column)).collect();
        Ok(self.rows.iter().map(row).collect())
    }

    fn groups(&self, keys: &[Field], calls: &[Call]) -> Applied<(Vec<Type>, Vec<Vec<Value>>)> {
        let mut groups: HashMap<Vec<Value>, Vec<usize>> = HashMap::new();
        if keys.is_empty() {
            groups.insert(Vec::new(), Vec::new());
        }
        for (at, key) in self.values(keys)?.into_iter().enumerate() {
            groups.entry(key).or_default().push(at);
        }
        let mut types = keys.iter().map(|field| self.kind(field)).collect::<Applied<Vec<_>>>()?;
        let mut inputs = Vec::new();
        for call in calls {
            let (input, kind) = match call.field() {
                Some(field) => (self.values(std::slice::from_ref(field))?, Some(self.kind(field)?)),
                None => (vec![vec![Value::Boolean(true)]; self.rows.len()], None),
            };
            types.push(result_type(call, kind)?);
            inputs.push(input.into_iter().flatten().collect::<Vec<_>>());
        }
        let mut rows = Vec::new();
        for (mut row, members) in groups {
            for (call, input) in calls.iter().zip(&inputs) {
                let values = members.iter().map(|at| &input[*at]).filter(|value| !value.is_null());
                row.push(aggregate(call, values.collect())?);
            }
            rows.push(row);
        }
        Ok((types, rows))
    }
}

fn result_type(call: &Call, kind: Option<Type>) -> Applied<Type> {
    match (call, kind) {
        (Call::CountRows | Call::Count(_) | Call::CountDistinct(_), _) => Ok(Type::Bigint),
        (Call::Min(_) | Call::Max(_), Some(kind)) if kind.is_orderable() => Ok(kind),
        (Call::Sum(_), Some(Type::Integer | Type::Bigint)) => Ok(Type::Bigint),
        (Call::Sum(_), Some(Type::Decimal(_, scale))) => Ok(Type::Decimal(38, scale)),
        (Call::Sum(_), Some(kind @ (Type::Real | Type::Double))) => Ok(kind),
        _ => Err(Inapplicable),
    }
}

fn aggregate(call: &Call, mut values: Vec<&Value>) -> Applied<Value> {
    let count = |number: usize| Ok(Value::Integer(number as i64));
    match call {
        Call::CountRows | Call::Count(_) => count(values.len()),
        Call::CountDistinct(_) => {
            values.sort();
            values.dedup();
            count(values.len())
        }
        Call::Min(_) => Ok(values.into_iter().min().cloned().unwrap_or(Value::Null)),
        Call::Max(_) => Ok(values.into_iter().max().cloned().unwrap_or(Value::Null)),
        Call::Sum(_) => sum(&values),
    }
}

/// A sum that may overflow on the way, or that depends on the order, is not asked for.
fn sum(values: &[&Value]) -> Applied<Value> {
    let mut total = Value::Null;
    let mut reach: i64 = 0;
    for value in values {
        total = match (total, value) {
            (Value::Null, Value::Integer(number)) => Value::Integer(*number),
            (Value::Integer(total), Value::Integer(number)) => {
                Value::Integer(total.checked_add(*number).ok_or(Inapplicable)?)
            }
            (Value::Null, Value::Decimal(number, scale)) => Value::Decimal(*number, *scale),
            (Value::Decimal(total, scale), Value::Decimal(number, _)) => {
                Value::Decimal(total + number, scale)
            }
            (total, Value::Float(number)) if number.abs() <= EXACT_MAX && number % EXACT_STEP == 0.0 => {
                let before = if let Value::Float(total) = total { total } else { 0.0 };
                if before.abs() > EXACT_SUM_MAX {
                    return Err(Inapplicable);
                }
                Value::Float(before + number)
            }
            _ => return Err(Inapplicable),
        };
        if let Value::Integer(number) = value {
            reach = number.checked_abs().and_then(|size| reach.checked_add(size)).ok_or(Inapplicable)?;
        }
    }
    Ok(total)
}

fn compare(a: &[Value], b: &[Value], keys: &[Key]) -> Ordering {
    for key in keys {
        let (a, b) = (&a[key.column], &b[key.column]);
        let order = match (a.is_null(), b.is_null()) {
            (true, true) => Ordering::Equal,
            (true, false) if key.nulls_first => Ordering::Less,
            (true, false) => Ordering::Greater,
            (false, true) if key.nulls_first => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) if key.descending => b.cmp(a),
            (false, false) => a.cmp(b),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

impl Expected {
    /// What is wrong with an answer's rows, in words; nothing when they are right.
    pub fn judge(&self, answered: &[Vec<Option<String>>]) -> Option<String> {
        let mut rows = Vec::new();
        for cells in answered {
            match self.parse(cells) {
                Some(row) => rows.push(row),
                None => return Some(format!("the row {cells:?} does not have the types {:?}", self.types)),
            }
        }
        let left = self.rows.len().saturating_sub(self.offset);
        let wanted = self.limit.map_or(left, |limit| limit.min(left));
        if let Some(stranger) = self.stranger(&rows) {
            return Some(format!(
                "the row {stranger:?} is there once too often; {}",
                self.counts(&rows, wanted)
            ));
        }
        if rows.len() != wanted {
            let missing = self.missing(&rows);
            return Some(format!("{}; missing is {missing:?}", self.counts(&rows, wanted)));
        }
        let window = &self.rows[self.offset.min(self.rows.len())..];
        for (at, (row, best)) in rows.iter().zip(window).enumerate() {
            if compare(row, best, &self.order) != Ordering::Equal {
                return Some(format!("row {at} is {row:?}, in order comes {best:?}"));
            }
        }
        None
    }

    fn counts(&self, rows: &[Vec<Value>], wanted: usize) -> String {
        format!("{} rows, expected {wanted}", rows.len())
    }

    fn parse(&self, cells: &[Option<String>]) -> Option<Vec<Value>> {
        if cells.len() != self.types.len() {
            return None;
        }
        let cell = |(cell, kind): (&Option<String>, &Type)| match cell {
            None => Some(Value::Null),
            Some(text) => kind.parse(text),
        };
        cells.iter().zip(&self.types).map(cell).collect()
    }

    /// A row that is in the answer more often than in the whole of what the query gives.
    fn stranger<'a>(&self, rows: &'a [Vec<Value>]) -> Option<&'a Vec<Value>> {
        let mut left: HashMap<&Vec<Value>, usize> = HashMap::new();
        for row in &self.rows {
            *left.entry(row).or_default() += 1;
        }
        rows.iter().find(|row| match left.get_mut(row) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            _ => true,
        })
    }

    fn missing(&self, rows: &[Vec<Value>]) -> Option<&Vec<Value>> {
        self.rows.iter().find(|row| {
            let count = |rows: &[Vec<Value>]| rows.iter().filter(|other| other == row).count();
            count(rows) < count(&self.rows)
        })
    }
}
