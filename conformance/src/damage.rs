//! Files that are missing, cut, swapped or foreign under a live table. A query that needs such a file must fail and name
//! it; nothing else is affected: other tables answer, every listing lives, and when the file is back so is the table.
//! It knows the files of a table only as any Iceberg reader does.

use crate::Result;
use crate::client::{self, Failure};
use crate::server::{Launch, Server};
use crate::tally::Tally;
use std::path::{Path, PathBuf};
use tokio_postgres::Client;

#[derive(Clone, Copy, Debug)]
enum Kind {
    Data,
    /// The newest metadata.json, of which the catalog has a copy of its own.
    Metadata,
    Manifest,
    ManifestList,
    /// Position deletes or a deletion vector.
    Deletes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    Missing,
    Empty,
    Cut,
    Garbage,
    /// The file of the same kind of another table, whose columns are others.
    Foreign,
    /// The other file of the same kind of the same table.
    Swapped,
    /// The delete file of a table of the same rows: all that differs is which data file it is about.
    Elsewhere,
    /// One byte in the middle is another.
    Flipped,
}

struct Case {
    kind: Kind,
    damage: Damage,
    format: u8,
}

/// The columns of the table that is damaged, and the values of its rows.
const HURT: (&str, &str) = ("id bigint, name text", "g, 'row ' || g::text");
/// The rows of the table that is damaged, however its files lie.
const ROWS: &str =
    "SELECT count(*), sum(id), count(name), min(name) FROM hurt WHERE id > 0 AND name IS NOT NULL";
const LISTINGS: [&str; 4] = [
    "SELECT table_name, metadata_location FROM system.tables ORDER BY 1",
    "SELECT relname FROM pg_catalog.pg_class ORDER BY 1",
    "SELECT table_name FROM information_schema.columns ORDER BY 1",
    "SELECT table_name, snapshot_id FROM system.snapshots ORDER BY 2",
];

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Leaves out what needs DELETE
    #[arg(long)]
    pub without_deletes: bool,
}

pub async fn run(options: &Options) -> Result<Tally> {
    let folder = tempfile::Builder::new().prefix("tarn-damage").tempdir()?;
    let mut server = Launch::new(&folder.path().join("data"))?.start()?;
    let deletes = !options.without_deletes;
    prepare(&server.connect("tarn").await?, deletes).await?;
    let mut tally = Tally::default();
    for case in cases().into_iter().filter(|case| deletes || !matches!(case.kind, Kind::Deletes)) {
        let findings = play(&mut server, &case, deletes).await?;
        tally.add(findings.is_empty());
        for finding in findings {
            println!("  {:?} {:?} of format {}: {finding}", case.damage, case.kind, case.format);
        }
    }
    Ok(tally)
}

fn cases() -> Vec<Case> {
    use Damage::{Cut, Elsewhere, Empty, Flipped, Foreign, Garbage, Missing, Swapped};
    let mut cases = Vec::new();
    for damage in [Missing, Empty, Cut, Garbage, Foreign, Swapped] {
        for kind in [Kind::Data, Kind::Manifest, Kind::ManifestList] {
            cases.push(Case { kind, damage, format: 2 });
        }
    }
    cases.extend([Missing, Empty, Cut, Garbage].map(|damage| Case {
        kind: Kind::Metadata,
        damage,
        format: 2,
    }));
    for damage in [Missing, Empty, Cut, Garbage, Foreign, Swapped, Elsewhere, Flipped] {
        for format in [2, 3] {
            cases.push(Case { kind: Kind::Deletes, damage, format });
        }
    }
    // A flipped byte of an Avro file or of a position-delete file may lie where nothing notices.
    cases.retain(|case| case.damage != Flipped || case.format == 3);
    // A manifest list has no other of its table, and one Puffin file holds all deletion vectors of a statement.
    cases.retain(|case| {
        let is_alone = matches!(case.kind, Kind::ManifestList) || case.format == 3;
        !(case.damage == Swapped && is_alone)
    });
    cases
}

async fn say(client: &Client, sql: &str) -> Result<client::Answer> {
    client::run(client, sql).await.map_err(|failure| format!("{failure}\nin: {sql}").into())
}

