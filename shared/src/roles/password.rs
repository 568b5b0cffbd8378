//! Passwords and what PostgreSQL stores instead of them.
//!
//! `plan` asks whether a stored verifier still belongs to the password in a Secret, and makes a new one only when it
//! does not. Surprising: the check uses the *stored* salt. A fresh salt would give another verifier for the same
//! password each time, and each sync would rewrite every role (as upstream did) and break poolers that pass SCRAM through.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha2::{Digest, Sha256};

use super::name::RoleName;

/// The rounds PostgreSQL uses when it makes a verifier itself.
pub const ITERATIONS: u32 = 4096;

/// The most rounds a stored verifier is checked with: someone who can set a verifier must not be able to stop us.
const MAX_ITERATIONS: u32 = 1_000_000;

const SCRAM_PREFIX: &str = "SCRAM-SHA-256$";

/// The passwords of a cluster's roles, as their Secrets hold them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passwords {
    /// How a new verifier is made.
    pub encryption: Encryption,
    /// One entry per role whose Secret was read. A role that wants a password and has none here is not created yet.
    pub of: BTreeMap<RoleName, Credential>,
}

/// The `password_encryption` of a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encryption {
    /// `scram-sha-256`, the default.
    #[default]
    Scram,
    /// `md5`, for clients that know nothing else.
    Md5,
}

/// A password and the salt for a new verifier, should one be needed.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// The password; or a complete verifier, as infrastructure roles may bring one.
    pub password: String,
    /// Fresh random bytes; unused while the stored verifier fits.
    pub salt: [u8; 16],
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(…)")
    }
}

impl Credential {
    /// Whether `stored`, the verifier of role `name`, belongs to this password.
    pub fn fits(&self, stored: &Verifier, name: &RoleName) -> bool {
        match Verifier::recognise(&self.password) {
            Some(verifier) => verifier == *stored,
            None => stored.fits(&self.password, name),
        }
    }

    /// A new verifier for role `name`.
    pub fn verifier(&self, encryption: Encryption, name: &RoleName) -> Verifier {
        Verifier::recognise(&self.password).unwrap_or_else(|| match encryption {
            Encryption::Scram => Verifier::scram(&self.password, &self.salt, ITERATIONS),
            Encryption::Md5 => Verifier::md5(&self.password, name),
        })
    }
}

/// What PostgreSQL stores instead of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier(String);

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(…)")
    }
}

impl Verifier {
    /// A verifier as the catalog (`rolpassword`) has it, of whatever form.
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    /// The text itself, for the one statement that sends it.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The verifier that `text` already is, as PostgreSQL itself decides; `None` for a password.
    fn recognise(text: &str) -> Option<Self> {
        let md5 = |digest: &str| digest.len() == 32 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        let known = Scram::parse(text).is_some() || text.strip_prefix("md5").is_some_and(md5);
        known.then(|| Self(text.to_owned()))
    }

    /// `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>` (RFC 5803, RFC 7677).
    pub fn scram(password: &str, salt: &[u8], iterations: u32) -> Self {
        let keys = Keys::derive(password, salt, iterations);
        let encode = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
        let (salt, stored, server) = (encode(salt), encode(&keys.stored), encode(&keys.server));
        Self(format!("{SCRAM_PREFIX}{iterations}:{salt}${stored}:{server}"))
    }

    /// `md5` and the digest of the password followed by the role's name.
    pub fn md5(password: &str, name: &RoleName) -> Self {
        let digest = Md5::new().chain_update(password).chain_update(name.as_str()).finalize();
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Self(format!("md5{hex}"))
    }

    /// Whether this is the verifier of `password` for role `name`. An unknown form fits nothing.
    pub fn fits(&self, password: &str, name: &RoleName) -> bool {
        match Scram::parse(&self.0) {
            Some(scram) => scram.keys == Keys::derive(password, &scram.salt, scram.iterations),
            None => *self == Self::md5(password, name),
        }
    }
}

/// A SCRAM verifier taken apart.
struct Scram {
    iterations: u32,
    salt: Vec<u8>,
    keys: Keys,
}

impl Scram {
    fn parse(text: &str) -> Option<Self> {
        let (head, keys) = text.strip_prefix(SCRAM_PREFIX)?.split_once('$')?;
        let (iterations, salt) = head.split_once(':')?;
        let (stored, server) = keys.split_once(':')?;
        let iterations = iterations.parse().ok().filter(|count| (1..=MAX_ITERATIONS).contains(count))?;
        let key = |text| <[u8; 32]>::try_from(BASE64_STANDARD.decode(text).ok()?).ok();
        let keys = Keys { stored: key(stored)?, server: key(server)? };
        Some(Self { iterations, salt: BASE64_STANDARD.decode(salt).ok()?, keys })
    }
}

/// The two keys a server needs to check a client and to prove itself.
#[derive(PartialEq, Eq)]
struct Keys {
    stored: [u8; 32],
    server: [u8; 32],
}

impl Keys {
    fn derive(password: &str, salt: &[u8], iterations: u32) -> Self {
        let salted = pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(&normalised(password), salt, iterations);
        let client = hmac(&salted, b"Client Key");
        Self { stored: Sha256::digest(client).into(), server: hmac(&salted, b"Server Key") }
    }
}

/// SASLprep; like PostgreSQL, a password it forbids is used byte for byte.
fn normalised(password: &str) -> Vec<u8> {
    stringprep::saslprep(password).map_or_else(|_| password.into(), |prepared| prepared.as_bytes().to_vec())
}

/// A key shorter than a block is filled with zeros (RFC 2104); done here because it then cannot fail.
fn hmac(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let mut block = [0; 64];
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    Hmac::<Sha256>::new(&block.into()).chain_update(message).finalize().into_bytes().into()
}
