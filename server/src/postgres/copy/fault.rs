//! What is wrong with the data of a `COPY FROM`, and where: the table, the line, the column and what stands there, as
//! PostgreSQL says it (`CopyFromErrorCallback`).

use super::super::error::{Failure, Report};

/// Of a value or a line no more is shown, bytes.
const SHOWN_BYTES_MAX: usize = 100;

/// An error in a chunk of data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Counted in the chunk, from 1.
    pub line: u64,
    pub place: Place,
    pub report: Report,
}

/// Where in its line an error is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Before the first line.
    Head,
    /// In no column; the line as text, where it is one.
    Line(Option<String>),
    /// In the value of a column; binary values are not shown.
    Column { name: String, value: Option<String> },
}

impl Fault {
    /// Something is wrong with the form of the data.
    pub fn format(line: u64, text: Option<&[u8]>, message: impl Into<String>) -> Fault {
        let place = Place::Line(text.map(shown));
        Fault { line, place, report: Report::new("22P04", message) }
    }

    pub fn with_hint(mut self, hint: &str) -> Fault {
        self.report = self.report.with_hint(hint);
        self
    }

    /// The error as the client is told it; `lines` came before the chunk.
    pub fn failure(self, relation: &str, lines: u64) -> Failure {
        let line = lines + self.line;
        let context = match self.place {
            Place::Head => return Failure::Error(Box::new(self.report)),
            Place::Line(None) => format!("COPY {relation}, line {line}"),
            Place::Line(Some(text)) => format!("COPY {relation}, line {line}: \"{text}\""),
            Place::Column { name, value: None } => format!("COPY {relation}, line {line}, column {name}"),
            Place::Column { name, value: Some(value) } => {
                format!("COPY {relation}, line {line}, column {name}: \"{value}\"")
            }
        };
        Failure::Error(Box::new(Report { context: Some(context), ..self.report }))
    }
}

/// A text of the data, cut where it is long.
pub fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    if text.len() <= SHOWN_BYTES_MAX {
        return text.into_owned();
    }
    let mut end = SHOWN_BYTES_MAX;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}...", &text[..end])
}

/// Bytes that are no text, named as PostgreSQL names them.
pub fn not_utf8(bytes: &[u8]) -> Report {
    let wrong = match std::str::from_utf8(bytes) {
        Ok(text) => &bytes[text.find('\0').unwrap_or(0)..],
        Err(error) => &bytes[error.valid_up_to()..],
    };
    let length = match wrong.first() {
        Some(0xf0..=0xf7) => 4,
        Some(0xe0..=0xef) => 3,
        Some(0xc0..=0xdf) => 2,
        _ => 1,
    };
    let hex: Vec<String> = wrong.iter().take(length).map(|byte| format!("0x{byte:02x}")).collect();
    Report::new("22021", format!("invalid byte sequence for encoding \"UTF8\": {}", hex.join(" ")))
}
