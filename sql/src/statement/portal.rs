//! Cursors and prepared statements, which live in a session.

use datafusion::sql::sqlparser::ast;

use super::Statement;

/// `DECLARE … CURSOR FOR query`.
#[derive(Debug, Clone)]
pub struct Declare {
    pub name: String,
    /// Rows that have been read can be read again.
    pub scroll: bool,
    /// It outlives its transaction.
    pub hold: bool,
    pub query: Box<ast::Query>,
}

/// `FETCH` or `MOVE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    pub name: String,
    pub direction: Direction,
    /// `MOVE`: only tells how many rows there were.
    pub moves: bool,
}

/// Which rows, seen from the current one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// So many rows; backward if negative, the current row again if zero.
    Forward(i64),
    /// One row, counted from the first (1) or from the last (-1); 0 is before the first.
    Absolute(i64),
    /// One row, so many on.
    Relative(i64),
}

/// `PREPARE`.
#[derive(Debug, Clone)]
pub struct Prepare {
    pub name: String,
    /// The types of the first parameters; the others are found out.
    pub types: Vec<ast::DataType>,
    pub statement: Box<Statement>,
    /// The prepared statement's own text.
    pub text: String,
}

/// `EXECUTE`.
#[derive(Debug, Clone)]
pub struct Execute {
    pub name: String,
    pub values: Vec<ast::Expr>,
}
