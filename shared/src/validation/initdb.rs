//! Options of `initdb`: what a new data directory is made with, once and for ever.
//!
//! A misspelt option keeps the first member from coming up, and Patroni tries for as long as it is let. Some
//! options Patroni does not start with at all. Source: PostgreSQL's page of `initdb`, and Patroni's list of those it refuses.

use crate::api::Postgresql;
use crate::config::OperatorConfig;
use crate::field::{FieldErrors, FieldPath};
use crate::spelling;

/// What an option takes.
enum Takes {
    /// `"true"` switches it on; any other text is handed on as its value, which it does not take.
    Nothing,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A number of megabytes.
    Megabytes,
    /// The name of an encoding.
    Encoding,
    /// Something that cannot be judged here.
    Text,
}

const AUTHENTICATION: &[&str] = &[
    "trust",
    "reject",
    "scram-sha-256",
    "md5",
    "password",
    "ident",
    "peer",
    "pam",
    "ldap",
    "radius",
    "cert",
];

const OPTIONS: &[(&str, Takes)] = &[
    ("auth", Takes::Word(AUTHENTICATION)),
    ("auth-host", Takes::Word(AUTHENTICATION)),
    ("auth-local", Takes::Word(AUTHENTICATION)),
    ("builtin-locale", Takes::Word(&["C", "C.UTF-8", "PG_UNICODE_FAST"])),
    ("data-checksums", Takes::Nothing),
    ("debug", Takes::Nothing),
    ("encoding", Takes::Encoding),
    ("icu-locale", Takes::Text),
    ("icu-rules", Takes::Text),
    ("lc-collate", Takes::Text),
    ("lc-ctype", Takes::Text),
    ("lc-messages", Takes::Text),
    ("lc-monetary", Takes::Text),
    ("lc-numeric", Takes::Text),
    ("lc-time", Takes::Text),
    ("locale", Takes::Text),
    ("locale-provider", Takes::Word(&["libc", "icu", "builtin"])),
    ("no-locale", Takes::Nothing),
    ("noclean", Takes::Nothing),
    ("set", Takes::Text),
    ("sync-method", Takes::Word(&["fsync", "syncfs"])),
    ("text-search-config", Takes::Text),
    ("wal-segsize", Takes::Megabytes),
    ("waldir", Takes::Text),
];

/// Options that Patroni stops at.
const PATRONIS: &[&str] = &["nosync", "pgdata", "pwfile", "sync-only", "version"];

/// Options that take no value, and that upstream's format gives one all the same.
const WITHOUT_VALUE: &[&str] = &["allow-group-access", "no-data-checksums", "no-instructions", "no-sync"];

/// Encodings of a server, letters and digits alone in lower case: `initdb` looks at nothing else.
const ENCODINGS: &[&str] = &[
    "eucjp",
    "euckr",
    "euccn",
    "euctw",
    "eucjis2004",
    "iso88595",
    "iso88596",
    "iso88597",
    "iso88598",
    "koi8r",
    "koi8u",
    "latin1",
    "latin2",
    "latin3",
    "latin4",
    "latin5",
    "latin6",
    "latin7",
    "latin8",
    "latin9",
    "latin10",
    "mulinternal",
    "sqlascii",
    "utf8",
    "unicode",
    "win866",
    "win874",
    "win1250",
    "win1251",
    "win1252",
    "win1253",
    "win1254",
    "win1255",
    "win1256",
    "win1257",
    "win1258",
];

/// Every option is one, with a value it takes.
pub(super) fn options(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let root = FieldPath::spec().field("patroni").field("initdb");
    let options = manifest.spec.patroni.iter().flat_map(|patroni| patroni.initdb.iter().flatten());
    for (name, value) in options {
        let path = root.key(name);
        if PATRONIS.contains(&name.as_str()) {
            errors.forbidden(path, "cannot be set: Patroni refuses to start with it; remove it");
            continue;
        }
        if WITHOUT_VALUE.contains(&name.as_str()) {
            errors
                .forbidden(path, "cannot be set here: it takes no value, and would be given one; remove it");
            continue;
        }
        match OPTIONS.iter().find(|(known, _)| known == name) {
            None => errors.not_supported(path, unknown(name)),
            Some((_, takes)) => {
                if let Err(message) = takes.check(value) {
                    errors.invalid(path, format!("\"{value}\" {message}"));
                }
            }
        }
    }
}

fn unknown(name: &str) -> String {
    let dashed = name.trim_start_matches('-').replace('_', "-");
    match spelling::closest(&dashed, OPTIONS.iter().map(|(known, _)| *known)) {
        Some(meant) => format!("is no option of initdb; did you mean {meant}?"),
        None => "is no option of initdb; write one without its dashes, for example locale".to_owned(),
    }
}

impl Takes {
    fn check(&self, value: &str) -> Result<(), String> {
        match self {
            Self::Nothing if value == "true" => Ok(()),
            Self::Nothing => {
                Err("is more than this option takes; write \"true\", or remove the line".to_owned())
            }
            Self::Word(words) if words.contains(&value) => Ok(()),
            Self::Word(words) => Err(format!("is not known; choose one of {}", words.join(", "))),
            Self::Megabytes => {
                let size = value.parse::<u32>().ok().filter(|size| size.is_power_of_two() && *size <= 1024);
                size.map(|_| ())
                    .ok_or_else(|| "is no size of a WAL segment; write 1, 2, 4, … 1024 megabytes".to_owned())
            }
            Self::Encoding => {
                let plain: String = value.chars().filter(char::is_ascii_alphanumeric).collect();
                let known = ENCODINGS.contains(&plain.to_ascii_lowercase().as_str());
                if known {
                    Ok(())
                } else {
                    Err("is no encoding of a server; write for example UTF8".to_owned())
                }
            }
            Self::Text if value.trim().is_empty() => {
                Err("says nothing; write a value or remove the line".to_owned())
            }
            Self::Text => Ok(()),
        }
    }
}
