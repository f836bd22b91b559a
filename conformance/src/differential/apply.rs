//! What a statement does to the model, and what the server must say about it. Written to be obvious, not fast: every
//! row is looked at, nothing is pruned. MERGE is in `merge.rs`. It must never know SQL.

use super::expression::{self, Field, Predicate, Scalar, Scope};
use super::merge;
use super::statement::{
    Alter, Block, Definition, NewColumn, PartitionBy, Reference, Statement, Upkeep, series_value,
};
use super::table::{Applied, Column, ColumnId, Inapplicable, Lake, MAIN, PartitionField, Row, Table};
use super::transform;
use super::value::Value;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What the server must answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    Done,
    /// With this number in its command tag.
    Count(u64),
    /// Refused with this SQLSTATE, and nothing changed.
    Refused(&'static str),
}

pub const NOT_NULL: Expect = Expect::Refused("23502");
pub const TWICE: Expect = Expect::Refused("21000");

/// The lake as a session sees it: what is committed, and what its open transaction has made of it.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub lake: Lake,
    /// What a ROLLBACK goes back to; there while a transaction is open.
    pub begun: Option<Lake>,
    pub savepoints: Vec<(String, Lake)>,
    /// An error inside the transaction; nothing but its end is heard.
    pub aborted: bool,
}

impl Model {
    pub fn apply(&mut self, statement: &Statement) -> Applied<Expect> {
        if let Statement::Block(block) = statement {
            return self.block(block);
        }
        if self.aborted {
            return Ok(Expect::Refused("25P02"));
        }
        let expect = apply(&mut self.lake, statement)?;
        if self.begun.is_some() && matches!(expect, Expect::Refused(_)) {
            self.aborted = true;
        }
        Ok(expect)
    }

    fn block(&mut self, block: &Block) -> Applied<Expect> {
        match block {
            Block::Begin if self.begun.is_none() => self.begun = Some(self.lake.clone()),
            Block::Commit | Block::Rollback => {
                let begun = self.begun.take().ok_or(Inapplicable)?;
                if self.aborted || *block == Block::Rollback {
                    self.lake = begun;
                }
                self.aborted = false;
                self.savepoints.clear();
            }
            Block::Savepoint(name) if self.begun.is_some() => {
                if self.aborted {
                    return Ok(Expect::Refused("25P02"));
                }
                self.savepoints.push((name.clone(), self.lake.clone()));
            }
            Block::RollbackTo(name) => {
                let at = self.savepoints.iter().rposition(|(other, _)| other == name).ok_or(Inapplicable)?;
                self.savepoints.truncate(at + 1);
                self.lake = self.savepoints[at].1.clone();
                self.aborted = false;
            }
            _ => return Err(Inapplicable),
        }
        Ok(Expect::Done)
    }
}

fn apply(lake: &mut Lake, statement: &Statement) -> Applied<Expect> {
    match statement {
        Statement::Create { table, columns, definition } => create(lake, table, columns, definition),
        Statement::CreateAs { table, source, filter, definition } => {
            create_as(lake, table, source, filter.as_ref(), definition)
        }
        Statement::Drop { table } => lake.tables.remove(table).map(|_| Expect::Done).ok_or(Inapplicable),
        Statement::Insert { table, branch, columns, rows, overwrite } => {
            insert(lake, table, branch, columns, rows, *overwrite)
        }
        Statement::InsertFrom { table, columns, source, filter } => {
            insert_from(lake, table, columns, source, filter.as_ref())
        }
        Statement::InsertSeries { table, from, to } => insert_series(lake, table, *from, *to),
        Statement::Truncate { table } => {
            lake.table_mut(table)?.set_rows(MAIN, Vec::new());
            Ok(Expect::Done)
        }
        Statement::Delete { table, branch, filter } => delete(lake, table, branch, filter.as_ref()),
        Statement::Update { table, set, from, filter } => {
            update(lake, table, set, from.as_ref(), filter.as_ref())
        }
        Statement::Merge { table, source, on, clauses } => merge::merge(lake, table, source, on, clauses),
        Statement::Alter { table, alter } => change(lake.table_mut(table)?, alter),
        Statement::Upkeep { table, upkeep } => maintain(lake.table_mut(table)?, upkeep),
        Statement::Reference { table, reference } => refer(lake.table_mut(table)?, reference),
        Statement::Block(_) => Err(Inapplicable),
    }
}

