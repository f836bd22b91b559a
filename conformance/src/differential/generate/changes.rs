//! Statements that change rows.

use super::conditions::Side;
use super::generator::{Generator, ROWS_MAX};
use crate::differential::expression::{Field, Predicate, Scalar};
use crate::differential::features::Feature;
use crate::differential::statement::{MergeAction, MergeClause, Statement, When};
use crate::differential::table::{Column, Lake, MAIN, Table};
use crate::differential::value::Type;
use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};

/// The model looks at every pair of rows of a MERGE.
const PAIRS_MAX: usize = 60_000;

impl Generator {
    pub fn change(&mut self, lake: &Lake, name: &str, table: &Table) -> Option<Statement> {
        match self.random.random_range(0..100) {
            0..30 => {
                let branch = self.branch(table);
                self.insert(name, table, &branch)
            }
            30..36 => self.insert_from(lake, name, table),
            36..42 => self.overwrite(name, table),
            42..44 => Some(Statement::Truncate { table: name.to_string() }),
            44..62 if self.has(Feature::Delete) => self.delete(lake, name, table),
            62..80 if self.has(Feature::Update) => self.update(lake, name, table),
            80.. if self.has(Feature::Merge) => self.merge(lake, name, table),
            _ => None,
        }
    }

    pub fn insert(&mut self, name: &str, table: &Table, branch: &str) -> Option<Statement> {
        let rows = table.rows(branch).ok()?.len();
        if branch == MAIN && rows < ROWS_MAX && self.chance(20) {
            let count = if self.chance(15) { 3000 } else { self.random.random_range(20..200) };
            let from = self.random.random_range(1..50);
            return Some(Statement::InsertSeries { table: name.to_string(), from, to: from + count });
        }
        let count = self.random.random_range(1..8);
        Some(self.insert_rows(name, table, branch, count, false))
    }

    fn insert_rows(
        &mut self,
        name: &str,
        table: &Table,
        branch: &str,
        count: usize,
        overwrite: bool,
    ) -> Statement {
        let mut columns: Vec<&Column> = table.columns.iter().collect();
        if columns.len() > 1 && self.chance(25) {
            columns.shuffle(&mut self.random);
            let kept = self.random.random_range(1..columns.len());
            columns.truncate(kept);
        }
        let mut row = || columns.iter().map(|column| self.cell(column)).collect::<Vec<Scalar>>();
        let rows = (0..count).map(|_| row()).collect();
        let columns = columns.iter().map(|column| column.name.clone()).collect();
        Statement::Insert { table: name.to_string(), branch: branch.to_string(), columns, rows, overwrite }
    }

    fn cell(&mut self, column: &Column) -> Scalar {
        if self.has(Feature::Defaults) && self.chance(5) {
            return Scalar::Default;
        }
        if column.not_null && self.chance(99) {
            return Scalar::Literal(self.value(column.kind));
        }
        Scalar::Literal(self.value_or_null(column.kind))
    }

    fn overwrite(&mut self, name: &str, table: &Table) -> Option<Statement> {
        let count = self.random.random_range(1..8);
        Some(self.insert_rows(name, table, MAIN, count, true))
    }

    fn insert_from(&mut self, lake: &Lake, name: &str, table: &Table) -> Option<Statement> {
        let (source, other) = self.other(lake, None)?;
        if table.state().rows.len() + other.state().rows.len() > ROWS_MAX {
            return None;
        }
        let mut columns = Vec::new();
        for column in table.columns.iter() {
            let like: Vec<&Column> = other.columns.iter().filter(|one| one.kind == column.kind).collect();
            if let Some(from) = like.choose(&mut self.random) {
                columns.push((column.name.clone(), Field::of(&from.name)));
            }
        }
        let side = Side { number: 0, columns: &other.columns };
        let filter = if self.chance(60) { Some(self.condition(lake, &[side], 1)) } else { None };
        let is_empty = columns.is_empty();
        let statement = Statement::InsertFrom { table: name.to_string(), columns, source, filter };
        if is_empty { None } else { Some(statement) }
    }

