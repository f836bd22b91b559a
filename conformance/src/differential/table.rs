//! The model's state: tables as rows in memory, each row a list of values by column id, so that a rename, a drop or a
//! move touches no row. Copies share what is equal, so a transaction is a copy. It must never know SQL.

use super::value::{Type, Value};
use std::collections::BTreeMap;
use std::rc::Rc;

pub type ColumnId = u32;
pub const MAIN: &str = "main";

/// A step that means nothing in this state: it names something that an earlier step, dropped since, would have made.
/// Such steps are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inapplicable;

pub type Applied<T> = Result<T, Inapplicable>;

#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub id: ColumnId,
    pub name: String,
    pub kind: Type,
    pub not_null: bool,
    /// What rows have that were written before the column was there.
    pub initial: Value,
    /// What rows get that are written without it.
    pub default: Value,
}

/// Values by column id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row(Rc<Vec<(ColumnId, Value)>>);

impl Row {
    pub fn new(values: Vec<(ColumnId, Value)>) -> Row {
        Row(Rc::new(values))
    }

    pub fn get(&self, column: &Column) -> Value {
        let found = self.0.iter().find(|(id, _)| *id == column.id);
        found.map_or_else(|| column.initial.clone(), |(_, value)| value.clone())
    }

    /// The row with some values replaced, as a file has it that is written with these columns.
    pub fn with(&self, columns: &[Column], changes: &[(ColumnId, Value)]) -> Row {
        let value = |column: &Column| {
            let changed = changes.iter().find(|(id, _)| *id == column.id);
            (column.id, changed.map_or_else(|| self.get(column), |(_, value)| value.clone()))
        };
        Row::new(columns.iter().map(value).collect())
    }
}

/// The columns that a reader sees and the rows that it sees through them.
#[derive(Clone, Debug)]
pub struct State {
    pub columns: Rc<Vec<Column>>,
    pub rows: Rc<Vec<Row>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transform {
    Identity,
    Year,
    Month,
    Day,
    Hour,
    Bucket(u32),
    Truncate(u32),
}

#[derive(Clone, Debug, PartialEq)]
pub struct PartitionField {
    pub column: ColumnId,
    pub transform: Transform,
}

/// A snapshot that can be asked for again.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The step of the program that made it: its name in the program, because its id differs from run to run.
    pub step: usize,
    pub id: i64,
    pub at_ms: i64,
    pub branch: String,
    pub state: State,
}

#[derive(Clone, Debug)]
pub struct Table {
    pub columns: Rc<Vec<Column>>,
    pub branches: BTreeMap<String, Rc<Vec<Row>>>,
    pub tags: BTreeMap<String, State>,
    pub next_column: ColumnId,
    pub partition: Vec<PartitionField>,
    /// Rows may lie under another spec than today's, so that "the partitions of the new rows" is not only theirs.
    pub specs: u32,
    pub format: u8,
    pub history: Vec<Snapshot>,
    /// The snapshot that each branch points to, as last seen.
    pub heads: BTreeMap<String, i64>,
    /// How often main moved, and how often it had when a branch was made: it can only follow a branch that left later.
    pub moves: u32,
    pub left: BTreeMap<String, u32>,
}

impl Table {
    pub fn state(&self) -> State {
        self.branch(MAIN).unwrap_or_else(|| State { columns: Rc::clone(&self.columns), rows: Rc::default() })
    }

    pub fn branch(&self, name: &str) -> Option<State> {
        let rows = self.branches.get(name)?;
        Some(State { columns: Rc::clone(&self.columns), rows: Rc::clone(rows) })
    }

    pub fn rows(&self, branch: &str) -> Applied<Rc<Vec<Row>>> {
        self.branches.get(branch).cloned().ok_or(Inapplicable)
    }

    pub fn set_rows(&mut self, branch: &str, rows: Vec<Row>) {
        self.moves += u32::from(branch == MAIN);
        self.branches.insert(branch.to_string(), Rc::new(rows));
    }

    pub fn column(&self, name: &str) -> Applied<&Column> {
        self.columns.iter().find(|column| column.name == name).ok_or(Inapplicable)
    }

    pub fn snapshot(&self, step: usize) -> Applied<&Snapshot> {
        self.history.iter().find(|snapshot| snapshot.step == step).ok_or(Inapplicable)
    }

    /// The snapshot that main points to; none while it is not known which rows it had.
    pub fn head(&self) -> Applied<&Snapshot> {
        let id = self.heads.get(MAIN).ok_or(Inapplicable)?;
        self.history.iter().find(|snapshot| snapshot.id == *id).ok_or(Inapplicable)
    }

    pub fn is_partitioned_by(&self, column: ColumnId) -> bool {
        self.partition.iter().any(|field| field.column == column)
    }
}

/// All tables of one program.
#[derive(Clone, Debug, Default)]
pub struct Lake {
    pub tables: BTreeMap<String, Table>,
}

impl Lake {
    pub fn table(&self, name: &str) -> Applied<&Table> {
        self.tables.get(name).ok_or(Inapplicable)
    }

    pub fn table_mut(&mut self, name: &str) -> Applied<&mut Table> {
        self.tables.get_mut(name).ok_or(Inapplicable)
    }
}
