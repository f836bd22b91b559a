//! How the data of a `COPY` is written: what `WITH (…)` says, checked, and the defaults for the rest (PostgreSQL 15,
//! COPY). Next: `../parse/copy.rs`, which reads them.

/// What the data looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyFormat {
    Text,
    Csv,
    Binary,
}

/// Whether the first line holds the names of the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyHeader {
    No,
    Yes,
    /// It does, and they must be the names of the table's columns.
    Match,
}

/// Some of the columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyColumns {
    All,
    Named(Vec<String>),
}

impl CopyColumns {
    pub fn none() -> CopyColumns {
        CopyColumns::Named(Vec::new())
    }

    pub fn is_none(&self) -> bool {
        matches!(self, CopyColumns::Named(names) if names.is_empty())
    }

    pub fn has(&self, column: &str) -> bool {
        match self {
            CopyColumns::All => true,
            CopyColumns::Named(names) => names.iter().any(|name| name == column),
        }
    }
}

/// All there is to know of the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyOptions {
    pub format: CopyFormat,
    /// What stands between two columns.
    pub delimiter: u8,
    /// What stands for NULL.
    pub null: String,
    pub header: CopyHeader,
    /// Around values, and in them before a quote; of CSV alone.
    pub quote: u8,
    pub escape: u8,
    /// Columns whose values are always quoted.
    pub force_quote: CopyColumns,
    /// Columns in which what looks like NULL is a text.
    pub force_not_null: CopyColumns,
    /// Columns in which what looks like NULL is one in quotes too.
    pub force_null: CopyColumns,
}

impl CopyOptions {
    /// What holds where nothing else is said.
    pub fn of_format(format: CopyFormat) -> CopyOptions {
        let csv = format == CopyFormat::Csv;
        CopyOptions {
            format,
            delimiter: if csv { b',' } else { b'\t' },
            null: if csv { String::new() } else { "\\N".to_owned() },
            header: CopyHeader::No,
            quote: b'"',
            escape: b'"',
            force_quote: CopyColumns::none(),
            force_not_null: CopyColumns::none(),
            force_null: CopyColumns::none(),
        }
    }
}