    /// A table to read from, other than the one named.
    fn other<'a>(&mut self, lake: &'a Lake, not: Option<&str>) -> Option<(String, &'a Table)> {
        let tables: Vec<_> = lake.tables.iter().filter(|(name, _)| Some(name.as_str()) != not).collect();
        let (name, table) = *tables.choose(&mut self.random)?;
        Some((name.clone(), table))
    }

    fn delete(&mut self, lake: &Lake, name: &str, table: &Table) -> Option<Statement> {
        let branch = self.branch(table);
        let side = Side { number: 0, columns: &table.columns };
        let filter = if self.chance(97) { Some(self.condition(lake, &[side], 2)) } else { None };
        Some(Statement::Delete { table: name.to_string(), branch, filter })
    }

    fn update(&mut self, lake: &Lake, name: &str, table: &Table) -> Option<Statement> {
        let target = Side { number: 0, columns: &table.columns };
        if self.has(Feature::UpdateFrom)
            && self.chance(30)
            && let Some((source, other)) = self.partner_table(lake, name, table)
        {
            let sides = [target, Side { number: 1, columns: &other.columns }];
            let on = self.join_fields(&table.columns, &other.columns)?;
            let set = self.assignments(table, &sides);
            let filter = if self.chance(50) { Some(self.condition(lake, &sides, 1)) } else { None };
            return Some(Statement::Update {
                table: name.to_string(),
                set,
                from: Some((source, on.0, on.1)),
                filter,
            });
        }
        let set = self.assignments(table, &[target]);
        let filter = if self.chance(95) { Some(self.condition(lake, &[target], 2)) } else { None };
        Some(Statement::Update { table: name.to_string(), set, from: None, filter })
    }

    /// Another table, small enough for every pair of rows to be looked at.
    fn partner_table<'a>(
        &mut self,
        lake: &'a Lake,
        name: &str,
        table: &Table,
    ) -> Option<(String, &'a Table)> {
        let (source, other) = self.other(lake, Some(name))?;
        let pairs = table.state().rows.len() * other.state().rows.len();
        if pairs > PAIRS_MAX { None } else { Some((source, other)) }
    }

    /// Columns of the two sides that can be equal; whole numbers before all others.
    pub fn join_fields(&mut self, left: &[Column], right: &[Column]) -> Option<(Field, Field)> {
        let mut pairs = Vec::new();
        for one in left {
            for other in right.iter().filter(|other| other.kind.is_like(one.kind)) {
                let is_number = one.kind.is_whole_number();
                let is_float = matches!(one.kind, Type::Real | Type::Double | Type::Boolean);
                if is_number || (!is_float && self.chance(20)) {
                    pairs.push((one.name.clone(), other.name.clone()));
                }
            }
        }
        let (left, right) = pairs.choose(&mut self.random)?.clone();
        Some((Field { side: 0, name: left }, Field { side: 1, name: right }))
    }

    fn assignments(&mut self, table: &Table, sides: &[Side<'_>]) -> Vec<(String, Scalar)> {
        let mut columns: Vec<&Column> = table.columns.iter().collect();
        columns.shuffle(&mut self.random);
        columns.truncate(self.random.random_range(1..3));
        let assign = |column: &Column| (column.name.clone(), self.scalar(column, sides));
        columns.into_iter().map(assign).collect()
    }

    /// A value for a column, often made of the sides' columns.
    fn scalar(&mut self, column: &Column, sides: &[Side<'_>]) -> Scalar {
        if self.chance(55)
            && let Some((field, other)) = self.field(sides)
            && other.kind.is_like(column.kind)
        {
            return match self.random.random_range(0..3) {
                0 if column.kind.is_whole_number() => Scalar::Plus(field, self.random.random_range(1..5)),
                0 if column.kind == Type::Text => Scalar::Concat(field, "'x".into()),
                _ => Scalar::Field(field),
            };
        }
        self.cell(column)
    }

    fn merge(&mut self, lake: &Lake, name: &str, table: &Table) -> Option<Statement> {
        let (source, other) = self.partner_table(lake, name, table)?;
        let on = self.join_fields(&table.columns, &other.columns)?;
        let target = Side { number: 0, columns: &table.columns };
        let from = Side { number: 1, columns: &other.columns };
        let mut clauses = Vec::new();
        for _ in 0..self.random.random_range(1..4) {
            let when = match self.random.random_range(0..5) {
                0 | 1 => When::Matched,
                2 | 3 => When::NotMatched,
                _ if self.has(Feature::BySource) => When::NotMatchedBySource,
                _ => When::Matched,
            };
            let sides: &[Side<'_>] = match when {
                When::Matched => &[target, from],
                When::NotMatched => &[from],
                When::NotMatchedBySource => &[target],
            };
            let condition = if self.chance(50) { Some(self.plain_condition(lake, sides)) } else { None };
            let action = self.merge_action(table, when, sides);
            // What comes after an unconditional clause would never be reached, which is an error.
            if clauses.iter().any(|clause: &MergeClause| clause.when == when && clause.condition.is_none()) {
                continue;
            }
            clauses.push(MergeClause { when, condition, action });
        }
        Some(Statement::Merge { table: name.to_string(), source, on, clauses })
    }

    /// A condition without subqueries.
    fn plain_condition(&mut self, lake: &Lake, sides: &[Side<'_>]) -> Predicate {
        self.condition(lake, sides, 0)
    }

    fn merge_action(&mut self, table: &Table, when: When, sides: &[Side<'_>]) -> MergeAction {
        if self.chance(8) {
            return MergeAction::Nothing;
        }
        match when {
            When::NotMatched => {
                let columns: Vec<Column> = table.columns.to_vec();
                let values = columns.iter().map(|column| self.scalar(column, sides)).collect();
                MergeAction::Insert(columns.into_iter().map(|column| column.name).collect(), values)
            }
            _ if self.chance(30) => MergeAction::Delete,
            _ => MergeAction::Update(self.assignments(table, sides)),
        }
    }
}
