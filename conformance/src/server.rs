//! One `tarn` process under test: started on free ports, watched until it prints its `ready` line, stopped gently or
//! by SIGKILL, and started again on the same folder. It knows the command line and the ready line, nothing else.

use crate::{Result, client};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio_postgres::Client;

/// A cold start of an unoptimised binary on a busy machine is the slowest case.
const READY_MAX: Duration = Duration::from_secs(60);
const STOP_MAX: Duration = Duration::from_secs(30);

/// How to start a server. Every field has a default that suits a test.
#[derive(Clone, Debug)]
pub struct Launch {
    pub binary: PathBuf,
    pub data_dir: PathBuf,
    /// Standard error of the process, appended to over restarts.
    pub log: PathBuf,
    pub postgres: String,
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
}

impl Launch {
    pub fn new(data_dir: &Path) -> Result<Launch> {
        Ok(Launch {
            binary: find_binary()?,
            data_dir: data_dir.to_path_buf(),
            log: data_dir.with_extension("log"),
            postgres: "127.0.0.1:0".to_string(),
            arguments: Vec::new(),
            environment: Vec::new(),
        })
    }

    pub fn start(self) -> Result<Server> {
        let (child, addresses) = spawn(&self)?;
        Ok(Server { launch: self, child, addresses })
    }
}

/// Where the running process listens, from its ready line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    pub host: String,
    pub port: u16,
    /// Arrow Flight SQL; absent when the ready line names none.
    pub flight: Option<String>,
    /// Health and metrics; absent when the ready line names none.
    pub http: Option<String>,
}

#[derive(Debug)]
pub struct Server {
    launch: Launch,
    child: Child,
    addresses: Addresses,
}

impl Server {
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    pub fn launch(&self) -> &Launch {
        &self.launch
    }

    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    pub async fn connect(&self, user: &str) -> Result<Client> {
        client::connect(&self.addresses, user, None).await
    }

    /// Has the process ended by itself? A server under test never should.
    pub fn has_died(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// SIGKILL: no destructor, no flush, nothing.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, as a service manager would; an error when the process does not end in time or ends badly.
    pub fn terminate(&mut self) -> Result<()> {
        self.ask_to_end()?;
        self.wait_for_end()
    }

    pub fn ask_to_end(&self) -> Result<()> {
        // The standard library sends only SIGKILL, and this crate holds no unsafe code; kill(1) is everywhere.
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        Ok(())
    }

    pub fn wait_for_end(&mut self) -> Result<()> {
        let started = Instant::now();
        while started.elapsed() < STOP_MAX {
            if let Some(status) = self.child.try_wait()? {
                return if status.success() {
                    Ok(())
                } else {
                    Err(format!("tarn ended with {status}").into())
                };
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.kill()?;
        Err(format!("tarn did not end within {STOP_MAX:?} after SIGTERM").into())
    }

    /// Starts the process again on the same folder; the old one must have ended.
    pub fn restart(&mut self) -> Result<()> {
        let (child, addresses) = spawn(&self.launch)?;
        self.child = child;
        self.addresses = addresses;
        Ok(())
    }

    /// Starts the process and kills it after a moment, ready or not: a crash during recovery.
    pub fn start_and_kill_after(&mut self, patience: Duration) -> Result<()> {
        let (mut child, _) = launch_process(&self.launch)?;
        std::thread::sleep(patience);
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// The last lines of the process's log, for a failure report.
    pub fn log_tail(&self, lines: usize) -> String {
        log_tail(&self.launch.log, lines)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `TARN_BINARY`, or the `tarn` that was built beside this program.
pub fn find_binary() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("TARN_BINARY") {
        return Ok(PathBuf::from(named));
    }
    let own = std::env::current_exe()?;
    let folders = own.ancestors().skip(1).take(2);
    let found = folders.map(|folder| folder.join("tarn")).find(|path| path.is_file());
    found.ok_or_else(|| format!("no tarn beside {}; build it or set TARN_BINARY", own.display()).into())
}

fn spawn(launch: &Launch) -> Result<(Child, Addresses)> {
    let (child, stdout) = launch_process(launch)?;
    wait_until_ready(child, launch, &stdout)
}

/// The process and the file its standard output goes to: a file, not a pipe, so that nobody has to keep reading it.
fn launch_process(launch: &Launch) -> Result<(Child, PathBuf)> {
    let stdout = launch.log.with_extension("out");
    let log = std::fs::OpenOptions::new().create(true).append(true).open(&launch.log)?;
    let child = Command::new(&launch.binary)
        .arg("serve")
        .arg("--data-dir")
        .arg(&launch.data_dir)
        .args(["--postgres", &launch.postgres, "--flight", "127.0.0.1:0", "--http", "127.0.0.1:0"])
        .args(&launch.arguments)
        .envs(launch.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&stdout)?)
        .stderr(log)
        .spawn()
        .map_err(|error| format!("cannot start {}: {error}", launch.binary.display()))?;
    Ok((child, stdout))
}

fn wait_until_ready(mut child: Child, launch: &Launch, stdout: &Path) -> Result<(Child, Addresses)> {
    let started = Instant::now();
    while started.elapsed() < READY_MAX {
        let printed = std::fs::read_to_string(stdout)?;
        if let Some(addresses) = printed.lines().find_map(parse_ready_line) {
            return Ok((child, addresses));
        }
        if let Some(status) = child.try_wait()? {
            let log = log_tail(&launch.log, 20);
            return Err(format!("tarn ended with {status} before it was ready:\n{printed}{log}").into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill()?;
    child.wait()?;
    Err(format!("tarn was not ready within {READY_MAX:?}:\n{}", log_tail(&launch.log, 20)).into())
}

/// `{"event":"ready","postgres":"127.0.0.1:5439","http":"127.0.0.1:8181",...}`
fn parse_ready_line(line: &str) -> Option<Addresses> {
    let ready: serde_json::Value = serde_json::from_str(line).ok()?;
    if ready.get("event")?.as_str()? != "ready" {
        return None;
    }
    let (host, port) = ready.get("postgres")?.as_str()?.rsplit_once(':')?;
    let address = |door: &str| ready.get(door).and_then(|address| address.as_str()).map(str::to_string);
    let (flight, http) = (address("flight"), address("http"));
    Some(Addresses { host: host.to_string(), port: port.parse().ok()?, flight, http })
}

fn log_tail(log: &Path, lines: usize) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_ready_line_is_taken() {
        let line = r#"{"event":"ready","postgres":"127.0.0.1:41","http":"127.0.0.1:42"}"#;
        let http = Some("127.0.0.1:42".into());
        let expected = Addresses { host: "127.0.0.1".into(), port: 41, flight: None, http };
        assert_eq!(parse_ready_line(line), Some(expected));
        assert_eq!(parse_ready_line(r#"{"event":"listening","postgres":"127.0.0.1:41"}"#), None);
        assert_eq!(parse_ready_line("ready"), None);
    }
}
