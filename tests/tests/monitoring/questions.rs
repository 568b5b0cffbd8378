//! What PromQL asks for: the names of our series in an expression, and the labels it selects them by.

use tests::monitoring::Family;

/// A selector of one of our series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selector {
    pub(crate) name: String,
    /// Label and the values that it asks for: one, or several of a `=~"a|b"`.
    pub(crate) labels: Vec<(String, Vec<String>)>,
}

/// Labels that Prometheus adds when it scrapes, and the bounds of histograms.
const ADDED: &[&str] = &["namespace", "pod", "job", "le"];

/// Every selector in a text.
pub(crate) fn selectors(text: &str) -> Vec<Selector> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("postgres_operator_") {
        let rest = &text[at..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let inside =
            after.strip_prefix('{').and_then(|after| after.split_once('}')).map_or("", |(inside, _)| inside);
        let labels = inside.split(',').filter_map(matcher).collect();
        found.push(Selector { name: name.to_owned(), labels });
    }
    found
}

/// `label="value"` in any of its four forms.
fn matcher(text: &str) -> Option<(String, Vec<String>)> {
    let (label, value) = text.split_once('=')?;
    let values = value.trim_matches(['~', '"', '\\']).split('|').map(str::to_owned).collect();
    Some((label.trim_end_matches('!').trim().to_owned(), values))
}

impl Selector {
    /// What no service exposes of it.
    pub(crate) fn missing(&self, families: &[Family]) -> Vec<String> {
        let Some(family) = families.iter().find(|family| family.names().any(|name| name == self.name)) else {
            return vec![format!("no service exposes {}", self.name)];
        };
        let mut missing = Vec::new();
        for (label, values) in self.labels.iter().filter(|(label, _)| !ADDED.contains(&label.as_str())) {
            let known: Vec<&String> =
                family.samples.iter().filter_map(|sample| sample.labels.get(label)).collect();
            let unknown = values.iter().filter(|value| !known.contains(value));
            missing.extend(unknown.map(|value| format!("{} has no {label}={value:?}", self.name)));
        }
        missing
    }
}

#[test]
fn names_and_labels_are_found_in_an_expression() {
    let found = selectors(
        r#"sum(rate(postgres_operator_a_total{outcome!="ok",to=~"x|y"}[5m])) / postgres_operator_b"#,
    );
    let label =
        |name: &str, values: &[&str]| (name.to_owned(), values.iter().map(|v| (*v).to_owned()).collect());
    let labels = vec![label("outcome", &["ok"]), label("to", &["x", "y"])];
    assert_eq!(found[0], Selector { name: "postgres_operator_a_total".to_owned(), labels });
    assert_eq!(found[1], Selector { name: "postgres_operator_b".to_owned(), labels: Vec::new() });
}
