//! JSON: [`cursor`] walks a text value by value, [`record`] finds the objects of a file, [`build`] makes arrays of
//! them, [`rows`] makes record batches.
mod build;
mod cursor;
mod record;
mod rows;

pub use build::Refusal;
pub use cursor::{Cursor, Kind};
pub use record::{Found, RecordFinder, Shape};
pub use rows::{KEY_COLUMN, VALUE_COLUMN, not_an_object, not_utf8, refused, rows};