async fn prepare(client: &Client, deletes: bool) -> Result<()> {
    say(client, "CREATE TABLE fine AS SELECT value AS id FROM generate_series(1, 100) AS g(value)").await?;
    for format in [2, 3] {
        let (columns, values) = ("place text, at date", "'x' || g::text, DATE '2026-01-01'");
        fill(client, &format!("foreign_{format}"), columns, values, format, deletes).await?;
        fill(client, &format!("twin_{format}"), HURT.0, HURT.1, format, deletes).await?;
    }
    Ok(())
}

/// A table of two data files of different sizes, with deletes on both.
async fn fill(
    client: &Client,
    name: &str,
    columns: &str,
    values: &str,
    format: u8,
    deletes: bool,
) -> Result<()> {
    let mode = if deletes { ", \"write.delete.mode\" = 'merge-on-read'" } else { "" };
    let options = format!("format_version = {format}{mode}");
    say(client, &format!("CREATE TABLE {name} ({columns}) WITH ({options})")).await?;
    for (from, to) in [(1, 2000), (2001, 2500)] {
        let rows = format!("SELECT {values} FROM generate_series({from}, {to}) AS s(g)");
        say(client, &format!("INSERT INTO {name} {rows}")).await?;
    }
    if !deletes {
        return Ok(());
    }
    let first = columns.split(' ').next().unwrap_or_default();
    let filter = if first == "id" { "id % 100 = 7" } else { "place LIKE '%3'" };
    say(client, &format!("DELETE FROM {name} WHERE {filter}")).await?;
    Ok(())
}

async fn play(server: &mut Server, case: &Case, deletes: bool) -> Result<Vec<String>> {
    let client = server.connect("tarn").await?;
    say(&client, "DROP TABLE IF EXISTS hurt").await?;
    fill(&client, "hurt", HURT.0, HURT.1, case.format, deletes).await?;
    let right = say(&client, ROWS).await?;
    let files = files(&client, "hurt", case.kind).await?;
    let whose = if case.damage == Damage::Elsewhere { "twin" } else { "foreign" };
    let foreign = self::files(&client, &format!("{whose}_{}", case.format), case.kind).await?;
    let file = files.first().ok_or("the table has no such file")?.clone();
    let whole = std::fs::read(&file)?;
    hurt(case.damage, &file, &whole, files.get(1), nearest(&foreign, whole.len())?)?;
    // A server that has just started has nothing in its caches.
    server.terminate()?;
    server.restart()?;
    let client = server.connect("tarn").await?;
    let mut findings = Vec::new();
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match client::run(&client, ROWS).await {
        Err(Failure::Refused(error)) => {
            // A whole file in the wrong place is met where it leads to.
            let text = error.to_string();
            let names_another = text.contains("lies outside its table") && case.damage == Damage::Foreign;
            let other = files.get(1).filter(|_| case.damage == Damage::Swapped);
            let names_other = other.is_some_and(|other| text.contains(&self::name(other)));
            if !text.contains(&name) && !names_other && !names_another {
                findings.push(format!("the error does not name {name}: {error}"));
            }
            if error.sqlstate == "XX000" {
                findings.push(format!("it is called a bug: {error}"));
            }
        }
        Err(Failure::Lost(reason)) => findings.push(format!("the connection is gone: {reason}")),
        Ok(answer) if answer == right && matches!(case.kind, Kind::Metadata) => {
            findings.extend(unnoticed(&client, &name).await);
        }
        // Manifests that changed places name the same files.
        Ok(answer) if answer == right && case.damage == Damage::Swapped => {}
        Ok(answer) if answer == right => findings.push("the damage is not noticed".to_string()),
        Ok(answer) => findings.push(format!("a wrong answer: {:?}, not {:?}", answer.rows, right.rows)),
    }
    findings.extend(others(&client).await);
    if server.has_died() {
        return Err(format!("the server died:\n{}", server.log_tail(20)).into());
    }
    std::fs::write(&file, &whole)?;
    if let Some(other) = files.get(1)
        && case.damage == Damage::Swapped
    {
        std::fs::write(other, std::fs::read(other.with_extension("whole"))?)?;
    }
    if matches!(case.damage, Damage::Foreign | Damage::Swapped | Damage::Elsewhere) {
        // It was whole, so it was kept: files never change under their name.
        server.terminate()?;
        server.restart()?;
    }
    let client = server.connect("tarn").await?;
    match client::run(&client, ROWS).await {
        Ok(answer) if answer == right => {}
        other => findings.push(format!("the file is back, the table is not: {other:?}")),
    }
    Ok(findings)
}

