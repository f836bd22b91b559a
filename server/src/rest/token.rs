//! The tokens that clients come with: who they are for and until when, under a signature with the server's own key, so that
//! they hold over restarts and nobody can make one. A token ends when its role's password changes, and names the
//! server alone: one of another issuer, or without a signature, is none.
//!
//! ```text
//! version (1 byte)  role (8)  ends (8, seconds since the Unix epoch)  password (8)  signature (32), in base64url
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use tarn_catalog::RoleId;
use tarn_catalog::object::Role;

use crate::login::Roles;

/// How long a token is good for, seconds.
pub const LIFETIME_S: i64 = 60 * 60;

const VERSION: u8 = 1;
const CLAIM_BYTES: usize = 1 + 8 + 8 + 8;
const SIGNATURE_BYTES: usize = 32;

/// A token whose signature is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    pub role: RoleId,
    ends_s: i64,
    password: [u8; 8],
}

impl Claim {
    /// Whether the token is good now for a role as it is now.
    pub fn holds(&self, role: &Role, roles: &Roles) -> bool {
        now_s(roles) < self.ends_s && self.password == fingerprint(role, roles)
    }
}

/// A new token for a role.
pub fn issue(role: &Role, roles: &Roles) -> String {
    let claim =
        Claim { role: role.id, ends_s: now_s(roles) + LIFETIME_S, password: fingerprint(role, roles) };
    write(&claim, roles)
}

fn write(claim: &Claim, roles: &Roles) -> String {
    let mut bytes = vec![VERSION];
    bytes.extend(claim.role.0.to_be_bytes());
    bytes.extend(claim.ends_s.to_be_bytes());
    bytes.extend(claim.password);
    bytes.extend(roles.sign("rest token", &bytes));
    BASE64URL.encode(bytes)
}

/// Reads a token; None if it is not one of ours.
pub fn read(text: &str, roles: &Roles) -> Option<Claim> {
    let bytes = BASE64URL.decode(text).ok()?;
    if bytes.len() != CLAIM_BYTES + SIGNATURE_BYTES || bytes[0] != VERSION {
        return None;
    }
    let (claim, signature) = bytes.split_at(CLAIM_BYTES);
    if !crate::login::password::same(&roles.sign("rest token", claim), signature) {
        return None;
    }
    let number = |from: usize| Some(u64::from_be_bytes(claim.get(from..from + 8)?.try_into().ok()?));
    Some(Claim {
        role: RoleId(number(1)?),
        ends_s: i64::try_from(number(9)?).ok()?,
        password: claim.get(17..25)?.try_into().ok()?,
    })
}

/// Tells one password of a role from the next, and nothing of either.
fn fingerprint(role: &Role, roles: &Roles) -> [u8; 8] {
    let mut bytes = role.id.0.to_be_bytes().to_vec();
    if let Some(verifier) = &role.verifier {
        bytes.extend(&verifier.salt);
        bytes.extend(verifier.stored_key.expose());
    }
    let whole = roles.sign("rest password", &bytes);
    let mut short = [0; 8];
    short.copy_from_slice(&whole[..8]);
    short
}

fn now_s(roles: &Roles) -> i64 {
    roles.now_ms() / 1000
}
