//! From an open socket to a session: encryption requests, the start-up packet, the password, and what the client is
//! told before its first statement (PostgreSQL 15, §55.2.1).
//!
//! ```text
//! client: SSLRequest                      server: S and TLS, or N without a certificate
//! client: GSSENCRequest                   server: N
//! client: StartupMessage                  server: SASL ... (only for a role with a password)
//! client: SASLInitialResponse             server: SASLContinue
//! client: SASLResponse                    server: SASLFinal, Ok, ParameterStatus ..., BackendKeyData, ReadyForQuery
//! ```

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::{Buf, Bytes};
use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::response::{GssEncResponse, SslResponse};
use pgwire::messages::startup::{Authentication, NegotiateProtocolVersion};
use tarn_sql::{Login, Session};
use tokio::io::AsyncRead;
use tokio_rustls::TlsAcceptor;

use super::cancel::Key;
use super::error::{Failure, Report};
use super::frame::{Body, Frames};
use super::output::Output;
use super::socket::{self, Receiver};
use super::{Door, Encryption};
use crate::login::{Demand, password};

const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;
const PROTOCOL_MAJOR: u32 = 3;

/// What a new connection is for.
#[derive(Debug, PartialEq, Eq)]
pub enum Opening {
    Session(Startup),
    Cancel(Key),
    /// The client went away, as port scanners and health checks do.
    Nothing,
}

/// A start-up packet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Startup {
    pub user: String,
    pub database: String,
    pub application_name: String,
    /// All other settings, the ones in `options` first.
    pub settings: Vec<(String, String)>,
    /// The minor protocol version that was asked for; ours is 0.
    pub minor: u16,
    /// Protocol extensions that were asked for; we have none.
    pub extensions: Vec<String>,
    /// The connection is encrypted.
    pub encrypted: bool,
}

/// Reads up to the start-up packet or cancel request.
pub async fn open(
    frames: &mut Frames<Receiver>,
    output: &mut Output,
    encryption: &Encryption,
) -> Result<Opening, Failure> {
    let mut encrypted = false;
    if let (Some(acceptor), true) = (&encryption.acceptor, frames.socket().begins_with_tls().await?) {
        begin_tls(frames, output, acceptor).await?;
        encrypted = true;
    }
    // Each kind of encryption may be asked for once.
    let mut requests = vec![SSL_REQUEST, GSS_REQUEST];
    loop {
        let Some(mut packet) = frames.startup_packet().await? else { return Ok(Opening::Nothing) };
        let code = packet.get_u32();
        if let Some(place) = requests.iter().position(|request| *request == code) {
            requests.remove(place);
            // What was sent before our answer was not meant for an unencrypted connection; it may be injected.
            if frames.holds_more() {
                return Err(Failure::fatal_protocol("received unencrypted data after an encryption request"));
            }
            let acceptor = encryption.acceptor.as_ref().filter(|_| code == SSL_REQUEST && !encrypted);
            output.put(&match (acceptor, code) {
                (Some(_), _) => Backend::SslResponse(SslResponse::Accept),
                (None, SSL_REQUEST) => Backend::SslResponse(SslResponse::Refuse),
                (None, _) => Backend::GssEncResponse(GssEncResponse::Refuse),
            })?;
            output.flush().await?;
            if let Some(acceptor) = acceptor {
                begin_tls(frames, output, acceptor).await?;
                encrypted = true;
            }
        } else if code == CANCEL_REQUEST {
            if packet.len() != 8 {
                return Err(Failure::fatal_protocol("invalid length of cancel request"));
            }
            return Ok(Opening::Cancel(Key { process: packet.get_i32(), secret: packet.get_i32() }));
        } else {
            let startup = Startup::read(code, &packet)?;
            return Ok(Opening::Session(Startup { encrypted, ..startup }));
        }
    }
}

async fn begin_tls(
    frames: &mut Frames<Receiver>,
    output: &mut Output,
    acceptor: &TlsAcceptor,
) -> Result<(), Failure> {
    socket::encrypt(frames.socket(), output.socket(), acceptor).await?;
    Ok(())
}

