//! Table properties: Iceberg's names and no others, and those of them that are not properties but fields of the metadata.

use std::collections::HashMap;

use iceberg::TableUpdate;
use iceberg::spec::FormatVersion;

use super::evolution::Evolution;
use crate::error::{Error, Result};
use crate::resolve::nearest;
use crate::sqlstate::SqlState;

/// Table options of our own; every other name must be one of Iceberg's.
const OPTIONS: [&str; 5] = ["format_version", "location", "comment", "partitioning", "sorted_by"];

/// The prefixes that Iceberg's table properties have.
const PROPERTY_PREFIXES: [&str; 6] =
    ["write.", "read.", "commit.", "history.", "gc.", "schema.name-mapping."];

/// Properties that end in a column's name.
const OF_COLUMN: [&str; 3] = [
    "write.metadata.metrics.column.",
    "write.parquet.bloom-filter-enabled.column.",
    "write.parquet.bloom-filter-fpp.column.",
];

pub(super) fn set(evolution: &mut Evolution, given: Vec<(String, String)>) -> Result<()> {
    let mut updates = HashMap::new();
    for (name, value) in given {
        match name.to_lowercase().as_str() {
            "format_version" | "format-version" => upgrade(evolution, format_version(&value)?)?,
            "location" => return Err(Error::unsupported("changing the location of a table")),
            "comment" => {
                return Err(Error::unsupported("SET (comment = …)").with_hint("Use COMMENT ON TABLE."));
            }
            _ => drop(updates.insert(property_name(&name)?, value)),
        }
    }
    if updates.is_empty() {
        return Ok(());
    }
    evolution.push(vec![TableUpdate::SetProperties { updates }])
}

fn upgrade(evolution: &mut Evolution, format_version: FormatVersion) -> Result<()> {
    let now = evolution.metadata.format_version();
    if format_version < now {
        let message = format!("the table is of format version {now}, which has no way back");
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    }
    if format_version == now {
        return Ok(());
    }
    evolution.push(vec![TableUpdate::UpgradeFormatVersion { format_version }])
}

pub(super) fn unset(evolution: &mut Evolution, names: Vec<String>, if_exists: bool) -> Result<()> {
    let mut removals = Vec::new();
    for name in names {
        let name = property_name(&name)?;
        if evolution.metadata.properties().contains_key(&name) {
            removals.push(name);
        } else if !if_exists {
            let message = format!("table \"{}\" has no property \"{name}\"", evolution.table);
            return Err(Error::new(SqlState::UNDEFINED_OBJECT, message)
                .with_hint(format!("\"{}$properties\" lists those it has.", evolution.table)));
        }
    }
    if removals.is_empty() {
        return Ok(());
    }
    evolution.push(vec![TableUpdate::RemoveProperties { removals }])
}

/// What is said about a column, and about what is in it, stays said under its new name.
pub(super) fn rename_column(evolution: &mut Evolution, from: &str, to: &str) -> Result<()> {
    let (removals, updates) =
        about(evolution, from, to).into_iter().map(|said| (said.old, (said.new, said.value))).unzip();
    replace(evolution, removals, updates)
}

/// What is said about a column goes with it: Iceberg's Java library refuses tables that say things of none.
pub(super) fn drop_column(evolution: &mut Evolution, name: &str) -> Result<()> {
    let removals = about(evolution, name, name).into_iter().map(|said| said.old).collect();
    replace(evolution, removals, HashMap::new())
}

/// A property that is about a column.
struct Said {
    old: String,
    /// Its name when the column has the other name.
    new: String,
    value: String,
}

fn about(evolution: &Evolution, column: &str, other: &str) -> Vec<Said> {
    let said = |(name, value): (&String, &String)| {
        let (prefix, of) = OF_COLUMN.iter().find_map(|prefix| Some((prefix, name.strip_prefix(prefix)?)))?;
        let rest = of.strip_prefix(column).filter(|rest| rest.is_empty() || rest.starts_with('.'))?;
        Some(Said { old: name.clone(), new: format!("{prefix}{other}{rest}"), value: value.clone() })
    };
    evolution.metadata.properties().iter().filter_map(said).collect()
}

fn replace(evolution: &mut Evolution, removals: Vec<String>, updates: HashMap<String, String>) -> Result<()> {
    let mut changes = Vec::new();
    if !removals.is_empty() {
        changes.push(TableUpdate::RemoveProperties { removals });
    }
    if !updates.is_empty() {
        changes.push(TableUpdate::SetProperties { updates });
    }
    match changes.is_empty() {
        true => Ok(()),
        false => evolution.push(changes),
    }
}

/// A property's name as Iceberg spells it. Where it ends in a column's name, that keeps its case.
pub(in crate::plan) fn property_name(name: &str) -> Result<String> {
    let lower = name.to_lowercase();
    if let Some(prefix) = OF_COLUMN.iter().find(|prefix| lower.starts_with(**prefix)) {
        return Ok(format!("{prefix}{}", &name[prefix.len()..]));
    }
    if PROPERTY_PREFIXES.iter().any(|prefix| lower.starts_with(prefix)) {
        return Ok(lower);
    }
    let message = format!("unrecognized table option \"{lower}\"");
    let error = Error::new(SqlState::INVALID_PARAMETER_VALUE, message);
    Err(match nearest(&lower, OPTIONS.into_iter()) {
        Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
        None => error.with_hint(format!(
            "The options are {}, and Iceberg's table properties such as \"write.target-file-size-bytes\".",
            OPTIONS.join(", ")
        )),
    })
}

pub(in crate::plan) fn format_version(text: &str) -> Result<FormatVersion> {
    match text {
        "2" => Ok(FormatVersion::V2),
        "3" => Ok(FormatVersion::V3),
        _ => {
            let message = format!("format_version {text} is not supported");
            Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message).with_hint("Use 2 or 3."))
        }
    }
}
