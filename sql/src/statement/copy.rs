//! `COPY`: rows of a client or a file into a table, and rows of a table or query to a client or into a file.

use datafusion::sql::sqlparser::ast;

use super::{Name, Statement};
use crate::copy::CopyOptions;
use crate::files::ReadFunction;

/// `COPY t [(columns)] FROM STDIN | 'file' [WITH (…)] [WHERE …]`.
#[derive(Debug, Clone)]
pub struct CopyFrom {
    pub table: Name,
    /// Empty for all columns.
    pub columns: Vec<String>,
    pub options: CopyOptions,
    /// None for the client.
    pub file: Option<FromFile>,
    /// Which of the rows go into the table.
    pub filter: Option<ast::Expr>,
}

/// The file of a `COPY FROM`.
#[derive(Debug, Clone)]
pub struct FromFile {
    pub location: String,
    /// Its columns have names and types of their own, so that it is read as the function reads it.
    pub read_as: Option<ReadFunction>,
}

/// The file of a `COPY TO`.
#[derive(Debug, Clone)]
pub struct ToFile {
    pub location: String,
    pub parquet: bool,
}

/// `COPY … TO STDOUT | 'file' [WITH (…)]`.
#[derive(Debug, Clone)]
pub struct CopyTo {
    pub source: CopySource,
    pub options: CopyOptions,
    /// None for the client.
    pub file: Option<ToFile>,
}

/// Where the rows of a `COPY TO` come from.
#[derive(Debug, Clone)]
pub enum CopySource {
    /// `t [(columns)]`; without columns it is all of them.
    Table { table: Name, columns: Vec<String> },
    /// `(query)`, or a statement that returns the rows that it changes.
    Statement(Box<Statement>),
}
