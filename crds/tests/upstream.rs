//! Our definitions beside upstream's, field by field: whatever upstream's accept, ours must accept.
//!
//! Runs where `UPSTREAM_CRDS` names a folder with upstream's `manifests/*.crd.yaml` (they are not ours to copy):
//! `UPSTREAM_CRDS=postgres-operator/manifests cargo test -p crds --test upstream -- --nocapture`. What it found is in
//! `docs/compatibility-crd.md`. It compares schemas: of CEL rules it only says that they are there, and patterns that
//! are not the same text count as narrower unless [`WIDER`] knows them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may be blunt")]

use std::fs;
use std::path::Path;

use kube::CustomResourceExt;
use serde_json::{Map, Value, json};
use shared::api::{OperatorConfiguration, PostgresTeam, Postgresql};

/// Where ours refuses on purpose what upstream's accepts: the path, or its end, the keyword, and why.
const DELIBERATE: &[(&str, &str, &str)] = &[
    ("", "maxLength", "a bound that no sensible value reaches; CEL's cost budget needs one"),
    ("", "maxItems", "a bound that no sensible value reaches; CEL's cost budget needs one"),
    ("", "maxProperties", "a bound that no sensible value reaches; CEL's cost budget needs one"),
    (".spec.patroni.*", "minimum", "upstream cannot read a manifest with a negative number there (A22)"),
    (
        ".spec.streams[].batchSize",
        "minimum",
        "upstream cannot read a manifest with a negative number there (A22)",
    ),
    (".configuration.*", "minimum", "upstream's operator does not start with a negative number there"),
    (".api_port", "maximum", "a port has 16 bits"),
    (".configuration.*", "duration", "upstream's operator does not start with what is no duration"),
    (".configuration.*", "version", "upstream reads what is no version as 0"),
    (".infrastructure_roles_secrets[]", "required", "upstream reports such a role and goes on without it"),
    (
        ".persistent_volume_claim_retention_policy",
        "additionalProperties",
        "upstream reads no other keys; they are dropped",
    ),
    (
        ".configuration.sidecars",
        "type",
        "upstream's operator reads a list there, which its own definition refuses",
    ),
    (".configuration.sidecars", "unknown fields", "upstream's operator reads a list there"),
];

/// Patterns that are not the same text, but of which ours takes all that upstream's takes: both ends, and samples that
/// upstream's takes (the test tries them on both).
const WIDER: &[(&str, &str, &[&str])] = &[
    ("^([0-9.]+(e[0-9]+)?([mk]", r"^(\d+m|", &["100m", "1", "0.5", "1.125", "10"]),
    (
        "^([0-9.]+(e[0-9]+)?([mk]",
        r"^(\d+(e\d+)?|",
        &["1", "1e9", "100Mi", "1.5Gi", "5K", "2e3Ki", "1.25e3M", "7E", "8Pi"],
    ),
    (r"^(@[a-z]+|", r"^(\d+|\*)(/\d+)?", &["30 00 * * *", "*/5 * * * *", "* * * * *", "0/15  2 * 1 3"]),
    (r"^\s*((Mon|", r"^\ *((Mon|", &[" 1:5-2:6 ", "Sat:02:00-04:00", "23:59-0:00", "Sun:1:1-2:2"]),
];

/// Patterns of ours where upstream has none, by what they are of.
const OF: &[(&str, &str)] = &[("(ns|us|µs|ms|s|m|h)", "duration"), ("^([0-9]+([.][0-9]+)?)?$", "version")];

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
        let is_at = |place: &str| match place.strip_suffix('*') {
            Some(start) => path.starts_with(start),
            None => path.ends_with(place),
        };
        let deliberate = DELIBERATE.iter().any(|(place, of, _)| is_at(place) && *of == keyword);
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
        // A null where the schema admits none is dropped, and so it is accepted; in lists and maps it is refused.
        let is_dropped = |kind: &str| kind == "null" && !path.ends_with(']');
        let is_missing = |kind: &str| !have.is_empty() && !have.contains(&kind) && !is_dropped(kind);
        if want.iter().any(|kind| is_missing(kind)) || (want.is_empty() && !have.is_empty()) {
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
            if our.is_some() && our != their && !harmless && !is_wider(our, their) {
                let of = OF.iter().find(|(part, _)| their.is_none() && shown(our).contains(part));
                let keyword = of.map_or(keyword, |(_, name)| *name);
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
                None if ["..apiVersion", "..kind", "..metadata"].contains(&format!(".{path}").as_str()) => {}
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

/// Whether every sample of a known pair of patterns that upstream's takes is taken by ours.
fn is_wider(ours: Option<&Value>, theirs: Option<&Value>) -> bool {
    let (Some(ours), Some(theirs)) = (ours.and_then(Value::as_str), theirs.and_then(Value::as_str)) else {
        return false;
    };
    let known = WIDER.iter().find(|(our, their, _)| ours.starts_with(our) && theirs.starts_with(their));
    known.is_some_and(|(_, _, samples)| {
        let (ours, theirs) = (regex::Regex::new(ours).unwrap(), regex::Regex::new(theirs).unwrap());
        samples.iter().all(|sample| {
            assert!(theirs.is_match(sample), "{sample} is no sample of {theirs}");
            ours.is_match(sample)
        })
    })
}

fn keeps_all(schema: &Value) -> bool {
    schema["x-kubernetes-preserve-unknown-fields"] == true
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "none".to_owned(), Value::to_string)
}
