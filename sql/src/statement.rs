//! Statements as types: what a user can say, one variant per kind, with every clause named. What is not here is
//! not supported. Queries keep the parser's own syntax tree, which `parse/allow.rs` has searched for clauses that
//! nobody consumes. It must never hold an object, only names. Next: `resolve/mod.rs`, where names become objects.

mod alter;
mod change;
mod constraint;
mod copy;
mod portal;

use std::fmt;

use datafusion::sql::sqlparser::ast;
use iceberg::spec::{PrimitiveType, Transform};

use crate::notify::Intended;
use crate::types::Characters;

pub use alter::{
    AddColumn, AlterTable, CreateReference, Existing, PartitionField, Path, Place, ReferenceAction,
    ReferenceKind, Retention, SortTerm, TableAction,
};
pub use change::{
    Assignment, ChangeTarget, Conflict, ConflictAction, Delete, Merge, MergeAction, MergeClause, MergeWhen,
    NewValue, Update,
};
pub use constraint::{Constraint, ConstraintRule, ForeignKey};
pub use copy::{CopyFrom, CopySource, CopyTo, FromFile, ToFile};
pub use portal::{Declare, Direction, Execute, Fetch, Prepare};

/// A name of one to three parts, already folded to lower case where it was not quoted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name {
    pub catalog: Option<String>,
    pub schema: Option<String>,
    pub name: String,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in [&self.catalog, &self.schema].into_iter().flatten() {
            write!(f, "{}.", tarn_catalog::name::quote(part))?;
        }
        f.write_str(&tarn_catalog::name::quote(&self.name))
    }
}

/// One statement.
#[derive(Debug, Clone)]
pub enum Statement {
    Query(Box<ast::Query>),
    Explain(Explain),
    Insert(Insert),
    Delete(Delete),
    Update(Update),
    Merge(Merge),
    Truncate(Vec<Name>),
    CopyFrom(CopyFrom),
    CopyTo(CopyTo),
    CreateTable(CreateTable),
    CreateView(CreateView),
    CreateSchema(CreateSchema),
    Drop(Drop),
    DropSchema(DropSchema),
    AlterRelation(AlterRelation),
    AlterTable(AlterTable),
    AlterSchema(AlterSchema),
    Comment(Comment),
    CreateRole(CreateRole),
    AlterRole(AlterRole),
    DropRole(DropRole),
    GrantPrivileges(GrantPrivileges),
    GrantMembership(GrantMembership),
    Call(Call),
    TableProcedure(TableProcedure),
    SetPolicy(SetPolicy),
    Describe(Name),
    ShowObjects(ShowObjects),
    Set(Set),
    Show(Show),
    Transaction(Transaction),
    Discard(Discard),
    Declare(Declare),
    Fetch(Fetch),
    /// None for `CLOSE ALL`.
    Close(Option<String>),
    Prepare(Prepare),
    Execute(Execute),
    Deallocate(String),
    /// `LISTEN`, `UNLISTEN` or `NOTIFY`.
    Intended(Intended),
}

impl Statement {
    /// Touches nothing but the session and its transaction.
    pub fn is_about_the_session(&self) -> bool {
        matches!(
            self,
            Statement::Set(_)
                | Statement::Show(_)
                | Statement::Transaction(_)
                | Statement::Discard(_)
                | Statement::Close(_)
                | Statement::Prepare(_)
                | Statement::Deallocate(_)
                | Statement::Intended(_)
        )
    }

    /// Changes nothing, so that it does not matter how often it is run.
    pub fn only_reads(&self) -> bool {
        matches!(
            self,
            Statement::Query(_)
                | Statement::Explain(_)
                | Statement::Describe(_)
                | Statement::ShowObjects(_)
                | Statement::Show(_)
        )
    }
}

/// `EXPLAIN [ANALYZE] [VERBOSE] statement`.
#[derive(Debug, Clone)]
pub struct Explain {
    pub analyze: bool,
    pub verbose: bool,
    /// A query, a statement that changes rows or a `CREATE TABLE AS`; only a query is analyzed.
    pub statement: Box<Statement>,
}

/// `INSERT INTO t [(columns)] query` or `INSERT OVERWRITE t query`.
#[derive(Debug, Clone)]
pub struct Insert {
    pub target: ChangeTarget,
    pub columns: Vec<ast::Ident>,
    /// None for `DEFAULT VALUES`: one row of defaults.
    pub source: Option<Box<ast::Query>>,
    pub conflict: Option<Conflict>,
    pub returning: Vec<ast::SelectItem>,
    pub overwrite: Option<Overwrite>,
}

/// What an `INSERT OVERWRITE` replaces.
#[derive(Debug, Clone)]
pub enum Overwrite {
    /// The partitions that the query has rows for, or all of an unpartitioned table.
    Written,
    /// `PARTITION (column = value, …)`: the rows with these values, which the new rows have too.
    Rows(Vec<Assignment>),
}

