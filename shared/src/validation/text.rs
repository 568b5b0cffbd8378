//! The shapes of names: what Kubernetes and PostgreSQL accept as a label, a path or an identifier.
//!
//! Checks ask these instead of carrying patterns. Lengths are counted in bytes, as Kubernetes and PostgreSQL do.

/// A DNS label that may name a Service: `[a-z]([-a-z0-9]*[a-z0-9])?`, at most 63 bytes apart from length.
pub(super) fn is_dns_1035_label(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase()) && is_dns_1123_label(text)
}

/// `[a-z0-9]([-a-z0-9]*[a-z0-9])?`; the length is not looked at.
pub(super) fn is_dns_1123_label(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    framed(text, inner, |c| c.is_ascii_lowercase() || c.is_ascii_digit())
}

/// The value of a label: empty, or at most 63 letters, digits, `-`, `_`, `.`, with a letter or digit at both ends.
pub(super) fn is_label_value(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.is_empty() || (text.len() <= 63 && framed(text, inner, |c| c.is_ascii_alphanumeric()))
}

/// Whether all characters are `inner` ones, and first and last are `edge` ones.
fn framed(text: &str, inner: impl Fn(char) -> bool, edge: impl Fn(char) -> bool) -> bool {
    text.starts_with(&edge) && text.ends_with(edge) && text.chars().all(inner)
}

/// A DNS subdomain, as Secrets, ConfigMaps and image pull secrets are named: labels joined by dots, 253 bytes.
pub(super) fn is_dns_1123_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dns_1123_label)
}

/// A name that upstream makes databases and schemas by: `[a-zA-Z_][a-zA-Z0-9_]*`.
pub(super) fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A replication slot's name: `[a-z0-9_]{1,63}`.
pub(super) fn is_slot_name(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// The name of an environment variable: letters, digits, `-`, `_`, `.`, not beginning with a digit.
pub(super) fn is_variable_name(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    framed(text, inner, inner) && !text.starts_with(|c: char| c.is_ascii_digit())
}

/// The key of an annotation or label: an optional DNS subdomain and a slash, then at most 63 characters of a label.
pub(super) fn is_qualified_name(text: &str) -> bool {
    let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    prefix.is_none_or(is_dns_1123_subdomain) && !name.is_empty() && is_label_value(name)
}

/// A path inside something: not absolute, and never up.
pub(super) fn is_inner_path(text: &str) -> bool {
    !text.starts_with('/') && text.split('/').all(|step| step != "..")
}

/// Whether PostgreSQL keeps names that begin so for itself.
pub(super) fn is_reserved_by_postgres(name: &str) -> bool {
    name.starts_with("pg_")
}

/// A text that is there and not empty: upstream reads an empty one as absent.
pub(super) fn given(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

/// The longest name PostgreSQL keeps, in bytes; it cuts a longer one without an error.
pub(super) const LONGEST_NAME: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        type Shape = fn(&str) -> bool;
        let table: &[(Shape, &[&str], &[&str])] = &[
            (is_dns_1035_label, &["a", "acid-1"], &["", "1a", "a-", "A", "a_b", "a.b", "é"]),
            (is_dns_1123_label, &["1", "a-b"], &["-a", "a-", ""]),
            (is_dns_1123_subdomain, &["a.b", "1.x-y"], &["a..b", ".a", "A"]),
            (is_label_value, &["", "a_b.C", "7"], &["-a", "a b", "ä"]),
            (is_identifier, &["a", "_x", "Foo_1"], &["", "1a", "a-b", "a.b", "a\"b"]),
            (is_slot_name, &["a_1"], &["", "A", "a-b"]),
            (is_variable_name, &["A", "_x", "a-b.c", "X1"], &["", "1A", "A B", "A=B"]),
            (is_qualified_name, &["a", "x.io/a_b"], &["", "/a", "x.io/", "a/b/c", "X_/a"]),
            (is_inner_path, &["a/b", ""], &["/a", "../a", "a/../b"]),
        ];
        for (at, (shape, good, bad)) in table.iter().enumerate() {
            assert!(good.iter().all(|text| shape(text)), "row {at}: {good:?}");
            assert!(!bad.iter().any(|text| shape(text)), "row {at}: {bad:?}");
        }
    }
}
