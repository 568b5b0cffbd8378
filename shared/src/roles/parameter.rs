//! A role's settings: names without case, and values that are either one text or a list of names.
//!
//! `plan` compares them with what the catalog holds, `statement` writes them. Surprising: PostgreSQL quotes the members
//! of a few list settings itself, so `SET search_path = 'a, b'` names *one* schema called `a, b`; a list has to be sent
//! and compared member by member.

use std::fmt;

/// The settings whose members PostgreSQL quotes one by one (`GUC_LIST_QUOTE` in its source).
const LISTS: &[&str] = &[
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// The name of a setting, in lower case: PostgreSQL ignores case in them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParameterName(String);

impl ParameterName {
    /// The name, whatever case it was written in.
    pub fn new(name: &str) -> Self {
        Self(name.to_lowercase())
    }

    /// The name in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ParameterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The value of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParameterValue {
    /// One text, for most settings. It may be empty.
    Text(String),
    /// The members of a list of names, each without quotes: a search path.
    List(Vec<String>),
}

impl ParameterValue {
    /// The value of setting `name` as it stands in the catalog or in a configuration.
    pub fn parse(name: &ParameterName, text: &str) -> Self {
        if LISTS.contains(&name.as_str()) {
            return Self::List(members(text));
        }
        let trimmed = text.trim();
        let inner = trimmed.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
        Self::Text(inner.map_or_else(|| text.to_owned(), |inner| inner.replace("''", "'")))
    }

    /// The value as the catalog holds it; [`Self::parse`] reads it back.
    pub fn to_text(&self) -> String {
        match self {
            Self::Text(text) => format!("'{}'", text.replace('\'', "''")),
            Self::List(members) => {
                let quoted = members.iter().map(|member| format!("\"{}\"", member.replace('"', "\"\"")));
                quoted.collect::<Vec<_>>().join(", ")
            }
        }
    }
}

/// Splits a list of names: commas inside double quotes do not count, a name without quotes is lower case.
fn members(text: &str) -> Vec<String> {
    let mut members = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (member, after) = if let Some(quoted) = rest.strip_prefix('"') {
            quoted_member(quoted)
        } else {
            let (member, after) = rest.split_once(',').unwrap_or((rest, ""));
            (member.trim().to_lowercase(), after)
        };
        members.push(member);
        rest = after.trim_start();
    }
    members
}

/// The member that ends at the next single double quote, and what follows its comma.
fn quoted_member(text: &str) -> (String, &str) {
    let mut member = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('"') {
        member.push_str(before);
        match after.strip_prefix('"') {
            Some(doubled) => {
                member.push('"');
                rest = doubled;
            }
            None => return (member, after.split_once(',').map_or("", |(_, next)| next)),
        }
    }
    member.push_str(rest);
    (member, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_path_is_compared_member_by_member() {
        let table: &[(&str, &[&str])] = &[
            ("", &[]),
            ("public", &["public"]),
            (r#""$user", public"#, &["$user", "public"]),
            (r#""$user","Data" , Public"#, &["$user", "Data", "public"]),
            (r#""a, b", "say ""hi""""#, &["a, b", "say \"hi\""]),
            (r#""unclosed"#, &["unclosed"]),
        ];
        for (text, expected) in table {
            let parsed = ParameterValue::parse(&ParameterName::new("Search_Path"), text);
            assert_eq!(
                parsed,
                ParameterValue::List(expected.iter().map(|m| (*m).to_owned()).collect()),
                "{text}"
            );
        }
    }

    #[test]
    fn any_other_value_is_one_text_without_its_quotes() {
        let table = [
            ("", ""),
            ("4MB", "4MB"),
            ("'4MB'", "4MB"),
            ("'it''s'", "it's"),
            ("a, b=c", "a, b=c"),
            ("'", "'"),
        ];
        for (text, expected) in table {
            let parsed = ParameterValue::parse(&ParameterName::new("work_mem"), text);
            assert_eq!(parsed, ParameterValue::Text(expected.to_owned()), "{text}");
        }
    }
}
