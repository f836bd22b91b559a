//! What a person sees: results drawn as psql draws them, and one line that moves while a long statement runs.

use crate::client::Answer;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Draws an answer as psql does: centred headings, numbers to the right, the number of rows below.
/// `types` holds the letters of `client::described_types`, where they are known.
pub fn table(answer: &Answer, types: &str) -> String {
    let widths: Vec<usize> = (0..answer.columns.len()).map(|column| width(answer, column)).collect();
    let is_number = |column: usize| types.chars().nth(column).is_some_and(|letter| "IR".contains(letter));
    let headings = answer.columns.iter().zip(&widths).map(|(name, width)| format!(" {name:^width$} "));
    let rules = widths.iter().map(|width| "-".repeat(width + 2));
    let mut text = format!("{}\n", headings.collect::<Vec<_>>().join("|").trim_end());
    text.push_str(&format!("{}\n", rules.collect::<Vec<_>>().join("+")));
    for row in &answer.rows {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let (cell, width) = (cell.as_deref().unwrap_or_default(), widths[column]);
            if is_number(column) { format!(" {cell:>width$} ") } else { format!(" {cell:<width$} ") }
        });
        text.push_str(&format!("{}\n", cells.collect::<Vec<_>>().join("|").trim_end()));
    }
    let ending = if answer.rows.len() == 1 { "" } else { "s" };
    text.push_str(&format!("({} row{ending})\n", answer.rows.len()));
    text
}

fn width(answer: &Answer, column: usize) -> usize {
    let cells = answer.rows.iter().filter_map(|row| row[column].as_deref());
    cells.chain([answer.columns[column].as_str()]).map(|cell| cell.chars().count()).max().unwrap_or(0)
}

/// A line that is rewritten in place on a terminal, and only printed at its end elsewhere.
pub struct Progress {
    label: String,
    started: Instant,
    /// A folder whose growth shows that something is being written.
    folder: Option<PathBuf>,
    size_before: u64,
}

const REFRESH: Duration = Duration::from_millis(200);

impl Progress {
    pub fn new(label: &str, folder: Option<&Path>) -> Progress {
        let folder = folder.map(Path::to_path_buf);
        let size_before = folder.as_deref().map_or(0, folder_size);
        Progress { label: label.to_string(), started: Instant::now(), folder, size_before }
    }

    /// Waits for the work, rewriting the line while it runs; the last version stays.
    pub async fn show<T>(self, work: impl Future<Output = T>) -> T {
        let is_terminal = std::io::stdout().is_terminal();
        let mut work = std::pin::pin!(work);
        let mut clock = tokio::time::interval(REFRESH);
        let outcome = loop {
            tokio::select! {
                outcome = &mut work => break outcome,
                _ = clock.tick() => if is_terminal { self.draw("\r") },
            }
        };
        self.draw(if is_terminal { "\r" } else { "" });
        println!();
        outcome
    }

    fn draw(&self, start: &str) {
        let seconds = self.started.elapsed().as_secs_f64();
        let written = self.folder.as_deref().map_or(0, folder_size).saturating_sub(self.size_before);
        let written =
            if written == 0 { String::new() } else { format!(", {:.1} MB written", written as f64 / 1e6) };
        print!("{start}{} ... {seconds:.1} s{written}   ", self.label);
        // A line that cannot be shown is no reason to stop.
        let _ = std::io::stdout().flush();
    }
}

pub fn folder_size(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => folder_size(&entry.path()),
        Ok(metadata) => metadata.len(),
        // It was removed while we looked.
        Err(_) => 0,
    });
    sizes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_drawn_as_psql_draws_it() {
        let cell = |text: &str| Some(text.to_string());
        let answer = Answer {
            columns: vec!["name".into(), "count".into()],
            rows: vec![vec![cell("a longer one"), cell("7")], vec![None, cell("12345")]],
            count: 2,
        };
        let expected = "     name     | count\n--------------+-------\n a longer one |     7\n              | 12345\n(2 rows)\n";
        assert_eq!(table(&answer, "TI"), expected);
    }
}