/// Refuses a session in clear where it must be encrypted. A client on this machine may go without if the settings let it.
pub fn check_encryption(encryption: &Encryption, startup: &Startup, peer: SocketAddr) -> Result<(), Failure> {
    if startup.encrypted || (peer.ip().is_loopback() && !encryption.required) {
        return Ok(());
    }
    let report = Report::new("28000", "this server accepts encrypted sessions only")
        .with_hint("Connect with sslmode=require, or verify-full and the authority of its certificate.");
    Err(Failure::Fatal(Box::new(report)))
}

impl Startup {
    fn read(version: u32, parameters: &[u8]) -> Result<Startup, Failure> {
        if version >> 16 != PROTOCOL_MAJOR {
            let message = format!("unsupported frontend protocol {}.{}", version >> 16, version & 0xffff);
            let hint = "This server speaks protocol 3.0; use a PostgreSQL client of version 7.4 or later.";
            return Err(Failure::Fatal(Box::new(Report::new("0A000", message).with_hint(hint))));
        }
        let mut named = pairs(parameters)?;
        let user = named
            .remove("user")
            .filter(|user| !user.is_empty())
            .ok_or_else(|| Failure::fatal("28000", "no PostgreSQL user name specified in startup packet"))?;
        let replication = named.remove("replication").unwrap_or_default();
        if !matches!(replication.as_str(), "" | "off" | "false" | "no" | "0") {
            return Err(Failure::fatal("0A000", "replication connections are not supported"));
        }
        let mut settings = command_line(&named.remove("options").unwrap_or_default())?;
        let extensions = named.keys().filter(|name| name.starts_with("_pq_.")).cloned().collect();
        let database = named.remove("database").filter(|database| !database.is_empty());
        let application_name = named.remove("application_name").unwrap_or_default();
        if let Some(encoding) = named.get_mut("client_encoding") {
            // Only letters and digits count in the name of an encoding, and asyncpg sends it in quotes.
            encoding.retain(|c| c.is_ascii_alphanumeric());
        }
        settings.extend(named.into_iter().filter(|(name, _)| !name.starts_with("_pq_.")));
        Ok(Startup {
            // As in PostgreSQL, a client that names no database means the one named like its user.
            database: database.unwrap_or_else(|| user.clone()),
            minor: u16::try_from(version & 0xffff).unwrap_or(u16::MAX),
            user,
            application_name,
            settings,
            extensions,
            encrypted: false,
        })
    }
}

/// Strings in pairs of name and value, ended by an empty name.
fn pairs(bytes: &[u8]) -> Result<BTreeMap<String, String>, Failure> {
    let invalid =
        || Failure::fatal_protocol("invalid startup packet layout: expected terminator as last byte");
    let inner = bytes.strip_suffix(&[0]).ok_or_else(invalid)?;
    let text =
        std::str::from_utf8(inner).map_err(|_| Failure::fatal("22021", "the startup packet is not UTF-8"))?;
    let mut strings = text.split_terminator('\0');
    let mut pairs = BTreeMap::new();
    while let Some(name) = strings.next() {
        pairs.insert(name.to_owned(), strings.next().ok_or_else(invalid)?.to_owned());
    }
    Ok(pairs)
}

