//! Constraints as they are said in `CREATE TABLE` and `ALTER TABLE`, of a column or of the table.

use datafusion::sql::sqlparser::ast;

use super::Name;

/// `[CONSTRAINT name] rule [NOT ENFORCED] …`.
#[derive(Debug, Clone)]
pub struct Constraint {
    pub name: Option<String>,
    pub rule: ConstraintRule,
    /// None when it is not said.
    pub enforced: Option<bool>,
    pub deferrable: bool,
    pub deferred: bool,
    /// False for `NOT VALID`.
    pub validated: bool,
}

/// What it says; columns are named.
#[derive(Debug, Clone)]
pub enum ConstraintRule {
    PrimaryKey(Vec<String>),
    Unique(Vec<String>),
    ForeignKey(ForeignKey),
    Check {
        condition: Box<ast::Expr>,
        /// The column that it is written after, for its name.
        column: Option<String>,
    },
}

/// `FOREIGN KEY (columns) REFERENCES table [(references)] …`.
#[derive(Debug, Clone)]
pub struct ForeignKey {
    pub columns: Vec<String>,
    pub table: Name,
    /// Empty for the table's primary key.
    pub references: Vec<String>,
    /// PostgreSQL's letters: `a` for NO ACTION, `r` RESTRICT, `c` CASCADE, `n` SET NULL, `d` SET DEFAULT.
    pub on_update: char,
    pub on_delete: char,
    /// `MATCH FULL`
    pub full: bool,
}

impl ConstraintRule {
    /// The rule's own words.
    pub fn words(&self) -> &'static str {
        match self {
            ConstraintRule::PrimaryKey(_) => "PRIMARY KEY",
            ConstraintRule::Unique(_) => "UNIQUE",
            ConstraintRule::ForeignKey(_) => "FOREIGN KEY",
            ConstraintRule::Check { .. } => "CHECK",
        }
    }
}
