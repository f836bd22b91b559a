//! What must not change when a statement is refused: the rows of the system tables and the files of the warehouse.
//! A script says `freeze`, and from there on the runner compares after every record.

use crate::Result;
use crate::client::{Answer, run};
use crate::slt::compare::row_text;
use std::path::Path;
use tokio_postgres::Client;

/// Everything in the catalog that a client can see. The counts of `system.tables` are part of it.
const VISIBLE: [&str; 4] = [
    "SELECT * FROM system.tables ORDER BY 1, 2, 3",
    "SELECT catalog_name, schema_name FROM information_schema.schemata ORDER BY 1, 2",
    "SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns \
     WHERE table_schema NOT IN ('pg_catalog', 'information_schema', 'system') ORDER BY 1, 2, 3",
    "SELECT rolname FROM pg_catalog.pg_roles ORDER BY 1",
];

/// One picture of catalog and warehouse, as lines, so that a difference can be shown.
pub async fn picture(client: &Client, data_dir: &Path) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for sql in VISIBLE {
        let answer: Answer = run(client, sql).await.map_err(|failure| format!("{failure}\nin: {sql}"))?;
        lines.extend(answer.rows.iter().map(|row| row_text(row)));
    }
    collect_files(&data_dir.join("warehouse"), &mut lines)?;
    Ok(lines)
}

fn collect_files(folder: &Path, lines: &mut Vec<String>) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect_files(&path, lines)?;
        } else {
            lines.push(format!("file {}", path.display()));
        }
    }
    Ok(())
}

pub fn difference(before: &[String], after: &[String]) -> Option<String> {
    if before == after {
        return None;
    }
    let gone = before.iter().filter(|line| !after.contains(line)).map(|line| format!("- {line}\n"));
    let new = after.iter().filter(|line| !before.contains(line)).map(|line| format!("+ {line}\n"));
    Some(format!("the catalog or the warehouse changed:\n{}", gone.chain(new).collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_shown() {
        let picture = |lines: &[&str]| lines.iter().map(|line| line.to_string()).collect::<Vec<_>>();
        assert_eq!(difference(&picture(&["a"]), &picture(&["a"])), None);
        let shown = difference(&picture(&["a", "b"]), &picture(&["b", "c"])).expect("they differ");
        assert!(shown.contains("- a\n+ c\n"), "{shown}");
    }
}
