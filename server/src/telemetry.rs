//! The log: structured lines on standard error, for people or for machines. Standard output is kept for the one line
//! that says that the server is ready.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::settings::{Format, Log};

/// Starts logging for the whole process. Called once, by `main`.
pub fn start(log: &Log) {
    let filter = EnvFilter::try_new(&log.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // Colours are for eyes; in a file they are noise.
    let builder = builder.with_ansi(io::stderr().is_terminal());
    // A second call would find a log running already, which is as good.
    let _ = match log.format {
        Format::Text => builder.try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
}
