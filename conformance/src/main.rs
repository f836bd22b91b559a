//! The command behind `make test`, `make demo` and `make bench`: picks a runner and turns its result into an exit
//! status. Everything it does lies in the library beside it.

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use tarn_conformance::tally::Tally;
use tarn_conformance::{
    Result, attended, bench, concurrency, damage, demo, differential, faults, operate, parity, slt,
};

#[derive(Parser)]
#[command(about = "Runs Tarn and looks at it from the outside")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run SQL scripts; all of conformance/slt when no path is given
    Slt {
        paths: Vec<PathBuf>,
        /// What the statements are sent over
        #[arg(long, value_enum, default_value_t)]
        protocol: slt::Protocol,
    },
    /// Take away, cut, swap and exchange files under live tables
    Damage(damage::Options),
    /// Play random SQL on a server and on a model in memory, and compare every answer
    Differential(differential::Options),
    /// Ask PostgreSQL and the server the same random statements, and compare every answer
    Parity(parity::Options),
    /// Many clients at once, and a checker of what each was told
    Concurrency(concurrency::Options),
    /// Run concurrent writers, kill the server again and again, and check what is left
    Faults(faults::Options),
    /// Start, stop, watch and mistreat the process
    Operate,
    /// Run a program against a server of its own
    WithServer(attended::Options),
    /// From an empty folder to Iceberg tables, with the results printed
    Demo(demo::Options),
    /// Write the files of TPC-H that the benchmark reads
    Generate {
        #[arg(long, default_value_t = 1.0)]
        scale: f64,
        #[arg(long, default_value = "bench-data")]
        folder: PathBuf,
    },
    /// TPC-H against DuckDB and plain DataFusion on the same files
    Bench(bench::Options),
}

// The runners start processes and wait for them on these threads, while connections need threads to go on.
#[tokio::main(worker_threads = 8)]
async fn main() -> ExitCode {
    match run(Arguments::parse().command).await {
        Ok(success) => ExitCode::from(u8::from(!success)),
        Err(error) => {
            eprintln!("conformance: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<bool> {
    match command {
        Command::Slt { paths, protocol } => slt::run_all(&paths, protocol).await.map(report),
        Command::Concurrency(options) => concurrency::run(&options).await.map(report),
        Command::Damage(options) => damage::run(&options).await.map(report),
        Command::Differential(options) => differential::run(&options).await.map(report),
        Command::Parity(options) => parity::run(&options).await.map(report),
        Command::Faults(options) => faults::run(&options).await.map(report),
        Command::Operate => operate::run().await.map(report),
        Command::WithServer(options) => attended::run(&options),
        Command::Demo(options) => demo::run(&options).await.map(|()| true),
        Command::Generate { scale, folder } => {
            let files = bench::generate(&folder, scale).await?;
            println!("{}", files.display());
            Ok(true)
        }
        Command::Bench(options) => bench::run(&options).await.map(report),
    }
}

fn report(tally: Tally) -> bool {
    println!("{tally}");
    tally.is_success()
}