fn create(lake: &mut Lake, name: &str, columns: &[NewColumn], definition: &Definition) -> Applied<Expect> {
    if lake.tables.contains_key(name) || columns.is_empty() {
        return Err(Inapplicable);
    }
    let mut table = Table {
        columns: Rc::default(),
        branches: BTreeMap::from([(MAIN.to_string(), Rc::default())]),
        tags: BTreeMap::new(),
        next_column: 1,
        partition: Vec::new(),
        specs: 1,
        format: definition.format,
        history: Vec::new(),
        heads: BTreeMap::new(),
        moves: 0,
        left: BTreeMap::new(),
    };
    for column in columns {
        add_column(&mut table, column)?;
        // A default of CREATE TABLE is for what is written; no rows are older than the column.
    }
    for field in &definition.partition {
        add_partition(&mut table, field)?;
    }
    lake.tables.insert(name.to_string(), table);
    Ok(Expect::Done)
}

fn create_as(
    lake: &mut Lake,
    name: &str,
    source: &str,
    filter: Option<&Predicate>,
    definition: &Definition,
) -> Applied<Expect> {
    let state = lake.table(source)?.state();
    let rows = expression::filtered(lake, &state, filter)?;
    let column = |column: &Column| NewColumn {
        name: column.name.clone(),
        kind: column.kind,
        not_null: false,
        default: None,
    };
    let columns: Vec<NewColumn> = state.columns.iter().map(column).collect();
    create(lake, name, &columns, definition)?;
    let table = lake.table_mut(name)?;
    let copied = |row: &Row| {
        let pairs = table.columns.iter().zip(state.columns.iter());
        Row::new(pairs.map(|(new, old)| (new.id, row.get(old))).collect())
    };
    let rows: Vec<Row> = rows.iter().map(copied).collect();
    let count = rows.len() as u64;
    table.set_rows(MAIN, rows);
    Ok(Expect::Count(count))
}

fn add_column(table: &mut Table, column: &NewColumn) -> Applied<()> {
    if table.column(&column.name).is_ok() {
        return Err(Inapplicable);
    }
    let default = column.default.clone().unwrap_or(Value::Null);
    if !default.fits(column.kind) {
        return Err(Inapplicable);
    }
    let added = Column {
        id: table.next_column,
        name: column.name.clone(),
        kind: column.kind,
        not_null: column.not_null,
        initial: default.clone(),
        default,
    };
    table.next_column += 1;
    Rc::make_mut(&mut table.columns).push(added);
    Ok(())
}

/// A row of these values, the others by default.
fn new_row(columns: &[Column], given: &[(ColumnId, Value)]) -> Row {
    let value = |column: &Column| {
        let found = given.iter().find(|(id, _)| *id == column.id);
        (column.id, found.map_or_else(|| column.default.clone(), |(_, value)| value.clone()))
    };
    Row::new(columns.iter().map(value).collect())
}

pub fn breaks_not_null(columns: &[Column], row: &Row) -> bool {
    columns.iter().any(|column| column.not_null && row.get(column).is_null())
}

fn insert(
    lake: &mut Lake,
    name: &str,
    branch: &str,
    columns: &[String],
    rows: &[Vec<Scalar>],
    overwrite: bool,
) -> Applied<Expect> {
    let table = lake.table(name)?;
    let targets: Vec<&Column> = columns.iter().map(|column| table.column(column)).collect::<Applied<_>>()?;
    let nothing = Row::default();
    let mut added = Vec::new();
    for row in rows {
        let scope = Scope { lake, sides: &[(&[], &nothing)] };
        let cells =
            targets.iter().zip(row).map(|(column, scalar)| Ok((column.id, scalar.value(scope, column)?)));
        added.push(new_row(&table.columns, &cells.collect::<Applied<Vec<_>>>()?));
    }
    append(lake.table_mut(name)?, branch, added, overwrite)
}

fn append(table: &mut Table, branch: &str, added: Vec<Row>, overwrite: bool) -> Applied<Expect> {
    let old = table.rows(branch)?;
    if added.iter().any(|row| breaks_not_null(&table.columns, row)) {
        return Ok(NOT_NULL);
    }
    let mut kept: Vec<Row> = if !overwrite {
        old.to_vec()
    } else if table.partition.is_empty() && table.specs == 1 {
        Vec::new()
    } else if table.specs == 1 {
        let replaced =
            added.iter().map(|row| transform::partition_of(table, row)).collect::<Applied<Vec<_>>>()?;
        let mut kept = Vec::new();
        for row in old.iter() {
            if !replaced.contains(&transform::partition_of(table, row)?) {
                kept.push(row.clone());
            }
        }
        kept
    } else {
        return Err(Inapplicable);
    };
    let count = added.len() as u64;
    kept.extend(added);
    table.set_rows(branch, kept);
    Ok(Expect::Count(count))
}

