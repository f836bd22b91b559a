//! What `ALTER TABLE` says about a table's columns, partitioning, order, properties, branches and tags.

use datafusion::sql::sqlparser::ast;
use iceberg::spec::{NullOrder, SortDirection, Transform};

use super::{ColumnDefinition, Constraint, Name, PartitionTerm, TypeName};

/// A column, or a field inside one: `a`, `a.b`, `list.element`, `map.value`.
pub type Path = Vec<String>;

/// `ALTER TABLE t action, …`, done together or not at all.
#[derive(Debug, Clone)]
pub struct AlterTable {
    pub name: Name,
    pub if_exists: bool,
    pub actions: Vec<TableAction>,
}

/// One action of an `ALTER TABLE`.
#[derive(Debug, Clone)]
pub enum TableAction {
    AddColumn(AddColumn),
    DropColumn {
        path: Path,
        if_exists: bool,
    },
    RenameColumn {
        path: Path,
        to: String,
    },
    PlaceColumn {
        path: Path,
        place: Place,
    },
    SetType {
        path: Path,
        data_type: TypeName,
    },
    SetNotNull {
        path: Path,
        not_null: bool,
    },
    /// None for `DROP DEFAULT`.
    SetDefault {
        path: Path,
        value: Option<ast::Expr>,
    },
    SetComment {
        path: Path,
        text: Option<String>,
    },
    AddPartitionField {
        term: PartitionTerm,
        name: Option<String>,
    },
    DropPartitionField(PartitionField),
    ReplacePartitionField {
        old: PartitionField,
        term: PartitionTerm,
        name: Option<String>,
    },
    SetPartitioning(Vec<PartitionTerm>),
    /// Empty for `WRITE UNORDERED`; `distribution` is the value of `write.distribution-mode`.
    SetOrder {
        terms: Option<Vec<SortTerm>>,
        distribution: Option<&'static str>,
    },
    SetProperties(Vec<(String, String)>),
    UnsetProperties {
        names: Vec<String>,
        if_exists: bool,
    },
    SetIdentifierFields(Vec<Path>),
    DropIdentifierFields(Vec<Path>),
    AddConstraint(Constraint),
    DropConstraint {
        name: String,
        if_exists: bool,
    },
    Reference(ReferenceAction),
}

/// `ADD COLUMN`.
#[derive(Debug, Clone)]
pub struct AddColumn {
    /// The struct that gets the field; empty for a column of the table.
    pub parent: Path,
    pub column: ColumnDefinition,
    pub constraints: Vec<Constraint>,
    pub if_not_exists: bool,
    pub place: Option<Place>,
}

/// Where a column stands among its siblings.
#[derive(Debug, Clone, PartialEq)]
pub enum Place {
    First,
    After(String),
    Before(String),
}

/// A partition field as it is named: by its own name, or by what it is of.
#[derive(Debug, Clone, PartialEq)]
pub enum PartitionField {
    /// `a` may be the name of the field, or the column of an identity field.
    Name(String),
    Term(PartitionTerm),
}

/// One term of an order.
#[derive(Debug, Clone, PartialEq)]
pub struct SortTerm {
    pub column: String,
    pub transform: Transform,
    pub direction: SortDirection,
    pub nulls: NullOrder,
}

/// What names a snapshot beside its own id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferenceKind {
    Branch,
    Tag,
}

impl std::fmt::Display for ReferenceKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ReferenceKind::Branch => "branch",
            ReferenceKind::Tag => "tag",
        })
    }
}

/// What becomes of a branch or tag.
#[derive(Debug, Clone)]
pub enum ReferenceAction {
    Create(CreateReference),
    Drop { kind: ReferenceKind, name: String, if_exists: bool },
    FastForward { branch: String, to: String },
}

/// `CREATE BRANCH` or `CREATE TAG`.
#[derive(Debug, Clone)]
pub struct CreateReference {
    pub kind: ReferenceKind,
    pub name: String,
    /// What becomes of one that is there.
    pub existing: Existing,
    /// The snapshot; None for that of the main branch.
    pub version: Option<ast::Expr>,
    pub retention: Retention,
}

/// What a creation does where there is something already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    Refuse,
    Keep,
    Replace,
    /// `REPLACE BRANCH`: it must be there.
    ReplaceOnly,
}

/// How long a branch or tag and its snapshots are kept; None is as long as the table says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    pub reference_ms: Option<i64>,
    pub snapshots: Option<i32>,
    pub snapshots_ms: Option<i64>,
}
