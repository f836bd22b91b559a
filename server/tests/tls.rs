//! Encrypted connections: who gets one, who must have one, and that nothing slips in before it.

mod support;

use std::net::IpAddr;
use std::sync::Arc;

use support::{Running, Wire, packet, start_with};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::WantsClientCert;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, ConfigBuilder, RootCertStore, SupportedProtocolVersion};

const SSL_REQUEST: [u8; 4] = 80_877_103u32.to_be_bytes();
const STARTUP: &[u8] = b"\0\x03\0\0user\0tarn\0database\0lake\0\0";
const SELF_SIGNED: &str = "[tls]\nself_signed = true\n";

/// A client that trusts the server's own certificate and checks its name.
fn connector(running: &Running, version: &'static SupportedProtocolVersion, alpn: bool) -> TlsConnector {
    let mut config = config(running, version).with_no_client_auth();
    if alpn {
        config.alpn_protocols = vec![b"postgresql".to_vec()];
    }
    TlsConnector::from(Arc::new(config))
}

fn config(
    running: &Running,
    version: &'static SupportedProtocolVersion,
) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    let file = running.folder.path().join("data/tls.crt");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(file).expect("the server made one")).expect("a good certificate");
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .expect("it knows the version");
    builder.with_root_certificates(roots)
}

async fn begin_tls(
    stream: TcpStream,
    connector: TlsConnector,
) -> std::io::Result<Wire<TlsStream<TcpStream>>> {
    let name = ServerName::from(IpAddr::from([127, 0, 0, 1]));
    Ok(Wire { stream: connector.connect(name, stream).await? })
}

