//! `COPY`: rows of a client into a table, and rows of a table or query to a client.

use datafusion::sql::sqlparser::ast;

use super::{Name, Statement};
use crate::copy::CopyOptions;

/// `COPY t [(columns)] FROM STDIN [WITH (…)] [WHERE …]`.
#[derive(Debug, Clone)]
pub struct CopyFrom {
    pub table: Name,
    /// Empty for all columns.
    pub columns: Vec<String>,
    pub options: CopyOptions,
    /// Which of the rows go into the table.
    pub filter: Option<ast::Expr>,
}

/// `COPY … TO STDOUT [WITH (…)]`.
#[derive(Debug, Clone)]
pub struct CopyTo {
    pub source: CopySource,
    pub options: CopyOptions,
}

/// Where the rows of a `COPY TO` come from.
#[derive(Debug, Clone)]
pub enum CopySource {
    /// `t [(columns)]`; without columns it is all of them.
    Table { table: Name, columns: Vec<String> },
    /// `(query)`, or a statement that returns the rows that it changes.
    Statement(Box<Statement>),
}
