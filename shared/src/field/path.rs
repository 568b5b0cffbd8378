//! The path of a field, as Kubernetes writes it: `spec.users[zalando]`, `spec.sidecars[2].name`.

use std::fmt;

/// The place of a value in an object.
///
/// Checks make hundreds of them for a manifest that has nothing wrong, so they are joined and not formatted.
///
/// Displays the way `kubectl` and `details.causes[].field` show it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath(String);

impl FieldPath {
    /// The path of a top-level field, for example `metadata.name`.
    pub fn new(root: &str) -> Self {
        Self(root.to_owned())
    }

    /// `spec`, where almost every path begins.
    pub fn spec() -> Self {
        Self::new("spec")
    }

    /// The field `name` inside this one. From the empty path it is a top-level field.
    #[must_use]
    pub fn field(&self, name: &str) -> Self {
        if self.0.is_empty() { Self(name.to_owned()) } else { Self([&self.0, ".", name].concat()) }
    }

    /// The entry `key` of a map.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        Self([&self.0, "[", key, "]"].concat())
    }

    /// The element at `index` of a list.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.key(&index.to_string())
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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
    }
}