/// A file that no query needs is named by the check of its table.
async fn unnoticed(client: &Client, file: &str) -> Option<String> {
    match client::run(client, "CALL system.check_table('hurt')").await {
        Ok(found) if found.rows.iter().flatten().flatten().any(|cell| cell.contains(file)) => None,
        other => Some(format!("check_table does not name {file}: {other:?}")),
    }
}

/// Whatever has nothing to do with the file goes on.
async fn others(client: &Client) -> Vec<String> {
    let mut findings = Vec::new();
    let sum = client::scalar(client, "SELECT sum(id) FROM fine").await;
    if !matches!(&sum, Ok(sum) if sum == "5050") {
        findings.push(format!("another table does not answer: {sum:?}"));
    }
    for listing in LISTINGS {
        match client::run(client, listing).await {
            Ok(answer) if answer.rows.iter().flatten().flatten().any(|cell| cell == "hurt") => {}
            other => findings.push(format!("the listing {listing} gives {other:?}")),
        }
    }
    findings
}

/// The file that is nearest in length.
fn nearest(files: &[PathBuf], length: usize) -> Result<Option<&PathBuf>> {
    let mut found: Option<(u64, &PathBuf)> = None;
    for file in files {
        let distance = std::fs::metadata(file)?.len().abs_diff(length as u64);
        if found.is_none_or(|(least, _)| distance < least) {
            found = Some((distance, file));
        }
    }
    Ok(found.map(|(_, file)| file))
}

fn hurt(
    damage: Damage,
    file: &Path,
    whole: &[u8],
    other: Option<&PathBuf>,
    foreign: Option<&PathBuf>,
) -> Result<()> {
    match damage {
        Damage::Missing => std::fs::remove_file(file)?,
        Damage::Empty => std::fs::write(file, b"")?,
        Damage::Cut => std::fs::write(file, &whole[..whole.len() / 2])?,
        Damage::Garbage => {
            std::fs::write(file, (0..whole.len()).map(|at| (at * 31 % 251) as u8).collect::<Vec<_>>())?
        }
        Damage::Foreign | Damage::Elsewhere => {
            std::fs::write(file, std::fs::read(foreign.ok_or("no foreign file")?)?)?
        }
        Damage::Swapped => {
            let other = other.ok_or("there is no other file of the kind")?;
            let content = std::fs::read(other)?;
            std::fs::write(other.with_extension("whole"), &content)?;
            std::fs::write(file, content)?;
            std::fs::write(other, whole)?;
        }
        Damage::Flipped => {
            let mut bytes = whole.to_vec();
            let middle = bytes.len() / 3;
            bytes[middle] ^= 0xff;
            std::fs::write(file, bytes)?;
        }
    }
    Ok(())
}

/// The files of a kind that the table's current snapshot has, by their names and the order of their making.
async fn files(client: &Client, table: &str, kind: Kind) -> Result<Vec<PathBuf>> {
    let sql = format!("SELECT location FROM system.tables WHERE table_name = '{table}'");
    let location = client::scalar(client, &sql).await?;
    let folder = PathBuf::from(location.strip_prefix("file://").unwrap_or(&location));
    let mut found = Vec::new();
    for place in ["data", "metadata"] {
        collect(&folder.join(place), &mut found)?;
    }
    let sql = format!("SELECT metadata_location FROM system.tables WHERE table_name = '{table}'");
    let newest = client::scalar(client, &sql).await?;
    let sql = format!("SELECT manifest_list FROM system.snapshots WHERE table_name = '{table}' AND current");
    let list = client::scalar(client, &sql).await?;
    let is_list =
        |path: &Path| path.extension().is_some_and(|e| e == "avro") && name(path).starts_with("snap-");
    found.retain(|path| match kind {
        Kind::ManifestList => list.ends_with(&name(path)),
        Kind::Metadata => newest.ends_with(&name(path)),
        Kind::Manifest => path.extension().is_some_and(|e| e == "avro") && !is_list(path),
        Kind::Deletes => name(path).contains("delete") || name(path).ends_with(".puffin"),
        Kind::Data => name(path).ends_with(".parquet") && !name(path).contains("delete"),
    });
    found.sort_by_key(|path| path.metadata().and_then(|data| data.modified()).ok());
    Ok(found)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}
