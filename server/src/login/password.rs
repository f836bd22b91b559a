//! SCRAM-SHA-256, the server's side (RFC 5802, RFC 7677), against stored verifiers: over the PostgreSQL protocol the
//! password itself never comes here, over Flight SQL it does. No sockets and no messages of PostgreSQL;
//! `postgres/startup.rs` carries the texts to and fro.
//!
//! ```text
//! client: n,,n=,r=<client nonce>
//! server: r=<client nonce><server nonce>,s=<salt>,i=<iterations>
//! client: c=<the n,, of above>,r=<both nonces>,p=<proof>
//! server: v=<the server's own proof>
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

/// The only mechanism we offer. Its variant with channel binding needs TLS.
pub const MECHANISM: &str = "SCRAM-SHA-256";

/// Rounds of a verifier made up for a role that has none, the same as a new password gets.
pub const DEFAULT_ITERATIONS: u32 = 4096;

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 18;

/// What is known of a password.
#[derive(Clone)]
pub struct Verifier {
    pub salt: Vec<u8>,
    pub iterations: u32,
    pub stored_key: Vec<u8>,
    pub server_key: Vec<u8>,
    /// Made up, for a role that does not exist or has no password: no proof will do.
    pub made_up: bool,
}

impl Verifier {
    /// Whether this is the password. It takes as long for a verifier that was made up.
    pub fn opens_with(&self, password: &str) -> bool {
        let mut salted = [0; KEY_BYTES];
        pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), &self.salt, self.iterations, &mut salted);
        let right = same(&Sha256::digest(sign(&salted, b"Client Key")), &self.stored_key);
        right && !self.made_up
    }
}

/// Why an exchange ended without success.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// The message is not one of SCRAM.
    Malformed(&'static str),
    /// The proof is wrong, or there is no such role.
    WrongPassword,
}

/// An exchange after its first two messages.
pub struct Exchange {
    verifier: Verifier,
    /// `n,,` as the client sent it; it must be repeated in its second message.
    header: String,
    client_first_bare: String,
    server_first: String,
    nonce: String,
}

impl Exchange {
    /// Reads the client's first message. `random` fills the server's part of the nonce.
    pub fn begin(
        verifier: Verifier,
        client_first: &str,
        random: &dyn Fn(&mut [u8]),
    ) -> Result<Exchange, Failure> {
        let (binding, rest) = client_first.split_once(',').ok_or(Failure::Malformed("no GS2 header"))?;
        let (identity, bare) = rest.split_once(',').ok_or(Failure::Malformed("no GS2 header"))?;
        if binding != "n" && binding != "y" {
            return Err(Failure::Malformed("channel binding needs TLS"));
        }
        let mut attributes = bare.split(',');
        if !attributes.next().is_some_and(|name| name.starts_with("n=")) {
            return Err(Failure::Malformed("no user name attribute"));
        }
        let client_nonce = attributes.next().and_then(|nonce| nonce.strip_prefix("r=")).unwrap_or_default();
        if client_nonce.is_empty() || !client_nonce.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Failure::Malformed("no nonce"));
        }
        let mut server_nonce = [0; NONCE_BYTES];
        random(&mut server_nonce);
        let nonce = format!("{client_nonce}{}", BASE64.encode(server_nonce));
        let salt = BASE64.encode(&verifier.salt);
        Ok(Exchange {
            server_first: format!("r={nonce},s={salt},i={}", verifier.iterations),
            header: format!("{binding},{identity},"),
            client_first_bare: bare.to_owned(),
            nonce,
            verifier,
        })
    }

    /// The server's first message.
    pub fn server_first(&self) -> &str {
        &self.server_first
    }

    /// Checks the client's second message and gives the server's second.
    pub fn finish(&self, client_final: &str) -> Result<String, Failure> {
        let (without_proof, proof) = client_final.rsplit_once(",p=").ok_or(Failure::Malformed("no proof"))?;
        let mut attributes = without_proof.split(',');
        let binding = attributes.next().and_then(|binding| binding.strip_prefix("c=")).unwrap_or_default();
        if BASE64.decode(binding).ok().as_deref() != Some(self.header.as_bytes()) {
            return Err(Failure::Malformed("the channel binding differs"));
        }
        if attributes.next().and_then(|nonce| nonce.strip_prefix("r=")) != Some(self.nonce.as_str()) {
            return Err(Failure::Malformed("the nonce differs"));
        }
        let proof = BASE64.decode(proof).map_err(|_| Failure::Malformed("the proof is not base64"))?;
        let proof =
            <[u8; KEY_BYTES]>::try_from(proof).map_err(|_| Failure::Malformed("the proof is too short"))?;
        let signed = format!("{},{},{without_proof}", self.client_first_bare, self.server_first);
        self.check(&signed, proof)?;
        Ok(format!("v={}", BASE64.encode(sign(&self.verifier.server_key, signed.as_bytes()))))
    }

    /// The proof is the client's key under the signature; its hash must be the stored key.
    fn check(&self, signed: &str, proof: [u8; KEY_BYTES]) -> Result<(), Failure> {
        let signature = sign(&self.verifier.stored_key, signed.as_bytes());
        let mut client_key = proof;
        for (key, signature) in client_key.iter_mut().zip(signature) {
            *key ^= signature;
        }
        let right = same(&Sha256::digest(client_key), &self.verifier.stored_key);
        if right && !self.verifier.made_up { Ok(()) } else { Err(Failure::WrongPassword) }
    }
}

