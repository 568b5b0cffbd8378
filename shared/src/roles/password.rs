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

/// The rounds PostgreSQL uses when it makes a verifier itself and `scram_iterations` does not say otherwise.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// `scram-sha-256`, the default, with so many rounds (`scram_iterations`).
    Scram(u32),
    /// `md5`, for clients that know nothing else.
    Md5,
}

impl Default for Encryption {
    fn default() -> Self {
        Self::Scram(ITERATIONS)
    }
}

impl Encryption {
    /// SCRAM with the rounds that the parameter `scram_iterations` asks for. More than we would check are not made: such
    /// a verifier would look wrong at every look.
    pub fn scram(iterations: Option<&str>) -> Self {
        let asked = iterations.and_then(|text| text.trim().parse::<u32>().ok());
        Self::Scram(asked.unwrap_or(ITERATIONS).clamp(1, MAX_ITERATIONS))
    }
}

/// A password and the salt for a new verifier, should one be needed.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// The password; or a complete verifier, as infrastructure roles may bring one.
    pub password: String,
    /// Fresh random bytes; unused while the stored verifier fits.
    pub salt: [u8; 16],
    /// A verifier that is known to fit: working it out takes thousands of rounds, remembering it does not.
    pub proven: Option<Verifier>,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(…)")
    }
}

impl Credential {
    /// Whether `stored`, the verifier of role `name`, belongs to this password.
    pub fn fits(&self, stored: &Verifier, name: &RoleName) -> bool {
        if self.proven.as_ref() == Some(stored) {
            return true;
        }
        match Verifier::recognise(&self.password) {
            Some(verifier) => verifier == *stored,
            None => stored.fits(&self.password, name),
        }
    }

