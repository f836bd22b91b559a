//! Constraints as they are declared: names become field ids, PostgreSQL's rules for each kind are checked, and those
//! without a name get one. PRIMARY KEY, UNIQUE and FOREIGN KEY are declared and not enforced; of a primary key that its
//! columns are never NULL is. CHECK is enforced (`change/check.rs`). It must never read a row.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, VisitMut, VisitorMut};
use iceberg::spec::{NestedFieldRef, PrimitiveType, Schema, Type};
use tarn_catalog::iceberg::{CONSTRAINTS_MAX, Constraint as Kept, ConstraintKind, Declared};
use tarn_catalog::name::{IDENTIFIER_BYTES_MAX, check_identifier};

use super::Context;
use super::change::plan_condition;
use crate::error::{Error, Result};
use crate::parse::fold;
use crate::resolve::{ConstraintObjects, TableTarget, nearest};
use crate::sqlstate::SqlState;
use crate::statement::{Constraint, ConstraintRule, ForeignKey};
use crate::table::scan_schema;

/// A table whose constraints are being declared.
pub(super) struct Declaring<'a> {
    pub table: &'a str,
    pub schema: &'a Schema,
    pub declared: &'a mut Declared,
    pub objects: &'a mut ConstraintObjects,
    pub notices: &'a mut Vec<String>,
}

