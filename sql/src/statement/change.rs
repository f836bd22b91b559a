//! The statements that change rows: `DELETE`, `UPDATE`, `MERGE` and what `INSERT` has beside its query. Assignments
//! of rows are taken apart already: each names one column.

use datafusion::sql::sqlparser::ast;

use super::Name;

/// The table that a statement changes, and what the statement calls it.
#[derive(Debug, Clone)]
pub struct ChangeTarget {
    pub name: Name,
    pub alias: Option<ast::Ident>,
}

/// `DELETE FROM t [USING …] [WHERE …] [RETURNING …]`.
#[derive(Debug, Clone)]
pub struct Delete {
    pub with: Option<ast::With>,
    pub target: ChangeTarget,
    pub using: Vec<ast::TableWithJoins>,
    pub selection: Option<ast::Expr>,
    pub returning: Vec<ast::SelectItem>,
}

/// `UPDATE t SET … [FROM …] [WHERE …] [RETURNING …]`.
#[derive(Debug, Clone)]
pub struct Update {
    pub with: Option<ast::With>,
    pub target: ChangeTarget,
    pub assignments: Vec<Assignment>,
    pub from: Vec<ast::TableWithJoins>,
    pub selection: Option<ast::Expr>,
    pub returning: Vec<ast::SelectItem>,
}

/// One column and what it becomes.
#[derive(Debug, Clone)]
pub struct Assignment {
    pub column: ast::Ident,
    pub value: NewValue,
}

/// What a column becomes.
#[derive(Debug, Clone)]
pub enum NewValue {
    /// The column's default, NULL where it has none.
    Default,
    Expression(ast::Expr),
}

/// `MERGE INTO t USING source ON … WHEN … THEN … [RETURNING …]`.
#[derive(Debug, Clone)]
pub struct Merge {
    pub with: Option<ast::With>,
    pub target: ChangeTarget,
    pub source: ast::TableFactor,
    pub on: ast::Expr,
    pub clauses: Vec<MergeClause>,
    pub returning: Vec<ast::SelectItem>,
}

/// One `WHEN … THEN …`; the first whose kind and condition fit a row is the one that counts.
#[derive(Debug, Clone)]
pub struct MergeClause {
    pub when: MergeWhen,
    pub condition: Option<ast::Expr>,
    pub action: MergeAction,
}

/// Which rows a clause is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeWhen {
    Matched,
    /// Rows of the source without a match: `WHEN NOT MATCHED [BY TARGET]`.
    NotMatchedByTarget,
    /// Rows of the table without a match.
    NotMatchedBySource,
}

/// What a clause does with its rows.
#[derive(Debug, Clone)]
pub enum MergeAction {
    Nothing,
    Delete,
    Update(Vec<Assignment>),
    /// `UPDATE *`: every column becomes the source's column of its name.
    UpdateAll,
    Insert(Vec<Assignment>),
    /// `INSERT (a, b) VALUES (…)` without column names: the values in the table's order.
    InsertValues(Vec<NewValue>),
    /// `INSERT *`: every column is the source's column of its name.
    InsertAll,
}

/// `ON CONFLICT (columns) DO …`.
#[derive(Debug, Clone)]
pub struct Conflict {
    /// The columns whose equality is a conflict: there are no unique indexes, so the statement says them.
    pub key: Vec<ast::Ident>,
    pub action: ConflictAction,
}

/// What happens to a row that is there already.
#[derive(Debug, Clone)]
pub enum ConflictAction {
    Nothing,
    Update { assignments: Vec<Assignment>, selection: Option<ast::Expr> },
}