/// The settings in a `-c name=value --name=value` text. A backslash keeps the character after it.
fn command_line(text: &str) -> Result<Vec<(String, String)>, Failure> {
    let mut words = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let last = words.last_mut().expect("there is always a word");
        match character {
            '\\' => last.extend(characters.next()),
            space if space.is_ascii_whitespace() => words.push(String::new()),
            other => last.push(other),
        }
    }
    let mut words = words.into_iter().filter(|word| !word.is_empty());
    let mut settings = Vec::new();
    while let Some(word) = words.next() {
        let setting = match (word.as_str(), word.strip_prefix("--"), word.strip_prefix("-c")) {
            ("-c", _, _) => words.next(),
            (_, Some(long), _) => Some(long.to_owned()),
            (_, None, Some(short)) => Some(short.to_owned()),
            _ => None,
        };
        let pair = setting.as_deref().and_then(|setting| setting.split_once('='));
        let Some((name, value)) = pair else {
            return Err(Failure::fatal(
                "42601",
                format!("invalid command-line argument for server process: {word}"),
            ));
        };
        // In this form, and only here, a hyphen may stand for an underscore.
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

/// Lets the user in, or not.
pub async fn log_in<R: AsyncRead + Unpin>(
    door: &Door,
    frames: &mut Frames<R>,
    output: &mut Output,
    startup: &Startup,
    peer: SocketAddr,
) -> Result<(), Failure> {
    let user = &startup.user;
    if let Demand::Password(verifier) = door.roles.demand(user, peer.ip()).map_err(fatal)? {
        let passed = exchange(door, frames, output, verifier).await?;
        if !passed {
            return Err(Failure::fatal(
                "28P01",
                format!("password authentication failed for user \"{user}\""),
            ));
        }
    }
    if !door.roles.may_log_in(user).map_err(fatal)? {
        return Err(Failure::fatal("28000", format!("role \"{user}\" is not permitted to log in")));
    }
    Ok(())
}

/// Tells the client that it is in.
pub fn welcome(output: &mut Output) -> Result<(), Failure> {
    output.put(&Backend::Authentication(Authentication::Ok))
}

/// SCRAM over SASL messages. Whether the password is right.
async fn exchange<R: AsyncRead + Unpin>(
    door: &Door,
    frames: &mut Frames<R>,
    output: &mut Output,
    verifier: password::Verifier,
) -> Result<bool, Failure> {
    let mechanisms = vec![password::MECHANISM.to_owned()];
    output.put(&Backend::Authentication(Authentication::SASL(mechanisms)))?;
    output.flush().await?;
    let first = initial_response(password_message(frames).await?)?;
    let random = |bytes: &mut [u8]| door.roles.random(bytes);
    let exchange = match password::Exchange::begin(verifier, &first, &random) {
        Ok(exchange) => exchange,
        Err(failure) => return wrong(failure),
    };
    let answer = Bytes::copy_from_slice(exchange.server_first().as_bytes());
    output.put(&Backend::Authentication(Authentication::SASLContinue(answer)))?;
    output.flush().await?;
    let last = text(&password_message(frames).await?)?;
    match exchange.finish(&last) {
        Ok(answer) => {
            output.put(&Backend::Authentication(Authentication::SASLFinal(answer.into())))?;
            Ok(true)
        }
        Err(failure) => wrong(failure),
    }
}

fn wrong(failure: password::Failure) -> Result<bool, Failure> {
    match failure {
        password::Failure::WrongPassword => Ok(false),
        password::Failure::Malformed(problem) => {
            Err(Failure::fatal_protocol(format!("malformed SCRAM message: {problem}")))
        }
    }
}

async fn password_message<R: AsyncRead + Unpin>(frames: &mut Frames<R>) -> Result<Bytes, Failure> {
    if let Some(kind) = frames.peek_kind().await?
        && kind != b'p'
    {
        // Its head is enough: a body may be long, and nobody has been let in yet.
        return Err(Failure::fatal_protocol(format!("expected SASL response, got message type {kind}")));
    }
    match frames.next().await?.map(|frame| frame.body) {
        Some(Body::Whole(bytes)) => Ok(bytes),
        Some(Body::Skipped(_)) => Err(Failure::fatal_protocol("a password message is too long")),
        None => Err(Failure::Gone(std::io::ErrorKind::UnexpectedEof.into())),
    }
}

/// The mechanism, the length of its data, and the data.
fn initial_response(mut message: Bytes) -> Result<String, Failure> {
    let invalid = || Failure::fatal_protocol("malformed SASL initial response");
    let end = message.iter().position(|byte| *byte == 0).ok_or_else(invalid)?;
    let mechanism = message.split_to(end);
    if mechanism != password::MECHANISM {
        return Err(Failure::fatal_protocol("client selected an invalid SASL authentication mechanism"));
    }
    message.advance(1);
    if message.len() < 4 || usize::try_from(message.get_i32()) != Ok(message.len()) {
        return Err(invalid());
    }
    text(&message)
}

fn text(bytes: &[u8]) -> Result<String, Failure> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Failure::fatal_protocol("a SASL message is not UTF-8"))
}

