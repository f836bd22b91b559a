//! Runs scripts, each against a server of its own on an empty folder, so that no script sees what another left.
//! Every query runs twice: once described over the extended protocol (which must announce the types that the script
//! names) and once over the simple protocol, whose rows are compared. Over Flight SQL it is `GetSchema` that announces.

use super::script::{Record, Script, Stop};
use super::{compare, files, frozen};
use crate::server::{Launch, Server};
use crate::tally::Tally;
use crate::{Result, client, fixtures, flight};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_postgres::Client;

const SCRIPTS_AT_ONCE: usize = 2;
/// A script that goes wrong early tends to go wrong everywhere after; this many disagreements tell enough.
const FAILURES_SHOWN_MAX: usize = 25;

/// What scripts are sent over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Protocol {
    #[default]
    Postgres,
    Flight,
}

/// Runs every script below `paths` (all of `conformance/slt` when there are none) and prints what disagreed.
pub async fn run_all(paths: &[PathBuf], protocol: Protocol) -> Result<Tally> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("slt");
    let roots = if paths.is_empty() { vec![own] } else { paths.to_vec() };
    let mut scripts = Vec::new();
    for root in &roots {
        collect_scripts(root, &mut scripts)?;
    }
    if scripts.is_empty() {
        return Err("there are no scripts here".into());
    }
    let permits = Arc::new(tokio::sync::Semaphore::new(SCRIPTS_AT_ONCE));
    let runs = scripts.into_iter().map(|path| {
        let permits = permits.clone();
        tokio::spawn(async move {
            let _permit = permits.acquire_owned().await;
            run_file(&path, protocol).await
        })
    });
    let mut total = Tally::default();
    for run in runs.collect::<Vec<_>>() {
        let tally = run.await?;
        total.passed += tally.passed;
        total.failed += tally.failed;
    }
    Ok(total)
}

fn collect_scripts(path: &Path, scripts: &mut Vec<PathBuf>) -> Result<()> {
    if path.is_file() {
        scripts.push(path.to_path_buf());
        return Ok(());
    }
    let entries = std::fs::read_dir(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() || entry.extension().is_some_and(|extension| extension == "slt") {
            collect_scripts(&entry, scripts)?;
        }
    }
    Ok(())
}

/// Runs one script and prints its disagreements; a script that cannot even run counts as one failure.
async fn run_file(path: &Path, protocol: Protocol) -> Tally {
    let mut tally = Tally::default();
    let mut report = String::new();
    let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(path).display().to_string();
    if let Err(error) = run_script(path, protocol, &mut tally, &mut report).await {
        tally.add(false);
        report.push_str(&format!("{name}: {error}\n"));
    }
    println!("{name}: {} ok, {} not\n{}", tally.passed, tally.failed, report.trim_end());
    tally
}

async fn run_script(path: &Path, protocol: Protocol, tally: &mut Tally, report: &mut String) -> Result<()> {
    let script = Script::parse(&std::fs::read_to_string(path)?)?;
    let mut stage = Stage::open(protocol).await?;
    for (line, record) in &script.records {
        if matches!(record, Record::NeedsShared) && files::shared_data().is_none() {
            report.push_str(&format!(
                "  line {line}: the shared data folder is not here; the rest is left out\n"
            ));
            return Ok(());
        }
        if matches!(record, Record::NeedsPostgres) && protocol != Protocol::Postgres {
            return Ok(());
        }
        let outcome = stage.perform(record).await;
        tally.add(outcome.is_ok());
        if let Err(error) = outcome {
            report.push_str(&format!("  line {line}: {}\n", error.to_string().replace('\n', "\n    ")));
        }
        if stage.server.has_died() {
            return Err(format!("line {line}: the server died:\n{}", stage.server.log_tail(20)).into());
        }
        if tally.failed >= FAILURES_SHOWN_MAX {
            return Err(format!("line {line}: given up after {FAILURES_SHOWN_MAX} disagreements").into());
        }
    }
    Ok(())
}

/// A connection of either protocol.
enum Line {
    Postgres(Client),
    Flight(flight::Session),
}

impl Line {
    async fn open(server: &Server, protocol: Protocol, user: &str, password: Option<&str>) -> Result<Line> {
        let addresses = server.addresses();
        Ok(match protocol {
            Protocol::Postgres => Line::Postgres(client::connect(addresses, user, password).await?),
            Protocol::Flight => Line::Flight(flight::connect(addresses, user, password).await?),
        })
    }

    fn is_closed(&self) -> bool {
        match self {
            Line::Postgres(client) => client.is_closed(),
            Line::Flight(_) => false,
        }
    }

    async fn run(&mut self, sql: &str) -> std::result::Result<client::Answer, client::Failure> {
        match self {
            Line::Postgres(connected) => client::run(connected, sql).await,
            Line::Flight(session) => session.run(sql).await,
        }
    }

    async fn described_types(&mut self, sql: &str) -> std::result::Result<String, client::Failure> {
        match self {
            Line::Postgres(connected) => client::described_types(connected, sql).await,
            Line::Flight(session) => session.described_types(sql).await,
        }
    }
}

