//! Maintenance policies: the object that one is set on, and what it says. Every word must be known.

use tarn_catalog::LAKE;
use tarn_catalog::iceberg::upkeep::ORPHAN_AGE_MIN_MS;
use tarn_catalog::object::{Age, Database, MaintenancePolicy, Namespace, PolicyTarget};

use super::names::{DATABASE, Scope};
use super::{Action, Found};
use crate::error::{Error, Result};
use crate::procedure::{bytes, duration_ms};
use crate::sqlstate::SqlState;
use crate::statement::{PolicyOn, RelationWord, SetPolicy};

/// What a policy is set on.
#[derive(Debug)]
pub(crate) enum PolicyObject {
    Database(Database),
    Schema(Namespace),
    Table(Found),
}

impl PolicyObject {
    pub fn target(&self) -> PolicyTarget {
        match self {
            PolicyObject::Database(database) => PolicyTarget::Database(database.id),
            PolicyObject::Schema(namespace) => PolicyTarget::Namespace(namespace.id),
            PolicyObject::Table(found) => PolicyTarget::Relation(found.relation.id),
        }
    }

    /// The tag of the statement.
    pub fn tag(&self) -> &'static str {
        match self {
            PolicyObject::Database(_) => "ALTER DATABASE",
            PolicyObject::Schema(_) => "ALTER SCHEMA",
            PolicyObject::Table(_) => "ALTER TABLE",
        }
    }
}

pub(super) fn resolve_policy(set: SetPolicy, scope: &Scope) -> Result<Action> {
    let on = match set.on {
        PolicyOn::Database(name) => {
            let database = scope.reader.database_by_id(LAKE)?.filter(|_| name == DATABASE);
            let missing = || {
                Error::new(SqlState::INVALID_CATALOG_NAME, format!("database \"{name}\" does not exist"))
                    .with_hint(format!("The database is \"{DATABASE}\"."))
            };
            PolicyObject::Database(database.ok_or_else(missing)?)
        }
        PolicyOn::Schema(name) => PolicyObject::Schema(scope.target_schema(&name)?),
        PolicyOn::Table(name) => PolicyObject::Table(scope.relation_of_kind(RelationWord::Table, &name)?),
    };
    let before = scope.reader.policy(on.target())?;
    let after = set.options.map(|options| policy(&options)).transpose()?;
    Ok(Action::SetPolicy { on, before, after })
}

fn policy(options: &[(String, String)]) -> Result<MaintenancePolicy> {
    let mut policy = MaintenancePolicy::default();
    for (name, value) in options {
        let wrong = |expected: &str| {
            let message = format!("invalid value \"{value}\" for \"{name}\" of a maintenance policy");
            Error::new(SqlState::INVALID_PARAMETER_VALUE, message).with_hint(format!("Give {expected}."))
        };
        let age = || match value.to_lowercase().as_str() {
            "off" | "never" => Some(Age::Never),
            text => duration_ms(text).map(Age::OlderThanMs),
        };
        match name.as_str() {
            "compact" => {
                policy.compact = Some(match value.to_lowercase().as_str() {
                    "auto" | "on" | "true" => true,
                    "off" | "false" => false,
                    _ => return Err(wrong("'auto' or 'off'")),
                });
            }
            "expire" => policy.expire = Some(age().ok_or_else(|| wrong("an age such as '7d', or 'off'"))?),
            "orphans" => {
                let age = age().ok_or_else(|| wrong("an age such as '3d', or 'off'"))?;
                if matches!(age, Age::OlderThanMs(ms) if ms < ORPHAN_AGE_MIN_MS) {
                    return Err(wrong("at least '1d': younger files may still be on their way to a commit"));
                }
                policy.orphans = Some(age);
            }
            "budget" => {
                let bytes =
                    bytes(value).and_then(|bytes| u64::try_from(bytes).ok()).filter(|bytes| *bytes > 0);
                policy.budget_bytes = Some(bytes.ok_or_else(|| wrong("a size such as '2GB'"))?);
            }
            _ => {
                let message = format!("a maintenance policy has no \"{name}\"");
                return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
                    .with_hint("It has compact, expire, orphans and budget."));
            }
        }
    }
    Ok(policy)
}
