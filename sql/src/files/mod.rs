//! Files that are not tables yet, as rows: `read_parquet`, `read_csv`, `read_json`, and external tables. It decides
//! how files are found and read; what their columns are is decided in `crawl/infer`. It must never write a file.
//!
//! ```text
//! location -> guard -> listing -> (name: format, partitions) -> scan -> source -> feed -> csv | json
//!                                                                    -> parquet (names the broken file) -> footer
//! ```
pub(crate) mod csv;
pub(crate) mod dates;
mod external;
pub(crate) mod feed;
mod footer;
pub(crate) mod json;
pub(crate) mod listing;
pub(crate) mod name;
mod options;
mod parquet;
pub(crate) mod problem;
mod read;
mod scan;
mod source;
mod utf16;
pub(crate) mod values;

pub use external::external_table;
pub use options::ReadFunction;
pub(crate) use parquet::broken as parquet_problem;
pub use read::read_files;
