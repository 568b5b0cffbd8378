//! A role's attributes, as the manifest lists them (`users: {app: [createdb, nologin]}`) and as SQL writes them.
//!
//! `validation` and `resolve` parse, `plan` compares. Surprising: there are three states. `CREATEDB` grants,
//! `NOCREATEDB` takes away, and silence leaves whatever the database has.

use std::collections::BTreeMap;
use std::fmt;

/// An attribute of a role that can be on or off. Ordered as the words are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Attribute {
    /// Row-level security does not apply to it.
    BypassRls,
    /// It may create databases.
    CreateDb,
    /// It may create roles.
    CreateRole,
    /// It has the rights of the roles it is a member of without `SET ROLE`.
    Inherit,
    /// It may log in.
    Login,
    /// It may stream the write-ahead log.
    Replication,
    /// Nothing is checked.
    Superuser,
}

impl Attribute {
    /// Every attribute, in the order of the words.
    pub const ALL: [Attribute; 7] = [
        Attribute::BypassRls,
        Attribute::CreateDb,
        Attribute::CreateRole,
        Attribute::Inherit,
        Attribute::Login,
        Attribute::Replication,
        Attribute::Superuser,
    ];

    /// The word that switches it on; `NO` and the word switch it off.
    pub fn word(self) -> &'static str {
        match self {
            Attribute::BypassRls => "BYPASSRLS",
            Attribute::CreateDb => "CREATEDB",
            Attribute::CreateRole => "CREATEROLE",
            Attribute::Inherit => "INHERIT",
            Attribute::Login => "LOGIN",
            Attribute::Replication => "REPLICATION",
            Attribute::Superuser => "SUPERUSER",
        }
    }

    /// The attribute and the state that one flag asks for.
    fn from_flag(flag: &str) -> Option<(Attribute, bool)> {
        let word = flag.to_ascii_uppercase();
        let named = |word: &str| Attribute::ALL.into_iter().find(|attribute| attribute.word() == word);
        let (on, off) = (named(&word), word.strip_prefix("NO").and_then(named));
        on.map(|attribute| (attribute, true)).or(off.map(|attribute| (attribute, false)))
    }
}

/// What is wrong with a list of flags.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlagError {
    /// No such word.
    #[error("unknown flag {flag:?}; choose from {}, each also with NO in front", words())]
    Unknown {
        /// The flag as it was written.
        flag: String,
    },
    /// Both a word and its `NO…` form.
    #[error("{word} and NO{word} contradict each other; keep one of them", word = .0.word())]
    Conflict(Attribute),
}

fn words() -> String {
    Attribute::ALL.map(Attribute::word).join(", ")
}

/// The attributes a role is asked to have or not to have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleFlags(BTreeMap<Attribute, bool>);

impl RoleFlags {
    /// Reads a manifest's list. `LOGIN` is added unless the list decides about it; every error is returned, not
    /// only the first.
    pub fn parse<T: AsRef<str>>(flags: &[T]) -> Result<Self, Vec<FlagError>> {
        let mut parsed = BTreeMap::new();
        let mut errors = Vec::new();
        for flag in flags.iter().map(AsRef::as_ref) {
            let Some((attribute, on)) = Attribute::from_flag(flag) else {
                errors.push(FlagError::Unknown { flag: flag.to_owned() });
                continue;
            };
            let conflict = FlagError::Conflict(attribute);
            if parsed.insert(attribute, on) == Some(!on) && !errors.contains(&conflict) {
                errors.push(conflict);
            }
        }
        parsed.entry(Attribute::Login).or_insert(true);
        if errors.is_empty() { Ok(Self(parsed)) } else { Err(errors) }
    }

    /// Flags from attributes and their states, as they are: nothing is implied.
    pub fn new(states: impl IntoIterator<Item = (Attribute, bool)>) -> Self {
        Self(states.into_iter().collect())
    }

    /// The state asked for, or `None` when the flags do not mention it.
    pub fn get(&self, attribute: Attribute) -> Option<bool> {
        self.0.get(&attribute).copied()
    }

    /// The attributes mentioned and their states, in the order of the words.
    pub fn iter(&self) -> impl Iterator<Item = (Attribute, bool)> + '_ {
        self.0.iter().map(|(attribute, on)| (*attribute, *on))
    }

    /// Whether no attribute is mentioned.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the role may log in: only when the flags say so, as in `CREATE ROLE`.
    pub fn login(&self) -> bool {
        self.get(Attribute::Login) == Some(true)
    }

    /// The flags as upstream lists them: sorted, upper case, `NOLOGIN` left out because it is the default.
    pub fn words(&self) -> Vec<String> {
        let spoken = self.iter().filter(|state| *state != (Attribute::Login, false));
        spoken.map(word).collect()
    }
}

fn word((attribute, on): (Attribute, bool)) -> String {
    format!("{}{}", if on { "" } else { "NO" }, attribute.word())
}

/// As SQL writes them: `CREATEDB NOLOGIN`.
impl fmt::Display for RoleFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.iter().map(word).collect::<Vec<_>>().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_sorted_upper_case_and_imply_login() {
        let table: &[(&[&str], &[&str])] = &[
            (&[], &["LOGIN"]),
            (&["createdb"], &["CREATEDB", "LOGIN"]),
            (&["nologin"], &[]),
            (&["superuser", "SUPERUSER"], &["LOGIN", "SUPERUSER"]),
            (&["login", "bypassrls", "Replication"], &["BYPASSRLS", "LOGIN", "REPLICATION"]),
            (&["noinherit", "nologin"], &["NOINHERIT"]),
        ];
        for (flags, words) in table {
            assert_eq!(RoleFlags::parse(flags).unwrap().words(), *words, "{flags:?}");
        }
    }

    #[test]
    fn a_flag_and_its_opposite_are_an_error() {
        let table: &[(&[&str], Attribute)] = &[
            (&["login", "nologin"], Attribute::Login),
            (&["createdb", "nocreatedb"], Attribute::CreateDb),
            (&["NOCREATEDB", "createdb", "nocreatedb"], Attribute::CreateDb),
        ];
        for (flags, attribute) in table {
            assert_eq!(RoleFlags::parse(flags), Err(vec![FlagError::Conflict(*attribute)]), "{flags:?}");
        }
    }

    #[test]
    fn unknown_words_are_all_reported() {
        let errors = RoleFlags::parse(&["fly", "login; drop", "createdb", "", "no"]).unwrap_err();
        let flags = ["fly", "login; drop", "", "no"].map(|flag| FlagError::Unknown { flag: flag.to_owned() });
        assert_eq!(errors, flags);
        assert!(errors[0].to_string().starts_with("unknown flag \"fly\"; choose from BYPASSRLS, CREATEDB"));
    }

    #[test]
    fn nologin_is_kept_apart_from_silence_and_written_in_sql() {
        let flags = RoleFlags::parse(&["nologin", "createdb"]).unwrap();
        assert_eq!(flags.get(Attribute::Login), Some(false));
        assert_eq!(flags.get(Attribute::Superuser), None);
        assert_eq!(flags.to_string(), "CREATEDB NOLOGIN");
        assert!(!flags.login());
    }
}
