//! Conditions over the columns of one or two tables.

use super::generator::Generator;
use crate::differential::expression::{Compare, Field, Predicate};
use crate::differential::features::Feature;
use crate::differential::table::{Column, Lake};
use crate::differential::value::Type;
use rand::Rng;
use rand::seq::IndexedRandom;

/// A subquery is computed for every row of the outer one.
const SUBQUERY_ROWS_MAX: usize = 300;

/// The depth at which a condition begins; deeper ones have less.
pub const TOP: u32 = 2;

/// The columns of a side that a condition may name.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    pub number: usize,
    pub columns: &'a [Column],
}

impl Generator {
    /// A condition over these sides; `depth` limits its nesting.
    pub fn condition(&mut self, lake: &Lake, sides: &[Side<'_>], depth: u32) -> Predicate {
        if depth > 0 && self.chance(40) {
            let count = self.random.random_range(2..4);
            let parts = (0..count).map(|_| self.condition(lake, sides, depth - 1)).collect();
            return match self.random.random_range(0..5) {
                0 | 1 => Predicate::And(parts),
                2 | 3 => Predicate::Or(parts),
                _ => Predicate::Not(Box::new(Predicate::Or(parts))),
            };
        }
        let may_nest = depth == TOP || self.has(Feature::NestedIn);
        if may_nest
            && depth > 0
            && self.chance(8)
            && let Some(predicate) = self.subquery(lake, sides)
        {
            return predicate;
        }
        let Some((field, column)) = self.field(sides) else { return Predicate::And(Vec::new()) };
        if self.chance(12) {
            return Predicate::IsNull(field, self.chance(50));
        }
        self.comparison(sides, field, &column)
    }

    pub fn field(&mut self, sides: &[Side<'_>]) -> Option<(Field, Column)> {
        let side = *sides.choose(&mut self.random)?;
        let column = side.columns.choose(&mut self.random)?;
        Some((Field { side: side.number, name: column.name.clone() }, column.clone()))
    }

    fn comparison(&mut self, sides: &[Side<'_>], field: Field, column: &Column) -> Predicate {
        let kind = column.kind;
        if kind == Type::Boolean && self.chance(50) {
            return Predicate::Truth(field);
        }
        match self.random.random_range(0..12) {
            0 | 1 => {
                let count = self.random.random_range(1..5);
                let values = (0..count).map(|_| self.value_or_null(kind)).collect();
                Predicate::In(field, values, self.chance(30))
            }
            2 | 3 => {
                let (low, high) = (self.value(kind), self.value(kind));
                let (low, high) = if low <= high { (low, high) } else { (high, low) };
                Predicate::Between(field, low, high, self.chance(20))
            }
            4 => Predicate::IsDistinct(field, self.value_or_null(kind)),
            5 if kind.is_whole_number() => {
                let modulus = self.random.random_range(2..6);
                Predicate::Modulo(field, modulus, self.random.random_range(0..modulus))
            }
            5 | 6 if kind == Type::Text => Predicate::Like(field, self.pattern(), self.chance(25)),
            7 => match self.partner(sides, &field, kind) {
                Some(other) => Predicate::Fields(field, self.compare(), other),
                None => Predicate::IsNull(field, true),
            },
            _ => Predicate::Value(field, self.compare(), self.value(kind)),
        }
    }

    fn compare(&mut self) -> Compare {
        Compare::ALL[self.random.random_range(0..Compare::ALL.len())]
    }

    fn partner(&mut self, sides: &[Side<'_>], field: &Field, kind: Type) -> Option<Field> {
        let all = sides.iter().flat_map(|side| side.columns.iter().map(move |column| (side.number, column)));
        let like: Vec<Field> = all
            .filter(|(number, column)| {
                column.kind.is_like(kind) && (*number != field.side || column.name != field.name)
            })
            .map(|(side, column)| Field { side, name: column.name.clone() })
            .collect();
        like.choose(&mut self.random).cloned()
    }

    fn subquery(&mut self, lake: &Lake, sides: &[Side<'_>]) -> Option<Predicate> {
        let (field, column) = self.field(sides)?;
        let inner: Vec<(&String, &Column)> = lake
            .tables
            .iter()
            .filter(|(_, table)| table.state().rows.len() <= SUBQUERY_ROWS_MAX)
            .flat_map(|(name, table)| table.columns.iter().map(move |column| (name, column)))
            .filter(|(_, other)| other.kind == column.kind)
            .collect();
        let (table, other) = *inner.choose(&mut self.random)?;
        let filter = match (self.chance(40), other.kind.is_whole_number()) {
            (true, true) => {
                Some(Predicate::Modulo(Field::of(&other.name), 3, self.random.random_range(0..3)))
            }
            (true, false) => Some(Predicate::IsNull(Field::of(&other.name), true)),
            _ => None,
        };
        let (table, column, filter) = (table.clone(), other.name.clone(), filter.map(Box::new));
        let negated = self.chance(35);
        Some(if self.chance(50) {
            Predicate::InTable { field, table, column, filter, negated }
        } else {
            Predicate::Exists { field, table, column, filter, negated }
        })
    }
}
