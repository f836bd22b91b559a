//! Section `[listen]`: the addresses of the doors.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::layers::{Layers, Result};

/// Where the server listens. Port 0 picks a free one.
#[derive(Debug, Clone)]
pub struct Listen {
    /// PostgreSQL protocol, an address and port. Default `127.0.0.1:5439`.
    pub postgres: SocketAddr,
    /// Arrow Flight SQL, an address and port. Default `127.0.0.1:32010`.
    pub flight: SocketAddr,
    /// Iceberg REST, health and metrics over HTTP, an address and port. Default `127.0.0.1:8181`.
    pub http: SocketAddr,
}

impl Listen {
    /// `tls` says whether connections can be encrypted.
    pub fn from_layers(layers: &Layers, tls: bool) -> Result<Listen> {
        let loopback = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        Ok(Listen {
            postgres: layers
                .get("listen.postgres", |text| address(text, tls))?
                .unwrap_or_else(|| loopback(5439)),
            flight: layers
                .get("listen.flight", |text| address(text, tls))?
                .unwrap_or_else(|| loopback(32010)),
            http: layers.get("listen.http", |text| address(text, tls))?.unwrap_or_else(|| loopback(8181)),
        })
    }
}

/// Without TLS, an address that only this machine can reach: passwords and data would cross any other in clear.
fn address(text: &str, tls: bool) -> Result<SocketAddr, String> {
    let numeric = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    let address = numeric
        .parse::<SocketAddr>()
        .map_err(|_| "give an IP address and a port, such as 127.0.0.1:5439".to_owned())?;
    if !tls && !address.ip().is_loopback() {
        return Err(
            "only a loopback address can be listened on without TLS; set tls.certificate and tls.key"
                .to_owned(),
        );
    }
    Ok(address)
}
