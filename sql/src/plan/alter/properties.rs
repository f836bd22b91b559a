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

/// What is said about a column stays said about it under its new name.
pub(super) fn rename_column(evolution: &mut Evolution, from: &str, to: &str) -> Result<()> {
    let properties = evolution.metadata.properties();
    let moved: Vec<(String, String, String)> = OF_COLUMN
        .iter()
        .filter_map(|prefix| {
            let old = format!("{prefix}{from}");
            let value = properties.get(&old)?.clone();
            Some((old, format!("{prefix}{to}"), value))
        })
        .collect();
    if moved.is_empty() {
        return Ok(());
    }
    let removals = moved.iter().map(|(old, _, _)| old.clone()).collect();
    let updates = moved.into_iter().map(|(_, new, value)| (new, value)).collect();
    evolution.push(vec![TableUpdate::RemoveProperties { removals }, TableUpdate::SetProperties { updates }])
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