fn insert_from(
    lake: &mut Lake,
    name: &str,
    columns: &[(String, Field)],
    source: &str,
    filter: Option<&Predicate>,
) -> Applied<Expect> {
    let (table, state) = (lake.table(name)?, lake.table(source)?.state());
    let pairs = columns.iter().map(|(to, from)| {
        let (to, from) = (table.column(to)?, state.columns.iter().find(|column| column.name == from.name));
        let from = from.ok_or(Inapplicable)?;
        if from.kind == to.kind || from.kind.widened() == Some(to.kind) {
            Ok((to, from))
        } else {
            Err(Inapplicable)
        }
    });
    let pairs: Vec<(&Column, &Column)> = pairs.collect::<Applied<_>>()?;
    let mut added = Vec::new();
    for row in expression::filtered(lake, &state, filter)? {
        let given: Vec<_> = pairs.iter().map(|(to, from)| (to.id, row.get(from))).collect();
        added.push(new_row(&table.columns, &given));
    }
    append(lake.table_mut(name)?, MAIN, added, false)
}

fn insert_series(lake: &mut Lake, name: &str, from: i64, to: i64) -> Applied<Expect> {
    let table = lake.table_mut(name)?;
    let row = |g: i64| {
        Row::new(table.columns.iter().map(|column| (column.id, series_value(column.kind, g))).collect())
    };
    let added: Vec<Row> = (from..=to).map(row).collect();
    append(table, MAIN, added, false)
}

fn delete(lake: &mut Lake, name: &str, branch: &str, filter: Option<&Predicate>) -> Applied<Expect> {
    let state = lake.table(name)?.branch(branch).ok_or(Inapplicable)?;
    let mut kept = Vec::new();
    if let Some(filter) = filter {
        expression::check(filter, lake, &[&state.columns])?;
        for row in state.rows.iter() {
            if filter.holds(Scope { lake, sides: &[(&state.columns, row)] })? != Some(true) {
                kept.push(row.clone());
            }
        }
    }
    let count = (state.rows.len() - kept.len()) as u64;
    lake.table_mut(name)?.set_rows(branch, kept);
    Ok(Expect::Count(count))
}

fn update(
    lake: &mut Lake,
    name: &str,
    set: &[(String, Scalar)],
    from: Option<&(String, Field, Field)>,
    filter: Option<&Predicate>,
) -> Applied<Expect> {
    let target = lake.table(name)?.state();
    // Without FROM a row joins with nothing, once.
    let (source, on) = match from {
        Some((source, left, right)) => (lake.table(source)?.state(), Some((left, right))),
        None => (super::table::State { columns: Rc::default(), rows: Rc::new(vec![Row::default()]) }, None),
    };
    if let Some(filter) = filter {
        expression::check(filter, lake, &[&target.columns, &source.columns])?;
    }
    let mut rows = Vec::new();
    let mut count = 0;
    for row in target.rows.iter() {
        let mut changed = None;
        for other in source.rows.iter() {
            let scope = Scope { lake, sides: &[(&target.columns, row), (&source.columns, other)] };
            if !merge::is_pair(scope, on)? || !holds(filter, scope)? {
                continue;
            }
            if changed.is_some() {
                return Ok(TWICE);
            }
            changed = Some(merge::updated(scope, &target.columns, row, set)?);
        }
        count += u64::from(changed.is_some());
        rows.push(changed.unwrap_or_else(|| row.clone()));
    }
    if rows.iter().any(|row| breaks_not_null(&target.columns, row)) {
        return Ok(NOT_NULL);
    }
    lake.table_mut(name)?.set_rows(MAIN, rows);
    Ok(Expect::Count(count))
}

pub fn holds(filter: Option<&Predicate>, scope: Scope<'_>) -> Applied<bool> {
    filter.map_or(Ok(true), |filter| Ok(filter.holds(scope)? == Some(true)))
}

