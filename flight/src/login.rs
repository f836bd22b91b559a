//! Who calls: the `authorization` header of a call, a token (`Bearer`) or user and password (`Basic`), or what a handshake
//! carries. Whoever comes with a password is given a token in the header of the answer, and clients send it from then on.

use arrow_flight::BasicAuth;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use prost::Message;
use tarn_sql::{Error, SqlState};
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::{Extensions, Response};

use crate::guest::Visit;
use crate::guests::Guests;
use crate::serve::Peer;

/// Clients written in Go leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Where credentials come, and tokens go.
const AUTHORIZATION: &str = "authorization";

/// Where clients of the older handshake send the token that they were given.
const OLD_TOKEN: &str = "auth-token-bin";

/// The longest name of a client's program that is kept, characters.
const CLIENT_NAME_MAX: usize = 64;

/// What a call proves its right with.
#[derive(Debug, PartialEq, Eq)]
enum Credentials {
    Password { user: String, password: String },
    Token(String),
}

/// A call whose session is known.
pub struct Entry {
    pub visit: Visit,
    /// A token to go with the answer.
    token: Option<String>,
}

impl Entry {
    /// The answer, with the token if there is one.
    pub fn respond<T>(&self, message: T) -> Response<T> {
        let mut response = Response::new(message);
        let header = self.token.as_ref().and_then(|token| bearer(token));
        if let Some(header) = header {
            response.metadata_mut().insert(AUTHORIZATION, header);
        }
        response
    }
}

/// Finds the session of a call.
///
/// # Errors
///
/// 28000 without credentials, and as the login or the token is wrong.
pub async fn enter(guests: &Guests, metadata: &MetadataMap, extensions: &Extensions) -> Result<Entry, Error> {
    match credentials(metadata)? {
        Some(Credentials::Token(token)) => {
            let (visit, is_old) = guests.by_token(&token)?;
            let token = is_old.then(|| guests.token(&visit));
            Ok(Entry { visit, token })
        }
        Some(Credentials::Password { user, password }) => {
            let visit =
                guests.by_password(peer(extensions)?, &user, &password, &client_name(metadata)).await?;
            let token = Some(guests.token(&visit));
            Ok(Entry { visit, token })
        }
        None => Err(Error::new(SqlState::INVALID_AUTHORIZATION, "a call without credentials").with_hint(
            "Send user and password as Basic in the header \"authorization\"; a user without a password sends none.",
        )),
    }
}

/// Begins a session for a handshake, whose credentials are in the header or in its first message. Gives the token, too.
///
/// # Errors
///
/// As [`enter`].
pub async fn shake_hands(
    guests: &Guests,
    metadata: &MetadataMap,
    extensions: &Extensions,
    payload: &[u8],
) -> Result<(Entry, String), Error> {
    let (user, password) = match credentials(metadata)? {
        Some(Credentials::Password { user, password }) => (user, password),
        Some(Credentials::Token(_)) => {
            let entry = enter(guests, metadata, extensions).await?;
            let token = guests.token(&entry.visit);
            return Ok((Entry { visit: entry.visit, token: Some(token.clone()) }, token));
        }
        None => {
            let message = BasicAuth::decode(payload).ok().filter(|message| !message.username.is_empty());
            let message = message.ok_or_else(|| {
                Error::new(SqlState::INVALID_AUTHORIZATION, "a handshake without user and password")
            })?;
            (message.username, message.password)
        }
    };
    let from = peer(extensions)?.address;
    let visit = guests.log_in(from, &user, &password, &client_name(metadata)).await?;
    let token = guests.token(&visit);
    Ok((Entry { visit, token: Some(token.clone()) }, token))
}

fn peer(extensions: &Extensions) -> Result<Peer, Error> {
    extensions.get::<Peer>().copied().ok_or_else(|| Error::internal("a call that came from nowhere"))
}

fn credentials(metadata: &MetadataMap) -> Result<Option<Credentials>, Error> {
    if let Some(token) = metadata.get_bin(OLD_TOKEN) {
        let token = token.to_bytes().ok().and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
        return token.map(|token| Some(Credentials::Token(token))).ok_or_else(malformed);
    }
    let Some(header) = metadata.get(AUTHORIZATION) else { return Ok(None) };
    header.to_str().ok().and_then(read_header).map(Some).ok_or_else(malformed)
}

fn read_header(header: &str) -> Option<Credentials> {
    let (scheme, value) = header.trim().split_once(' ')?;
    let value = value.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Credentials::Token(value.to_owned()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(BASE64.decode(value).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    let (user, password) = (user.to_owned(), password.to_owned());
    (!user.is_empty()).then_some(Credentials::Password { user, password })
}

fn malformed() -> Error {
    Error::new(SqlState::INVALID_AUTHORIZATION, "the header \"authorization\" cannot be read")
        .with_hint("It is \"Basic\" with user:password in base64, or \"Bearer\" with a token of this server.")
}

fn bearer(token: &str) -> Option<MetadataValue<Ascii>> {
    format!("Bearer {token}").parse().ok()
}

fn client_name(metadata: &MetadataMap) -> String {
    let agent = metadata.get("user-agent").and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    agent.chars().take(CLIENT_NAME_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read() {
        let password = |user: &str, password: &str| {
            Some(Credentials::Password { user: user.to_owned(), password: password.to_owned() })
        };
        let basic = |text: &str| format!("Basic {}", BASE64.encode(text));
        assert_eq!(read_header(&basic("anna:pencil")), password("anna", "pencil"));
        assert_eq!(read_header(&basic("anna:")), password("anna", ""));
        assert_eq!(read_header("Basic YW5uYTo"), password("anna", ""));
        assert_eq!(read_header("Basic YW5uYTo="), password("anna", ""));
        assert_eq!(read_header(&basic("anna:a:b")), password("anna", "a:b"));
        assert_eq!(read_header("bearer abc"), Some(Credentials::Token("abc".to_owned())));
        for wrong in ["", "Basic", "Basic ?", "Negotiate abc", &basic("anna"), &basic(":pencil"), &basic("")]
        {
            assert_eq!(read_header(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_header_that_cannot_be_read_is_no_missing_one() {
        let mut metadata = MetadataMap::new();
        assert_eq!(credentials(&metadata).ok(), Some(None));
        metadata.insert(AUTHORIZATION, "Digest abc".parse().expect("ASCII"));
        let error = credentials(&metadata).expect_err("it is not ours");
        assert_eq!(error.sqlstate, SqlState::INVALID_AUTHORIZATION);
    }
}
