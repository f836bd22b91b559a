//! The server's side of TLS 1.2 and 1.3: a certificate and its key from PEM files, read once at the start, or made then.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::login::write_private;
use crate::settings::Tls;

/// A protocol's name for clients that begin with TLS at once (ALPN).
pub mod alpn {
    /// PostgreSQL 17, §55.2.12.
    pub const POSTGRESQL: &[u8] = b"postgresql";
    /// gRPC.
    pub const HTTP_2: &[u8] = b"h2";
    /// RFC 7301, §6.
    pub const HTTP_1: &[u8] = b"http/1.1";
}

/// The certificate that is made says that it is for these names; clients that check names want one of their own.
const SELF_SIGNED_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Reads certificate and key for a protocol, and makes them first where the settings say so.
///
/// # Errors
///
/// One line that names the file, if one cannot be read or they do not belong together.
pub fn acceptor(settings: &Tls, protocol: &[u8]) -> Result<TlsAcceptor, String> {
    let unusable =
        |path: &Path, error: &dyn Display| format!("the file {} cannot be used: {error}", path.display());
    let certificate = &settings.certificate;
    if settings.self_signed && !(certificate.exists() && settings.key.exists()) {
        make(settings)?;
    }
    let chain: Vec<CertificateDer> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| unusable(certificate, &error))?;
    if chain.is_empty() {
        return Err(unusable(certificate, &"it holds no certificate in PEM form"));
    }
    let key = PrivateKeyDer::from_pem_file(&settings.key).map_err(|error| unusable(&settings.key, &error))?;
    let clients = clients(settings)?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_client_cert_verifier(clients).with_single_cert(chain, key));
    let mut config = config.map_err(|error| {
        let both = format!("{} and {}", certificate.display(), settings.key.display());
        format!("the certificate and the key ({both}) cannot be used: {error}")
    })?;
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Which certificates clients must have: none, or one of the authorities in the settings.
fn clients(settings: &Tls) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let Some(path) = &settings.client_authorities else { return Ok(WebPkiClientVerifier::no_client_auth()) };
    let unusable = |error: &dyn Display| format!("the file {} cannot be used: {error}", path.display());
    let mut authorities = RootCertStore::empty();
    for authority in CertificateDer::pem_file_iter(path).map_err(|error| unusable(&error))? {
        let authority = authority.map_err(|error| unusable(&error))?;
        authorities.add(authority).map_err(|error| unusable(&error))?;
    }
    let provider = Arc::new(ring::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider)
        .build()
        .map_err(|error| unusable(&error))
}

/// Writes a new key, and a certificate that it signs itself.
fn make(settings: &Tls) -> Result<(), String> {
    let failed = |error: &dyn Display| format!("no certificate can be made: {error}");
    let made = rcgen::generate_simple_self_signed(SELF_SIGNED_NAMES.map(str::to_owned))
        .map_err(|error| failed(&error))?;
    // The key first: a certificate without its key would be taken for one that is there.
    write_private(&settings.key, made.signing_key.serialize_pem().as_bytes())
        .and_then(|()| write_private(&settings.certificate, made.cert.pem().as_bytes()))
        .map_err(|error| failed(&error))?;
    tracing::info!(certificate = %settings.certificate.display(), "made a certificate");
    Ok(())
}