fn change(table: &mut Table, alter: &Alter) -> Applied<Expect> {
    match alter {
        Alter::Add(column) => {
            let needs_three = column.default.is_some() && table.format < 3;
            if needs_three || (column.not_null && column.default.is_none()) {
                return Err(Inapplicable);
            }
            add_column(table, column)?;
        }
        Alter::Drop(name) => {
            let id = table.column(name)?.id;
            if table.is_partitioned_by(id) || table.columns.len() == 1 {
                return Err(Inapplicable);
            }
            Rc::make_mut(&mut table.columns).retain(|column| column.id != id);
        }
        Alter::Rename(from, to) => {
            if table.column(to).is_ok() {
                return Err(Inapplicable);
            }
            column_mut(table, from)?.name = to.clone();
        }
        Alter::Widen(name) => {
            let column = column_mut(table, name)?;
            column.kind = column.kind.widened().ok_or(Inapplicable)?;
        }
        Alter::Move(name, after) => {
            let moved = table.column(name)?.clone();
            let columns = Rc::make_mut(&mut table.columns);
            columns.retain(|column| column.id != moved.id);
            let at = match after {
                None => 0,
                Some(after) => columns.iter().position(|c| c.name == *after).ok_or(Inapplicable)? + 1,
            };
            columns.insert(at, moved);
        }
        Alter::SetDefault(name, value) => {
            let format = table.format;
            let column = column_mut(table, name)?;
            let value = value.clone().unwrap_or(Value::Null);
            if !value.fits(column.kind) || format < 3 {
                return Err(Inapplicable);
            }
            column.default = value;
        }
        Alter::DropNotNull(name) => column_mut(table, name)?.not_null = false,
        Alter::AddPartition(field) => {
            add_partition(table, field)?;
            table.specs += 1;
        }
        Alter::DropPartition(field) => {
            let id = table.column(&field.column)?.id;
            let wanted = PartitionField { column: id, transform: field.transform };
            let at = table.partition.iter().position(|field| *field == wanted).ok_or(Inapplicable)?;
            table.partition.remove(at);
            table.specs += 1;
        }
        Alter::OrderedBy(keys) => {
            keys.iter().try_for_each(|(name, ..)| table.column(name).map(drop))?;
        }
        Alter::Property(..) => {}
        Alter::FormatThree => table.format = 3,
    }
    Ok(Expect::Done)
}

fn column_mut<'a>(table: &'a mut Table, name: &str) -> Applied<&'a mut Column> {
    let columns = Rc::make_mut(&mut table.columns);
    columns.iter_mut().find(|column| column.name == name).ok_or(Inapplicable)
}

fn add_partition(table: &mut Table, field: &PartitionBy) -> Applied<()> {
    let column = table.column(&field.column)?;
    if table.is_partitioned_by(column.id) || !transform::is_allowed(field.transform, column.kind) {
        return Err(Inapplicable);
    }
    table.partition.push(PartitionField { column: column.id, transform: field.transform });
    Ok(())
}

/// Upkeep changes no row; which snapshots are left is read from the table afterwards.
fn maintain(table: &mut Table, upkeep: &Upkeep) -> Applied<Expect> {
    if let Upkeep::OptimizeSorted(column) = upkeep {
        table.column(column)?;
    }
    table.moves += 1;
    Ok(Expect::Done)
}

fn refer(table: &mut Table, reference: &Reference) -> Applied<Expect> {
    match reference {
        Reference::CreateBranch(name) | Reference::CreateTag(name) => {
            // A tag is read with the columns of its snapshot, a branch with those of the table.
            let state = table.head()?.state.clone();
            if table.branches.contains_key(name) || table.tags.contains_key(name) {
                return Err(Inapplicable);
            }
            if matches!(reference, Reference::CreateBranch(_)) {
                table.branches.insert(name.clone(), state.rows);
                table.left.insert(name.clone(), table.moves);
            } else {
                table.tags.insert(name.clone(), state);
            }
        }
        Reference::DropBranch(name) if name != MAIN => {
            table.branches.remove(name).ok_or(Inapplicable)?;
        }
        Reference::DropBranch(_) => return Err(Inapplicable),
        Reference::DropTag(name) => {
            table.tags.remove(name).ok_or(Inapplicable)?;
        }
        Reference::FastForward(name) => {
            if table.left.get(name) != Some(&table.moves) {
                return Err(Inapplicable);
            }
            let rows = table.rows(name)?;
            table.set_rows(MAIN, rows.to_vec());
        }
        Reference::RollBack(step) => {
            let rows = table.snapshot(*step)?.state.rows.to_vec();
            table.set_rows(MAIN, rows);
        }
    }
    Ok(Expect::Done)
}
