//! The three engines behind one face: run a query and throw the result away (timed), or give the rows as text. Tarn
//! is asked through psql, as its users would; DataFusion runs in this process; DuckDB in a Python process that reads
//! one request per line. The times of the peers leave out the work of a client, which is to their advantage.

use crate::server::Server;
use crate::{Result, client};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use futures::StreamExt;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use tokio_postgres::Client;

pub type Rows = Vec<Vec<Option<String>>>;

pub trait Engine {
    async fn time(&mut self, sql: &str) -> Result<Duration>;
    async fn rows(&mut self, sql: &str) -> Result<Rows>;
}

/// A process that answers one line per request.
struct Conversation {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Conversation {
    fn start(command: &mut Command) -> Result<Conversation> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take().ok_or("the process has no standard input")?;
        let output = BufReader::new(child.stdout.take().ok_or("the process has no standard output")?);
        Ok(Conversation { child, input, output })
    }

    fn say(&mut self, text: &str) -> Result<()> {
        writeln!(self.input, "{text}")?;
        Ok(self.input.flush()?)
    }

    fn hear(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err(format!("the process ended: {:?}", self.child.wait()?).into());
        }
        Ok(line.trim_end().to_string())
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What psql prints after a command.
const END_OF_ANSWER: &str = "end-of-answer";

pub struct Tarn {
    psql: Conversation,
    client: Client,
}

impl Tarn {
    pub async fn open(server: &Server, schema: &str) -> Result<Tarn> {
        let addresses = server.addresses();
        // psql keeps its output in a buffer when nobody sits there; stdbuf makes it speak line by line.
        let mut command = Command::new("stdbuf");
        command.args(["-oL", "psql", "-X", "-q", "-A", "-t", "-o", "/dev/null", "-U", "tarn", "-d", "lake"]);
        command.args(["-h", &addresses.host, "-p", &addresses.port.to_string()]);
        let mut psql = Conversation::start(&mut command)?;
        let client = server.connect("tarn").await?;
        psql.say(&format!("SET search_path = {schema};"))?;
        psql.say("\\timing on")?;
        client::run(&client, &format!("SET search_path = {schema}")).await?;
        Ok(Tarn { psql, client })
    }
}

impl Tarn {
    /// From sending a statement or a backslash command to the end of its answer.
    pub fn time_of_command(&mut self, command: &str) -> Result<Duration> {
        let started = Instant::now();
        self.psql.say(&format!("{command}\n\\echo {END_OF_ANSWER}"))?;
        while self.psql.hear()? != END_OF_ANSWER {}
        Ok(started.elapsed())
    }
}

impl Engine for Tarn {
    async fn time(&mut self, sql: &str) -> Result<Duration> {
        self.psql.say(&format!("{};\n\\echo :SQLSTATE", sql.trim().trim_end_matches(';')))?;
        let mut duration = None;
        loop {
            let line = self.psql.hear()?;
            if let Some(time) = line.strip_prefix("Time: ") {
                let milliseconds: f64 = time.split(' ').next().unwrap_or_default().parse()?;
                duration = Some(Duration::from_secs_f64(milliseconds / 1000.0));
            } else if line == "00000" {
                return duration.ok_or_else(|| "psql told no time".into());
            } else if line.len() == 5 {
                return Err(format!("SQLSTATE {line} from: {sql}").into());
            }
        }
    }

    async fn rows(&mut self, sql: &str) -> Result<Rows> {
        let answer =
            client::run(&self.client, sql).await.map_err(|failure| format!("{failure}\nin: {sql}"))?;
        Ok(answer.rows)
    }
}

pub struct DataFusion {
    context: SessionContext,
}

impl DataFusion {
    /// With nothing but its defaults, as its own command line would run.
    pub async fn open(files: &Path) -> Result<DataFusion> {
        let context = SessionContext::new();
        for table in crate::tpch::TABLES {
            let path = files.join(table.name());
            let path = format!("{}/", path.display());
            context.register_parquet(table.name(), path, ParquetReadOptions::default()).await?;
        }
        Ok(DataFusion { context })
    }
}

impl Engine for DataFusion {
    async fn time(&mut self, sql: &str) -> Result<Duration> {
        let started = Instant::now();
        let mut rows = self.context.sql(sql).await?.execute_stream().await?;
        while let Some(batch) = rows.next().await {
            batch?;
        }
        Ok(started.elapsed())
    }

    async fn rows(&mut self, sql: &str) -> Result<Rows> {
        let mut rows = Vec::new();
        for batch in self.context.sql(sql).await?.collect().await? {
            let options = FormatOptions::default();
            let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options));
            let columns = columns.collect::<std::result::Result<Vec<_>, _>>()?;
            for row in 0..batch.num_rows() {
                let cell = |(column, values): (usize, &ArrayFormatter)| {
                    (!batch.column(column).is_null(row)).then(|| values.value(row).to_string())
                };
                rows.push(columns.iter().enumerate().map(cell).collect());
            }
        }
        Ok(rows)
    }
}

pub struct DuckDb {
    peer: Conversation,
}

impl DuckDb {
    pub fn open(files: &Path) -> Result<DuckDb> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new(super::python()?);
        command.arg(here.join("bench/duckdb_peer.py")).arg(files);
        Ok(DuckDb { peer: Conversation::start(&mut command)? })
    }

    pub fn version(&mut self) -> Result<String> {
        let answer = self.ask("version", "")?;
        Ok(answer["version"].as_str().unwrap_or_default().to_string())
    }

    fn ask(&mut self, request: &str, sql: &str) -> Result<serde_json::Value> {
        let request = serde_json::json!({ "request": request, "sql": sql });
        self.peer.say(&request.to_string())?;
        let answer: serde_json::Value = serde_json::from_str(&self.peer.hear()?)?;
        match answer["error"].as_str() {
            Some(error) => Err(format!("DuckDB: {error}\nin: {sql}").into()),
            None => Ok(answer),
        }
    }
}

impl Engine for DuckDb {
    async fn time(&mut self, sql: &str) -> Result<Duration> {
        let answer = self.ask("time", sql)?;
        let seconds = answer["seconds"].as_f64().ok_or("DuckDB told no time")?;
        Ok(Duration::from_secs_f64(seconds))
    }

    async fn rows(&mut self, sql: &str) -> Result<Rows> {
        let mut answer = self.ask("rows", sql)?;
        Ok(serde_json::from_value(answer["rows"].take())?)
    }
}
