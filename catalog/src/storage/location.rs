//! What the text of a location says: its scheme, its bucket and its key, and nothing that could mean two things.
//!
//! A location is taken as it is written. Nothing here percent-decodes, because Iceberg metadata stores plain text and
//! other engines read it as such; text that would become another path if somebody decoded it is therefore refused.
//! It must never touch the file system; `guard.rs` does, and decides.

use std::fmt;

use crate::error::{Error, ErrorKind, Result};

/// Bytes of the longest location we accept; object stores stop at 1,024 bytes and Linux at 4,096.
const LOCATION_BYTES_MAX: usize = 4096;
/// Bytes of a location that an error message repeats.
const SHOWN_BYTES_MAX: usize = 200;

/// The kind of store that holds a location.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// The server's own file system.
    File,
    /// Any store that speaks the S3 protocol.
    S3,
    /// The server's memory: for tests and simulations, never for users.
    Memory,
}

/// A location, split into its parts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Location {
    pub scheme: Scheme,
    /// Bucket of an S3 location; empty otherwise.
    pub bucket: String,
    /// The path below the bucket or the root: no leading slash, no empty, `.` or `..` segment.
    pub key: String,
    /// The text ended with a slash: it names a folder.
    pub folder: bool,
}

impl Location {
    /// Reads a URL. A text without a scheme is not one; see [`Location::local`].
    pub fn parse(text: &str) -> Result<Location> {
        check_text(text)?;
        let (scheme, rest) = split_scheme(text)?;
        match scheme {
            Scheme::S3 => {
                let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
                check_bucket(bucket)?;
                Location::of(scheme, bucket, key, text)
            }
            Scheme::File | Scheme::Memory => {
                let key = rest.strip_prefix("localhost").filter(|key| key.starts_with('/')).unwrap_or(rest);
                if !key.starts_with('/') {
                    return Err(invalid(text, "names a host, and files are read on the server only")
                        .with_hint("Write file:// with three slashes: file:///path/to/file."));
                }
                Location::of(scheme, "", key, text)
            }
        }
    }

    /// Reads an absolute path of the server's file system.
    pub fn local(path: &str) -> Result<Location> {
        check_text(path)?;
        if !path.starts_with('/') {
            return Err(invalid(path, "is not an absolute path"));
        }
        Location::of(Scheme::File, "", path, path)
    }

    fn of(scheme: Scheme, bucket: &str, key: &str, text: &str) -> Result<Location> {
        let folder = key.ends_with('/') || key.is_empty();
        let mut segments = Vec::new();
        // The root's slash belongs to a path, but is part of the name of an object.
        let trimmed = if scheme == Scheme::S3 { key } else { key.trim_start_matches('/') };
        let trimmed = trimmed.strip_suffix('/').unwrap_or(trimmed);
        for segment in trimmed.split('/').filter(|_| !trimmed.is_empty()) {
            match segment {
                // The file system reads `a//b` as `a/b`; for an object store they are two names, and we have no
                // way to say the second.
                "" if scheme == Scheme::File => continue,
                "" => return Err(invalid(text, "has an empty path segment")),
                // A dot alone changes nothing and is common in what people type.
                "." if scheme == Scheme::File => continue,
                "." | ".." => {
                    return Err(invalid(text, &format!("has a \"{segment}\" segment"))
                        .with_hint("Write the path without relative segments."));
                }
                _ => segments.push(segment),
            }
        }
        Ok(Location { scheme, bucket: bucket.to_string(), key: segments.join("/"), folder })
    }

    /// True when `self` is `other` or lies below it.
    pub fn within(&self, other: &Location) -> bool {
        if self.scheme != other.scheme || self.bucket != other.bucket {
            return false;
        }
        match self.key.strip_prefix(&other.key) {
            Some(rest) => other.key.is_empty() || rest.is_empty() || rest.starts_with('/'),
            None => false,
        }
    }

