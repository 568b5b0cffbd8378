//! The golden cases: manifests, configurations, and the objects that upstream's operator made of them.

#[path = "../../../shared/tests/cases/mod.rs"]
mod cases;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use shared::api::Postgresql;
use shared::cluster::Cluster;
use shared::config::OperatorConfig;

/// One manifest under one configuration.
pub(crate) struct Case {
    /// `default/minimal`.
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) manifest: Postgresql,
    pub(crate) config: OperatorConfig,
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
            cases.push(read(configuration, case, &format!("{prefix}-{case}"), &config));
        }
    }
    cases
}

/// One case, in a namespace.
pub(crate) fn case(configuration: &str, case: &str, namespace: &str) -> Case {
    read(configuration, case, namespace, &cases::configuration(configuration))
}

fn read(configuration: &str, case: &str, namespace: &str, config: &OperatorConfig) -> Case {
    let manifest = cases::recorded(case, namespace);
    Case {
        name: format!("{configuration}/{case}"),
        namespace: namespace.to_owned(),
        cluster: resolve(&manifest, config),
        config: config.clone(),
        manifest,
        objects: objects(&cases::folder().join("objects").join(configuration).join(format!("{case}.yaml"))),
    }
}

/// Every manifest: its file's name and its text.
pub(crate) fn manifests() -> Vec<(String, String)> {
    let files = cases::yaml_files(&cases::folder().join("manifests"));
    let read = |path: PathBuf| {
        (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap())
    };
    files.into_iter().map(read).collect()
}

pub(crate) use cases::resolve;

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
