//! The golden cases: manifests, configurations, and the objects that upstream's operator made of them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use shared::api::{OperatorConfiguration, Postgresql};
use shared::cluster::{Cluster, References};
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
        let config = configuration_named(configuration);
        for path in yaml_files(&folder().join("objects").join(configuration)) {
            let case = path.file_stem().unwrap().to_str().unwrap();
            cases.push(read(configuration, case, &format!("{prefix}-{case}"), &config));
        }
    }
    cases
}

/// One case, in a namespace.
pub(crate) fn case(configuration: &str, case: &str, namespace: &str) -> Case {
    read(configuration, case, namespace, &configuration_named(configuration))
}

fn read(configuration: &str, case: &str, namespace: &str, config: &OperatorConfig) -> Case {
    let manifest = manifest(case, namespace);
    Case {
        name: format!("{configuration}/{case}"),
        namespace: namespace.to_owned(),
        cluster: resolve(&manifest, config),
        config: config.clone(),
        manifest,
        objects: objects(&folder().join("objects").join(configuration).join(format!("{case}.yaml"))),
    }
}

/// Every manifest: its file's name and its text.
pub(crate) fn manifests() -> Vec<(String, String)> {
    let files = yaml_files(&folder().join("manifests"));
    let read = |path: PathBuf| {
        (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap())
    };
    files.into_iter().map(read).collect()
}

fn manifest(case: &str, namespace: &str) -> Postgresql {
    let path = folder().join("manifests").join(format!("{case}.yaml"));
    let mut manifest: Postgresql = serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    manifest.metadata.uid = Some("<uid>".into());
    manifest.metadata.namespace = Some(namespace.into());
    manifest
}

pub(crate) fn resolve(manifest: &Postgresql, config: &OperatorConfig) -> Cluster {
    let mut references = References::default();
    if config.kubernetes.pod_environment_configmap.is_some() {
        references.environment_config_map.insert("FROM_CM".into(), "1".into());
    }
    Cluster::resolve(manifest, config, &references).unwrap_or_else(|errors| panic!("{errors}"))
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

fn configuration_named(name: &str) -> OperatorConfig {
    let text = fs::read_to_string(folder().join("configurations").join(format!("{name}.yaml"))).unwrap();
    let resource: OperatorConfiguration = serde_saphyr::from_str(&text).unwrap();
    OperatorConfig::from_resource(&resource).unwrap()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/golden")
}

fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}