impl Declaring<'_> {
    /// Adds one constraint; what it is called.
    pub fn add(&mut self, constraint: Constraint, context: &Context) -> Result<String> {
        let Constraint { name, rule, enforced, deferrable, deferred, validated } = constraint;
        let words = rule.words();
        let is_check = matches!(rule, ConstraintRule::Check { .. });
        let (kind, parts, label) = match rule {
            ConstraintRule::PrimaryKey(names) => {
                let columns = self.key(&names, words)?;
                if self.declared.primary_key().is_some() {
                    let message =
                        format!("multiple primary keys for table \"{}\" are not allowed", self.table);
                    return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message));
                }
                (ConstraintKind::PrimaryKey { columns }, Vec::new(), "pkey")
            }
            ConstraintRule::Unique(names) => {
                (ConstraintKind::Unique { columns: self.key(&names, words)? }, names, "key")
            }
            ConstraintRule::ForeignKey(key) => {
                let kind = self.foreign_key(&key, name.as_deref(), deferrable, deferred)?;
                (kind, key.columns, "fkey")
            }
            ConstraintRule::Check { condition, column } => {
                let expression = self.unqualified(*condition).to_string();
                let (columns, named) = self.check(context)?;
                let enforced = enforced.unwrap_or(true);
                let kind = ConstraintKind::Check { columns, expression, enforced, validated };
                (kind, column.map_or(named, |column| vec![column]), "check")
            }
        };
        let name = self.name(name, &parts, label)?;
        if !is_check && enforced.is_none() {
            self.notices.push(format!("constraint \"{name}\" is declared and not enforced"));
        }
        let number = self.declared.free_number().ok_or_else(|| {
            let message = format!("table \"{}\" cannot have more constraints", self.table);
            Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message)
                .with_detail(format!("The limit is {}.", CONSTRAINTS_MAX - 1))
        })?;
        self.declared.constraints.push(Kept { name: name.clone(), number, kind });
        Ok(name)
    }

    fn column(&self, name: &str, missing: impl Fn(&str) -> String) -> Result<&NestedFieldRef> {
        let fields = self.schema.as_struct().fields();
        fields.iter().find(|field| field.name == name).ok_or_else(|| {
            let error = Error::new(SqlState::UNDEFINED_COLUMN, missing(name));
            match nearest(name, fields.iter().map(|field| field.name.as_str())) {
                Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
                None => error,
            }
        })
    }

    /// The columns of a key.
    fn key(&self, names: &[String], words: &str) -> Result<Vec<i32>> {
        let mut ids = Vec::new();
        for name in names {
            let field = self.column(name, |name| format!("column \"{name}\" named in key does not exist"))?;
            if ids.contains(&field.id) {
                let words = words.to_lowercase();
                let message = format!("column \"{name}\" appears twice in {words} constraint");
                return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
            }
            if !matches!(field.field_type.as_ref(), Type::Primitive(_)) {
                let message = format!("column \"{name}\" cannot identify rows");
                return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message)
                    .with_detail(format!("Its type is {}.", field.field_type)));
            }
            ids.push(field.id);
        }
        Ok(ids)
    }

    fn foreign_key(
        &mut self,
        key: &ForeignKey,
        name: Option<&str>,
        deferrable: bool,
        deferred: bool,
    ) -> Result<ConstraintKind> {
        let target = self.objects.tables.pop_front();
        let target = target.ok_or_else(|| Error::internal("a foreign key leads to no table"))?;
        let of_key =
            |name: &str| format!("column \"{name}\" referenced in foreign key constraint does not exist");
        let own = key.columns.iter().map(|name| self.column(name, of_key)).collect::<Result<Vec<_>>>()?;
        let there = Referenced::of(target.as_ref(), self);
        let references = there.columns(&key.references, of_key)?;
        if references.len() != own.len() {
            let message = "number of referencing and referenced columns for foreign key disagree";
            return Err(Error::new(SqlState::INVALID_FOREIGN_KEY, message));
        }
        if let Some((own, other)) =
            own.iter().zip(&references).find(|(own, other)| !comparable(&own.field_type, &other.field_type))
        {
            let parts = key.columns.clone();
            let name = name.map_or_else(|| self.generated(&parts, "fkey"), str::to_owned);
            let message = format!("foreign key constraint \"{name}\" cannot be implemented");
            return Err(Error::new(SqlState::DATATYPE_MISMATCH, message).with_detail(format!(
                "Key columns \"{}\" and \"{}\" are of incompatible types: {} and {}.",
                own.name, other.name, own.field_type, other.field_type
            )));
        }
        Ok(ConstraintKind::ForeignKey {
            columns: own.iter().map(|field| field.id).collect(),
            references: references.iter().map(|field| field.id).collect(),
            table: target.map(|target| target.found.relation.id),
            on_update: key.on_update,
            on_delete: key.on_delete,
            full: key.full,
            deferrable,
            deferred,
        })
    }

    /// The columns that the next condition names: their ids, and the one name if it is one.
    fn check(&mut self, context: &Context) -> Result<(Vec<i32>, Vec<String>)> {
        let condition = self.objects.conditions.pop_front();
        let condition = condition.ok_or_else(|| Error::internal("a CHECK without its condition"))?;
        let planned = plan_condition(&condition, &scan_schema(self.schema)?, context)?;
        let mut names: Vec<String> = planned.column_refs().iter().map(|column| column.name.clone()).collect();
        names.sort();
        names.dedup();
        let fields = self.schema.as_struct().fields().iter();
        let columns = fields.filter(|field| names.contains(&field.name)).map(|field| field.id).collect();
        Ok((columns, if names.len() == 1 { names } else { Vec::new() }))
    }

    /// The condition without the table's own name in front of columns: the table may get another one.
    fn unqualified(&self, mut condition: Expr) -> Expr {
        struct Qualifiers<'a>(&'a str);
        impl VisitorMut for Qualifiers<'_> {
            type Break = ();
            fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
                if let Expr::CompoundIdentifier(parts) = expression
                    && parts.first().is_some_and(|part| fold(part) == self.0)
                {
                    parts.remove(0);
                    if let [column] = parts.as_slice() {
                        *expression = Expr::Identifier(column.clone());
                    }
                }
                ControlFlow::Continue(())
            }
        }
        // There, a column of that name comes first.
        if self.schema.as_struct().fields().iter().all(|field| field.name != self.table) {
            let _: ControlFlow<()> = condition.visit(&mut Qualifiers(self.table));
        }
        condition
    }

    fn is_taken(&self, name: &str) -> bool {
        self.declared.constraints.iter().any(|constraint| shown_name(constraint, self.table) == name)
    }

    fn name(&self, given: Option<String>, parts: &[String], label: &str) -> Result<String> {
        let Some(name) = given else { return Ok(self.generated(parts, label)) };
        check_identifier(&name)?;
        if self.is_taken(&name) {
            let message = format!("constraint \"{name}\" for relation \"{}\" already exists", self.table);
            return Err(Error::new(SqlState::DUPLICATE_OBJECT, message));
        }
        Ok(name)
    }

    /// `table_columns_label`, with a number after it when there is one of that name.
    fn generated(&self, parts: &[String], label: &str) -> String {
        let stem = std::iter::once(self.table).chain(parts.iter().map(String::as_str));
        let mut stem = stem.collect::<Vec<_>>().join("_");
        while stem.len() + label.len() + 4 > IDENTIFIER_BYTES_MAX {
            stem.pop();
        }
        let plain = format!("{stem}_{label}");
        let numbered = (1..).map(|number| format!("{plain}{number}"));
        let names = std::iter::once(plain.clone()).chain(numbered);
        names.into_iter().find(|name| !self.is_taken(name)).unwrap_or(plain)
    }
}

