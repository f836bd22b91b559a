//! MERGE and joined UPDATE in the model: every pair of rows is looked at. Where PostgreSQL's answer would depend on the
//! order of the pairs, the statement is left out.

use super::apply::{Expect, NOT_NULL, TWICE, breaks_not_null, holds};
use super::expression::{self, Field, Scalar, Scope};
use super::statement::{MergeAction, MergeClause, When};
use super::table::{Applied, Column, ColumnId, Inapplicable, Lake, MAIN, Row, State};
use super::value::Value;

/// Do the rows of a scope join?
pub fn is_pair(scope: Scope<'_>, on: Option<(&Field, &Field)>) -> Applied<bool> {
    let Some((left, right)) = on else { return Ok(true) };
    let ((left, left_value), (right, right_value)) = (scope.column(left)?, scope.column(right)?);
    if !left.kind.is_like(right.kind) {
        return Err(Inapplicable);
    }
    Ok(!left_value.is_null() && !right_value.is_null() && left_value == right_value)
}

pub fn updated(scope: Scope<'_>, columns: &[Column], row: &Row, set: &[(String, Scalar)]) -> Applied<Row> {
    let mut changes: Vec<(ColumnId, Value)> = Vec::new();
    for (name, scalar) in set {
        let column = columns.iter().find(|column| column.name == *name).ok_or(Inapplicable)?;
        changes.push((column.id, scalar.value(scope, column)?));
    }
    Ok(row.with(columns, &changes))
}

struct Merge<'a> {
    lake: &'a Lake,
    target: State,
    source: State,
    on: &'a (Field, Field),
    clauses: &'a [MergeClause],
}

/// What became of the rows.
#[derive(Default)]
struct Merged {
    rows: Vec<Row>,
    count: u64,
    twice: bool,
    null: bool,
}

pub fn merge(
    lake: &mut Lake,
    table: &str,
    source: &str,
    on: &(Field, Field),
    clauses: &[MergeClause],
) -> Applied<Expect> {
    if table == source {
        return Err(Inapplicable);
    }
    let (target, source) = (lake.table(table)?.state(), lake.table(source)?.state());
    let merge = Merge { lake, target, source, on, clauses };
    merge.check()?;
    let mut merged = Merged::default();
    merge.target_rows(&mut merged)?;
    merge.source_rows(&mut merged)?;
    if merged.twice {
        return Ok(TWICE);
    }
    if merged.null {
        return Ok(NOT_NULL);
    }
    lake.table_mut(table)?.set_rows(MAIN, merged.rows);
    Ok(Expect::Count(merged.count))
}

impl Merge<'_> {
    /// Do all clauses fit the columns, whether or not a row reaches them?
    fn check(&self) -> Applied<()> {
        let rows =
            [&self.target.columns, &self.source.columns].map(|columns| expression::example_row(columns));
        let sides = self.scope_sides(&rows[0], &rows[1]);
        let scope = Scope { lake: self.lake, sides: &sides };
        for clause in self.clauses {
            holds(clause.condition.as_ref(), scope)?;
            match &clause.action {
                MergeAction::Update(set) => {
                    updated(scope, &self.target.columns, &rows[0], set)?;
                }
                MergeAction::Insert(columns, values) => {
                    self.inserted(scope, columns, values)?;
                }
                MergeAction::Delete | MergeAction::Nothing => {}
            }
        }
        is_pair(scope, Some((&self.on.0, &self.on.1))).map(drop)
    }

    fn scope_sides<'s>(&'s self, target: &'s Row, source: &'s Row) -> [(&'s [Column], &'s Row); 2] {
        [(&self.target.columns, target), (&self.source.columns, source)]
    }

    fn joins(&self, target: &Row, source: &Row) -> Applied<bool> {
        let sides = self.scope_sides(target, source);
        is_pair(Scope { lake: self.lake, sides: &sides }, Some((&self.on.0, &self.on.1)))
    }

    /// The first clause of this kind whose condition is true.
    fn clause(&self, when: When, target: &Row, source: &Row) -> Applied<Option<&MergeClause>> {
        let sides = self.scope_sides(target, source);
        let scope = Scope { lake: self.lake, sides: &sides };
        for clause in self.clauses.iter().filter(|clause| clause.when == when) {
            if holds(clause.condition.as_ref(), scope)? {
                return Ok(Some(clause));
            }
        }
        Ok(None)
    }

    fn target_rows(&self, merged: &mut Merged) -> Applied<()> {
        let nothing = Row::default();
        for row in self.target.rows.iter() {
            let mut pairs = Vec::new();
            for source in self.source.rows.iter() {
                if self.joins(row, source)? {
                    pairs.push(source);
                }
            }
            let is_matched = !pairs.is_empty();
            let pair_count = pairs.len();
            let when = if is_matched { When::Matched } else { When::NotMatchedBySource };
            let mut actions = Vec::new();
            for source in if is_matched { pairs } else { vec![&nothing] } {
                if let Some(clause) = self.clause(when, row, source)?
                    && clause.action != MergeAction::Nothing
                {
                    actions.push((clause, source));
                }
            }
            merged.twice |= actions.len() > 1;
            if pair_count > 1 && actions.len() == 1 {
                // PostgreSQL takes the one that acts, the SQL standard refuses the pairs.
                return Err(Inapplicable);
            }
            match actions.first() {
                None => merged.rows.push(row.clone()),
                Some((clause, source)) => {
                    merged.count += 1;
                    if let MergeAction::Update(set) = &clause.action {
                        let sides = self.scope_sides(row, source);
                        let scope = Scope { lake: self.lake, sides: &sides };
                        merged.add(&self.target.columns, updated(scope, &self.target.columns, row, set)?);
                    }
                }
            }
        }
        Ok(())
    }

    fn source_rows(&self, merged: &mut Merged) -> Applied<()> {
        let nothing = Row::default();
        for source in self.source.rows.iter() {
            let mut is_matched = false;
            for row in self.target.rows.iter() {
                is_matched = is_matched || self.joins(row, source)?;
            }
            if is_matched {
                continue;
            }
            if let Some(MergeClause { action: MergeAction::Insert(columns, values), .. }) =
                self.clause(When::NotMatched, &nothing, source)?
            {
                let sides = self.scope_sides(&nothing, source);
                let row = self.inserted(Scope { lake: self.lake, sides: &sides }, columns, values)?;
                merged.count += 1;
                merged.add(&self.target.columns, row);
            }
        }
        Ok(())
    }

    fn inserted(&self, scope: Scope<'_>, columns: &[String], values: &[Scalar]) -> Applied<Row> {
        let mut given = Vec::new();
        for (name, value) in columns.iter().zip(values) {
            let column = self.target.columns.iter().find(|c| c.name == *name).ok_or(Inapplicable)?;
            given.push((column.id, value.value(scope, column)?));
        }
        let all = self.target.columns.iter().map(|column| {
            let found = given.iter().find(|(id, _)| *id == column.id);
            (column.id, found.map_or_else(|| column.default.clone(), |(_, value)| value.clone()))
        });
        Ok(Row::new(all.collect()))
    }
}

impl Merged {
    fn add(&mut self, columns: &[Column], row: Row) {
        self.null |= breaks_not_null(columns, &row);
        self.rows.push(row);
    }
}