    /// A new verifier for role `name`.
    pub fn verifier(&self, encryption: Encryption, name: &RoleName) -> Verifier {
        Verifier::recognise(&self.password).unwrap_or_else(|| match encryption {
            Encryption::Scram(iterations) => Verifier::scram(&self.password, &self.salt, iterations),
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
    /// What to remember of the fact that this verifier belongs to a password: it tells neither of them.
    pub fn proof(&self, password: &str) -> [u8; 32] {
        let length = password.len().to_be_bytes();
        Sha256::new().chain_update(length).chain_update(password).chain_update(&self.0).finalize().into()
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    /// Of RFC 7677, section 3: user `user`, password `pencil`. The keys follow from it by another implementation
    /// (Python's `hashlib`) and are checked below against the signatures that the RFC prints.
    const SALT: &str = "W22ZaJ0SNY7soEsUEjb6gQ==";
    const STORED_KEY: &str = "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=";
    const SERVER_KEY: &str = "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
    const CLIENT_PROOF: &str = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    const SERVER_SIGNATURE: &str = "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
    const AUTH_MESSAGE: &str = "n=user,r=rOprNGfwEbeRWgbNEkqO,\
        r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
        c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";

    fn user() -> RoleName {
        "user".parse().unwrap()
    }

    fn decode(text: &str) -> [u8; 32] {
        BASE64_STANDARD.decode(text).unwrap().try_into().unwrap()
    }

    fn rfc_verifier() -> String {
        format!("SCRAM-SHA-256$4096:{SALT}${STORED_KEY}:{SERVER_KEY}")
    }

    fn credential(password: &str) -> Credential {
        Credential { password: password.to_owned(), salt: [1; 16], proven: None }
    }

    #[test]
    fn the_verifier_of_the_rfc_is_made_and_recognised() {
        let made = Verifier::scram("pencil", &BASE64_STANDARD.decode(SALT).unwrap(), 4096);
        assert_eq!(made.as_str(), rfc_verifier());
        assert!(made.fits("pencil", &user()));
        assert!(!made.fits("Pencil", &user()));
    }

    #[test]
    fn its_keys_sign_what_the_rfc_signs() {
        assert_eq!(hmac(&decode(SERVER_KEY), AUTH_MESSAGE.as_bytes()), decode(SERVER_SIGNATURE));
        let signature = hmac(&decode(STORED_KEY), AUTH_MESSAGE.as_bytes());
        let mut client_key = decode(CLIENT_PROOF);
        client_key.iter_mut().zip(signature).for_each(|(byte, mask)| *byte ^= mask);
        assert_eq!(<[u8; 32]>::from(Sha256::digest(client_key)), decode(STORED_KEY));
    }

    #[test]
    fn a_stored_verifier_keeps_its_salt_and_its_rounds() {
        let stored = Verifier::scram("secret", b"another salt", 5000);
        assert!(credential("secret").fits(&stored, &user()));
        assert!(!credential("other").fits(&stored, &user()));
    }

    #[test]
    fn a_new_verifier_has_the_rounds_that_the_cluster_asks_for_within_what_is_checked() {
        let rounds = |asked| {
            let made = credential("pencil").verifier(Encryption::scram(asked), &user());
            made.as_str().split([':', '$']).nth(1).unwrap().to_owned()
        };
        assert_eq!(rounds(Some("3")), "3");
        for unread in [None, Some("many"), Some("-1")] {
            assert_eq!(rounds(unread), "4096", "{unread:?}");
        }
        assert_eq!(Encryption::scram(Some("2147483647")), Encryption::Scram(MAX_ITERATIONS));
        assert_eq!(Encryption::scram(Some("0")), Encryption::Scram(1));
    }

    #[test]
    fn md5_includes_the_name_of_the_role() {
        let stored = Verifier::stored("md520c46e3762c864548e296b33c3406aa9".to_owned());
        assert_eq!(Verifier::md5("pencil", &user()), stored);
        assert!(credential("pencil").fits(&stored, &user()));
        assert!(!credential("pencil").fits(&stored, &"other".parse().unwrap()));
    }

    #[test]
    fn passwords_are_prepared_as_postgres_prepares_them() {
        let fits = |made: &str, asked: &str| Verifier::scram(made, b"salt", 1).fits(asked, &user());
        assert!(fits("\u{2168}", "IX"), "a Roman numeral is two letters");
        assert!(fits("I\u{AD}X", "IX"), "a soft hyphen is nothing");
        assert!(!fits("USER", "user"));
        assert!(fits("bell\u{7}", "bell\u{7}"), "a forbidden character is taken as it is");
        assert!(!fits("bell\u{7}", "bell"));
    }

    #[test]
    fn a_password_that_is_a_verifier_is_sent_as_it_is() {
        let md5 = Verifier::md5("pencil", &user());
        for verifier in [rfc_verifier(), md5.as_str().to_owned()] {
            let made = credential(&verifier).verifier(Encryption::default(), &user());
            assert_eq!(made.as_str(), verifier);
            assert!(credential(&verifier).fits(&made, &user()));
        }
        let only_looks_like_one = credential("md5ish").verifier(Encryption::default(), &user());
        assert!(only_looks_like_one.as_str().starts_with("SCRAM-SHA-256$4096:"));
    }

    #[test]
    fn a_broken_or_absurd_verifier_fits_nothing_and_costs_nothing() {
        let broken =
            ["", "x", "SCRAM-SHA-256$", "SCRAM-SHA-256$4096:$:", "SCRAM-SHA-256$0:AA==$AA==:AA==", "md5"];
        let absurd = rfc_verifier().replace("4096", "4294967295");
        for text in broken.into_iter().chain([absurd.as_str()]) {
            assert!(!Verifier::stored(text.to_owned()).fits("pencil", &user()), "{text}");
        }
    }

    #[test]
    fn what_was_proven_once_is_not_worked_out_again() {
        let absurd = Verifier::stored(rfc_verifier().replace("4096", "4294967295"));
        let mut pencil = credential("pencil");
        assert!(!pencil.fits(&absurd, &user()), "nobody can have worked this out");
        pencil.proven = Some(absurd.clone());
        assert!(pencil.fits(&absurd, &user()));
        assert!(!pencil.fits(&Verifier::scram("other", b"salt", 1), &user()));
    }

    #[test]
    fn a_proof_is_of_one_password_and_one_verifier() {
        let (one, other) = (Verifier::stored("bc".to_owned()), Verifier::stored("c".to_owned()));
        assert_eq!(one.proof("a"), one.proof("a"));
        assert_ne!(one.proof("a"), one.proof("b"));
        assert_ne!(one.proof("a"), other.proof("ab"), "where the password ends belongs to it");
    }

    #[test]
    fn nothing_here_shows_a_password() {
        let passwords = Passwords { of: [(user(), credential("hunter2"))].into(), ..Passwords::default() };
        let verifier = Verifier::scram("hunter2", b"salt", 1);
        assert!(!format!("{passwords:?}").contains("hunter2"));
        assert_eq!(format!("{verifier:?}"), "Verifier(…)");
    }
}