/// A verifier for a role that has none: its salt depends on the name and on the server's `key` alone, so asking twice
/// gives the same answer, as it does for a role that exists.
pub fn made_up(role: &str, key: &[u8]) -> Verifier {
    let salt = sign(key, format!("salt of {role}").as_bytes());
    let stored = sign(key, format!("key of {role}").as_bytes());
    Verifier {
        salt: salt[..16].to_vec(),
        iterations: DEFAULT_ITERATIONS,
        stored_key: stored.to_vec(),
        server_key: stored.to_vec(),
        made_up: true,
    }
}

pub fn sign(key: &[u8], text: &[u8]) -> [u8; KEY_BYTES] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(text);
    mac.finalize().into_bytes().into()
}

/// Compares in a time that depends on the length alone.
pub fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len()
        && left.iter().zip(right).fold(0, |sum, (left, right)| sum | (left ^ right)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verifier of the password `pencil` with the salt of RFC 7677 §3.
    fn pencil() -> Verifier {
        let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("base64");
        let mut salted = [0; KEY_BYTES];
        pbkdf2::pbkdf2_hmac::<Sha256>(b"pencil", &salt, 4096, &mut salted);
        Verifier {
            stored_key: Sha256::digest(sign(&salted, b"Client Key")).to_vec(),
            server_key: sign(&salted, b"Server Key").to_vec(),
            salt,
            iterations: 4096,
            made_up: false,
        }
    }

    /// What a client proves with `password`, computed from the other side of the protocol.
    fn client_final(exchange: &Exchange, password: &str) -> String {
        let salted = {
            let mut salted = [0; KEY_BYTES];
            let verifier = &exchange.verifier;
            pbkdf2::pbkdf2_hmac::<Sha256>(
                password.as_bytes(),
                &verifier.salt,
                verifier.iterations,
                &mut salted,
            );
            salted
        };
        let without_proof = format!("c=biws,r={}", exchange.nonce);
        let signed = format!("{},{},{without_proof}", exchange.client_first_bare, exchange.server_first);
        let mut proof = sign(&salted, b"Client Key");
        let signature = sign(&Sha256::digest(proof), signed.as_bytes());
        proof.iter_mut().zip(signature).for_each(|(key, signature)| *key ^= signature);
        format!("{without_proof},p={}", BASE64.encode(proof))
    }

    #[test]
    fn the_example_of_the_rfc() {
        let server_nonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let client_first = "n=user,r=rOprNGfwEbeRWgbNEkqO".to_owned();
        let nonce = format!("rOprNGfwEbeRWgbNEkqO{server_nonce}");
        let exchange = Exchange {
            server_first: format!("r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"),
            verifier: pencil(),
            header: "n,,".to_owned(),
            client_first_bare: client_first,
            nonce: nonce.clone(),
        };
        let proof = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        let answer = exchange.finish(&format!("c=biws,r={nonce},p={proof}"));
        assert_eq!(answer, Ok("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=".to_owned()));
    }

    #[test]
    fn only_the_right_password_of_a_real_role_passes() {
        let random = |bytes: &mut [u8]| bytes.fill(7);
        let begin = |verifier| Exchange::begin(verifier, "n,,n=,r=abc", &random).expect("a good message");
        let exchange = begin(pencil());
        assert!(exchange.finish(&client_final(&exchange, "pencil")).is_ok());
        assert_eq!(exchange.finish(&client_final(&exchange, "pencils")), Err(Failure::WrongPassword));
        let made_up = begin(made_up("nobody", b"key"));
        assert_eq!(made_up.finish(&client_final(&made_up, "pencil")), Err(Failure::WrongPassword));
        assert_eq!(begin(super::made_up("nobody", b"key")).server_first, made_up.server_first);
    }

    #[test]
    fn a_password_as_it_is_opens_the_verifier() {
        assert!(pencil().opens_with("pencil"));
        assert!(!pencil().opens_with("pencils"));
        assert!(!pencil().opens_with(""));
        assert!(!Verifier { made_up: true, ..pencil() }.opens_with("pencil"));
    }

    #[test]
    fn malformed_messages_are_refused() {
        let random = |bytes: &mut [u8]| bytes.fill(7);
        for first in ["", "n", "n,", "n,,", "n,,n=", "n,,n=,r=", "p=tls-unique,,n=,r=abc", "n,,m=x,r=abc"] {
            assert!(Exchange::begin(pencil(), first, &random).is_err(), "{first:?}");
        }
        let exchange = Exchange::begin(pencil(), "n,,n=,r=abc", &random).expect("a good message");
        let good = client_final(&exchange, "pencil");
        for broken in
            ["", "p=", "c=biws", "c=biws,p=AAAA", &good.replace("biws", "eSws"), &good[..good.len() - 8]]
        {
            assert!(matches!(exchange.finish(broken), Err(Failure::Malformed(_))), "{broken:?}");
        }
        assert!(exchange.finish(&good.replace("r=abc", "r=abd")).is_err());
    }
}
