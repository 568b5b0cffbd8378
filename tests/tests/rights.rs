//! What the operator asks for at its start is what the installation grants: no more, no less.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may be blunt")]

use std::collections::BTreeSet;
use std::path::Path;

use operator::rights::{BEFORE_START, NEEDS};
use serde_json::Value;

/// Group, resource and verb of every rule of the operator's roles.
fn granted() -> BTreeSet<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/base/operator/rbac.yaml");
    let all: Vec<Value> = serde_saphyr::from_multiple(&std::fs::read_to_string(path).unwrap()).unwrap();
    let roles = all.iter().filter(|object| {
        let name = object["metadata"]["name"].as_str().unwrap();
        object["kind"].as_str().unwrap().ends_with("Role") && name != "postgres-pod"
    });
    let mut granted = BTreeSet::new();
    for rule in roles.flat_map(|role| role["rules"].as_array().unwrap()) {
        let words = |key: &str| -> Vec<&str> {
            rule[key].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect()
        };
        for (group, resource) in words("apiGroups")
            .iter()
            .flat_map(|group| words("resources").into_iter().map(move |one| (*group, one)))
        {
            granted.extend(
                words("verbs").iter().map(|verb| (format!("{group}/{resource}"), (*verb).to_owned())),
            );
        }
    }
    granted
}

#[test]
fn the_operator_asks_for_what_it_is_granted() {
    let asked: BTreeSet<(String, String)> = NEEDS
        .iter()
        .chain([&BEFORE_START])
        .flat_map(|need| {
            need.verbs.iter().map(|verb| (format!("{}/{}", need.group, need.resource), (*verb).to_owned()))
        })
        .collect();
    let granted = granted();
    let only = |one: &BTreeSet<_>, other: &BTreeSet<_>| {
        one.difference(other).cloned().collect::<Vec<(String, String)>>()
    };
    assert_eq!(only(&asked, &granted), [], "asked for, and not granted");
    assert_eq!(only(&granted, &asked), [], "granted, and not asked for");
}
