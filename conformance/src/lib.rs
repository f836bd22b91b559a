//! The outside view of Tarn: everything here talks to a running server as any client would, over the PostgreSQL wire
//! or Arrow Flight SQL, and knows the product only by its documented behaviour. It never names the crates `sql`, `catalog` or `flight`;
//! of the server it knows only the path of the binary and the `ready` line.
//!
//! Read `server` first, then the runner you need: scripts (`slt`), crashes (`faults`), the first session (`demo`) and
//! the figures (`bench`).

pub mod attended;
pub mod bench;
pub mod calendar;
pub mod client;
pub mod concurrency;
pub mod damage;
pub mod demo;
pub mod differential;
pub mod faults;
pub mod fixtures;
pub mod flight;
pub mod operate;
pub mod parity;
pub mod postgres;
pub mod server;
pub mod shown;
pub mod slt;
pub mod tally;
pub mod tpch;

/// A test tool reports and stops; nobody matches on its errors.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
pub type Result<T> = std::result::Result<T, Error>;
