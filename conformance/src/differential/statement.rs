//! The statements of a program and how they read in SQL. They name tables and columns as a user does; what they do is
//! in `apply.rs`. Next: `query.rs` for what is asked between them.

use super::expression::{Field, Names, Predicate, Scalar, quoted};
use super::table::{Applied, Column, Lake, MAIN, State, Transform};
use super::value::{Type, Value};

#[derive(Clone, Debug, PartialEq)]
pub struct NewColumn {
    pub name: String,
    pub kind: Type,
    pub not_null: bool,
    pub default: Option<Value>,
}

/// `transform(column)`
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionBy {
    pub column: String,
    pub transform: Transform,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    pub partition: Vec<PartitionBy>,
    pub format: u8,
    /// Of the table, in its own spelling.
    pub properties: Vec<(String, String)>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum MergeAction {
    Update(Vec<(String, Scalar)>),
    Insert(Vec<String>, Vec<Scalar>),
    Delete,
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Matched,
    NotMatched,
    NotMatchedBySource,
}

#[derive(Clone, Debug, PartialEq)]
pub struct MergeClause {
    pub when: When,
    pub condition: Option<Predicate>,
    pub action: MergeAction,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Alter {
    Add(NewColumn),
    Drop(String),
    Rename(String, String),
    Widen(String),
    /// Behind another column, or to the front.
    Move(String, Option<String>),
    SetDefault(String, Option<Value>),
    DropNotNull(String),
    AddPartition(PartitionBy),
    DropPartition(PartitionBy),
    /// Column, descending, nulls first.
    OrderedBy(Vec<(String, bool, bool)>),
    Property(String, String),
    FormatThree,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Upkeep {
    Optimize,
    OptimizeSorted(String),
    RewriteManifests,
    RewriteDeletes,
    /// Keeps so many of the newest snapshots of every branch.
    Expire(usize),
    RemoveOrphans,
    Analyze,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Reference {
    CreateBranch(String),
    CreateTag(String),
    DropBranch(String),
    DropTag(String),
    /// `main` becomes what the branch is.
    FastForward(String),
    /// `main` becomes what it was after that step.
    RollBack(usize),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    Begin,
    Commit,
    Rollback,
    Savepoint(String),
    RollbackTo(String),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    Create {
        table: String,
        columns: Vec<NewColumn>,
        definition: Definition,
    },
    CreateAs {
        table: String,
        source: String,
        filter: Option<Predicate>,
        definition: Definition,
    },
    Drop {
        table: String,
    },
    Insert {
        table: String,
        branch: String,
        columns: Vec<String>,
        rows: Vec<Vec<Scalar>>,
        overwrite: bool,
    },
    InsertFrom {
        table: String,
        columns: Vec<(String, Field)>,
        source: String,
        filter: Option<Predicate>,
    },
    /// Many rows, each computed from its number.
    InsertSeries {
        table: String,
        from: i64,
        to: i64,
    },
    Truncate {
        table: String,
    },
    Delete {
        table: String,
        branch: String,
        filter: Option<Predicate>,
    },
    Update {
        table: String,
        set: Vec<(String, Scalar)>,
        from: Option<(String, Field, Field)>,
        filter: Option<Predicate>,
    },
    Merge {
        table: String,
        source: String,
        on: (Field, Field),
        clauses: Vec<MergeClause>,
    },
    Alter {
        table: String,
        alter: Alter,
    },
    Upkeep {
        table: String,
        upkeep: Upkeep,
    },
    Reference {
        table: String,
        reference: Reference,
    },
    Block(Block),
}

impl Transform {
    pub fn sql(self, column: &str) -> String {
        let column = quoted(column);
        match self {
            Transform::Identity => column,
            Transform::Year => format!("year({column})"),
            Transform::Month => format!("month({column})"),
            Transform::Day => format!("day({column})"),
            Transform::Hour => format!("hour({column})"),
            Transform::Bucket(count) => format!("bucket({count}, {column})"),
            Transform::Truncate(width) => format!("truncate({width}, {column})"),
        }
    }
}

impl Definition {
    fn partition_sql(&self) -> String {
        if self.partition.is_empty() {
            return String::new();
        }
        let fields = self.partition.iter().map(|field| field.transform.sql(&field.column));
        format!(" PARTITIONED BY ({})", fields.collect::<Vec<_>>().join(", "))
    }

    fn options_sql(&self) -> String {
        let mut options = vec![format!("format_version = {}", self.format)];
        options.extend(self.properties.iter().map(|(name, value)| format!("\"{name}\" = '{value}'")));
        format!(" WITH ({})", options.join(", "))
    }
}

impl NewColumn {
    fn sql(&self) -> String {
        let mut text = format!("{} {}", quoted(&self.name), self.kind.sql());
        if let Some(default) = &self.default {
            text += &format!(" DEFAULT {}", default.sql(self.kind));
        }
        if self.not_null {
            text += " NOT NULL";
        }
        text
    }
}

/// The expression over the series' number `g` that gives a column of this type its value.
pub fn series_sql(kind: Type) -> String {
    match kind {
        Type::Boolean => "g % 3 = 0".into(),
        Type::Integer | Type::Bigint => format!("CASE WHEN g % 11 = 0 THEN NULL ELSE g END::{}", kind.sql()),
        Type::Real | Type::Double => format!("((g % 64) / 4.0)::{}", kind.sql()),
        Type::Decimal(..) => format!("(g % 100)::{}", kind.sql()),
        Type::Date => "CASE WHEN g % 7 = 0 THEN NULL ELSE DATE '1970-01-01' + (g % 40)::integer END".into(),
        Type::Timestamp => "TIMESTAMP '1969-12-31 23:00:00' + ((g % 50)::text || ' hours')::interval".into(),
        Type::Timestamptz => {
            "TIMESTAMPTZ '1969-12-31 23:00:00+00' + ((g % 50)::text || ' hours')::interval".into()
        }
        Type::Text => "CASE WHEN g % 13 = 0 THEN NULL ELSE 'row ' || (g % 100)::text END".into(),
        Type::Binary => "'\\x0102'::bytea".into(),
        Type::Uuid => "NULL::uuid".into(),
    }
}

/// What [`series_sql`] gives.
pub fn series_value(kind: Type, g: i64) -> Value {
    match kind {
        Type::Boolean => Value::Boolean(g % 3 == 0),
        Type::Integer | Type::Bigint if g % 11 == 0 => Value::Null,
        Type::Integer | Type::Bigint => Value::Integer(g),
        Type::Real | Type::Double => Value::Float((g % 64) as f64 / 4.0),
        Type::Decimal(_, scale) => Value::Decimal(i128::from(g % 100) * 10_i128.pow(scale.into()), scale),
        Type::Date if g % 7 == 0 => Value::Null,
        Type::Date => Value::Date((g % 40) as i32),
        Type::Timestamp | Type::Timestamptz => Value::Timestamp((g % 50 - 1) * 3_600_000_000),
        Type::Text if g % 13 == 0 => Value::Null,
        Type::Text => Value::Text(format!("row {}", g % 100)),
        Type::Binary => Value::Bytes(vec![1, 2]),
        Type::Uuid => Value::Null,
    }
}

/// The state of the lake that gives literals their types, and the schema that holds the tables.
pub struct Printer<'a> {
    pub lake: &'a Lake,
    pub schema: &'a str,
}

impl Printer<'_> {
    pub fn state(&self, table: &str) -> Applied<State> {
        Ok(self.lake.table(table)?.state())
    }

    /// `FROM` and `WHERE` of one table: its name with an alias where one is needed, and the condition.
    fn one_table(&self, name: &str, table: &str, filter: Option<&Predicate>) -> Applied<String> {
        let needs_alias = filter.is_some_and(Predicate::has_subquery);
        let (alias, aliases): (&str, &[&str]) = if needs_alias { (" AS t", &["t"]) } else { ("", &[]) };
        Ok(format!("{name}{alias}{}", self.where_sql(filter, &[self.state(table)?], aliases)))
    }

    pub fn where_sql(&self, filter: Option<&Predicate>, sides: &[State], aliases: &[&str]) -> String {
        match filter {
            Some(filter) => format!(" WHERE {}", self.predicate(filter, sides, aliases)),
            None => String::new(),
        }
    }

    pub fn predicate(&self, filter: &Predicate, sides: &[State], aliases: &[&str]) -> String {
        let kind_of = |field: &Field| {
            let columns = sides.get(field.side).map(|state| &state.columns);
            let column = columns.and_then(|columns| columns.iter().find(|c| c.name == field.name));
            column.map_or(Type::Text, |column| column.kind)
        };
        filter.sql(&Names { schema: self.schema, aliases }, &kind_of)
    }

    pub fn statement(&self, statement: &Statement) -> Applied<String> {
        let schema = self.schema;
        Ok(match statement {
            Statement::Create { table, columns, definition } => {
                let columns: Vec<String> = columns.iter().map(NewColumn::sql).collect();
                let (partition, options) = (definition.partition_sql(), definition.options_sql());
                format!("CREATE TABLE {schema}.{table} ({}){partition}{options}", columns.join(", "))
            }
            Statement::CreateAs { table, source, filter, definition } => {
                let from = self.one_table(&format!("{schema}.{source}"), source, filter.as_ref())?;
                let (partition, options) = (definition.partition_sql(), definition.options_sql());
                format!("CREATE TABLE {schema}.{table}{partition}{options} AS SELECT * FROM {from}")
            }
            Statement::Drop { table } => format!("DROP TABLE {schema}.{table}"),
            Statement::Insert { .. } => self.insert(statement)?,
            Statement::InsertFrom { table, columns, source, filter } => {
                let from = self.one_table(&format!("{schema}.{source}"), source, filter.as_ref())?;
                let names: Vec<String> = columns.iter().map(|(name, _)| quoted(name)).collect();
                let values: Vec<String> = columns.iter().map(|(_, field)| quoted(&field.name)).collect();
                let (names, values) = (names.join(", "), values.join(", "));
                format!("INSERT INTO {schema}.{table} ({names}) SELECT {values} FROM {from}")
            }
            Statement::InsertSeries { table, from, to } => {
                let state = self.state(table)?;
                let values: Vec<String> =
                    state.columns.iter().map(|column| series_sql(column.kind)).collect();
                let values = values.join(", ");
                format!(
                    "INSERT INTO {schema}.{table} SELECT {values} FROM generate_series({from}, {to}) AS s(g)"
                )
            }
            Statement::Truncate { table } => format!("TRUNCATE {schema}.{table}"),
            Statement::Delete { table, branch, filter } => {
                let from = self.one_table(&self.target(table, branch), table, filter.as_ref())?;
                format!("DELETE FROM {from}")
            }
            Statement::Update { .. } => self.update(statement)?,
            Statement::Merge { table, source, on, clauses } => self.merge(table, source, on, clauses)?,
            Statement::Alter { table, alter } => self.alter(table, alter)?,
            Statement::Upkeep { table, upkeep } => upkeep_sql(&format!("{schema}.{table}"), upkeep),
            Statement::Reference { table, reference } => self.reference(table, reference)?,
            Statement::Block(block) => match block {
                Block::Begin => "BEGIN".into(),
                Block::Commit => "COMMIT".into(),
                Block::Rollback => "ROLLBACK".into(),
                Block::Savepoint(name) => format!("SAVEPOINT {name}"),
                Block::RollbackTo(name) => format!("ROLLBACK TO SAVEPOINT {name}"),
            },
        })
    }

    fn target(&self, table: &str, branch: &str) -> String {
        let schema = self.schema;
        if branch == MAIN { format!("{schema}.{table}") } else { format!("{schema}.\"{table}@{branch}\"") }
    }

    fn insert(&self, statement: &Statement) -> Applied<String> {
        let Statement::Insert { table, branch, columns, rows, overwrite } = statement else {
            return Err(super::table::Inapplicable);
        };
        let kinds = self.kinds(table, columns)?;
        let names: Vec<String> = columns.iter().map(|name| quoted(name)).collect();
        let no_names = Names { schema: self.schema, aliases: &[] };
        let row = |row: &Vec<Scalar>| {
            let cells = row.iter().zip(&kinds).map(|(scalar, kind)| scalar.sql(&no_names, *kind));
            format!("({})", cells.collect::<Vec<_>>().join(", "))
        };
        let rows: Vec<String> = rows.iter().map(row).collect();
        let verb = if *overwrite { "INSERT OVERWRITE" } else { "INSERT INTO" };
        Ok(format!("{verb} {} ({}) VALUES {}", self.target(table, branch), names.join(", "), rows.join(", ")))
    }

    fn kinds(&self, table: &str, columns: &[String]) -> Applied<Vec<Type>> {
        let table = self.lake.table(table)?;
        columns.iter().map(|name| Ok(table.column(name)?.kind)).collect()
    }

    fn set_sql(&self, table: &str, set: &[(String, Scalar)], aliases: &[&str]) -> Applied<String> {
        let names = Names { schema: self.schema, aliases };
        let one = |(name, scalar): &(String, Scalar)| {
            let kind = self.lake.table(table)?.column(name)?.kind;
            Ok(format!("{} = {}", quoted(name), scalar.sql(&names, kind)))
        };
        Ok(set.iter().map(one).collect::<Applied<Vec<String>>>()?.join(", "))
    }

    fn update(&self, statement: &Statement) -> Applied<String> {
        let Statement::Update { table, set, from, filter } = statement else {
            return Err(super::table::Inapplicable);
        };
        let (schema, target) = (self.schema, self.state(table)?);
        let Some((source, left, right)) = from else {
            let needs_alias = filter.as_ref().is_some_and(Predicate::has_subquery);
            let (alias, aliases): (&str, &[&str]) = if needs_alias { (" AS t", &["t"]) } else { ("", &[]) };
            let set = self.set_sql(table, set, aliases)?;
            let filter = self.where_sql(filter.as_ref(), &[target], aliases);
            return Ok(format!("UPDATE {schema}.{table}{alias} SET {set}{filter}"));
        };
        let aliases = ["t", "s"];
        let names = Names { schema, aliases: &aliases };
        let set = self.set_sql(table, set, &aliases)?;
        let mut condition = format!("{} = {}", left.sql(&names), right.sql(&names));
        if let Some(filter) = filter {
            let sides = [target, self.state(source)?];
            condition += &format!(" AND ({})", self.predicate(filter, &sides, &aliases));
        }
        Ok(format!("UPDATE {schema}.{table} AS t SET {set} FROM {schema}.{source} AS s WHERE {condition}"))
    }

    fn merge(
        &self,
        table: &str,
        source: &str,
        on: &(Field, Field),
        clauses: &[MergeClause],
    ) -> Applied<String> {
        let (schema, aliases) = (self.schema, ["t", "s"]);
        let names = Names { schema, aliases: &aliases };
        let sides = [self.state(table)?, self.state(source)?];
        let (left, right) = (on.0.sql(&names), on.1.sql(&names));
        let mut text =
            format!("MERGE INTO {schema}.{table} AS t USING {schema}.{source} AS s ON {left} = {right}");
        for clause in clauses {
            text += match clause.when {
                When::Matched => " WHEN MATCHED",
                When::NotMatched => " WHEN NOT MATCHED",
                When::NotMatchedBySource => " WHEN NOT MATCHED BY SOURCE",
            };
            if let Some(condition) = &clause.condition {
                text += &format!(" AND ({})", self.predicate(condition, &sides, &aliases));
            }
            text += &match &clause.action {
                MergeAction::Update(set) => {
                    format!(" THEN UPDATE SET {}", self.set_sql(table, set, &aliases)?)
                }
                MergeAction::Delete => " THEN DELETE".into(),
                MergeAction::Nothing => " THEN DO NOTHING".into(),
                MergeAction::Insert(columns, values) => {
                    let kinds = self.kinds(table, columns)?;
                    let columns: Vec<String> = columns.iter().map(|name| quoted(name)).collect();
                    let values = values.iter().zip(&kinds).map(|(value, kind)| value.sql(&names, *kind));
                    let values = values.collect::<Vec<_>>().join(", ");
                    format!(" THEN INSERT ({}) VALUES ({values})", columns.join(", "))
                }
            };
        }
        Ok(text)
    }

    fn alter(&self, table: &str, alter: &Alter) -> Applied<String> {
        let kind_of = |name: &str| -> Applied<Type> { Ok(self.lake.table(table)?.column(name)?.kind) };
        let what = match alter {
            Alter::Add(column) => format!("ADD COLUMN {}", column.sql()),
            Alter::Drop(name) => format!("DROP COLUMN {}", quoted(name)),
            Alter::Rename(from, to) => format!("RENAME COLUMN {} TO {}", quoted(from), quoted(to)),
            Alter::Widen(name) => {
                let wider = kind_of(name)?.widened().ok_or(super::table::Inapplicable)?;
                format!("ALTER COLUMN {} TYPE {}", quoted(name), wider.sql())
            }
            Alter::Move(name, None) => format!("ALTER COLUMN {} FIRST", quoted(name)),
            Alter::Move(name, Some(after)) => {
                format!("ALTER COLUMN {} AFTER {}", quoted(name), quoted(after))
            }
            Alter::SetDefault(name, None) => format!("ALTER COLUMN {} DROP DEFAULT", quoted(name)),
            Alter::SetDefault(name, Some(value)) => {
                format!("ALTER COLUMN {} SET DEFAULT {}", quoted(name), value.sql(kind_of(name)?))
            }
            Alter::DropNotNull(name) => format!("ALTER COLUMN {} DROP NOT NULL", quoted(name)),
            Alter::AddPartition(field) => {
                format!("ADD PARTITION FIELD {}", field.transform.sql(&field.column))
            }
            Alter::DropPartition(field) => {
                format!("DROP PARTITION FIELD {}", field.transform.sql(&field.column))
            }
            Alter::OrderedBy(keys) => {
                let key = |(name, descending, nulls_first): &(String, bool, bool)| {
                    let direction = if *descending { "DESC" } else { "ASC" };
                    let nulls = if *nulls_first { "FIRST" } else { "LAST" };
                    format!("{} {direction} NULLS {nulls}", quoted(name))
                };
                format!("WRITE ORDERED BY {}", keys.iter().map(key).collect::<Vec<_>>().join(", "))
            }
            Alter::Property(name, value) => format!("SET TBLPROPERTIES ('{name}' = '{value}')"),
            Alter::FormatThree => "SET (format_version = 3)".into(),
        };
        Ok(format!("ALTER TABLE {}.{table} {what}", self.schema))
    }

    fn reference(&self, table: &str, reference: &Reference) -> Applied<String> {
        let full = format!("{}.{table}", self.schema);
        Ok(match reference {
            Reference::CreateBranch(name) => format!("ALTER TABLE {full} CREATE BRANCH {name}"),
            Reference::CreateTag(name) => format!("ALTER TABLE {full} CREATE TAG {name}"),
            Reference::DropBranch(name) => format!("ALTER TABLE {full} DROP BRANCH {name}"),
            Reference::DropTag(name) => format!("ALTER TABLE {full} DROP TAG {name}"),
            Reference::FastForward(name) => {
                format!("ALTER TABLE {full} EXECUTE fast_forward(branch => 'main', to => '{name}')")
            }
            Reference::RollBack(step) => {
                let id = self.lake.table(table)?.snapshot(*step)?.id;
                format!("ALTER TABLE {full} EXECUTE rollback_to_snapshot(snapshot_id => {id})")
            }
        })
    }
}

fn upkeep_sql(table: &str, upkeep: &Upkeep) -> String {
    match upkeep {
        Upkeep::Optimize => format!("ALTER TABLE {table} EXECUTE optimize"),
        Upkeep::OptimizeSorted(column) => {
            let column = quoted(column).replace('\'', "''");
            format!("ALTER TABLE {table} EXECUTE optimize(strategy => 'sort', sort_order => '{column}')")
        }
        Upkeep::RewriteManifests => format!("ALTER TABLE {table} EXECUTE rewrite_manifests"),
        Upkeep::RewriteDeletes => format!("ALTER TABLE {table} EXECUTE rewrite_position_deletes"),
        Upkeep::Expire(kept) => format!(
            "ALTER TABLE {table} EXECUTE expire_snapshots(retention_threshold => '0s', retain_last => {kept})"
        ),
        Upkeep::RemoveOrphans => format!("ALTER TABLE {table} EXECUTE remove_orphan_files"),
        Upkeep::Analyze => format!("ANALYZE {table}"),
    }
}

/// Every column of a table by its place, as SELECT * gives them.
pub fn all_fields(columns: &[Column]) -> Vec<Field> {
    columns.iter().map(|column| Field::of(&column.name)).collect()
}