/// What a constraint is called.
pub(crate) fn shown_name(constraint: &Kept, table: &str) -> String {
    match constraint.name.as_str() {
        "" => format!("{table}_pkey"),
        name => name.to_owned(),
    }
}

/// The table that a foreign key leads to.
struct Referenced<'a> {
    table: &'a str,
    schema: &'a Schema,
    declared: Declared,
}

impl<'a> Referenced<'a> {
    fn of(target: Option<&'a TableTarget>, own: &'a Declaring<'_>) -> Referenced<'a> {
        match target {
            Some(target) => Referenced {
                table: &target.found.relation.name,
                schema: target.version.metadata.current_schema(),
                declared: Declared::of(&target.version.metadata),
            },
            None => Referenced { table: own.table, schema: own.schema, declared: own.declared.clone() },
        }
    }

    /// The columns of a name, or of the primary key, which must identify a row.
    fn columns(&self, names: &[String], missing: impl Fn(&str) -> String) -> Result<Vec<&NestedFieldRef>> {
        let field = |id: &i32| self.schema.field_by_id(*id);
        if names.is_empty() {
            let key = self.declared.primary_key().ok_or_else(|| {
                let message = format!("there is no primary key for referenced table \"{}\"", self.table);
                Error::new(SqlState::UNDEFINED_OBJECT, message)
            })?;
            return Ok(key.kind.columns().iter().filter_map(field).collect());
        }
        let fields = self.schema.as_struct().fields();
        let named = |name: &String| {
            let field = fields.iter().find(|field| field.name == *name);
            field.ok_or_else(|| Error::new(SqlState::UNDEFINED_COLUMN, missing(name)))
        };
        let columns = names.iter().map(named).collect::<Result<Vec<_>>>()?;
        let identifies = |constraint: &Kept| match &constraint.kind {
            ConstraintKind::PrimaryKey { columns: key } | ConstraintKind::Unique { columns: key } => {
                key.len() == columns.len() && columns.iter().all(|column| key.contains(&column.id))
            }
            ConstraintKind::ForeignKey { .. } | ConstraintKind::Check { .. } => false,
        };
        if self.declared.constraints.iter().any(identifies) {
            return Ok(columns);
        }
        let message = format!(
            "there is no unique constraint matching given keys for referenced table \"{}\"",
            self.table
        );
        Err(Error::new(SqlState::INVALID_FOREIGN_KEY, message)
            .with_hint("Declare a PRIMARY KEY or UNIQUE constraint there first."))
    }
}

/// Whether values of the two types can be equal.
fn comparable(one: &Type, other: &Type) -> bool {
    let is_number = |data_type: &Type| {
        matches!(
            data_type,
            Type::Primitive(
                PrimitiveType::Int
                    | PrimitiveType::Long
                    | PrimitiveType::Float
                    | PrimitiveType::Double
                    | PrimitiveType::Decimal { .. }
            )
        )
    };
    one == other || (is_number(one) && is_number(other))
}
