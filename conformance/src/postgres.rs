//! A PostgreSQL server of the test's own, to compare with: a fresh cluster in a temporary folder, on a free port of the
//! loopback, ended with its owner. PostgreSQL refuses to run as root, so there it runs as the user of Debian's package.

use crate::server::Addresses;
use crate::{Result, client};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio_postgres::Client;

/// Recovery of a fresh cluster takes a moment, on a busy machine some seconds.
const READY_MAX: Duration = Duration::from_secs(60);
/// Whom Debian's package runs PostgreSQL as.
const SYSTEM_USER: &str = "postgres";
/// Of the cluster and its database.
const SUPERUSER: &str = "tarn";
const DATABASE: &str = "postgres";

#[derive(Debug)]
pub struct PostgreSql {
    child: Child,
    addresses: Addresses,
    /// Removed with the server.
    _folder: tempfile::TempDir,
}

impl PostgreSql {
    /// Starts a server with these settings (`name=value`) beside its defaults.
    pub async fn start(settings: &[&str]) -> Result<PostgreSql> {
        let binaries = find_binaries()?;
        let folder = tempfile::tempdir()?;
        let cluster = folder.path().join("cluster");
        if is_root()? {
            succeed(Command::new("chown").arg(SYSTEM_USER).arg(folder.path()))?;
        }
        let mut make = as_user(&binaries.join("initdb"))?;
        make.arg("--pgdata").arg(&cluster).args(["--username", SUPERUSER, "--auth", "trust"]);
        // Compared byte by byte, as Tarn does; letters beyond ASCII have cases.
        make.args(["--encoding", "UTF8", "--lc-collate", "C", "--lc-ctype", "C.UTF-8", "--locale", "C"]);
        succeed(make.arg("--no-sync").stdout(Stdio::null()))?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut serve = as_user(&binaries.join("postgres"))?;
        serve.arg("-D").arg(&cluster).args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k", ""]);
        serve.args(settings.iter().flat_map(|setting| ["-c", *setting]));
        let log = std::fs::File::create(folder.path().join("log"))?;
        let child = serve.stdout(Stdio::null()).stderr(log).spawn()?;
        let addresses = Addresses { host: "127.0.0.1".to_string(), port, http: None, flight: None };
        let server = PostgreSql { child, addresses, _folder: folder };
        server.wait_until_ready().await?;
        Ok(server)
    }

    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    pub fn database(&self) -> &'static str {
        DATABASE
    }

    pub async fn connect(&self) -> Result<Client> {
        client::connect_to(&self.addresses, DATABASE, SUPERUSER, None).await
    }

    async fn wait_until_ready(&self) -> Result<()> {
        let started = Instant::now();
        loop {
            match self.connect().await {
                Ok(_) => return Ok(()),
                Err(error) if started.elapsed() > READY_MAX => {
                    return Err(format!("PostgreSQL did not start: {error}").into());
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
}

impl Drop for PostgreSql {
    fn drop(&mut self) {
        // A fast shutdown (SIGINT) ends its children too; it fails only when the process has ended already.
        let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

/// `POSTGRES_BINARIES`, or the newest of the folders where Debian's packages put them.
fn find_binaries() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("POSTGRES_BINARIES") {
        return Ok(PathBuf::from(named));
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    folders.retain(|folder| folder.join("initdb").exists());
    folders.sort();
    folders.pop().ok_or_else(|| {
        "no PostgreSQL server is installed: install the package `postgresql`, or name the folder of its programs in \
         POSTGRES_BINARIES"
            .into()
    })
}

fn is_root() -> Result<bool> {
    let answer = Command::new("id").arg("-u").output()?;
    Ok(answer.stdout.trim_ascii() == b"0")
}

/// A command that runs as somebody whom PostgreSQL accepts.
fn as_user(program: &Path) -> Result<Command> {
    let mut command = if is_root()? {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", SYSTEM_USER, "--regid", SYSTEM_USER, "--clear-groups"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir("/");
    Ok(command)
}

fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} ended with {status}").into()) }
}
