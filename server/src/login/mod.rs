//! Who comes in: the rules of decision 2. A role without a password is let in from this machine and from nowhere else; a
//! role with one must prove it; a role that does not exist is asked like one with a password and then refused, so
//! that nobody learns which names exist. No messages here; `postgres/startup.rs`, `../flight.rs` and `../rest/login.rs` speak to clients.

pub mod password;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use tarn_catalog::{Catalog, Error, ErrorKind, Reader};
use tarn_sql::Result;

use password::Verifier;

/// What a user must do to come in.
pub enum Demand {
    Nothing,
    Password(Verifier),
}

/// Where the key for made-up verifiers is kept, in the data folder: with a new one at each start, a restart would
/// show which roles are real.
const KEY_FILE: &str = "login.key";
const KEY_BYTES: usize = 32;

/// The roles of the catalog, as far as login needs them.
pub struct Roles {
    catalog: Arc<Catalog>,
    key: Vec<u8>,
}

impl Roles {
    pub fn open(catalog: Arc<Catalog>, data_dir: &Path) -> Result<Roles> {
        let key = read_or_make_key(&catalog, &data_dir.join(KEY_FILE))?;
        Ok(Roles { catalog, key })
    }

    /// What `user` must do to come in from an address.
    pub fn demand(&self, user: &str, from: IpAddr) -> Result<Demand> {
        let Some(role) = self.catalog.reader().role(user)? else {
            return Ok(Demand::Password(password::made_up(user, &self.key)));
        };
        Ok(match role.verifier {
            None if from.is_loopback() => Demand::Nothing,
            // It is refused as if it did not exist.
            None => Demand::Password(password::made_up(user, &self.key)),
            Some(verifier) => Demand::Password(Verifier {
                salt: verifier.salt.clone(),
                iterations: verifier.iterations,
                stored_key: verifier.stored_key.expose().clone(),
                server_key: verifier.server_key.expose().clone(),
                made_up: false,
            }),
        })
    }

    /// Whether a user who proved the password, or needs none, may have a session.
    pub fn may_log_in(&self, user: &str) -> Result<bool> {
        Ok(self.catalog.reader().role(user)?.is_some_and(|role| role.login))
    }

    /// Whether a user may come in from an address with a password as it is, without an exchange.
    pub fn passes(&self, user: &str, password: &str, from: IpAddr) -> Result<bool> {
        Ok(match self.demand(user, from)? {
            Demand::Nothing => true,
            Demand::Password(verifier) => verifier.opens_with(password),
        })
    }

    /// The catalog as it is now.
    pub fn reader(&self) -> Reader {
        self.catalog.reader()
    }

    /// Signs bytes with a key that this data folder alone has, for one purpose.
    pub fn sign(&self, purpose: &str, bytes: &[u8]) -> [u8; 32] {
        let key = password::sign(&self.key, purpose.as_bytes());
        password::sign(&key, bytes)
    }

    /// The wall clock, in milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> i64 {
        self.catalog.env().now_ms()
    }

    /// Fills `bytes` with random bytes fit for nonces and keys.
    pub fn random(&self, bytes: &mut [u8]) {
        self.catalog.env().random(bytes);
    }
}

fn read_or_make_key(catalog: &Catalog, path: &Path) -> Result<Vec<u8>, Error> {
    match std::fs::read(path) {
        Ok(key) if key.len() == KEY_BYTES => return Ok(key),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(unusable(path, error)),
    }
    let mut key = vec![0; KEY_BYTES];
    catalog.env().random(&mut key);
    write_private(path, &key).map_err(|error| unusable(path, error))?;
    Ok(key)
}

/// Writes a file that nobody else may read.
pub fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn unusable(path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Storage, format!("cannot use the file {}", path.display())).with_source(error)
}
