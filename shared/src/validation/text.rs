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
fn framed(text: &str, inner: fn(char) -> bool, edge: fn(char) -> bool) -> bool {
    text.starts_with(edge) && text.ends_with(edge) && text.chars().all(inner)
}
