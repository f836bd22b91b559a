//! A server in this process on free ports and a fresh data folder, and a client that speaks the protocol by hand, so
//! that tests can say what no driver would.
#![allow(dead_code)] // each test file is a program of its own and uses a part of this

use std::path::Path;
use std::time::Duration;

use tarn_server::{Flags, Server, Settings};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// Nothing here takes longer unless it hangs; slow machines run tests side by side.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server; the folder goes with it.
pub struct Running {
    pub server: Server,
    pub folder: tempfile::TempDir,
}

pub async fn start() -> Running {
    start_with("").await
}

/// Starts with a settings file.
pub async fn start_with(settings: &str) -> Running {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settings = load(folder.path(), settings);
    let server = Server::start(settings).await.expect("the server starts");
    Running { server, folder }
}

pub fn load(folder: &Path, settings: &str) -> Settings {
    let file = folder.join("tarn.toml");
    std::fs::write(&file, settings).expect("a writable folder");
    let flags = Flags {
        data_dir: Some(folder.join("data").display().to_string()),
        postgres: Some("127.0.0.1:0".to_owned()),
        flight: Some("127.0.0.1:0".to_owned()),
        http: Some("127.0.0.1:0".to_owned()),
        config: Some(file),
        ..Flags::default()
    };
    Settings::load(&flags, std::iter::empty()).expect("good settings")
}

impl Running {
    /// A driver's connection as the superuser.
    pub async fn connect(&self) -> tokio_postgres::Client {
        self.connect_as("tarn", None).await.expect("a connection")
    }

    pub async fn connect_as(
        &self,
        user: &str,
        password: Option<&str>,
    ) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(self.server.addresses().postgres.port()).user(user).dbname("lake");
        if let Some(password) = password {
            config.password(password);
        }
        let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
        // It ends with the client, or with an error that the client reports itself.
        tokio::spawn(connection);
        Ok(client)
    }

    /// A bare socket.
    pub async fn dial(&self) -> Wire {
        let stream = TcpStream::connect(self.server.addresses().postgres).await.expect("the server listens");
        Wire { stream }
    }

    /// A session by hand, after its first ReadyForQuery.
    pub async fn session(&self) -> Wire {
        let mut wire = self.dial().await;
        wire.startup(&[("user", "tarn"), ("database", "lake")]).await;
        wire.until_ready().await;
        wire
    }

    pub async fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.server.addresses().http).await.expect("the server listens");
        let request = format!("GET {path} HTTP/1.0\r\nHost: test\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("it takes a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        answer
    }
}

/// One connection, message by message.
pub struct Wire<S = TcpStream> {
    pub stream: S,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the server reads");
    }

    /// A message with its kind and length.
    pub async fn message(&mut self, kind: u8, body: &[u8]) {
        self.send(&message(kind, body)).await;
    }

    pub async fn query(&mut self, sql: &str) {
        self.message(b'Q', &[sql.as_bytes(), b"\0"].concat()).await;
    }

    pub async fn startup(&mut self, parameters: &[(&str, &str)]) {
        let mut body = (3u32 << 16).to_be_bytes().to_vec();
        for (name, value) in parameters {
            body.extend(format!("{name}\0{value}\0").bytes());
        }
        body.push(0);
        self.send(&packet(&body)).await;
    }

    /// The next message, in a short form that tests compare; `gone` when the server has closed the connection.
    pub async fn next(&mut self) -> String {
        tokio::time::timeout(PATIENCE, self.read()).await.expect("the server answers in time")
    }

    /// All messages up to ReadyForQuery, or to the end of the connection.
    pub async fn until_ready(&mut self) -> Vec<String> {
        let mut messages = Vec::new();
        loop {
            let message = self.next().await;
            let last = message.starts_with("Z ") || message == "gone";
            messages.push(message);
            if last {
                return messages;
            }
        }
    }

    /// The next message, which must be an error: its code, and where in the data of a copy it was found.
    pub async fn next_error(&mut self) -> [String; 2] {
        let read =
            tokio::time::timeout(PATIENCE, self.read_message()).await.expect("the server answers in time");
        let (kind, body) = read.expect("the server is there");
        assert_eq!(kind, b'E', "{}", show(kind, &body));
        [b'C', b'W'].map(|kind| field(&body, kind))
    }

    async fn read(&mut self) -> String {
        match self.read_message().await {
            Some((kind, body)) => show(kind, &body),
            None => "gone".to_owned(),
        }
    }

    async fn read_message(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let mut body = vec![0; length - 4];
        self.stream.read_exact(&mut body).await.expect("messages are whole");
        Some((head[0], body))
    }
}

pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &packet(body)].concat()
}

/// Bytes with their length before them.
pub fn packet(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("tests send little");
    [&length.to_be_bytes()[..], body].concat()
}

/// Parse with parameter types, by OID.
pub fn parse(name: &str, sql: &str, oids: &[u32]) -> Vec<u8> {
    let mut body = format!("{name}\0{sql}\0").into_bytes();
    body.extend(u16::try_from(oids.len()).expect("few").to_be_bytes());
    oids.iter().for_each(|oid| body.extend(oid.to_be_bytes()));
    message(b'P', &body)
}

/// Bind with text parameters, and one format for all results.
pub fn bind(portal: &str, statement: &str, parameters: &[&str], result_format: i16) -> Vec<u8> {
    let mut body = format!("{portal}\0{statement}\0").into_bytes();
    body.extend(0i16.to_be_bytes());
    body.extend(u16::try_from(parameters.len()).expect("few").to_be_bytes());
    parameters.iter().for_each(|parameter| body.extend(packet_of_value(parameter.as_bytes())));
    body.extend(1i16.to_be_bytes());
    body.extend(result_format.to_be_bytes());
    message(b'B', &body)
}

fn packet_of_value(value: &[u8]) -> Vec<u8> {
    let length = u32::try_from(value.len()).expect("short");
    [&length.to_be_bytes()[..], value].concat()
}

pub fn describe(target: char, name: &str) -> Vec<u8> {
    message(b'D', format!("{target}{name}\0").as_bytes())
}

pub fn close(target: char, name: &str) -> Vec<u8> {
    message(b'C', format!("{target}{name}\0").as_bytes())
}

pub fn execute(portal: &str, rows_max: i32) -> Vec<u8> {
    message(b'E', &[format!("{portal}\0").as_bytes(), &rows_max.to_be_bytes()].concat())
}

pub fn sync() -> Vec<u8> {
    message(b'S', b"")
}

/// `D 1|x|NULL`, `C SELECT 1`, `E 42601`, `T a:23 b:25`, `Z I`, `G 0 2` and `H 0 2` with format and columns of a copy,
/// `d a\tb\n`, and the kind alone for the others.
fn show(kind: u8, body: &[u8]) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches('\0').replace('\0', "=");
    match kind {
        b'D' => format!("D {}", values(body).join("|")),
        b'T' => format!("T {}", columns(body).join(" ")),
        b't' => format!(
            "t {}",
            body[2..].chunks(4).map(|oid| number(oid).to_string()).collect::<Vec<_>>().join(" ")
        ),
        b'E' | b'N' => format!("{} {}", char::from(kind), field(body, b'C')),
        b'R' => format!("R {}", number(&body[..4])),
        b'A' => format!("A {}", String::from_utf8_lossy(&body[4..body.len() - 1]).replace('\0', "=")),
        b'K' => format!("K {} {}", number(&body[..4]), number(&body[4..8])),
        b'C' | b'S' | b'Z' => format!("{} {}", char::from(kind), text(body)),
        b'G' | b'H' => format!("{} {} {}", char::from(kind), body[0], number(&body[1..3])),
        b'd' => format!("d {}", body.escape_ascii()),
        other => char::from(other).to_string(),
    }
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |sum, byte| (sum << 8) | u32::from(*byte))
}

fn values(body: &[u8]) -> Vec<String> {
    let mut rest = &body[2..];
    let mut values = Vec::new();
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let length = i32::from_be_bytes(*length);
        let (value, tail) = tail.split_at(usize::try_from(length).unwrap_or(0));
        values.push(if length < 0 { "NULL".to_owned() } else { printable(value) });
        rest = tail;
    }
    values
}

fn printable(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) if !text.contains(|c: char| c.is_control()) => text.to_owned(),
        _ => value.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

fn columns(body: &[u8]) -> Vec<String> {
    let mut rest = &body[2..];
    let mut columns = Vec::new();
    while let Some(end) = rest.iter().position(|byte| *byte == 0) {
        let name = String::from_utf8_lossy(&rest[..end]);
        columns.push(format!("{name}:{}", number(&rest[end + 7..end + 11])));
        rest = &rest[end + 19..];
    }
    columns
}

fn field(body: &[u8], kind: u8) -> String {
    let fields = body.split(|byte| *byte == 0).filter(|field| !field.is_empty());
    let mut found = fields.filter(|field| field[0] == kind).map(|field| String::from_utf8_lossy(&field[1..]));
    found.next().unwrap_or_default().into_owned()
}
