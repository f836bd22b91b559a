//! Looks at one file: decides its format by its name or its content, and has the format's own file do the rest. It
//! must never look at two files at once. Next: `delimited.rs`, `json.rs`, `parquet.rs`, and `sample.rs` for many files.

use std::sync::Arc;

use arrow::datatypes::Schema;
use object_store::ObjectStore;
use tarn_catalog::object::FileFormat;

use super::delimited::{self, CsvHints};
use super::kinds::Evidence;
use super::{json, parquet};
use crate::files::feed::Feed;
use crate::files::listing::FoundFile;
use crate::files::name::{self, Format, Promise};
use crate::files::problem::Problem;

/// How much of one file is looked at.
#[derive(Debug, Clone, Copy)]
pub struct SampleLimits {
    /// Uncompressed bytes. A smaller file is looked at whole, so no value in it can surprise a later query.
    pub bytes: u64,
    pub rows: u64,
}

impl Default for SampleLimits {
    fn default() -> SampleLimits {
        SampleLimits { bytes: 64 << 20, rows: u64::MAX }
    }
}

/// Where a file without a telling name is searched for bytes that no text has.
const SNIFFED_BYTES: usize = 4096;

/// What was found in one file.
#[derive(Debug, Clone)]
pub struct Probe {
    pub format: FileFormat,
    pub schema: Schema,
    /// Rows looked at.
    pub rows: u64,
    /// All rows of the file were looked at.
    pub whole: bool,
    /// It is beyond doubt how the file is read; otherwise the other files of its folder may decide.
    pub sure: bool,
    pub decisions: Vec<Decision>,
    pub evidence: Vec<Evidence>,
}

/// Something decided about a file as a whole, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    pub subject: &'static str,
    pub decision: String,
    pub reason: String,
}

impl Decision {
    pub fn new(subject: &'static str, decision: String, reason: String) -> Decision {
        Decision { subject, decision, reason }
    }
}

/// Looks at one file in the format that its name promises, or that its content shows.
pub async fn probe(
    store: &Arc<dyn ObjectStore>,
    file: &FoundFile,
    format: Option<Format>,
    hints: &CsvHints,
    limits: &SampleLimits,
) -> Result<Probe, Problem> {
    if file.meta.size == 0 {
        return Err(Problem::empty("it is empty: 0 bytes").with_hint("Write the file again, or remove it."));
    }
    let format = match (format, name::promise(file.name())) {
        (Some(format), _) | (None, Promise::Format(format)) => format,
        (None, Promise::Nothing | Promise::Foreign) => sniff(store, file).await?,
    };
    if format == Format::Parquet {
        return parquet::probe(store, file).await;
    }
    let feed = Feed::open(store, &file.meta.location, name::compression_of(file.name())).await?;
    match format {
        Format::Csv => delimited::probe(feed, &name::extension(file.name()), hints, limits).await,
        Format::Json => json::probe(feed, limits).await,
        Format::Parquet => Err(Problem::unsupported("compressed Parquet is not read")),
    }
}

/// The format of a file whose name says nothing.
async fn sniff(store: &Arc<dyn ObjectStore>, file: &FoundFile) -> Result<Format, Problem> {
    let mut feed = Feed::open(store, &file.meta.location, name::compression_of(file.name())).await?;
    if feed.rest().is_empty() {
        feed.more().await?;
    }
    let first = feed.rest().iter().find(|byte| !byte.is_ascii_whitespace());
    match first {
        _ if feed.rest().starts_with(b"PAR1") => Ok(Format::Parquet),
        Some(b'{' | b'[') => Ok(Format::Json),
        _ if feed.rest().iter().take(SNIFFED_BYTES).any(|byte| *byte == 0) => {
            Err(Problem::unsupported("its content is neither Parquet, delimited text nor JSON"))
        }
        _ => Ok(Format::Csv),
    }
}