/// A server, the connections of a script's users, and its files.
struct Stage {
    protocol: Protocol,
    // Dropped first, so that the folder outlives the process.
    server: Server,
    clients: HashMap<String, Line>,
    user: String,
    variables: files::Variables,
    picture: Option<Vec<String>>,
    folder: tempfile::TempDir,
}

impl Stage {
    async fn open(protocol: Protocol) -> Result<Stage> {
        let folder = tempfile::Builder::new().prefix("tarn-slt").tempdir()?;
        let (data_dir, files_dir) = (folder.path().join("data"), folder.path().join("files"));
        std::fs::create_dir(&files_dir)?;
        let server = Launch::new(&data_dir)?.start()?;
        let variables = files::Variables::new(&files_dir, &data_dir);
        let user = "tarn".to_string();
        let clients = HashMap::from([(user.clone(), Line::open(&server, protocol, &user, None).await?)]);
        Ok(Stage { protocol, server, clients, user, variables, picture: None, folder })
    }

    async fn perform(&mut self, record: &Record) -> Result<()> {
        match record {
            Record::Statement { sql, expect } => {
                let sql = self.variables.expand(sql)?;
                let got = self.client()?.run(&sql).await;
                compare::statement(expect, &got)?;
            }
            Record::Query { sql, types, order, rows } => {
                let sql = self.variables.expand(sql)?;
                self.check_types(&sql, types.as_deref()).await?;
                let answer = self.client()?.run(&sql).await?;
                compare::query(*order, &self.expand_rows(rows)?, &answer)?;
            }
            Record::Keep { name, sql } => {
                let sql = self.variables.expand(sql)?;
                let answer = self.client()?.run(&sql).await?;
                let value = compare::single_value(&answer)?;
                self.variables.set(name, value);
            }
            Record::Connect { user, password } => self.switch_to(user, password.as_deref()).await?,
            Record::Refused { user, password, sqlstate } => {
                self.check_refused(user, password.as_deref(), sqlstate).await?;
            }
            Record::Restart(stop) => self.restart(*stop).await?,
            Record::File { name, content } => {
                files::write(&self.files_dir(), name, &self.variables.expand(content)?)?;
            }
            Record::Fixture { name } => fixtures::write(&self.files_dir(), name)?,
            Record::Freeze => self.picture = Some(self.take_picture().await?),
            Record::NeedsShared | Record::NeedsPostgres => {}
        }
        self.check_frozen().await
    }

    fn client(&mut self) -> Result<&mut Line> {
        Ok(self.clients.get_mut(&self.user).ok_or("there is no connection")?)
    }

    fn files_dir(&self) -> PathBuf {
        self.folder.path().join("files")
    }

    fn expand_rows(&self, rows: &[String]) -> Result<Vec<String>> {
        rows.iter().map(|row| self.variables.expand(row)).collect()
    }

    async fn check_types(&mut self, sql: &str, types: Option<&str>) -> Result<()> {
        let Some(expected) = types else { return Ok(()) };
        let described = self.client()?.described_types(sql).await?;
        if described == expected {
            return Ok(());
        }
        Err(format!("the protocol announces types {described}, expected {expected}").into())
    }

    async fn switch_to(&mut self, user: &str, password: Option<&str>) -> Result<()> {
        if self.clients.get(user).is_none_or(Line::is_closed) {
            let client = Line::open(&self.server, self.protocol, user, password).await?;
            self.clients.insert(user.to_string(), client);
        }
        self.user = user.to_string();
        Ok(())
    }

    async fn check_refused(&self, user: &str, password: Option<&str>, sqlstate: &str) -> Result<()> {
        match Line::open(&self.server, self.protocol, user, password).await {
            Ok(_) => Err(format!("{user} was let in").into()),
            Err(error) if error.to_string().starts_with(sqlstate) => Ok(()),
            Err(error) => Err(format!("expected {sqlstate}, got {error}").into()),
        }
    }

    async fn restart(&mut self, stop: Stop) -> Result<()> {
        self.clients.clear();
        match stop {
            Stop::Terminate => self.server.terminate()?,
            Stop::Kill => self.server.kill()?,
        }
        self.server.restart()?;
        let user = std::mem::replace(&mut self.user, "tarn".to_string());
        self.switch_to("tarn", None).await?;
        if user == "tarn" { Ok(()) } else { self.switch_to(&user, None).await }
    }

    /// The picture is always taken as the superuser, whoever the script is at the moment.
    async fn take_picture(&self) -> Result<Vec<String>> {
        let client = self.server.connect("tarn").await?;
        frozen::picture(&client, &self.server.launch().data_dir).await
    }

    async fn check_frozen(&self) -> Result<()> {
        let Some(before) = &self.picture else { return Ok(()) };
        let difference = frozen::difference(before, &self.take_picture().await?);
        difference.map_or(Ok(()), |difference| Err(difference.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_of_ours_can_be_read() {
        let mut scripts = Vec::new();
        collect_scripts(&Path::new(env!("CARGO_MANIFEST_DIR")).join("slt"), &mut scripts)
            .expect("the folder is there");
        assert!(scripts.len() > 10, "the walk over the scripts found almost nothing");
        for path in scripts {
            let text = std::fs::read_to_string(&path).expect("a script is text");
            let parsed = Script::parse(&text);
            assert!(parsed.is_ok(), "{}: {parsed:?}", path.display());
        }
    }
}
