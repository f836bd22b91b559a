//! Delimited text: [`record`] splits it, [`header`] names its columns, [`rows`] makes record batches of it.
mod header;
mod record;
mod rows;

pub use header::{column_names, positional_names};
pub use record::{Dialect, Record, RecordReader, Step};
pub use rows::{CsvReading, Ragged, rows};
