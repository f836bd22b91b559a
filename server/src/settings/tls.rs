//! Section `[tls]`: encryption of connections to the PostgreSQL and Flight SQL doors.

use std::path::{Path, PathBuf};

use super::layers::{Error, Layers, Result};
use super::storage::absolute;
use super::value;

/// The server's certificate, and who must use it.
#[derive(Debug, Clone)]
pub struct Tls {
    /// PEM file with the server's certificate, then those of the authorities in between.
    pub certificate: PathBuf,
    /// PEM file with its private key.
    pub key: PathBuf,
    /// PEM file with the authorities one of which must have signed a client's certificate, besides the password. Default:
    /// clients need no certificate.
    pub client_authorities: Option<PathBuf>,
    /// `tls.self_signed`: both files lie in the data folder, and are made if they are missing.
    pub self_signed: bool,
    /// Whether a session in clear is refused from this machine too; from others it always is. Default: no.
    pub required: bool,
}

impl Tls {
    /// None for a server without TLS.
    pub fn from_layers(layers: &Layers, data_dir: &Path) -> Result<Option<Tls>> {
        let certificate = layers.get("tls.certificate", value::text)?;
        let key = layers.get("tls.key", value::text)?;
        let self_signed = layers.get("tls.self_signed", value::boolean)?.unwrap_or(false);
        let required = layers.get("tls.required", value::boolean)?.unwrap_or(false);
        let client_authorities = layers.get("tls.client_authorities", value::text)?;
        let client_authorities = client_authorities.map(|path| absolute(Path::new(&path))).transpose()?;
        let (certificate, key) = match (certificate, key) {
            (Some(certificate), Some(key)) if !self_signed => {
                (absolute(Path::new(&certificate))?, absolute(Path::new(&key))?)
            }
            (None, None) if self_signed => (data_dir.join("tls.crt"), data_dir.join("tls.key")),
            (None, None) if required || client_authorities.is_some() => {
                return Err(Error::new(
                    "tls.required (TARN_TLS_REQUIRED) and tls.client_authorities (TARN_TLS_CLIENT_AUTHORITIES) need a \
                     certificate: give tls.certificate and tls.key, or tls.self_signed = true",
                ));
            }
            (None, None) => return Ok(None),
            _ => {
                return Err(Error::new(
                    "give tls.certificate and tls.key together (TARN_TLS_CERTIFICATE, TARN_TLS_KEY), or \
                     tls.self_signed = true (TARN_TLS_SELF_SIGNED) alone",
                ));
            }
        };
        Ok(Some(Tls { certificate, key, client_authorities, self_signed, required }))
    }
}
