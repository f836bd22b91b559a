//! What the name of a file says: format, compression, whether it is data at all, and the values of `key=value`
//! folders above it. It looks at text only; it must never open a file.

use datafusion::datasource::file_format::file_compression_type::FileCompressionType;

/// A format that we read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    Parquet,
    Csv,
    Json,
}

impl Format {
    /// The word users see.
    pub fn name(self) -> &'static str {
        match self {
            Format::Parquet => "parquet",
            Format::Csv => "csv",
            Format::Json => "json",
        }
    }
}

/// What the extension of a file promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    Format(Format),
    /// No extension, or one that says nothing: the content decides.
    Nothing,
    /// Something else than data we read.
    Foreign,
}

/// Suffixes of compressed files.
const COMPRESSIONS: [(&str, FileCompressionType); 6] = [
    (".gz", FileCompressionType::GZIP),
    (".gzip", FileCompressionType::GZIP),
    (".bz2", FileCompressionType::BZIP2),
    (".zst", FileCompressionType::ZSTD),
    (".zstd", FileCompressionType::ZSTD),
    (".xz", FileCompressionType::XZ),
];

/// How a file is compressed, by its suffix.
pub fn compression_of(path: &str) -> FileCompressionType {
    split_compression(path).1
}

/// The name without the suffix of its compression.
pub fn without_compression(path: &str) -> &str {
    split_compression(path).0
}

fn split_compression(path: &str) -> (&str, FileCompressionType) {
    for (suffix, compression) in COMPRESSIONS {
        if let Some(at) = path.len().checked_sub(suffix.len())
            && path.is_char_boundary(at)
            && path[at..].eq_ignore_ascii_case(suffix)
        {
            return (&path[..at], compression);
        }
    }
    (path, FileCompressionType::UNCOMPRESSED)
}

/// The extension of a file name, compression apart, in lower case; empty when there is none.
pub fn extension(file_name: &str) -> String {
    match without_compression(file_name).rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => extension.to_lowercase(),
        _ => String::new(),
    }
}

/// The file name without compression and extension.
pub fn stem(file_name: &str) -> &str {
    let plain = without_compression(file_name);
    match plain.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => plain,
    }
}

/// What the name of a file promises of its content.
pub fn promise(file_name: &str) -> Promise {
    match extension(file_name).as_str() {
        "parquet" | "parq" | "pq" => Promise::Format(Format::Parquet),
        "csv" | "tsv" | "tab" | "psv" => Promise::Format(Format::Csv),
        "json" | "jsonl" | "ndjson" | "geojson" => Promise::Format(Format::Json),
        "" | "txt" | "dat" | "data" => Promise::Nothing,
        _ => Promise::Foreign,
    }
}

/// Files and folders that programs leave beside data: `_SUCCESS`, `_temporary`, `.part-0.crc`. A folder `_x=1` is a
/// partition all the same.
pub fn hidden(component: &str) -> bool {
    component.starts_with('.')
        || (component.starts_with('_') && !component.contains('='))
        || component.to_lowercase().ends_with(".crc")
}

/// Key and value of a folder named `key=value`, with the value decoded as Hive writes it; None as value stands for
/// NULL.
pub fn partition(component: &str) -> Option<(&str, Option<String>)> {
    let (key, value) = component.split_once('=')?;
    if key.is_empty() {
        return None;
    }
    let null = value.is_empty() || value == "__HIVE_DEFAULT_PARTITION__";
    Some((key, (!null).then(|| percent_decoded(value))))
}

/// A folder of a date or of a part of one, as `2024`, `07` or `2024-07-31`: the files below belong to the table above.
pub fn date_part(component: &str) -> bool {
    let digits = component.bytes().filter(u8::is_ascii_digit).count();
    let others = component.bytes().filter(|byte| !byte.is_ascii_digit());
    matches!(digits, 2 | 4 | 6 | 8)
        && others.clone().all(|byte| matches!(byte, b'-' | b'_'))
        && others.count() <= 2
}

