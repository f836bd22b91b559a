//! Runs another program against a server of its own on an empty folder, and tells it in its environment where the
//! server is. This is how the scripts under `conformance/clients` get theirs.

use crate::Result;
use crate::server::Launch;
use std::process::{Command, ExitStatus};

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The program and its arguments; it finds TARN_HOST, TARN_PORT, TARN_FLIGHT, TARN_HTTP and TARN_DATA in its environment
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub program: Vec<String>,
}

pub fn run(options: &Options) -> Result<bool> {
    let folder = tempfile::Builder::new().prefix("tarn-with").tempdir()?;
    let mut server = Launch::new(&folder.path().join("data"))?.start()?;
    let (name, arguments) = options.program.split_first().ok_or("there is no program to run")?;
    let addresses = server.addresses();
    let status: ExitStatus = Command::new(name)
        .args(arguments)
        .env("TARN_HOST", &addresses.host)
        .env("TARN_PORT", addresses.port.to_string())
        .env("TARN_FLIGHT", addresses.flight.as_deref().unwrap_or_default())
        .env("TARN_HTTP", addresses.http.as_deref().unwrap_or_default())
        .env("TARN_DATA", &server.launch().data_dir)
        .status()
        .map_err(|error| format!("cannot run {name}: {error}"))?;
    if server.has_died() {
        return Err(format!("the server died:\n{}", server.log_tail(20)).into());
    }
    server.terminate()?;
    Ok(status.success())
}
