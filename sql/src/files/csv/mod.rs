//! Delimited text: [`split`] and [`record`] split it, [`text`] decodes it, [`layout`] and [`table`] find the table in it,
//! [`header`] names its columns, [`rows`] makes record batches of it.
mod arrays;
mod header;
mod layout;
mod record;
mod rows;
mod split;
mod table;
mod text;

pub use header::{column_names, positional_names};
pub use layout::{Layout, layout, separator_line};
pub use record::Record;
pub use rows::{CsvReading, Ragged, rows};
pub use split::Dialect;
pub use table::{Next, TableReader, window, window_of};
pub use text::decode;
