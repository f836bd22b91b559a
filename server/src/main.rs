//! `tarn`: reads the arguments, starts the server, and ends it when told to.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tarn_server::shutdown::Signals;
use tarn_server::{Addresses, Flags, Server, Settings, telemetry};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// A SQL-first lakehouse: PostgreSQL protocol in front, Apache Iceberg tables behind.
#[derive(Debug, Parser)]
#[command(name = "tarn", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a server; with no arguments, on ./tarn-data and loopback ports.
    Serve(Serve),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Flags win over TARN_* variables, those over the settings file. When the server is ready it \
prints one JSON line with its addresses.\n\nConnect with:  psql -h 127.0.0.1 -p 5439 -U tarn -d lake"
)]
struct Serve {
    /// Folder of the catalog; made if it is missing [default: ./tarn-data]
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<String>,
    /// Where tables are kept: a folder, file:///folder or s3://bucket/prefix [default: warehouse in the data folder]
    #[arg(long, value_name = "URL")]
    warehouse: Option<String>,
    /// Address for PostgreSQL clients; port 0 picks a free one [default: 127.0.0.1:5439]
    #[arg(long, value_name = "ADDRESS:PORT")]
    postgres: Option<String>,
    /// Address for Arrow Flight SQL clients; port 0 picks a free one [default: 127.0.0.1:32010]
    #[arg(long, value_name = "ADDRESS:PORT")]
    flight: Option<String>,
    /// Address for /healthz and /metrics; port 0 picks a free one [default: 127.0.0.1:8181]
    #[arg(long, value_name = "ADDRESS:PORT")]
    http: Option<String>,
    /// Settings file [default: tarn.toml in the working folder, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Threads of the network; statements have their own.
const NETWORK_THREADS: usize = 2;

fn main() -> ExitCode {
    let Command::Serve(serve) = Arguments::parse().command;
    let flags = Flags {
        data_dir: serve.data_dir,
        warehouse: serve.warehouse,
        postgres: serve.postgres,
        flight: serve.flight,
        http: serve.http,
        config: serve.config,
    };
    match run(&flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tarn: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: &Flags) -> Result<(), Box<dyn std::error::Error>> {
    let settings = Settings::load(flags, std::env::vars_os())?;
    telemetry::start(&settings.log);
    let network = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(NETWORK_THREADS)
        .thread_name("network")
        .enable_all()
        .build()?;
    let done = network.block_on(serve(settings));
    // Nothing that still runs there may delay the end.
    network.shutdown_background();
    done
}

async fn serve(settings: Settings) -> Result<(), Box<dyn std::error::Error>> {
    let mut signals = Signals::listen()?;
    let server = tokio::select! {
        server = Server::start(settings) => server?,
        // Nothing has been promised yet.
        _ = signals.next() => return Ok(()),
    };
    // Whoever started us may not read it; the server serves all the same.
    let _ = say(&server.ready_line());
    let Addresses { postgres, flight, http } = server.addresses();
    tracing::info!(%postgres, %flight, %http, "ready");
    let signal = signals.next().await;
    tracing::info!(signal, "stopping: no new connections; running statements may end");
    tokio::select! {
        () = server.stop() => tracing::info!("stopped"),
        signal = signals.next() => {
            tracing::warn!(signal, "stopping at once");
            std::process::exit(1);
        }
    }
    Ok(())
}

fn say(line: &str) -> std::io::Result<()> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