/// Asks for encryption, and gets it.
async fn encrypted(
    running: &Running,
    version: &'static SupportedProtocolVersion,
) -> Wire<TlsStream<TcpStream>> {
    let mut wire = running.dial().await;
    wire.send(&packet(&SSL_REQUEST)).await;
    assert_eq!(wire.stream.read_u8().await.ok(), Some(b'S'));
    begin_tls(wire.stream, connector(running, version, false)).await.expect("a handshake")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rest_door_is_within_tls_too() {
    let running = start_with("[tls]\nself_signed = true\nrequired = true\n").await;
    let stream = TcpStream::connect(running.server.addresses().http).await.expect("the server listens");
    let mut wire = begin_tls(stream, connector(&running, &TLS13, false)).await.expect("a handshake");
    wire.send(b"GET /v1/config HTTP/1.0\r\nHost: test\r\n\r\n").await;
    let mut answer = String::new();
    wire.stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.contains(" 401 "), "{answer}");
    let clear = running.get("/v1/config").await;
    assert!(clear.contains(" 403 ") && clear.contains("encrypted"), "{clear}");
    assert!(running.get("/healthz").await.contains(" 200 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_runs_within_tls() {
    let running = start_with(SELF_SIGNED).await;
    for version in [&TLS12, &TLS13] {
        let mut wire = encrypted(&running, version).await;
        wire.startup(&[("user", "tarn"), ("database", "lake")]).await;
        assert_eq!(wire.until_ready().await.last().map(String::as_str), Some("Z I"));
        // More than one record in each direction.
        let text = "x".repeat(100_000);
        wire.query(&format!("SELECT '{text}' FROM generate_series(1, 20)")).await;
        let messages = wire.until_ready().await;
        assert_eq!(messages.iter().filter(|message| **message == format!("D {text}")).count(), 20);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_may_begin_at_once() {
    let running = start_with(SELF_SIGNED).await;
    let wire = running.dial().await;
    let mut wire = begin_tls(wire.stream, connector(&running, &TLS13, true))
        .await
        .expect("a handshake without a request");
    assert_eq!(wire.stream.get_ref().1.alpn_protocol(), Some(&b"postgresql"[..]));
    wire.startup(&[("user", "tarn"), ("database", "lake")]).await;
    assert_eq!(wire.until_ready().await.last().map(String::as_str), Some("Z I"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_in_clear_is_refused_where_tls_is_required() {
    for (settings, expect) in
        [("[tls]\nself_signed = true\nrequired = true", vec!["E 28000", "gone"]), (SELF_SIGNED, vec!["Z I"])]
    {
        let running = start_with(settings).await;
        let mut wire = running.dial().await;
        wire.startup(&[("user", "tarn"), ("database", "lake")]).await;
        let messages = wire.until_ready().await;
        assert_eq!(messages[messages.len() - expect.len()..], expect, "{settings}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_in_clear_slips_into_an_encrypted_session() {
    let running = start_with(SELF_SIGNED).await;
    let mut wire = running.dial().await;
    let injected = [packet(&SSL_REQUEST), packet(b"\0\x03\0\0user\0tarn\0\0")].concat();
    wire.send(&injected).await;
    assert_eq!(wire.until_ready().await, ["E 08P01", "gone"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_handshake_ends_the_connection_and_nothing_else() {
    let running = start_with(SELF_SIGNED).await;
    let mut wire = running.dial().await;
    wire.send(&packet(&SSL_REQUEST)).await;
    assert_eq!(wire.stream.read_u8().await.ok(), Some(b'S'));
    wire.stream.write_all(b"this is no handshake, whatever it is").await.expect("the server reads");
    let mut rest = Vec::new();
    // An alert may come first; then it is over.
    let _ = wire.stream.read_to_end(&mut rest).await;
    assert!(rest.len() < 100, "{rest:?}");
    let mut next = encrypted(&running, &TLS13).await;
    next.startup(&[("user", "tarn"), ("database", "lake")]).await;
    assert_eq!(next.until_ready().await.last().map(String::as_str), Some("Z I"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_needs_a_certificate_where_authorities_are_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let client = rcgen::generate_simple_self_signed(["client".to_owned()]).expect("a certificate");
    let authorities = folder.path().join("clients.pem");
    std::fs::write(&authorities, client.cert.pem()).expect("a writable folder");
    let settings = format!("{SELF_SIGNED}client_authorities = '{}'\n", authorities.display());
    let running = start_with(&settings).await;
    for (name, key) in [
        ("client", &client),
        ("other", &rcgen::generate_simple_self_signed(["other".to_owned()]).expect("one more")),
    ] {
        let der = PrivateKeyDer::from_pem_slice(key.signing_key.serialize_pem().as_bytes()).expect("a key");
        let config = config(&running, &TLS13).with_client_auth_cert(vec![key.cert.der().clone()], der);
        let connector = TlsConnector::from(Arc::new(config.expect("they belong together")));
        let mut wire = running.dial().await;
        wire.send(&packet(&SSL_REQUEST)).await;
        assert_eq!(wire.stream.read_u8().await.ok(), Some(b'S'));
        // The client has ended its handshake before the server says what it thinks of the certificate.
        let mut wire = begin_tls(wire.stream, connector).await.expect("a handshake");
        let mut answer = [0];
        // If it is not let in, it may not get so far.
        let _ = wire.stream.write_all(&packet(STARTUP)).await;
        let let_in = wire.stream.read_exact(&mut answer).await.is_ok();
        assert_eq!(let_in, name == "client");
    }
    let mut bare =
        begin_tls(running.dial().await.stream, connector(&running, &TLS13, true)).await.expect("a handshake");
    let mut answer = [0];
    let _ = bare.stream.write_all(&packet(STARTUP)).await;
    assert!(bare.stream.read_exact(&mut answer).await.is_err(), "a client without a certificate is let in");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_stays_over_a_restart_and_its_key_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let running = start_with(SELF_SIGNED).await;
    let data = running.folder.path().join("data");
    let before = std::fs::read(data.join("tls.crt")).expect("the server made one");
    let mode = std::fs::metadata(data.join("tls.key")).expect("and a key").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let Running { server, folder } = running;
    server.stop().await;
    let settings = support::load(folder.path(), SELF_SIGNED);
    let server = tarn_server::Server::start(settings).await.expect("it starts again");
    assert_eq!(std::fs::read(data.join("tls.crt")).expect("it is still there"), before);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_certificate_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("wrong.pem");
    std::fs::write(&file, "not a certificate").expect("a writable folder");
    let text = format!("[tls]\ncertificate = '{0}'\nkey = '{0}'\n", file.display());
    let settings = support::load(folder.path(), &text);
    let error = tarn_server::Server::start(settings).await.err().expect("it does not start").to_string();
    assert!(error.contains("wrong.pem"), "{error}");
}