    /// The path on the server's file system. Only meaningful for [`Scheme::File`].
    pub fn file_path(&self) -> std::path::PathBuf {
        std::path::PathBuf::from(format!("/{}", self.key))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.folder && !self.key.is_empty() { "/" } else { "" };
        match self.scheme {
            Scheme::File => write!(f, "file:///{}{slash}", self.key),
            Scheme::S3 => write!(f, "s3://{}/{}{slash}", self.bucket, self.key),
            Scheme::Memory => write!(f, "memory:///{}{slash}", self.key),
        }
    }
}

/// True when the text begins with a scheme, that is, when it is a URL and not a path.
pub fn has_scheme(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| is_scheme(scheme)) || text.starts_with("file:/")
}

/// The text as an error message may show it: short, and without anything a terminal would act on.
pub fn shown(text: &str) -> String {
    // What stands before an @ in a URL's host is a user name and a password.
    let text = match text.split_once("://") {
        Some((scheme, rest)) => match rest.split_once('/').unwrap_or((rest, "")).0.rsplit_once('@') {
            Some((login, _)) => format!("{scheme}://…@{}", &rest[login.len() + 1..]),
            None => text.to_string(),
        },
        None => text.to_string(),
    };
    let mut shown = String::new();
    for character in text.chars() {
        if shown.len() >= SHOWN_BYTES_MAX {
            shown.push('…');
            break;
        }
        if character.is_control() || is_bidi_control(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

fn split_scheme(text: &str) -> Result<(Scheme, &str)> {
    if let Some((scheme, rest)) = text.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) {
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "file" => Scheme::File,
            // Hadoop's names for the same protocol; metadata that Spark wrote has them.
            "s3" | "s3a" | "s3n" => Scheme::S3,
            "memory" => Scheme::Memory,
            other => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!("locations of kind \"{other}\" are not read"),
                )
                .with_detail(format!("The location is \"{}\".", shown(text)))
                .with_hint("Use a file path, file:// or s3://bucket/key."));
            }
        };
        return Ok((scheme, rest));
    }
    // Hadoop writes local files with one slash.
    match text.strip_prefix("file:") {
        Some(rest) if rest.starts_with('/') => Ok((Scheme::File, rest)),
        _ => Err(invalid(text, "is not a URL").with_hint("Use file:///path or s3://bucket/key.")),
    }
}

fn check_text(text: &str) -> Result<()> {
    if text.is_empty() {
        return Err(Error::invalid("the location is empty"));
    }
    if text.len() > LOCATION_BYTES_MAX {
        return Err(Error::new(
            ErrorKind::Limit,
            format!("the location has {} bytes, more than {LOCATION_BYTES_MAX}", text.len()),
        ));
    }
    if text.chars().any(|c| c.is_control() || is_bidi_control(c)) {
        return Err(invalid(text, "contains a control character"));
    }
    if let Some(escape) = dangerous_escape(text) {
        return Err(invalid(text, &format!("contains \"{escape}\"")).with_hint(
            "Locations are taken as written and never percent-decoded; write the characters themselves.",
        ));
    }
    Ok(())
}

