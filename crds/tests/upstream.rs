//! Our definitions beside upstream's, field by field: whatever upstream's accept, ours must accept.
//!
//! Runs where `UPSTREAM_CRDS` names a folder with upstream's `manifests/*.crd.yaml` (they are not ours to copy):
//! `UPSTREAM_CRDS=postgres-operator/manifests cargo test -p crds --test upstream -- --nocapture`. What it found is in
//! `docs/compatibility-crd.md`. It compares schemas, so a pattern that is not the same text counts as narrower.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may be blunt")]

use std::fs;
use std::path::Path;

use kube::CustomResourceExt;
use serde_json::{Map, Value, json};
use shared::api::{OperatorConfiguration, PostgresTeam, Postgresql};

/// Where ours refuses on purpose what upstream's accepts: the end of the path, the keyword, and why.
const DELIBERATE: &[(&str, &str, &str)] = &[
    ("", "maxLength", "a bound that no sensible value reaches; CEL's cost budget needs one"),
    ("", "maxItems", "a bound that no sensible value reaches; CEL's cost budget needs one"),
    ("", "maxProperties", "a bound that no sensible value reaches; CEL's cost budget needs one"),
];

#[test]
fn whatever_upstreams_definitions_accept_ours_accept() {
    let Some(folder) = std::env::var_os("UPSTREAM_CRDS") else {
        println!("skipped: UPSTREAM_CRDS names no folder with upstream's definitions");
        return;
    };
    let mut gaps = Vec::new();
    for (file, ours) in [
        ("postgresql.crd.yaml", Postgresql::crd()),
        ("operatorconfiguration.crd.yaml", OperatorConfiguration::crd()),
        ("postgresteam.crd.yaml", PostgresTeam::crd()),
    ] {
        let theirs: Value =
            serde_saphyr::from_str(&fs::read_to_string(Path::new(&folder).join(file)).unwrap()).unwrap();
        let ours = serde_json::to_value(ours).unwrap();
        let mut found = Comparison::default();
        found.schema("", &schema_of(&ours), &schema_of(&theirs));
        found.names(&ours, &theirs);
        println!("{file}: {} fields of upstream's, {} gaps", found.fields, found.gaps.len());
        found.notes.iter().for_each(|note| println!("  note: {note}"));
        gaps.extend(found.gaps.into_iter().map(|gap| format!("{file}: {gap}")));
    }
    assert!(gaps.is_empty(), "{} gaps:\n{}", gaps.len(), gaps.join("\n"));
}

fn schema_of(crd: &Value) -> Value {
    crd.pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap().clone()
}

#[derive(Default)]
struct Comparison {
    /// How many fields upstream declares.
    fields: usize,
    /// Where ours accepts less.
    gaps: Vec<String>,
    /// Where ours differs without accepting less.
    notes: Vec<String>,
}

impl Comparison {
    fn gap(&mut self, path: &str, keyword: &str, text: &str) {
        let deliberate = DELIBERATE.iter().any(|(end, of, _)| path.ends_with(end) && *of == keyword);
        let line = format!("{path}: {keyword} {text}");
        if deliberate { self.notes.push(line) } else { self.gaps.push(line) }
    }

    /// One schema of ours beside upstream's for the same place.
    fn schema(&mut self, path: &str, ours: &Value, theirs: &Value) {
        self.types(path, ours, theirs);
        self.values(path, ours, theirs);
        self.bounds(path, ours, theirs);
        if ours.get("default") != theirs.get("default") {
            let (our, their) = (shown(ours.get("default")), shown(theirs.get("default")));
            self.notes.push(format!("{path}: default {our}, upstream's {their}"));
        }
        for (index, rule) in ours["x-kubernetes-validations"].as_array().into_iter().flatten().enumerate() {
            self.notes.push(format!("{path}: rule {index}: {}", rule["rule"].as_str().unwrap_or_default()));
        }
        self.children(path, ours, theirs);
    }

    fn types(&mut self, path: &str, ours: &Value, theirs: &Value) {
        let (have, want) = (types(ours), types(theirs));
        let missing: Vec<&&str> =
            want.iter().filter(|kind| !have.is_empty() && !have.contains(kind)).collect();
        if !missing.is_empty() || (want.is_empty() && !have.is_empty()) {
            self.gap(path, "type", &format!("is {have:?}, upstream's {want:?}"));
        }
    }

    fn values(&mut self, path: &str, ours: &Value, theirs: &Value) {
        match (ours.get("enum").and_then(Value::as_array), theirs.get("enum").and_then(Value::as_array)) {
            (Some(_), None) => self.gap(path, "enum", "where upstream has none"),
            (Some(have), Some(want)) => {
                let missing: Vec<&Value> = want.iter().filter(|value| !have.contains(value)).collect();
                if !missing.is_empty() {
                    self.gap(path, "enum", &format!("lacks {missing:?}"));
                }
            }
            _ => {}
        }
        for keyword in ["pattern", "format"] {
            let (our, their) = (ours.get(keyword), theirs.get(keyword));
            let harmless = keyword == "format"
                && our.is_some_and(|format| ["int32", "int64"].iter().any(|known| format == known));
            if our.is_some() && our != their && !harmless {
                self.gap(path, keyword, &format!("{}, upstream's {}", shown(our), shown(their)));
            } else if our.is_none() && their.is_some() {
                self.notes.push(format!("{path}: no {keyword}, upstream's {}", shown(their)));
            }
        }
    }

