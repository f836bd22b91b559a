//! Section `[log]`: what is written to standard error, and how.

use super::layers::{Layers, Result};
use super::value;

/// The log.
#[derive(Debug, Clone)]
pub struct Log {
    /// `text` for people, `json` for machines: one object per line. Default `text`.
    pub format: Format,
    /// Least level that is written (`error`, `warn`, `info`, `debug`, `trace`), or directives per module as the
    /// `tracing` crate has them (`info,tarn_sql=debug`). Default `info`.
    pub level: String,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
}

impl Log {
    pub fn from_layers(layers: &Layers) -> Result<Log> {
        Ok(Log {
            format: layers.get("log.format", format)?.unwrap_or(Format::Text),
            level: layers.get("log.level", level)?.unwrap_or_else(|| "info".to_owned()),
        })
    }
}

fn format(text: &str) -> Result<Format, String> {
    match text {
        "text" => Ok(Format::Text),
        "json" => Ok(Format::Json),
        _ => Err("give text or json".to_owned()),
    }
}

fn level(text: &str) -> Result<String, String> {
    let text = value::text(text)?;
    match tracing_subscriber::EnvFilter::try_new(&text) {
        Ok(_) => Ok(text),
        Err(_) => Err("give error, warn, info, debug or trace".to_owned()),
    }
}
