//! Who calls: a token (`Bearer`), or user and password (`Basic`), of the same roles as at the other doors; and the exchange
//! of a password for a token as OAuth2 has it (RFC 6749 §4.4, RFC 8693). Nobody is let in without saying who they are.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;
use tarn_catalog::Reader;
use tarn_catalog::access::Principal;
use tarn_catalog::object::Role;

use super::answer::Answer;
use super::error::{Error, Result};
use super::request::Request;
use super::token;
use crate::login::Roles;

/// What a token of ours is to OAuth2.
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// Where the caller is. Behind a proxy on this machine everybody seems to be here, and is not.
pub fn address(peer: SocketAddr, headers: &HeaderMap) -> IpAddr {
    let forwarded = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];
    match forwarded.iter().any(|name| headers.contains_key(*name)) {
        true => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        false => peer.ip(),
    }
}

/// The role of a call, with what it is a member of.
///
/// # Errors
///
/// 401 without credentials, with wrong ones, and for a role that may not log in.
pub fn principal(roles: &Roles, reader: &Reader, request: &Request, from: IpAddr) -> Result<Principal> {
    let Some(header) = request.headers.get("authorization") else {
        return Err(Error::unauthorized(
            "a call without credentials: exchange user and password for a token at /v1/oauth/tokens, or send them as Basic",
        ));
    };
    let header = header.to_str().unwrap_or_default().trim();
    let role = match header.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
            by_token(roles, reader, token.trim(), from)?
        }
        Some((scheme, pair)) if scheme.eq_ignore_ascii_case("basic") => {
            let (user, password) =
                basic(pair).ok_or_else(|| Error::unauthorized("the header authorization cannot be read"))?;
            by_password(roles, reader, &user, &password, from)?
        }
        _ => return Err(Error::unauthorized("the header authorization is neither Bearer nor Basic")),
    };
    reader.principal(role.id)?.ok_or_else(|| Error::unauthorized("the role does not exist any more"))
}

fn by_token(roles: &Roles, reader: &Reader, text: &str, from: IpAddr) -> Result<Role> {
    let invalid =
        || Error::unauthorized("the token is not one of this server, or has ended: ask for a new one");
    let claim = token::read(text, roles).ok_or_else(invalid)?;
    let role = reader.role_by_id(claim.role)?.filter(|role| role.login).ok_or_else(invalid)?;
    // Whoever needs no password is let in from this machine only, with a token too.
    let near = role.verifier.is_some() || from.is_loopback();
    if claim.holds(&role, roles) && near { Ok(role) } else { Err(invalid()) }
}

fn by_password(roles: &Roles, reader: &Reader, user: &str, password: &str, from: IpAddr) -> Result<Role> {
    let refused = || Error::unauthorized(format!("password authentication failed for user {user:?}"));
    if !roles.passes(user, password, from).map_err(Error::from)? {
        return Err(refused());
    }
    reader.role(user)?.filter(|role| role.login).ok_or_else(refused)
}

fn basic(pair: &str) -> Option<(String, String)> {
    let text = String::from_utf8(BASE64.decode(pair.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    (!user.is_empty()).then(|| (user.to_owned(), password.to_owned()))
}

/// `POST /v1/oauth/tokens`, whose errors are those of OAuth2.
pub fn token(roles: &Roles, request: &Request, from: IpAddr) -> Answer {
    try_token(roles, request, from).unwrap_or_else(|refused| {
        let body = json!({ "error": refused.code, "error_description": refused.description });
        Answer::text(refused.status, body.to_string())
    })
}

/// Why no token is given.
struct Refused {
    status: StatusCode,
    code: &'static str,
    description: String,
}

impl Refused {
    fn request(description: &str) -> Refused {
        Refused {
            status: StatusCode::BAD_REQUEST,
            code: "invalid_request",
            description: description.to_owned(),
        }
    }

    fn client(error: Error) -> Refused {
        match error.status {
            StatusCode::UNAUTHORIZED => Refused {
                status: StatusCode::UNAUTHORIZED,
                code: "invalid_client",
                description: error.message,
            },
            // OAuth2 has no word for what went wrong on our side.
            status => Refused { status, code: "invalid_request", description: error.message },
        }
    }
}

fn try_token(roles: &Roles, request: &Request, from: IpAddr) -> std::result::Result<Answer, Refused> {
    let form: std::collections::HashMap<String, String> =
        url::form_urlencoded::parse(&request.body).into_owned().collect();
    let field = |name: &str| form.get(name).map(String::as_str);
    let reader = roles.reader();
    let role = match field("grant_type") {
        Some("client_credentials") => {
            let header = request.header("authorization").and_then(|header| header.split_once(' '));
            let pair = header.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"));
            let (user, password) = match (field("client_id"), field("client_secret")) {
                (Some(id), secret) => (id.to_owned(), secret.unwrap_or_default().to_owned()),
                _ => pair.and_then(|(_, pair)| basic(pair)).ok_or_else(|| {
                    Refused::request("client_id is the name of a role and client_secret its password")
                })?,
            };
            by_password(roles, &reader, &user, &password, from).map_err(Refused::client)?
        }
        Some(TOKEN_EXCHANGE) => {
            let subject =
                field("subject_token").ok_or_else(|| Refused::request("subject_token is missing"))?;
            by_token(roles, &reader, subject, from).map_err(Refused::client)?
        }
        Some(_) => {
            return Err(Refused {
                status: StatusCode::BAD_REQUEST,
                code: "unsupported_grant_type",
                description: "the grants are client_credentials and token exchange".to_owned(),
            });
        }
        None => return Err(Refused::request("grant_type is missing")),
    };
    let body = json!({
        "access_token": token::issue(&role, roles),
        "token_type": "bearer",
        "expires_in": token::LIFETIME_S,
        "issued_token_type": ACCESS_TOKEN,
        "scope": "catalog",
    });
    let (name, value) = super::private();
    let mut answer = Answer::json(&body);
    answer.headers.push((name, value));
    Ok(answer)
}