/// Opens the session of a user who has been let in.
pub fn session(door: &Door, startup: &Startup, process: i32, peer: SocketAddr) -> Result<Session, Failure> {
    let mut options = door.options();
    options.extend(startup.settings.iter().cloned());
    let login = Login {
        user: startup.user.clone(),
        database: startup.database.clone(),
        application_name: startup.application_name.clone(),
        options,
        backend_pid: process,
        peer: Some(peer),
    };
    door.engine.session(&login).map_err(fatal)
}

/// Tells a client that asked for more than protocol 3.0 what it gets.
pub fn negotiate(startup: &Startup, output: &mut Output) -> Result<(), Failure> {
    if startup.minor == 0 && startup.extensions.is_empty() {
        return Ok(());
    }
    let ours = NegotiateProtocolVersion::new(0, startup.extensions.clone());
    output.put(&Backend::NegotiateProtocolVersion(ours))
}

fn fatal(error: tarn_sql::Error) -> Failure {
    Failure::Fatal(Box::new(Report::from(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION_3_0: u32 = 3 << 16;

    #[test]
    fn packets_are_read() {
        let packet = b"user\0anna\0database\0lake\0application_name\0psql\0options\0-c a=1 --b-c=2\0x\0y\0\0";
        let startup = Startup::read(VERSION_3_0, packet).expect("a good packet");
        let expect = [("a", "1"), ("b_c", "2"), ("x", "y")].map(|(name, value)| (name.into(), value.into()));
        assert_eq!(startup.user, "anna");
        assert_eq!(startup.database, "lake");
        assert_eq!(startup.application_name, "psql");
        assert_eq!(startup.settings, expect);
        let quoted =
            Startup::read(VERSION_3_0, b"user\0anna\0client_encoding\0'utf-8'\0\0").expect("a good packet");
        assert_eq!(quoted.settings, [("client_encoding".to_owned(), "utf8".to_owned())]);
        let alone = Startup::read(VERSION_3_0, b"user\0anna\0\0").expect("a good packet");
        assert_eq!(alone.database, "anna");
        let newer = Startup::read(VERSION_3_0 + 2, b"user\0anna\0_pq_.x\0y\0\0").expect("a good packet");
        assert_eq!((newer.minor, newer.extensions), (2, vec!["_pq_.x".to_owned()]));
        assert!(newer.settings.is_empty());
    }

    #[test]
    fn broken_packets_are_fatal() {
        let check = |version, packet: &[u8], expect: &str| match Startup::read(version, packet) {
            Err(Failure::Fatal(report)) => assert_eq!(report.sqlstate, expect, "{packet:?}"),
            other => panic!("{packet:?}: {other:?}"),
        };
        check(VERSION_3_0, b"", "08P01");
        check(VERSION_3_0, b"user\0anna", "08P01");
        check(VERSION_3_0, b"user\0anna\0odd\0", "08P01");
        check(VERSION_3_0, b"\0", "28000");
        check(VERSION_3_0, b"user\0\0\0", "28000");
        check(VERSION_3_0, b"user\0\xff\0\0", "22021");
        check(2 << 16, b"user\0anna\0\0", "0A000");
        check(VERSION_3_0, b"user\0a\0replication\0database\0\0", "0A000");
        check(VERSION_3_0, b"user\0a\0options\0-z\0\0", "42601");
    }

    #[test]
    fn options_may_hold_spaces() {
        let settings = command_line("-c search_path=a,\\ b -cx=1").expect("good options");
        assert_eq!(settings[0].1, "a, b");
        assert_eq!(settings[1], ("x".to_owned(), "1".to_owned()));
    }
}
