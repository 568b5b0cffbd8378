//! The golden cases: manifests, configurations, and the objects that upstream's operator made of them.

#[path = "../../../shared/tests/cases/mod.rs"]
mod cases;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use shared::cluster::Cluster;

/// One manifest under one configuration.
pub(crate) struct Case {
    /// `default/minimal`.
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) cluster: Cluster,
    /// What upstream's operator made of it.
    pub(crate) objects: Vec<Value>,
}

/// Every case.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (configuration, prefix) in [("default", "d"), ("custom", "c")] {
        let config = cases::configuration(configuration);
        for path in cases::yaml_files(&cases::folder().join("objects").join(configuration)) {
            let case = path.file_stem().unwrap().to_str().unwrap();
            let namespace = format!("{prefix}-{case}");
            cases.push(Case {
                name: format!("{configuration}/{case}"),
                cluster: cases::cluster(case, &namespace, &config),
                namespace,
                objects: objects(&path),
            });
        }
    }
    cases
}

/// Every manifest: its file's name and its text.
pub(crate) fn manifests() -> Vec<(String, String)> {
    let files = cases::yaml_files(&cases::folder().join("manifests"));
    let read = |path: PathBuf| {
        (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap())
    };
    files.into_iter().map(read).collect()
}

/// The objects as upstream left them. Passwords are placeholders there; any will do here.
fn objects(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    let mut objects: Vec<Value> =
        text.split("\n---\n").map(|document| serde_saphyr::from_str(document).unwrap()).collect();
    for secret in objects.iter_mut().filter(|object| object["kind"] == "Secret") {
        for value in secret["data"].as_object_mut().unwrap().values_mut().filter(|value| *value == "<random>")
        {
            *value = json!("cmFuZG9t");
        }
    }
    objects
}
