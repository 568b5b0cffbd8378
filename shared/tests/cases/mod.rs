//! Reads the golden cases: manifests, configurations, and what they amount to.
//!
//! Tests of two crates and the benchmark share it, so it looks for the fixtures beside the crate that it is part of.

#![allow(dead_code, reason = "each test reads what it needs")]

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use shared::api::{OperatorConfiguration, Postgresql};
use shared::cluster::{Cluster, References};
use shared::config::OperatorConfig;

/// The folder of the golden cases.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/golden")
}

/// The YAML files of a folder, by name.
pub(crate) fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// A file as YAML.
pub(crate) fn yaml<T: DeserializeOwned>(path: &Path) -> T {
    serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// One of the two configurations, `default` and `custom`.
pub(crate) fn configuration(name: &str) -> OperatorConfig {
    let resource: OperatorConfiguration = yaml(&folder().join(format!("configurations/{name}.yaml")));
    OperatorConfig::from_resource(&resource).unwrap()
}

/// A manifest.
pub(crate) fn manifest(name: &str) -> Postgresql {
    yaml(&folder().join(format!("manifests/{name}.yaml")))
}

/// Every manifest.
pub(crate) fn manifests<T: DeserializeOwned>() -> Vec<T> {
    yaml_files(&folder().join("manifests")).iter().map(|path| yaml(path)).collect()
}

/// A manifest as it was when upstream's objects were recorded.
pub(crate) fn recorded(name: &str, namespace: &str) -> Postgresql {
    let mut manifest = manifest(name);
    manifest.metadata.uid = Some("<uid>".into());
    manifest.metadata.namespace = Some(namespace.into());
    manifest
}

/// What a manifest amounted to then.
pub(crate) fn cluster(name: &str, namespace: &str, config: &OperatorConfig) -> Cluster {
    resolve(&recorded(name, namespace), config)
}

/// What a manifest amounts to beside the objects that were there then.
pub(crate) fn resolve(manifest: &Postgresql, config: &OperatorConfig) -> Cluster {
    let mut references = References::default();
    if config.kubernetes.pod_environment_configmap.is_some() {
        references.environment_config_map.insert("FROM_CM".into(), "1".into());
    }
    Cluster::resolve(manifest, config, &references).unwrap_or_else(|errors| panic!("{errors}"))
}