    fn bounds(&mut self, path: &str, ours: &Value, theirs: &Value) {
        for (keyword, at_least) in [
            ("minimum", true),
            ("minLength", true),
            ("minItems", true),
            ("minProperties", true),
            ("maximum", false),
            ("maxLength", false),
            ("maxItems", false),
            ("maxProperties", false),
        ] {
            let (our, their) = (ours[keyword].as_f64(), theirs[keyword].as_f64());
            let narrower = match (our, their) {
                (Some(our), Some(their)) => {
                    if at_least {
                        our > their
                    } else {
                        our < their
                    }
                }
                (Some(_), None) => true,
                (None, _) => false,
            };
            if narrower {
                self.gap(path, keyword, &format!("{our:?}, upstream's {their:?}"));
            }
        }
        for keyword in ["x-kubernetes-list-type", "uniqueItems"] {
            if let Some(our) =
                ours.get(keyword).filter(|our| Some(*our) != theirs.get(keyword) && *our != "atomic")
            {
                self.gap(path, keyword, &our.to_string());
            }
        }
        let required = |of: &Value| of["required"].as_array().cloned().unwrap_or_default();
        let (have, want) = (required(ours), required(theirs));
        let further: Vec<&Value> = have.iter().filter(|name| !want.contains(name)).collect();
        if !further.is_empty() {
            self.gap(path, "required", &format!("{further:?}, which upstream does not require"));
        }
        let dropped: Vec<&Value> = want.iter().filter(|name| !have.contains(name)).collect();
        if !dropped.is_empty() {
            self.notes.push(format!("{path}: {dropped:?} is not required, as it is upstream"));
        }
    }

    fn children(&mut self, path: &str, ours: &Value, theirs: &Value) {
        let nothing = Map::new();
        let properties =
            |of: &Value| of["properties"].as_object().cloned().unwrap_or_else(|| nothing.clone());
        let (have, want) = (properties(ours), properties(theirs));
        for (name, their) in &want {
            self.fields += 1;
            let path = format!("{path}.{name}");
            match have.get(name) {
                Some(our) => self.schema(&path, our, their),
                None if keeps_all(ours) => {}
                None => self.gap(&path, "field", "is missing"),
            }
        }
        for name in have.keys().filter(|name| !want.contains_key(*name)) {
            self.notes.push(format!("{path}.{name}: only ours"));
        }
        if keeps_all(theirs) && !keeps_all(ours) && !ours["additionalProperties"].is_object() {
            self.gap(path, "unknown fields", "are pruned, upstream keeps them");
        }
        for keyword in ["items", "additionalProperties"] {
            match (ours.get(keyword), theirs.get(keyword)) {
                (Some(our), Some(their)) if our.is_object() => self.schema(&format!("{path}[]"), our, their),
                (None, Some(_)) if !keeps_all(ours) => self.gap(path, keyword, "is missing"),
                _ => {}
            }
        }
    }

    /// Names, scope, subresources and columns.
    fn names(&mut self, ours: &Value, theirs: &Value) {
        for pointer in [
            "/metadata/name",
            "/metadata/labels",
            "/spec/group",
            "/spec/scope",
            "/spec/names/kind",
            "/spec/names/plural",
            "/spec/names/singular",
            "/spec/names/shortNames",
            "/spec/names/categories",
            "/spec/versions/0/name",
            "/spec/versions/0/subresources/status",
        ] {
            if theirs.pointer(pointer).is_some() && ours.pointer(pointer) != theirs.pointer(pointer) {
                self.gaps.push(format!(
                    "{pointer}: {} , upstream's {}",
                    shown(ours.pointer(pointer)),
                    shown(theirs.pointer(pointer))
                ));
            }
        }
        let columns = |of: &Value| -> Vec<Value> {
            let columns =
                of.pointer("/spec/versions/0/additionalPrinterColumns").cloned().unwrap_or_default();
            let columns = columns.as_array().into_iter().flatten();
            columns.map(|column| json!([column["name"], column["jsonPath"], column["type"]])).collect()
        };
        let (have, want) = (columns(ours), columns(theirs));
        if !have.starts_with(&want) {
            self.gaps.push(format!("columns {have:?}, upstream's {want:?}"));
        }
    }
}

/// What types a schema admits; none where it admits all.
fn types(schema: &Value) -> Vec<&str> {
    let mut all = match schema["type"].as_str() {
        _ if schema["x-kubernetes-int-or-string"] == true => vec!["integer", "string"],
        Some("number") => vec!["number", "integer"],
        Some(one) => vec![one],
        None => Vec::new(),
    };
    if schema["nullable"] == true && !all.is_empty() {
        all.push("null");
    }
    all
}

fn keeps_all(schema: &Value) -> bool {
    schema["x-kubernetes-preserve-unknown-fields"] == true
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "none".to_owned(), Value::to_string)
}