/// `CREATE TABLE`, with or without a query.
#[derive(Debug, Clone)]
pub struct CreateTable {
    pub name: Name,
    /// It goes with the session.
    pub temporary: bool,
    pub or_replace: bool,
    pub if_not_exists: bool,
    /// With a query: either empty or new names for its columns, without types.
    pub columns: Vec<ColumnDefinition>,
    /// Those of columns and those of the table.
    pub constraints: Vec<Constraint>,
    pub partitioning: Vec<PartitionTerm>,
    /// The order of rows in each file; empty for none.
    pub order: Vec<SortTerm>,
    pub properties: Vec<(String, String)>,
    pub comment: Option<String>,
    pub query: Option<TableQuery>,
}

/// The query of a `CREATE TABLE AS`.
#[derive(Debug, Clone)]
pub struct TableQuery {
    pub query: Box<ast::Query>,
    /// New names for the query's columns, from the left.
    pub column_names: Vec<String>,
    /// False for `WITH NO DATA`.
    pub with_data: bool,
}

/// One column of a `CREATE TABLE`.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnDefinition {
    pub name: String,
    pub data_type: TypeName,
    pub not_null: bool,
    pub comment: Option<String>,
    pub default: Option<ast::Expr>,
}

/// A type as written, in Iceberg's terms.
#[derive(Debug, Clone, PartialEq)]
pub enum TypeName {
    Primitive(PrimitiveType),
    /// Only of whole columns.
    Characters(Characters),
    Struct(Vec<ColumnDefinition>),
    List(Box<TypeName>),
    Map(Box<TypeName>, Box<TypeName>),
}

/// One term of `PARTITIONED BY`: a transform of a column.
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionTerm {
    pub column: String,
    pub transform: Transform,
}

/// `CREATE VIEW`.
#[derive(Debug, Clone)]
pub struct CreateView {
    pub name: Name,
    pub temporary: bool,
    pub or_replace: bool,
    pub columns: Vec<String>,
    pub query: Box<ast::Query>,
    /// The query as the user wrote it.
    pub text: String,
}

/// `CREATE SCHEMA`.
#[derive(Debug, Clone)]
pub struct CreateSchema {
    pub name: Name,
    pub if_not_exists: bool,
    pub owner: Option<String>,
}

/// What `DROP` or `ALTER` says it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelationWord {
    Table,
    View,
}

impl fmt::Display for RelationWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RelationWord::Table => "table",
            RelationWord::View => "view",
        })
    }
}

/// `DROP TABLE` or `DROP VIEW`.
#[derive(Debug, Clone)]
pub struct Drop {
    pub word: RelationWord,
    pub names: Vec<Name>,
    pub if_exists: bool,
}

/// `DROP SCHEMA`.
#[derive(Debug, Clone)]
pub struct DropSchema {
    pub names: Vec<Name>,
    pub if_exists: bool,
    pub cascade: bool,
}

/// `ALTER TABLE` or `ALTER VIEW`.
#[derive(Debug, Clone)]
pub struct AlterRelation {
    pub word: RelationWord,
    pub name: Name,
    pub if_exists: bool,
    pub action: AlterAction,
}

/// `ALTER SCHEMA`.
#[derive(Debug, Clone)]
pub struct AlterSchema {
    pub name: Name,
    pub action: AlterAction,
}

/// What an `ALTER` does.
#[derive(Debug, Clone, PartialEq)]
pub enum AlterAction {
    RenameTo(Name),
    SetSchema(String),
    OwnerTo(String),
}

/// `COMMENT ON`.
#[derive(Debug, Clone)]
pub struct Comment {
    pub target: CommentTarget,
    /// None removes the comment.
    pub text: Option<String>,
}

/// What a comment is on.
#[derive(Debug, Clone, PartialEq)]
pub enum CommentTarget {
    Schema(Name),
    Relation(RelationWord, Name),
    Column(Name, String),
    Role(String),
}

/// What a role may do and how it comes in; None leaves a property as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RoleOptions {
    pub login: Option<bool>,
    pub superuser: Option<bool>,
    pub create_role: Option<bool>,
    pub create_schema: Option<bool>,
    pub password: Option<PasswordChange>,
}

/// A new password, or none at all.
#[derive(Debug, Clone, PartialEq)]
pub enum PasswordChange {
    Set(tarn_catalog::Secret<String>),
    Remove,
}

/// `CREATE ROLE` or `CREATE USER`.
#[derive(Debug, Clone)]
pub struct CreateRole {
    pub name: String,
    pub if_not_exists: bool,
    pub options: RoleOptions,
    pub member_of: Vec<String>,
}

/// `ALTER ROLE`.
#[derive(Debug, Clone)]
pub struct AlterRole {
    pub name: String,
    pub rename_to: Option<String>,
    pub options: RoleOptions,
}

/// `DROP ROLE`.
#[derive(Debug, Clone)]
pub struct DropRole {
    pub names: Vec<String>,
    pub if_exists: bool,
}

