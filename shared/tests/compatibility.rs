//! `docs/compatibility.md` has a row for every manifest field and every configuration option of the CRDs, and no other.

#![allow(clippy::unwrap_used, reason = "a test may be blunt")]

use std::collections::BTreeSet;

use kube::CustomResourceExt;
use serde_json::Value;
use shared::api::{OperatorConfiguration, Postgresql};

const TABLE: &str = include_str!("../../docs/compatibility.md");
/// The sections of a manifest that are told field by field.
const SECTIONS: &[&str] = &["clone", "connectionPooler", "patroni", "postgresql", "standby", "tls", "volume"];
const STATES: &[&str] = &["supported", "better", "partly; later (issue ", "later (issue ", "ignored"];

/// The properties below a part of a CRD's schema.
fn properties(crd: impl serde::Serialize, part: &str) -> Value {
    let crd = serde_json::to_value(crd).unwrap();
    let pointer = format!("/spec/versions/0/schema/openAPIV3Schema/properties/{part}/properties");
    crd.pointer(&pointer).unwrap().clone()
}

/// The names, those of a section or a group with its name before them.
fn names(properties: &Value, opened: impl Fn(&str) -> bool, keep_opened: bool) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (name, property) in properties.as_object().unwrap() {
        let inner = property.get("properties").and_then(Value::as_object).filter(|_| opened(name));
        if inner.is_none() || keep_opened {
            names.insert(name.clone());
        }
        names.extend(inner.into_iter().flatten().map(|(leaf, _)| format!("{name}.{leaf}")));
    }
    names
}

/// The first cells of one table, each state checked.
fn rows(heading: &str) -> BTreeSet<String> {
    let section = TABLE.split(&format!("\n## {heading}\n")).nth(1).unwrap();
    let lines = section.split("\n## ").next().unwrap().lines().filter(|line| line.starts_with("| `"));
    lines
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let state = cells.get(2).unwrap();
            assert!(STATES.iter().any(|known| state.starts_with(known)), "{line}");
            cells.get(1).unwrap().trim_matches('`').to_owned()
        })
        .collect()
}

#[test]
fn every_manifest_field_has_its_row() {
    let fields = names(&properties(Postgresql::crd(), "spec"), |name| SECTIONS.contains(&name), true);
    assert_eq!(rows("Manifest"), fields);
}

#[test]
fn every_configuration_option_has_its_row() {
    let options = properties(OperatorConfiguration::crd(), "configuration");
    assert_eq!(rows("Configuration"), names(&options, |_| true, false));
}
