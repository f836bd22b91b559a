//! The same statements to PostgreSQL and to Tarn (`conformance parity`): rows, column names, types, command tags and
//! SQLSTATEs must agree, or differ in a way that is in the list of deviations (`deviation`), which says the same as
//! docs/postgres.md.
//!
//! `generate` makes statements from a seed, `answer` is what one server said, `deviation` knows the differences that are
//! meant, `run` asks both.

mod answer;
mod deviation;
mod generate;
mod run;

pub use run::run;

/// How much, and from where.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Statements in all
    #[arg(long, default_value_t = 10_000)]
    pub statements: u32,
    /// Where the generator starts; a difference is found again by its seed
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Sessions at once, each with tables of its own
    #[arg(long, default_value_t = 4)]
    pub sessions: u32,
    /// Differences after which it stops
    #[arg(long, default_value_t = 20)]
    pub differences: usize,
}
