//! What becomes of each file that loses rows: marked (its deleted rows are listed beside it), written anew without
//! them, or gone as a whole. The table's properties say which; without them the format version and the file's size
//! and loss do. Pure.

use std::collections::{BTreeMap, HashMap};

use iceberg::spec::FormatVersion;
use roaring::RoaringTreemap;

use crate::error::{Error, Result};
use crate::plan::ChangeKind;
use crate::sqlstate::SqlState;

/// Files below this are written anew rather than marked in format version 2, bytes.
const REWRITE_BYTES_MAX: u64 = 32 << 20;
/// Files that lose more than this share of their rows are written anew in format version 2, percent.
const REWRITE_LOSS_PERCENT: u64 = 30;

/// How files lose rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    CopyOnWrite,
    MergeOnRead,
    /// File by file.
    Chosen,
}

impl Mode {
    /// What the table's properties say for this kind of statement.
    pub fn of(
        kind: ChangeKind,
        properties: &HashMap<String, String>,
        version: FormatVersion,
    ) -> Result<Mode> {
        let key = format!("write.{}.mode", word(kind));
        match properties.get(&key).map(String::as_str) {
            Some("copy-on-write") => Ok(Mode::CopyOnWrite),
            Some("merge-on-read") => Ok(Mode::MergeOnRead),
            Some(other) => {
                let message = format!("invalid value \"{other}\" for table property {key}");
                Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
                    .with_hint("The modes are copy-on-write and merge-on-read."))
            }
            None if version >= FormatVersion::V3 => Ok(Mode::MergeOnRead),
            None => Ok(Mode::Chosen),
        }
    }
}

/// Whether what the statement read must not have changed when it commits.
pub(super) fn is_serializable(kind: ChangeKind, properties: &HashMap<String, String>) -> Result<bool> {
    let key = format!("write.{}.isolation-level", word(kind));
    match properties.get(&key).map(String::as_str) {
        None | Some("serializable") => Ok(true),
        Some("snapshot") => Ok(false),
        Some(other) => {
            let message = format!("invalid value \"{other}\" for table property {key}");
            Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
                .with_hint("The levels are serializable and snapshot."))
        }
    }
}

fn word(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Delete | ChangeKind::Overwrite => "delete",
        ChangeKind::Update => "update",
        ChangeKind::Merge | ChangeKind::Insert => "merge",
    }
}

/// What is known of a file that loses rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileSize {
    pub bytes: u64,
    pub rows: u64,
    /// Rows that were deleted before.
    pub deleted: u64,
}

/// What becomes of the files.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Losses {
    pub marked: BTreeMap<String, RoaringTreemap>,
    pub rewritten: BTreeMap<String, RoaringTreemap>,
    /// Nothing of them is left.
    pub gone: Vec<String>,
}

/// Decides for each file.
pub(super) fn decide(
    mode: Mode,
    deleted: BTreeMap<String, RoaringTreemap>,
    sizes: &HashMap<String, FileSize>,
) -> Result<Losses> {
    let mut losses = Losses::default();
    for (file, rows) in deleted {
        let size = sizes.get(&file);
        let size = size.ok_or_else(|| Error::internal(format!("file {file} is not of this table")))?;
        let rewrite = match mode {
            Mode::CopyOnWrite => true,
            Mode::MergeOnRead => false,
            Mode::Chosen => {
                let lost = size.deleted.saturating_add(rows.len());
                size.bytes < REWRITE_BYTES_MAX
                    || lost.saturating_mul(100) > size.rows.saturating_mul(REWRITE_LOSS_PERCENT)
            }
        };
        if rows.len().saturating_add(size.deleted) >= size.rows {
            losses.gone.push(file);
        } else if rewrite {
            losses.rewritten.insert(file, rows);
        } else {
            losses.marked.insert(file, rows);
        }
    }
    Ok(losses)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(mode: Mode, size: FileSize, lost: u64) -> &'static str {
        let deleted = BTreeMap::from([("f".to_owned(), (0..lost).collect())]);
        let losses = decide(mode, deleted, &HashMap::from([("f".to_owned(), size)])).expect("decided");
        match (losses.marked.len(), losses.rewritten.len(), losses.gone.len()) {
            (1, 0, 0) => "marked",
            (0, 1, 0) => "rewritten",
            (0, 0, 1) => "gone",
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn small_files_and_great_losses_are_written_anew() {
        let big = FileSize { bytes: 64 << 20, rows: 1000, deleted: 0 };
        assert_eq!(decided(Mode::Chosen, big, 10), "marked");
        assert_eq!(decided(Mode::Chosen, big, 301), "rewritten");
        assert_eq!(decided(Mode::Chosen, FileSize { deleted: 295, ..big }, 10), "rewritten");
        assert_eq!(decided(Mode::Chosen, FileSize { bytes: 1 << 20, ..big }, 1), "rewritten");
        assert_eq!(decided(Mode::MergeOnRead, FileSize { bytes: 1, ..big }, 999), "marked");
        assert_eq!(decided(Mode::CopyOnWrite, big, 1), "rewritten");
    }

    #[test]
    fn a_file_without_rows_goes() {
        let file = FileSize { bytes: 1, rows: 10, deleted: 4 };
        for mode in [Mode::Chosen, Mode::CopyOnWrite, Mode::MergeOnRead] {
            assert_eq!(decided(mode, file, 6), "gone");
        }
    }

    #[test]
    fn the_properties_say_the_mode() {
        let of = |text: &str, version| {
            let properties = HashMap::from([("write.update.mode".to_owned(), text.to_owned())]);
            Mode::of(ChangeKind::Update, &properties, version)
        };
        assert_eq!(of("copy-on-write", FormatVersion::V3).expect("mode"), Mode::CopyOnWrite);
        assert_eq!(of("merge-on-read", FormatVersion::V2).expect("mode"), Mode::MergeOnRead);
        assert_eq!(of("often", FormatVersion::V2).expect_err("bad").sqlstate.code(), "22023");
        let none = |version| Mode::of(ChangeKind::Delete, &HashMap::new(), version).expect("default");
        assert_eq!((none(FormatVersion::V2), none(FormatVersion::V3)), (Mode::Chosen, Mode::MergeOnRead));
    }
}