/// `GRANT` or `REVOKE` of privileges on objects.
#[derive(Debug, Clone)]
pub struct GrantPrivileges {
    pub revoke: bool,
    /// None for `ALL [PRIVILEGES]`.
    pub privileges: Option<Vec<tarn_catalog::access::Privilege>>,
    pub on: GrantTarget,
    /// Role names; `PUBLIC` is `None`.
    pub roles: Vec<Option<String>>,
    /// `WITH GRANT OPTION`, or for a revoke `GRANT OPTION FOR`.
    pub grant_option: bool,
}

/// The objects of a grant.
#[derive(Debug, Clone)]
pub enum GrantTarget {
    Relations(Vec<Name>),
    Schemas(Vec<Name>),
    AllTablesIn(Vec<Name>),
}

/// `GRANT role TO role` or `REVOKE role FROM role`.
#[derive(Debug, Clone)]
pub struct GrantMembership {
    pub revoke: bool,
    pub granted: Vec<String>,
    pub members: Vec<String>,
}

/// `CALL procedure(argument, name => argument)`.
#[derive(Debug, Clone)]
pub struct Call {
    pub procedure: Name,
    pub arguments: Vec<Argument>,
    /// The statement, for the command tag.
    pub tag: &'static str,
    /// It ends with its tag alone.
    pub quiet: bool,
}

/// `ALTER TABLE t EXECUTE procedure(arguments) [WHERE filter]`.
#[derive(Debug, Clone)]
pub struct TableProcedure {
    pub table: Name,
    pub if_exists: bool,
    pub procedure: String,
    pub arguments: Vec<Argument>,
    pub filter: Option<Box<ast::Expr>>,
    /// The statement, for the command tag.
    pub tag: &'static str,
    /// It ends with its tag alone, as PostgreSQL's VACUUM does, and tells no figures.
    pub quiet: bool,
}

/// `ALTER … SET MAINTENANCE POLICY`.
#[derive(Debug, Clone)]
pub struct SetPolicy {
    pub on: PolicyOn,
    /// None for `RESET`.
    pub options: Option<Vec<(String, String)>>,
}

/// What a policy is set on.
#[derive(Debug, Clone, PartialEq)]
pub enum PolicyOn {
    Database(String),
    Schema(Name),
    Table(Name),
}

/// One argument of a call or a table function.
#[derive(Debug, Clone, PartialEq)]
pub struct Argument {
    pub name: Option<String>,
    pub value: ArgumentValue,
}

/// What is given for an argument: a literal, or for procedures any constant expression.
#[derive(Debug, Clone, PartialEq)]
pub enum ArgumentValue {
    Text(String),
    Number(String),
    Boolean(bool),
    Null,
    /// Only of procedures.
    Expression(Box<ast::Expr>),
}

/// `SHOW SCHEMAS`, `SHOW TABLES`, `SHOW COLUMNS` (the Trino and Redshift forms).
#[derive(Debug, Clone)]
pub enum ShowObjects {
    Schemas {
        like: Option<String>,
    },
    Tables {
        schema: Option<Name>,
        like: Option<String>,
    },
    Columns {
        table: Name,
    },
    Crawlers {
        like: Option<String>,
    },
    /// `SHOW INFERENCE FOR t`
    Inference {
        table: Name,
    },
}

/// `SET` and `RESET`.
#[derive(Debug, Clone, Default)]
pub struct Set {
    pub setting: String,
    /// None for `RESET` and `TO DEFAULT`.
    pub value: Option<String>,
    /// `SET LOCAL`: until the end of the transaction.
    pub local: bool,
    /// `RESET ALL`.
    pub all: bool,
    /// It was said as `RESET`.
    pub reset: bool,
}

/// `SHOW setting` or `SHOW ALL`.
#[derive(Debug, Clone)]
pub enum Show {
    One(String),
    All,
}

/// Transaction control.
#[derive(Debug, Clone, PartialEq)]
pub enum Transaction {
    Begin {
        /// The command, as its tag repeats it: `BEGIN` or `START TRANSACTION`.
        tag: &'static str,
        modes: Modes,
    },
    /// With `AND CHAIN`, the next one begins at once.
    Commit {
        chain: bool,
    },
    Rollback {
        chain: bool,
    },
    Savepoint(String),
    Release(String),
    RollbackTo(String),
    /// `SET TRANSACTION`
    Set(Modes),
    /// `SET SESSION CHARACTERISTICS AS TRANSACTION`
    SetDefault(Modes),
}

/// What is said of a transaction when it begins; the rest is as the settings have it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Modes {
    /// As the setting `transaction_isolation` spells it.
    pub isolation: Option<&'static str>,
    pub read_only: Option<bool>,
}

/// `DISCARD` and its kin, which drivers send when a connection goes back to its pool.
#[derive(Debug, Clone, PartialEq)]
pub enum Discard {
    All,
    /// The session's temporary tables.
    Temporary,
    /// Prepared statements: `DEALLOCATE ALL`.
    Plans,
    /// What we do not keep; the command tag.
    Nothing(&'static str),
}
