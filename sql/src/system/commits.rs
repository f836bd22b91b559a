//! `system.commits`: the catalog's history, one row per commit. It tells of everything that ever was, so only a
//! superuser sees it.

use tarn_catalog::CommitSequence;

use super::rows::Scan;
use super::value::Rows;
use crate::error::{Error, Result};

/// Log entries read at a time.
const ENTRIES_PER_READ: usize = 1024;

pub fn system_commits(scan: &Scan) -> Result<Rows> {
    let mut rows = scan.rows();
    if !scan.context.principal.superuser {
        return Ok(rows);
    }
    let names = scan.context.role_names()?;
    let mut after = CommitSequence(0);
    loop {
        let entries = scan.context.reader.log(after, ENTRIES_PER_READ)?;
        for entry in &entries {
            let name = names.get(&entry.principal).cloned();
            rows.push([
                ("sequence", entry.sequence.0.into()),
                ("committed_at", (entry.at_ms * 1000).into()),
                // A role that was dropped since has no name any more.
                ("role", name.unwrap_or_else(|| entry.principal.to_string()).into()),
                ("changes", json(&entry.changes)?.into()),
            ])?;
        }
        match entries.last() {
            Some(last) if entries.len() == ENTRIES_PER_READ => after = last.sequence,
            _ => return Ok(rows),
        }
    }
}

fn json(changes: &[serde_json::Value]) -> Result<String> {
    serde_json::to_string(changes)
        .map_err(|error| Error::internal(format!("a commit's changes cannot be shown: {error}")))
}
