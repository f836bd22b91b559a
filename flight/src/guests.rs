//! All sessions: they begin with a login, are found by their tokens, and end when the client says so, when nobody has
//! called for long, or with the server. A client that sends its password with every call has one session for each of its
//! connections, which ends like the others.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tarn_sql::{Error, SqlState};
use tokio_util::sync::CancellationToken;

use crate::guest::{Client, Guest, Visit};
use crate::handle::{GuestId, Signer};
use crate::host::Host;
use crate::lane::Lane;
use crate::serve::Peer;

/// How long a session may be left alone.
const IDLE_TIME: Duration = Duration::from_secs(60 * 60);

/// How often the server looks whether calls are under way when it is to end, and how often it must have seen none.
const LOOK_TIME: Duration = Duration::from_millis(50);
const QUIET_LOOKS: usize = 4;

/// How often is looked for sessions that were.
const SWEEP_TIME: Duration = Duration::from_secs(5);

/// The sessions of the door.
pub struct Guests {
    host: Arc<dyn Host>,
    signer: Arc<Signer>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    guests: HashMap<GuestId, Arc<Guest>>,
    /// Of clients that send their password with every call: by connection and what stands for user and password.
    by_password: HashMap<(u64, [u8; 32]), GuestId>,
}

impl Guests {
    pub fn new(host: Arc<dyn Host>) -> Arc<Guests> {
        let mut key = [0; 32];
        host.random(&mut key);
        Arc::new(Guests { host, signer: Arc::new(Signer::new(key)), known: Mutex::default() })
    }

    pub fn host(&self) -> &Arc<dyn Host> {
        &self.host
    }

    pub fn token(&self, guest: &Guest) -> String {
        self.signer.token(guest.id)
    }

    /// The session of a token, and whether it is time for a new token.
    ///
    /// # Errors
    ///
    /// 28000 for a token that is not ours or has expired, or whose session has ended.
    pub fn by_token(&self, token: &str) -> Result<(Visit, bool), Error> {
        let refused = |message: &str| {
            Error::new(SqlState::INVALID_AUTHORIZATION, message).with_hint("Log in again for a new token.")
        };
        let token = self.signer.read_token(token);
        let token = token.ok_or_else(|| refused("the token is not valid, or has expired"))?;
        let known = self.known.lock();
        let guest = known.guests.get(&token.guest).ok_or_else(|| refused("the session has ended"))?;
        Ok((guest.visit(), token.is_old))
    }

    /// The session of a client that sends its password with every call; it is new if it has called before with another
    /// password, or on another connection.
    ///
    /// # Errors
    ///
    /// As [`Guests::log_in`].
    pub async fn by_password(
        &self,
        peer: Peer,
        user: &str,
        password: &str,
        client: &str,
    ) -> Result<Visit, Error> {
        let secret = self.signer.fingerprint(format!("{}:{user}{password}", user.len()).as_bytes());
        let place = (peer.connection, secret);
        {
            let known = self.known.lock();
            let id = known.by_password.get(&place);
            if let Some(guest) = id.and_then(|id| known.guests.get(id)) {
                return Ok(guest.visit());
            }
        }
        let visit = self.log_in(peer.address, user, password, client).await?;
        let raced = {
            let mut known = self.known.lock();
            let first = known.by_password.get(&place).and_then(|id| known.guests.get(id)).cloned();
            match first {
                None => {
                    known.by_password.insert(place, visit.id);
                    None
                }
                Some(first) => Some((known.guests.remove(&visit.id), first)),
            }
        };
        match raced {
            // Two first calls at the same time: the one that came later joins the other.
            Some((ours, first)) => {
                if let Some(ours) = ours {
                    ours.close().await;
                }
                Ok(first.visit())
            }
            None => Ok(visit),
        }
    }

    /// Begins a session for whoever proves to be a user.
    ///
    /// # Errors
    ///
    /// As [`Host::admit`] and [`Host::open`].
    pub async fn log_in(
        &self,
        from: SocketAddr,
        user: &str,
        password: &str,
        client: &str,
    ) -> Result<Visit, Error> {
        let (host, name, password) = (Arc::clone(&self.host), user.to_owned(), password.to_owned());
        let admitted = tokio::task::spawn_blocking(move || host.admit(&name, &password, from.ip())).await;
        admitted.map_err(|error| Error::internal(format!("the login broke off: {error}")))??;
        let seat = self.host.open(user, client, from)?;
        let mut id = GuestId([0; 16]);
        self.host.random(&mut id.0);
        let main = Lane::new(Arc::clone(&self.host), seat);
        let shared = (Arc::clone(&self.host), Arc::clone(&self.signer));
        let guest = Guest::new(
            id,
            user.to_owned(),
            Client { program: client.to_owned(), address: from },
            shared,
            main,
        );
        self.known.lock().guests.insert(id, Arc::clone(&guest));
        tracing::debug!(user, client, "session opened");
        Ok(guest.visit())
    }

    /// Ends a session.
    pub async fn close(&self, guest: &Guest) {
        let known = self.known.lock().guests.remove(&guest.id);
        if let Some(guest) = known {
            tracing::debug!(user = guest.user, "session closed");
            guest.close().await;
        }
    }

    /// Ends the sessions that were left alone for too long, again and again.
    pub async fn sweep(self: Arc<Self>, stopping: CancellationToken) {
        while tokio::time::timeout(SWEEP_TIME, stopping.cancelled()).await.is_err() {
            for guest in self.left_alone() {
                tracing::info!(
                    user = guest.user,
                    "a session that was left alone for too long, or told to end, is closed"
                );
                self.close(&guest).await;
            }
        }
    }

    fn left_alone(&self) -> Vec<Arc<Guest>> {
        let mut known = self.known.lock();
        let Known { guests, by_password } = &mut *known;
        by_password.retain(|_, id| guests.contains_key(id));
        let too_long = |guest: &&Arc<Guest>| {
            if guest.is_told_to_end() {
                return true;
            }
            let Some(idle) = guest.idle_time() else { return false };
            idle >= IDLE_TIME || guest.idle_limit().is_some_and(|limit| idle >= limit)
        };
        guests.values().filter(too_long).cloned().collect()
    }

    /// Comes back when the server is to end, and no call has been under way for a moment.
    pub async fn all_quiet_after(&self, stopping: &CancellationToken) {
        stopping.cancelled().await;
        let mut quiet = 0;
        while quiet < QUIET_LOOKS {
            tokio::time::sleep(LOOK_TIME).await;
            let busy = self.known.lock().guests.values().any(|guest| guest.idle_time().is_none());
            quiet = if busy { 0 } else { quiet + 1 };
        }
    }

    /// Ends all sessions.
    pub async fn close_all(&self) {
        let guests = std::mem::take(&mut self.known.lock().guests);
        futures::future::join_all(guests.values().map(|guest| guest.close())).await;
    }
}
