//! Names of roles, databases and what is in them as types: what PostgreSQL would keep unchanged.
//!
//! Everyone who holds one knows that it can be quoted and found again. Surprising: PostgreSQL cuts a longer name to 63
//! bytes without an error, so a plan that let it through would find the role missing, and create it, for ever.

use std::fmt;
use std::str::FromStr;

/// The longest name PostgreSQL keeps, in bytes (`NAMEDATALEN` − 1).
pub const MAX_BYTES: usize = 63;

/// A text that PostgreSQL would refuse or cut.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// There is nothing in it.
    #[error("may not be empty")]
    Empty,
    /// More than [`MAX_BYTES`].
    #[error("is {0} bytes long; PostgreSQL keeps 63")]
    TooLong(usize),
    /// The one character no PostgreSQL text can hold.
    #[error("may not contain a zero byte")]
    ZeroByte,
}

fn check(text: &str) -> Result<(), InvalidName> {
    match text {
        "" => Err(InvalidName::Empty),
        _ if text.len() > MAX_BYTES => Err(InvalidName::TooLong(text.len())),
        _ if text.contains('\0') => Err(InvalidName::ZeroByte),
        _ => Ok(()),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The name as it stands in the catalog, without quotes.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                check(text).map(|()| Self(text.to_owned()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// The name of a role: at most 63 bytes, any characters but zero.
    RoleName
}
name! {
    /// The name of a database: at most 63 bytes, any characters but zero.
    DatabaseName
}
name! {
    /// The name of a schema: at most 63 bytes, any characters but zero.
    SchemaName
}
name! {
    /// The name of a table: at most 63 bytes, any characters but zero.
    TableName
}
name! {
    /// The name of an extension: at most 63 bytes, any characters but zero.
    ExtensionName
}
name! {
    /// The name of a publication: at most 63 bytes, any characters but zero.
    PublicationName
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_postgres_would_cut_or_refuse_is_no_name() {
        assert_eq!("".parse::<RoleName>(), Err(InvalidName::Empty));
        assert_eq!("a\0b".parse::<DatabaseName>(), Err(InvalidName::ZeroByte));
        assert_eq!("ü".repeat(32).parse::<RoleName>(), Err(InvalidName::TooLong(64)));
        assert_eq!("x".repeat(63).parse::<RoleName>().unwrap().as_str().len(), 63);
    }

    #[test]
    fn any_other_character_is_kept_as_it_is() {
        for text in ["appspace.db_user", "Robert'); DROP TABLE \"x\";--", " "] {
            assert_eq!(text.parse::<RoleName>().unwrap().to_string(), text);
        }
    }
}
