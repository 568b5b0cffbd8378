//! The path of a field, as Kubernetes writes it: `spec.users[zalando]`, `spec.sidecars[2].name`.

use std::fmt;

use smallvec::SmallVec;

/// The place of a value in an object.
///
/// Checks make hundreds of them for a manifest that has nothing wrong: almost all fit where they stand, without memory
/// of their own.
///
/// Displays the way `kubectl` and `details.causes[].field` show it.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath(SmallVec<[u8; 64]>);

impl FieldPath {
    /// The path of a top-level field, for example `metadata.name`.
    pub fn new(root: &str) -> Self {
        Self(SmallVec::from_slice(root.as_bytes()))
    }

    /// `spec`, where almost every path begins.
    pub fn spec() -> Self {
        Self::new("spec")
    }

    /// The field `name` inside this one. From the empty path it is a top-level field.
    #[must_use]
    pub fn field(&self, name: &str) -> Self {
        if self.0.is_empty() { Self::new(name) } else { self.with(&[".", name]) }
    }

    /// The entry `key` of a map.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.with(&["[", key, "]"])
    }

    /// The element at `index` of a list.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.key(itoa::Buffer::new().format(index))
    }

    fn with(&self, parts: &[&str]) -> Self {
        // Copied at once; a clone would go byte by byte.
        let mut longer = SmallVec::from_slice(&self.0);
        for part in parts {
            longer.extend_from_slice(part.as_bytes());
        }
        Self(longer)
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        // Texts were put together, so it is one.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FieldPath").field(&self.as_str()).finish()
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_as_kubernetes_writes_them() {
        let spec = FieldPath::spec();
        assert_eq!(spec.field("users").key("zalando").to_string(), "spec.users[zalando]");
        assert_eq!(spec.field("sidecars").index(2).field("name").to_string(), "spec.sidecars[2].name");
        assert_eq!(FieldPath::default().field("metadata").to_string(), "metadata");
        let long = "x".repeat(100);
        assert_eq!(spec.field("users").key(&long).as_str(), format!("spec.users[{long}]"));
        assert_eq!(format!("{spec:?}"), "FieldPath(\"spec\")");
    }
}
