//! Section `[listen]`: the addresses of the doors.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::layers::{Layers, Result};

/// Where the server listens. Port 0 picks a free one.
#[derive(Debug, Clone)]
pub struct Listen {
    /// PostgreSQL protocol, an address and port. Default `127.0.0.1:5439`.
    pub postgres: SocketAddr,
    /// Health and metrics over HTTP, an address and port. Default `127.0.0.1:8181`.
    pub http: SocketAddr,
}

impl Listen {
    pub fn from_layers(layers: &Layers) -> Result<Listen> {
        let loopback = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        Ok(Listen {
            postgres: layers.get("listen.postgres", address)?.unwrap_or_else(|| loopback(5439)),
            http: layers.get("listen.http", address)?.unwrap_or_else(|| loopback(8181)),
        })
    }
}

/// An address that only this machine can reach: without TLS, passwords and data would cross any other in clear.
fn address(text: &str) -> Result<SocketAddr, String> {
    let numeric = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    let address = numeric
        .parse::<SocketAddr>()
        .map_err(|_| "give an IP address and a port, such as 127.0.0.1:5439".to_owned())?;
    if !address.ip().is_loopback() {
        return Err(
            "only a loopback address can be listened on, because any other needs TLS, which this version \
                    does not have; use 127.0.0.1 and an SSH tunnel or a TLS proxy in front of it"
                .to_owned(),
        );
    }
    Ok(address)
}
