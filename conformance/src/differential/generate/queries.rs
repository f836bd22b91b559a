//! Queries: filters, LIMIT, TopK, DISTINCT, groups, joins, and all of them over older snapshots, branches and tags.

use super::conditions::Side;
use super::generator::Generator;
use crate::differential::expression::Field;
use crate::differential::features::Feature;
use crate::differential::query::{Call, Join, JoinKind, Key, Query, Shape, Source, Version};
use crate::differential::statement::Printer;
use crate::differential::table::{Column, Lake, MAIN, State, Table};
use rand::Rng;
use rand::seq::IndexedRandom;

/// Rows of a join that the model makes.
const JOINED_MAX: usize = 3_000_000;

impl Generator {
    pub fn query(&mut self, lake: &Lake) -> Option<Query> {
        let names: Vec<String> = lake.tables.keys().cloned().collect();
        let source = self.source(lake, &names)?;
        let printer = Printer { lake, schema: "" };
        let state = printer.source_state(&source).ok()?;
        if self.chance(20)
            && let Some(query) = self.join(lake, &names, &source, &state)
        {
            return Some(query);
        }
        let sides = [Side { number: 0, columns: &state.columns }];
        let filter = if self.chance(70) { Some(self.condition(lake, &sides, 2)) } else { None };
        let mut query = Query { filter, ..Query::everything(source) };
        query.shape = self.shape(&[(0, &state.columns)]);
        self.order(&mut query);
        Some(query)
    }

    fn source(&mut self, lake: &Lake, names: &[String]) -> Option<Source> {
        let name = self.one(names)?.clone();
        let table = lake.tables.get(&name)?;
        let version = self.version(table);
        Some(Source { table: name, version })
    }

    fn version(&mut self, table: &Table) -> Version {
        if self.has(Feature::TimeTravel)
            && self.chance(30)
            && let Some(snapshot) = table.history.choose(&mut self.random)
        {
            // A time finds only what was on main, and only while no rollback has made time ambiguous.
            let is_main = snapshot.branch == MAIN && !self.has(Feature::Rollback);
            let (step, by_time) = (snapshot.step, is_main && self.chance(25));
            return if by_time { Version::At(step) } else { Version::After(step) };
        }
        let others = table.branches.keys().filter(|name| *name != MAIN).chain(table.tags.keys());
        let others: Vec<&String> = others.collect();
        if self.has(Feature::References)
            && self.chance(15)
            && let Some(name) = others.choose(&mut self.random)
        {
            return Version::Reference((*name).clone());
        }
        Version::Current
    }

    fn join(&mut self, lake: &Lake, names: &[String], source: &Source, state: &State) -> Option<Query> {
        let other = self.source(lake, names)?;
        let printer = Printer { lake, schema: "" };
        let right = printer.source_state(&other).ok()?;
        if state.rows.len() * right.rows.len() > JOINED_MAX {
            return None;
        }
        let on = self.join_fields(&state.columns, &right.columns)?;
        let kind =
            *[JoinKind::Inner, JoinKind::Inner, JoinKind::Left, JoinKind::Full].choose(&mut self.random)?;
        let sides =
            [Side { number: 0, columns: &state.columns }, Side { number: 1, columns: &right.columns }];
        let filter = if self.chance(50) { Some(self.condition(lake, &sides, 1)) } else { None };
        let mut query = Query { filter, ..Query::everything(source.clone()) };
        query.join = Some(Join { kind, source: other, on });
        query.shape = self.shape(&[(0, &state.columns), (1, &right.columns)]);
        self.order(&mut query);
        Some(query)
    }

    fn shape(&mut self, sides: &[(usize, &[Column])]) -> Shape {
        let all: Vec<(Field, &Column)> = sides
            .iter()
            .flat_map(|(side, columns)| {
                columns.iter().map(|column| (Field { side: *side, name: column.name.clone() }, column))
            })
            .collect();
        let mut some = |from: usize, to: usize| {
            let count = self.random.random_range(from..to);
            (0..count).filter_map(|_| all.choose(&mut self.random).cloned()).collect::<Vec<_>>()
        };
        if some(0, 10).len() < 6 {
            let fields = some(1, 5).into_iter().map(|(field, _)| field).collect();
            return Shape::Rows { fields, distinct: self.chance(20) };
        }
        let keys = some(0, 3).into_iter().map(|(field, _)| field).collect();
        let inputs = some(1, 4);
        let calls = inputs.into_iter().map(|(field, column)| self.call(field, column)).collect();
        Shape::Groups { keys, calls }
    }

    fn call(&mut self, field: Field, column: &Column) -> Call {
        match self.random.random_range(0..7) {
            0 => Call::CountRows,
            1 => Call::Count(field),
            2 => Call::CountDistinct(field),
            3 | 4 if column.kind.is_orderable() => Call::Min(field),
            5 if column.kind.is_orderable() => Call::Max(field),
            6 if column.kind.is_whole_number() => Call::Sum(field),
            _ => Call::Count(field),
        }
    }

    fn order(&mut self, query: &mut Query) {
        let width = match &query.shape {
            Shape::Star => return,
            Shape::Rows { fields, .. } => fields.len(),
            Shape::Groups { keys, calls } => keys.len() + calls.len(),
        };
        if self.chance(40) {
            for _ in 0..self.random.random_range(1..3) {
                let column = self.random.random_range(0..width);
                if query.order.iter().all(|key| key.column != column) {
                    let (descending, nulls_first) = (self.chance(50), self.chance(50));
                    query.order.push(Key { column, descending, nulls_first });
                }
            }
        }
        let orders_groups = matches!(query.shape, Shape::Groups { .. }) && !query.order.is_empty();
        if self.chance(40) && (!orders_groups || self.has(Feature::TopGroups)) {
            query.limit = Some(self.random.random_range(0..12));
            query.offset = if self.chance(20) { self.random.random_range(0..5) } else { 0 };
        }
    }
}
