//! Many programs against a server of its own, several at a time, and the report about the first that fails.

use super::features::Feature;
use super::generate::Generator;
use super::live::Live;
use super::player::{Finding, Played, Player};
use super::program::Step;
use super::shrink::{self, SHRINK_MAX, Shrunk};
use crate::Result;
use crate::client::scalar;
use crate::server::{Addresses, Launch, Server};
use crate::tally::Tally;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Repeats the programs of an earlier run
    #[arg(long)]
    pub seed: Option<u64>,
    /// Statements and queries in all
    #[arg(long, default_value_t = 3000)]
    pub operations: usize,
    /// Statements and queries of one program
    #[arg(long, default_value_t = 80)]
    pub length: usize,
    /// Programs that run at the same time
    #[arg(long, default_value_t = 3)]
    pub sessions: usize,
    /// Only this program of the seed
    #[arg(long)]
    pub program: Option<u64>,
    /// Seconds in which a failing program is made shorter
    #[arg(long, default_value_t = SHRINK_MAX.as_secs())]
    pub shrink: u64,
    /// Goes on after a program that fails
    #[arg(long)]
    pub keep_going: bool,
    /// What is left out
    #[arg(long, value_delimiter = ',')]
    pub without: Vec<Feature>,
}

/// What one program gave.
struct Outcome {
    program: u64,
    operations: usize,
    statements: usize,
    failure: Option<(Vec<Step>, Finding)>,
}

#[expect(clippy::disallowed_methods, reason = "this is where the seed comes from, and it is printed")]
pub async fn run(options: &Options) -> Result<Tally> {
    let seed = options.seed.unwrap_or_else(rand::random);
    println!("differential: {} operations, --seed {seed}", options.operations);
    if !options.without.is_empty() {
        println!("differential: without {:?}", options.without);
    }
    let folder = tempfile::Builder::new().prefix("tarn-differential").tempdir()?;
    let mut server = Launch::new(&folder.path().join("data"))?.start()?;
    let started = Instant::now();
    let mut tally = Tally::default();
    let mut known = BTreeSet::new();
    let (mut operations, mut statements, mut next) = (0, 0, options.program.unwrap_or(0));
    while operations < options.operations && (tally.failed == 0 || options.keep_going) {
        let sessions = if options.program.is_some() { 1 } else { options.sessions as u64 };
        let programs = next..next + sessions;
        next += sessions;
        let played = programs.map(|program| play(server.addresses(), options, seed, program));
        for outcome in futures::future::join_all(played).await {
            let outcome = outcome?;
            operations += outcome.operations;
            statements += outcome.statements;
            tally.add(outcome.failure.is_none());
            let Some((steps, finding)) = outcome.failure else { continue };
            if known.insert(finding.words_without_names()) {
                report(&mut server, options, seed, outcome.program, &steps, &finding).await?;
            } else {
                println!("differential: program {} fails as one before: {:?}", outcome.program, finding.kind);
            }
        }
        if options.program.is_some() {
            break;
        }
    }
    if server.has_died() {
        return Err(format!("the server died by itself:\n{}", server.log_tail(20)).into());
    }
    let seconds = started.elapsed().as_secs();
    println!("differential: {operations} operations, {statements} of them statements, {seconds} s");
    Ok(tally)
}

async fn play(addresses: &Addresses, options: &Options, seed: u64, program: u64) -> Result<Outcome> {
    let mut live = Live::connect(addresses, &format!("p{program}")).await?;
    let features = Feature::all_but(&options.without);
    let mut generator = Generator::new(seed.wrapping_mul(1_000_003).wrapping_add(program), features);
    let mut player = Player::new(&mut live).await?;
    let mut outcome = Outcome { program, operations: 0, statements: 0, failure: None };
    let mut steps = Vec::new();
    for number in 0..options.length {
        let action = generator.next(&player.model);
        let is_statement = matches!(action, super::program::Action::Statement(_));
        let step = Step { number, action };
        steps.push(step.clone());
        match player.step(&step).await? {
            Played::Passed => {
                outcome.operations += 1;
                outcome.statements += usize::from(is_statement);
            }
            Played::Skipped => drop(steps.pop()),
            Played::Failed(finding) => {
                outcome.failure = Some((steps, finding));
                break;
            }
        }
    }
    player.end().await;
    Ok(outcome)
}

async fn report(
    server: &mut Server,
    options: &Options,
    seed: u64,
    program: u64,
    steps: &[Step],
    finding: &Finding,
) -> Result<()> {
    println!("differential: program {program} of --seed {seed} fails: {:?}: {}", finding.kind, finding.words);
    if server.has_died() {
        println!("the server died; its last words:\n{}", server.log_tail(20));
        server.restart()?;
    }
    let mut live = Live::connect(server.addresses(), &format!("s{program}")).await?;
    let patience = Duration::from_secs(options.shrink);
    match shrink::shrink(&mut live, steps, finding, patience).await? {
        Some(Shrunk { steps: fewer, finding, attempts }) => {
            println!("  {} of {} steps still fail ({attempts} attempts):", fewer.len(), steps.len());
            print_program(&finding);
        }
        None => {
            println!("  the failure does not come again; the whole program was:");
            print_program(finding);
        }
    }
    println!("  again: --seed {seed} --program {program}{}", without(&options.without));
    let client = server.connect("tarn").await?;
    println!("  {}", scalar(&client, "SELECT version()").await?);
    Ok(())
}

fn print_program(finding: &Finding) {
    for sql in &finding.script {
        println!("    {sql};");
    }
    println!("  {:?}: {}", finding.kind, finding.words);
}

fn without(features: &[Feature]) -> String {
    let names: BTreeSet<String> = features
        .iter()
        .filter_map(clap::ValueEnum::to_possible_value)
        .map(|value| value.get_name().to_string())
        .collect();
    let names: Vec<String> = names.into_iter().collect();
    if names.is_empty() { String::new() } else { format!(" --without {}", names.join(",")) }
}
