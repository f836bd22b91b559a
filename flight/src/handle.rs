//! What clients are handed to come back with: tokens that name a session, and handles that name what a session has. Both
//! carry a signature (HMAC-SHA-256 with a key that this process alone has), so neither can be made up or changed; a
//! handle's is made with its session, so it is worth nothing in another. They end with the process.
//!
//! ```text
//! token   session (16 bytes)  issued (8)  ends (8)  signature (32), in base64url; times are seconds since the start
//! handle  kind (1)  number (8)  signature (16)
//! ```

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use bytes::Bytes;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use tarn_sql::{Error, SqlState};

/// How long a token is good for. A new one is sent along when half of the time is over.
const TOKEN_LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

const SESSION_BYTES: usize = 16;
const SIGNATURE_BYTES: usize = 32;
const TOKEN_BYTES: usize = SESSION_BYTES + 8 + 8 + SIGNATURE_BYTES;
const HANDLE_SIGNATURE_BYTES: usize = 16;
const HANDLE_BYTES: usize = 1 + 8 + HANDLE_SIGNATURE_BYTES;

/// Names a session; nobody can guess it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GuestId(pub [u8; SESSION_BYTES]);

/// What a handle names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A prepared statement.
    Statement,
    /// The rows of a statement.
    Result,
    Transaction,
    Savepoint,
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Kind::Statement => b'P',
            Kind::Result => b'R',
            Kind::Transaction => b'T',
            Kind::Savepoint => b'S',
        }
    }

    /// As an error names it, and its code.
    fn missing(self) -> (&'static str, SqlState) {
        match self {
            Kind::Statement => ("prepared statement", SqlState::INVALID_STATEMENT_NAME),
            Kind::Result => ("result", SqlState::INVALID_CURSOR_NAME),
            Kind::Transaction => ("transaction", SqlState::NO_ACTIVE_SQL_TRANSACTION),
            Kind::Savepoint => ("savepoint", SqlState::INVALID_SAVEPOINT),
        }
    }
}

/// The error of a handle whose thing is gone.
pub fn gone(kind: Kind) -> Error {
    let (what, sqlstate) = kind.missing();
    Error::new(sqlstate, format!("this {what} does not exist"))
        .with_hint("It was closed, or was not used for too long; make a new one.")
}

/// A token that has been checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    pub guest: GuestId,
    /// It is time for a new one.
    pub is_old: bool,
}

/// Signs, and checks what it has signed.
pub struct Signer {
    key: [u8; SIGNATURE_BYTES],
    started: Instant,
}

impl Signer {
    pub fn new(key: [u8; SIGNATURE_BYTES]) -> Signer {
        Signer { key, started: Instant::now() }
    }

    /// A token for a session.
    pub fn token(&self, guest: GuestId) -> String {
        self.token_at(guest, self.started.elapsed())
    }

    fn token_at(&self, guest: GuestId, now: Duration) -> String {
        let mut token = Vec::with_capacity(TOKEN_BYTES);
        token.extend(guest.0);
        token.extend(now.as_secs().to_be_bytes());
        token.extend((now + TOKEN_LIFETIME).as_secs().to_be_bytes());
        let signature = self.mac(&[b"token", &token]).finalize().into_bytes();
        token.extend(signature);
        BASE64URL.encode(token)
    }

    /// The session of a token, if it is ours and its time is not over.
    pub fn read_token(&self, text: &str) -> Option<Token> {
        self.read_token_at(text, self.started.elapsed())
    }

