//! `docs/compatibility.md` has a row for every manifest field and every configuration option of the CRDs, and no other;
//! the default in each is the schema's, and the proof that it names is there and is about it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may be blunt")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use kube::CustomResourceExt;
use serde_json::Value;
use shared::api::{OperatorConfiguration, Postgresql};

const TABLE: &str = include_str!("../../docs/compatibility.md");
const OPTIONS: &str = include_str!("../../tests/fixtures/options.yaml");
/// The sections of a manifest that are told field by field.
const SECTIONS: &[&str] = &["clone", "connectionPooler", "patroni", "postgresql", "standby", "tls", "volume"];
/// Nothing is left for later: a field or an option that is accepted is acted upon, or ignored as upstream ignores it.
const STATES: &[&str] = &["supported", "better", "ignored"];
/// What stands where there is nothing.
const NONE: &str = "–";
/// How many rows say "supported" or "better" and have no proof. It only goes down.
const UNPROVED: usize = 9;

struct Row<'a> {
    name: &'a str,
    default: &'a str,
    state: &'a str,
    proof: &'a str,
}

/// The properties below a part of a CRD's schema.
fn properties(crd: impl serde::Serialize, part: &str) -> Value {
    let crd = serde_json::to_value(crd).unwrap();
    let pointer = format!("/spec/versions/0/schema/openAPIV3Schema/properties/{part}/properties");
    crd.pointer(&pointer).unwrap().clone()
}

/// The names, those of a section or a group with its name before them, and the default of each.
fn defaults(
    properties: &Value,
    opened: impl Fn(&str) -> bool,
    keep_opened: bool,
) -> BTreeMap<String, String> {
    let shown = |property: &Value| match property.get("default") {
        Some(default) => format!("`{default}`"),
        None => NONE.to_owned(),
    };
    let mut all = BTreeMap::new();
    for (name, property) in properties.as_object().unwrap() {
        let inner = property.get("properties").and_then(Value::as_object).filter(|_| opened(name));
        if inner.is_none() || keep_opened {
            all.insert(name.clone(), shown(property));
        }
        let leaves = inner.into_iter().flatten();
        all.extend(leaves.map(|(leaf, property)| (format!("{name}.{leaf}"), shown(property))));
    }
    all
}

/// The rows of one table, each state checked.
fn rows(heading: &str) -> Vec<Row<'static>> {
    let section = TABLE.split(&format!("\n## {heading}\n")).nth(1).unwrap();
    let lines = section.split("\n## ").next().unwrap().lines().filter(|line| line.starts_with("| `"));
    lines
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            assert_eq!(cells.len(), 7, "{line}");
            let state = cells[3];
            assert!(STATES.iter().any(|known| state.starts_with(known)), "{line}");
            Row { name: cells[1].trim_matches('`'), default: cells[2], state, proof: cells[5] }
        })
        .collect()
}

fn check_defaults(heading: &str, schema: &BTreeMap<String, String>) {
    let told: BTreeMap<String, String> =
        rows(heading).iter().map(|row| (row.name.to_owned(), row.default.to_owned())).collect();
    let wrong: Vec<String> = schema
        .keys()
        .chain(told.keys())
        .filter(|name| schema.get(*name) != told.get(*name))
        .map(|name| format!("{name}: the schema says {:?}, the table {:?}", schema.get(name), told.get(name)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_manifest_field_has_its_row() {
    let schema = properties(Postgresql::crd(), "spec");
    check_defaults("Manifest", &defaults(&schema, |name| SECTIONS.contains(&name), true));
}

#[test]
fn every_configuration_option_has_its_row() {
    let schema = properties(OperatorConfiguration::crd(), "configuration");
    check_defaults("Configuration", &defaults(&schema, |_| true, false));
}

#[test]
fn every_proof_is_there_and_is_about_its_row() {
    let sources = sources();
    let mut wrong = Vec::new();
    let mut unproved = Vec::new();
    for (heading, is_option) in [("Manifest", false), ("Configuration", true)] {
        for row in rows(heading) {
            if row.proof == NONE {
                let promised = ["supported", "better"].iter().any(|word| row.state.starts_with(word));
                unproved.extend(promised.then_some(row.name));
            } else if !is_proof(row.proof.trim_matches('`'), row.name, is_option, &sources) {
                wrong.push(format!("{}: {}", row.name, row.proof));
            }
        }
    }
    assert!(wrong.is_empty(), "no proofs of their rows:\n{}", wrong.join("\n"));
    assert_eq!(unproved.len(), UNPROVED, "supported, and nothing shows it: {unproved:#?}");
}

/// Whether a proof is what it says: a golden case or a refused manifest with the field, a row of the options' table, or
/// else a test of that name.
fn is_proof(proof: &str, name: &str, is_option: bool, sources: &str) -> bool {
    let leaf = name.rsplit('.').next().unwrap();
    match proof.split_once('/') {
        Some(("golden", case)) if is_option => {
            let of = |file: &str| value(&format!("golden/configurations/{file}.yaml"), "configuration", name);
            of(case).is_some_and(|value| Some(value) != of("default"))
        }
        Some(("golden", case)) => value(&format!("golden/manifests/{case}.yaml"), "spec", name).is_some(),
        Some(("admission", case)) => {
            let of_its_own = texts(&fixtures().join("admission").join(case));
            let among_others = texts(&fixtures().join("admission"));
            of_its_own.contains(leaf) || among_others.contains(&format!("name: {case}\n"))
        }
        Some(_) => false,
        None if proof == "options" => {
            let is_row = |word: &str| {
                OPTIONS.contains(&format!("{word}: {name},"))
                    || OPTIONS.contains(&format!("{word}: {name}\n"))
            };
            is_row(if is_option { "option" } else { "field" })
        }
        None => sources.contains(&format!("fn {proof}(")),
    }
}

/// What a fixture says at a dotted path.
fn value(file: &str, part: &str, name: &str) -> Option<Value> {
    let document: Value = serde_saphyr::from_str(&fs::read_to_string(fixtures().join(file)).ok()?).unwrap();
    document.pointer(&format!("/{part}/{}", name.replace('.', "/"))).cloned()
}

/// What the files of a folder say.
fn texts(folder: &Path) -> String {
    let text = |path: &PathBuf| {
        if path.is_dir() { texts(path) } else { fs::read_to_string(path).unwrap() }
    };
    files(folder).iter().map(text).collect()
}

/// All Rust of the repository.
fn sources() -> String {
    let folders = ["shared", "operator", "webhook", "tests", "crds", "certs"].map(|name| root().join(name));
    let mut open: Vec<PathBuf> = folders.into();
    let mut text = String::new();
    while let Some(folder) = open.pop() {
        for path in files(&folder) {
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }
    text
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn fixtures() -> PathBuf {
    root().join("tests/fixtures")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
