//! SCRAM-SHA-256 verifiers (RFC 5802 §3, RFC 7677): what the server keeps so that it can check a password without
//! knowing it. It must never keep or print the password. The exchange itself is the wire's.

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use crate::env::Env;
use crate::error::{Error, Result};
use crate::object::ScramVerifier;
use crate::secret::Secret;

/// PostgreSQL's number of iterations.
pub const ITERATIONS: u32 = 4096;

/// Bytes of random salt, as PostgreSQL has them.
const SALT_BYTES: usize = 16;

/// The longest password, bytes.
const PASSWORD_BYTES_MAX: usize = 1024;

/// Makes the verifier of a new password.
///
/// # Errors
///
/// An empty or over-long password is refused.
pub fn verifier(password: &Secret<String>, env: &dyn Env) -> Result<ScramVerifier> {
    let password = password.expose();
    if password.is_empty() || password.len() > PASSWORD_BYTES_MAX {
        return Err(Error::invalid("a password must have 1 to 1024 bytes")
            .with_hint("Use PASSWORD NULL for a role without a password."));
    }
    let mut salt = vec![0; SALT_BYTES];
    env.random(&mut salt);
    let salted = salted_password(password, &salt, ITERATIONS);
    let client_key = sign(&salted, b"Client Key")?;
    Ok(ScramVerifier {
        iterations: ITERATIONS,
        salt,
        stored_key: Secret::new(Sha256::digest(client_key).to_vec()),
        server_key: Secret::new(sign(&salted, b"Server Key")?),
    })
}

/// `Hi(Normalize(password), salt, i)`. Passwords are compared as they are sent: as in PostgreSQL, one that cannot be
/// prepared by SASLprep is used byte for byte.
fn salted_password(password: &str, salt: &[u8], iterations: u32) -> [u8; 32] {
    pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password.as_bytes(), salt, iterations)
}

fn sign(key: &[u8], message: &[u8]) -> Result<Vec<u8>> {
    let mac = Hmac::<Sha256>::new_from_slice(key);
    let mut mac = mac.map_err(|error| Error::internal("a key of the wrong length").with_source(error))?;
    mac.update(message);
    Ok(mac.finalize().into_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;

    use super::*;
    use crate::env::SeededEnv;

    /// The example of RFC 7677 §3: the client's proof must open with the stored key.
    #[test]
    fn the_example_of_rfc_7677() -> Result<()> {
        let salt = BASE64_STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap_or_default();
        let salted = salted_password("pencil", &salt, 4096);
        let stored_key = Sha256::digest(sign(&salted, b"Client Key")?);
        let message = "n=user,r=rOprNGfwEbeRWgbNEkqO,\
            r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
            c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let proof =
            BASE64_STANDARD.decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=").unwrap_or_default();
        let signature = sign(&stored_key, message.as_bytes())?;
        let client_key: Vec<u8> = proof.iter().zip(&signature).map(|(left, right)| left ^ right).collect();
        assert_eq!(Sha256::digest(client_key), stored_key);
        let server = sign(&sign(&salted, b"Server Key")?, message.as_bytes())?;
        assert_eq!(BASE64_STANDARD.encode(server), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        Ok(())
    }

    #[test]
    fn empty_passwords_are_refused_and_salts_differ() -> Result<()> {
        let env = SeededEnv::new(1);
        assert!(verifier(&Secret::new(String::new()), &env).is_err());
        let password = Secret::new("pencil".to_owned());
        assert_ne!(verifier(&password, &env)?.salt, verifier(&password, &env)?.salt);
        Ok(())
    }
}