    fn read_token_at(&self, text: &str, now: Duration) -> Option<Token> {
        let token = BASE64URL.decode(text).ok().filter(|token| token.len() == TOKEN_BYTES)?;
        let (signed, signature) = token.split_at(TOKEN_BYTES - SIGNATURE_BYTES);
        self.mac(&[b"token", signed]).verify_slice(signature).ok()?;
        let (guest, times) = signed.split_at(SESSION_BYTES);
        let (issued, ends) = times.split_at(8);
        let seconds = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_be_bytes);
        let (issued, ends) = (seconds(issued)?, seconds(ends)?);
        let is_old = now.as_secs() > issued + TOKEN_LIFETIME.as_secs() / 2;
        let guest = GuestId(guest.try_into().ok()?);
        (now.as_secs() < ends).then_some(Token { guest, is_old })
    }

    /// A handle for a thing of a session.
    pub fn handle(&self, guest: GuestId, kind: Kind, number: u64) -> Bytes {
        let mut handle = Vec::with_capacity(HANDLE_BYTES);
        handle.push(kind.byte());
        handle.extend(number.to_be_bytes());
        let signature = self.mac(&[b"handle", &guest.0, &handle]).finalize().into_bytes();
        handle.extend(&signature[..HANDLE_SIGNATURE_BYTES]);
        handle.into()
    }

    /// The number of a thing, if the handle is of this session and of this kind.
    ///
    /// # Errors
    ///
    /// 42501 for a handle that was changed, made up or given to another session.
    pub fn read_handle(&self, guest: GuestId, kind: Kind, handle: &[u8]) -> Result<u64, Error> {
        let foreign = || {
            let message = format!("this handle of a {} was not given to this session", kind.missing().0);
            Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message)
        };
        if handle.len() != HANDLE_BYTES || handle[0] != kind.byte() {
            return Err(foreign());
        }
        let (signed, signature) = handle.split_at(HANDLE_BYTES - HANDLE_SIGNATURE_BYTES);
        let mac = self.mac(&[b"handle", &guest.0, signed]);
        mac.verify_truncated_left(signature).map_err(|_| foreign())?;
        let number = signed[1..].try_into().map(u64::from_be_bytes);
        number.map_err(|_| foreign())
    }

    /// What stands for a secret in memory.
    pub fn fingerprint(&self, secret: &[u8]) -> [u8; SIGNATURE_BYTES] {
        self.mac(&[b"secret", secret]).finalize().into_bytes().into()
    }

    fn mac(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes a key of any length");
        parts.iter().for_each(|part| mac.update(part));
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANNA: GuestId = GuestId([1; SESSION_BYTES]);
    const BERT: GuestId = GuestId([2; SESSION_BYTES]);

    fn at(hours: u64) -> Duration {
        Duration::from_secs(hours * 3600)
    }

    #[test]
    fn a_token_names_its_session_until_it_ends() {
        let signer = Signer::new([7; 32]);
        let token = signer.token_at(ANNA, at(1));
        let check = |now, expect| assert_eq!(signer.read_token_at(&token, at(now)), expect, "{now}");
        check(1, Some(Token { guest: ANNA, is_old: false }));
        check(12, Some(Token { guest: ANNA, is_old: true }));
        check(13, None);
    }

    #[test]
    fn a_token_cannot_be_made_or_changed() {
        let signer = Signer::new([7; 32]);
        let token = signer.token_at(ANNA, at(1));
        let bytes = BASE64URL.decode(&token).expect("base64");
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            assert_eq!(signer.read_token_at(&BASE64URL.encode(changed), at(1)), None, "byte {place}");
        }
        assert_eq!(Signer::new([8; 32]).read_token_at(&token, at(1)), None, "of another process");
        for text in ["", "none", &token[1..], &format!("{token}AAAA")] {
            assert_eq!(signer.read_token_at(text, at(1)), None, "{text}");
        }
    }

    #[test]
    fn a_handle_is_of_one_session_and_kind() {
        let signer = Signer::new([7; 32]);
        let handle = signer.handle(ANNA, Kind::Result, 42);
        assert_eq!(signer.read_handle(ANNA, Kind::Result, &handle).ok(), Some(42));
        let refused = |guest, kind, handle: &[u8]| {
            let error = signer.read_handle(guest, kind, handle).expect_err("it is not a handle");
            assert_eq!(error.sqlstate, SqlState::INSUFFICIENT_PRIVILEGE);
        };
        refused(BERT, Kind::Result, &handle);
        refused(ANNA, Kind::Statement, &handle);
        refused(ANNA, Kind::Result, &handle[1..]);
        refused(ANNA, Kind::Result, b"");
        for place in 0..handle.len() {
            let mut changed = handle.to_vec();
            changed[place] ^= 1;
            refused(ANNA, Kind::Result, &changed);
        }
        // The signature is not worth anything under another kind's byte.
        let mut relabelled = handle.to_vec();
        relabelled[0] = Kind::Statement.byte();
        refused(ANNA, Kind::Statement, &relabelled);
    }
}