/// Characters that make text read in another order than it is stored (Unicode UAX 9).
fn is_bidi_control(character: char) -> bool {
    matches!(character, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// The first percent escape that would be a separator, a dot or a control character once decoded.
fn dangerous_escape(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    for (at, window) in bytes.windows(3).enumerate() {
        if window[0] != b'%' || !window[1].is_ascii_hexdigit() || !window[2].is_ascii_hexdigit() {
            continue;
        }
        let escape = &text[at..at + 3];
        let value = u8::from_str_radix(&escape[1..], 16).unwrap_or(0);
        if value < 0x20 || matches!(value, 0x7F | b'.' | b'/' | b'\\') {
            return Some(escape);
        }
    }
    None
}

fn check_bucket(bucket: &str) -> Result<()> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if bucket.is_empty() || bucket.len() > 255 || !bucket.chars().all(good) || bucket.starts_with('.') {
        // The text is not repeated: what stands before an @ here is often a key and its secret.
        return Err(Error::invalid("the location does not name a bucket")
            .with_detail("A bucket has 1 to 255 letters, digits, hyphens, dots or underscores.")
            .with_hint("Use s3://bucket/key; keys and endpoints belong in the server's settings."));
    }
    Ok(())
}

fn invalid(text: &str, what: &str) -> Error {
    Error::invalid(format!("location \"{}\" {what}", shown(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let got = match Location::parse(text) {
            Ok(location) => location.to_string(),
            Err(error) => format!("error: {}", error.message),
        };
        assert_eq!(got, expected, "location {text:?}");
    }

    #[test]
    fn urls_are_read_as_written() {
        check("file:///a/b.parquet", "file:///a/b.parquet");
        check("file:/a/b.parquet", "file:///a/b.parquet");
        check("FILE://localhost/a", "file:///a");
        check("file:///a//./b/", "file:///a/b/");
        check("file:///a b/%41/ü#1?", "file:///a b/%41/ü#1?");
        check("s3://bucket/a/b", "s3://bucket/a/b");
        check("s3a://bucket/a/b", "s3://bucket/a/b");
        check("s3://bucket", "s3://bucket/");
        check("memory:///a", "memory:///a");
    }

    #[test]
    fn what_could_mean_two_things_is_refused() {
        check("", "error: the location is empty");
        check("file:///a/../b", "error: location \"file:///a/../b\" has a \"..\" segment");
        check("s3://bucket/a/./b", "error: location \"s3://bucket/a/./b\" has a \".\" segment");
        check("s3://bucket/a//b", "error: location \"s3://bucket/a//b\" has an empty path segment");
        check("file:///a/%2e%2E/b", "error: location \"file:///a/%2e%2E/b\" contains \"%2e\"");
        check("file:///a%2fb", "error: location \"file:///a%2fb\" contains \"%2f\"");
        check("file:///a%5Cb", "error: location \"file:///a%5Cb\" contains \"%5C\"");
        check("file:///a%00", "error: location \"file:///a%00\" contains \"%00\"");
        check("file:///a\0b", "error: location \"file:///a\\u{0}b\" contains a control character");
        check("file:///a\nb", "error: location \"file:///a\\nb\" contains a control character");
        check("file:///a\u{202e}b", "error: location \"file:///a\\u{202e}b\" contains a control character");
        check(
            "file://host/a",
            "error: location \"file://host/a\" names a host, and files are read on the server only",
        );
        check("http://169.254.169.254/x", "error: locations of kind \"http\" are not read");
        check("gs://bucket/a", "error: locations of kind \"gs\" are not read");
        check("s3://bucket//a", "error: location \"s3://bucket//a\" has an empty path segment");
        check("s3:///a", "error: the location does not name a bucket");
        check("s3://key:secret@bucket/a", "error: the location does not name a bucket");
        check("a/b", "error: location \"a/b\" is not a URL");
    }

    #[test]
    fn a_password_in_a_url_is_not_shown() {
        let error = Location::parse("https://user:hunter2@host/a").expect_err("https is not read");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }

    #[test]
    fn within_compares_segments_not_text() {
        let parse = |text| Location::parse(text).expect("a good location");
        assert!(parse("s3://b/t/x").within(&parse("s3://b/t")));
        assert!(parse("s3://b/t").within(&parse("s3://b/t/")));
        assert!(parse("s3://b/t").within(&parse("s3://b")));
        assert!(!parse("s3://b/table2/x").within(&parse("s3://b/table")));
        assert!(!parse("s3://c/t/x").within(&parse("s3://b/t")));
        assert!(!parse("file:///t/x").within(&parse("memory:///t")));
    }
}
