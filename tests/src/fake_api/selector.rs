//! Label and field selectors, as a list or a watch carries them.
//!
//! [`super::Request`] asks when it picks objects. A newcomer would not guess that `a!=b` and `a notin (b)` also select
//! objects that have no label `a` at all.

use serde_json::Value;

/// Which objects a request is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<(String, String)>,
}

/// One requirement of a label selector.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
}

impl Selector {
    /// The selector that these two parameters of a request spell.
    pub(super) fn parse(labels: &str, fields: &str) -> Self {
        let fields = fields.split(',').filter_map(|field| field.split_once('='));
        let field = |(path, value): (&str, &str)| (path.to_owned(), value.trim_start_matches('=').to_owned());
        Self {
            labels: terms(labels).iter().map(|term| Requirement::parse(term)).collect(),
            fields: fields.map(field).collect(),
        }
    }

    /// Whether an object is selected.
    pub(super) fn selects(&self, object: &Value) -> bool {
        let labels = object.pointer("/metadata/labels");
        self.labels.iter().all(|requirement| requirement.holds(labels))
            && self.fields.iter().all(|(path, wanted)| {
                let pointer = format!("/{}", path.replace('.', "/"));
                object.pointer(&pointer).and_then(Value::as_str).unwrap_or_default() == wanted
            })
    }
}

/// The comma-separated terms, where a comma within brackets separates nothing.
fn terms(text: &str) -> Vec<String> {
    let (mut terms, mut term, mut depth) = (Vec::new(), String::new(), 0);
    for letter in text.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if letter == ',' && depth == 0 {
            terms.push(std::mem::take(&mut term));
        } else {
            term.push(letter);
        }
    }
    terms.push(term);
    terms.into_iter().map(|term| term.trim().to_owned()).filter(|term| !term.is_empty()).collect()
}

impl Requirement {
    fn parse(term: &str) -> Self {
        let values = |list: &str| {
            let list = list.trim().trim_start_matches('(').trim_end_matches(')');
            list.split(',').map(|value| value.trim().to_owned()).collect::<Vec<_>>()
        };
        let key = |key: &str| key.trim().to_owned();
        if let Some((name, list)) = term.split_once(" notin ") {
            return Self::NotIn(key(name), values(list));
        }
        if let Some((name, list)) = term.split_once(" in ") {
            return Self::In(key(name), values(list));
        }
        if let Some((name, value)) = term.split_once("!=") {
            return Self::NotIn(key(name), vec![key(value)]);
        }
        if let Some((name, value)) = term.split_once('=') {
            return Self::In(key(name), vec![key(value.trim_start_matches('='))]);
        }
        match term.strip_prefix('!') {
            Some(name) => Self::Missing(key(name)),
            None => Self::Exists(key(term)),
        }
    }

    fn holds(&self, labels: Option<&Value>) -> bool {
        let value = |name: &str| labels.and_then(|labels| labels.get(name)).and_then(Value::as_str);
        let among = |list: &[String], value: &str| list.iter().any(|one| one == value);
        match self {
            Self::In(name, list) => value(name).is_some_and(|value| among(list, value)),
            Self::NotIn(name, list) => !value(name).is_some_and(|value| among(list, value)),
            Self::Exists(name) => value(name).is_some(),
            Self::Missing(name) => value(name).is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_selector_selects_what_kubernetes_would() {
        let object =
            json!({"metadata": {"name": "demo-0", "labels": {"application": "spilo", "team": "acid"}}});
        for (labels, fields, expected) in [
            ("", "", true),
            ("application=spilo", "", true),
            ("application==spilo,team", "", true),
            ("application in (spilo,db-connection-pooler),team", "", true),
            ("application notin (spilo)", "", false),
            ("missing!=x,!missing", "", true),
            ("cluster-name", "", false),
            ("", "metadata.name=demo-0", true),
            ("", "metadata.name=demo-1", false),
        ] {
            assert_eq!(Selector::parse(labels, fields).selects(&object), expected, "{labels} {fields}");
        }
    }
}
