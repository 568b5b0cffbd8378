//! A user's list of flags, until `roles` has the parser (`RoleFlags::parse`): the one place to replace.
//!
//! Words are read without case, each also with NO in front; a word and its opposite contradict each other.

/// What a flag may say.
const WORDS: &[&str] =
    &["BYPASSRLS", "CREATEDB", "CREATEROLE", "INHERIT", "LOGIN", "REPLICATION", "SUPERUSER"];

/// Everything that is wrong with a list of flags.
pub(super) fn errors(flags: &[String]) -> Vec<String> {
    let mut errors = Vec::new();
    let words: Vec<String> = flags.iter().map(|flag| flag.to_ascii_uppercase()).collect();
    for (flag, word) in flags.iter().zip(&words) {
        let positive =
            if WORDS.contains(&word.as_str()) { word } else { word.strip_prefix("NO").unwrap_or(word) };
        if !WORDS.contains(&positive) {
            let list = WORDS.join(", ");
            errors.push(format!("unknown flag \"{flag}\"; choose from {list}, each also with NO in front"));
        }
    }
    for word in WORDS {
        let opposite = format!("NO{word}");
        if words.iter().any(|said| said == word) && words.contains(&opposite) {
            errors.push(format!("{word} and {opposite} contradict each other; keep one of them"));
        }
    }
    errors
}
