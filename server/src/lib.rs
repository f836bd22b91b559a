//! The process: settings, listeners, login, the PostgreSQL door, and what the Flight SQL door needs. It joins the parts and knows what none of them may
//! know of another; it must never name the query engine or the store.
//!
//! Reading order: `settings/` for what the process is told, `assemble.rs` for how it is put together, `postgres/` for
//! the way of a statement, `flight.rs` and `rest/` for the other doors, `http.rs` and `metrics.rs` for what others see of it, `shutdown.rs` for its end.

mod assemble;
mod connections;
mod flight;
mod http;
mod login;
mod metrics;
mod postgres;
mod rest;
pub mod settings;
pub mod shutdown;
pub mod telemetry;
mod tls;

pub use assemble::{Addresses, Server, StartError};
pub use settings::{Flags, Settings};

/// The server's own version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
