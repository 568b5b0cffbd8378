//! Names and values inside SQL: the only place that puts quotes around anything.
//!
//! Both kinds of statement ask it. Surprising: a text with a backslash is written as `E'…'`, because only that form
//! means the same whatever `standard_conforming_strings` says.

/// A name in double quotes.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text in single quotes.
pub(super) fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if text.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}