/// What folders named for dates say, by the names of columns: `2024/07/31/13` is a year, a month, a day and an hour,
/// `2024-07-31` and `20240731` are a date. Numbers without zeros in front, dates as ISO 8601 says.
pub fn date_values<'a>(folders: impl Iterator<Item = &'a str>) -> Vec<(&'static str, String)> {
    let mut values: Vec<(&'static str, String)> = Vec::new();
    for folder in folders.filter(|folder| date_part(folder)) {
        let digits: String = folder.chars().filter(char::is_ascii_digit).collect();
        let last = values.last().map(|(name, _)| *name);
        let number = digits.trim_start_matches('0');
        let number = if number.is_empty() { "0" } else { number }.to_owned();
        match (digits.len(), last) {
            (4, None) => values.push(("year", number)),
            (2, Some("year")) => values.push(("month", number)),
            (2, Some("month")) => values.push(("day", number)),
            (2, Some("day" | "date")) => values.push(("hour", number)),
            (8, None) => {
                values.push(("date", format!("{}-{}-{}", &digits[..4], &digits[4..6], &digits[6..])))
            }
            // `2024-07` and whatever else looks like a part of a date says nothing by itself.
            _ => return Vec::new(),
        }
    }
    values
}

/// A file name with its numbers replaced by what matches any number, and nothing else of it matching more than itself.
pub fn numbers_as_pattern(name: &str) -> String {
    let mut pattern = String::new();
    let mut in_number = false;
    for char in name.chars() {
        match char {
            '0'..='9' if in_number => {}
            '0'..='9' => pattern.push_str("[0-9]*"),
            '*' | '?' | '[' | ']' => pattern.push_str(&format!("[{char}]")),
            '{' | '}' => pattern.push('?'),
            other => pattern.push(other),
        }
        in_number = char.is_ascii_digit();
    }
    pattern
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let code = (*byte == b'%')
            .then(|| text.get(at + 1..at + 3).and_then(|code| u8::from_str_radix(code, 16).ok()))
            .flatten();
        decoded.push(code.unwrap_or(*byte));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8(decoded).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_promise_formats() {
        for (name, expect) in [
            ("a.csv", Promise::Format(Format::Csv)),
            ("a.CSV.gz", Promise::Format(Format::Csv)),
            ("part-0.snappy.parquet", Promise::Format(Format::Parquet)),
            ("events.jsonl.zst", Promise::Format(Format::Json)),
            ("part-00000", Promise::Nothing),
            (".csv", Promise::Nothing),
            ("README.md", Promise::Foreign),
            ("archive.zip", Promise::Foreign),
        ] {
            assert_eq!(promise(name), expect, "{name}");
        }
        assert_eq!(compression_of("x/a.csv.GZ"), FileCompressionType::GZIP);
        assert_eq!(stem("a.b.csv.gz"), "a.b");
        assert_eq!(stem("plain"), "plain");
    }

    #[test]
    fn junk_is_hidden() {
        for (name, expect) in [
            ("_SUCCESS", true),
            (".a.crc", true),
            ("a.crc", true),
            ("_temporary", true),
            ("_d=1", false),
            ("a", false),
        ] {
            assert_eq!(hidden(name), expect, "{name}");
        }
    }

    #[test]
    fn partitions_are_decoded() {
        assert_eq!(partition("year=2024"), Some(("year", Some("2024".to_owned()))));
        assert_eq!(partition("city=S%C3%A3o%20Paulo"), Some(("city", Some("São Paulo".to_owned()))));
        assert_eq!(partition("d=__HIVE_DEFAULT_PARTITION__"), Some(("d", None)));
        assert_eq!(partition("x=100%"), Some(("x", Some("100%".to_owned()))));
        assert_eq!(partition("=1"), None);
        assert_eq!(partition("plain"), None);
    }

    #[test]
    fn folders_for_dates_have_values() {
        for (path, expect) in [
            ("2024/07/31", &[("year", "2024"), ("month", "7"), ("day", "31")][..]),
            ("2024-07-31/00", &[("date", "2024-07-31"), ("hour", "0")]),
            ("20240731", &[("date", "2024-07-31")]),
            ("eu=1/2024", &[("year", "2024")]),
            ("07/31", &[]),
            ("2024-07", &[]),
        ] {
            let found = date_values(path.split('/'));
            let found: Vec<(&str, &str)> =
                found.iter().map(|(name, value)| (*name, value.as_str())).collect();
            assert_eq!(found, expect, "{path}");
        }
    }

    #[test]
    fn dates_are_folders_of_the_table_above() {
        for (name, expect) in [
            ("2024", true),
            ("07", true),
            ("2024-07-31", true),
            ("20240731", true),
            ("2024_07", true),
            ("7", false),
            ("v2", false),
            ("12345", false),
            ("1-2-3-4-", false),
        ] {
            assert_eq!(date_part(name), expect, "{name}");
        }
    }
}
