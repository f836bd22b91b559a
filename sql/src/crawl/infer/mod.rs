//! What the columns of a file are, found in the file itself. Each format has its own file here; all give a [`Probe`]:
//! how the file is read, its columns, how many rows were looked at, and the values that decided. It must never know a
//! table or a catalog.
//!
//! A column of which nothing is known (no value seen) has Arrow's null type until all files of its table are merged.
mod delimited;
mod dialect;
mod header;
mod json;
mod kinds;
mod parquet;
mod probe;
mod sample;
mod widen;

pub use delimited::CsvHints;
pub use header::{Verdict, names_columns, untyped};
pub use kinds::Evidence;
pub use probe::{Decision, Probe, SampleLimits, probe};
pub use sample::{
    Sampled, alike, date_fields, merged_with_folders, probe_all, same_reading, sample, with_date_orders,
    with_known_orders,
};
pub use widen::{finished, merged};
