//! PostgreSQL major versions that a manifest may ask for.
//!
//! The list is the enumeration of the CRD, of the webhook's message and of the upgrade path: one list.

use std::fmt;
use std::str::FromStr;

/// A PostgreSQL major version, for example 17. Ordered: an upgrade goes to a larger one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PostgresVersion(u8);

/// A text that names no supported major version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a supported PostgreSQL major version; choose one of {}", PostgresVersion::list())]
pub struct UnsupportedVersion;

impl PostgresVersion {
    /// Every version that can be asked for, oldest first.
    pub const SUPPORTED: &[&str] = &["14", "15", "16", "17", "18"];

    /// The oldest version that can be asked for.
    pub const OLDEST: Self = Self(14);

    /// The newest version that can be asked for.
    pub const NEWEST: Self = Self(18);

    /// The major version as a number.
    pub fn major(self) -> u8 {
        self.0
    }

    /// The supported versions as a sentence fragment.
    fn list() -> String {
        Self::SUPPORTED.join(", ")
    }
}

impl FromStr for PostgresVersion {
    type Err = UnsupportedVersion;

    fn from_str(text: &str) -> Result<Self, UnsupportedVersion> {
        if !Self::SUPPORTED.contains(&text) {
            return Err(UnsupportedVersion);
        }
        text.parse().map(Self).map_err(|_| UnsupportedVersion)
    }
}

impl fmt::Display for PostgresVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn supported_versions_parse_and_are_ordered() {
        let versions: Vec<PostgresVersion> =
            PostgresVersion::SUPPORTED.iter().map(|text| text.parse().unwrap()).collect();
        assert!(versions.is_sorted());
        assert_eq!(versions[0].to_string(), "14");
    }

    #[test]
    fn anything_else_names_the_choices() {
        let error = "13".parse::<PostgresVersion>().unwrap_err();
        assert!(error.to_string().ends_with("14, 15, 16, 17, 18"));
    }
}
