//! What holds for every manifest: building never panics, building twice is the same, and a change of one field touches
//! only the objects that the field is about.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may be blunt")]

mod mutants;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use mutants::mutants;
use serde_json::{Value, json};
use shared::api::{OperatorConfiguration, Postgresql};
use shared::build::{Resources, build};
use shared::cluster::{Cluster, References};
use shared::config::OperatorConfig;
use shared::plan;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/golden")
}

fn yaml<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn configuration(name: &str) -> OperatorConfig {
    let resource: OperatorConfiguration = yaml(&golden().join(format!("configurations/{name}.yaml")));
    OperatorConfig::from_resource(&resource).unwrap()
}

fn manifests() -> Vec<Value> {
    let entries = fs::read_dir(golden().join("manifests")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| yaml(path)).collect()
}

/// The objects of a manifest that can be read and resolved.
fn built(manifest: &Value, config: &OperatorConfig) -> Option<Resources> {
    let manifest: Postgresql = serde_json::from_value(manifest.clone()).ok()?;
    let cluster = Cluster::resolve(&manifest, config, &References::unread()).ok()?;
    Some(build(&cluster))
}

/// Every object as text, by kind and name.
fn texts(resources: &Resources) -> BTreeMap<String, String> {
    let objects = plan::objects(resources).into_iter();
    objects
        .map(|(name, object)| (format!("{} {}", name.kind.as_str(), name.name), object.to_string()))
        .collect()
}

#[test]
fn no_manifest_makes_resolving_or_building_panic_and_twice_built_is_the_same() {
    for config in [configuration("default"), configuration("custom")] {
        for manifest in manifests() {
            let mut some_built = false;
            for mutant in mutants(&manifest) {
                let Some(once) = built(&mutant, &config) else { continue };
                let twice = built(&mutant, &config).unwrap();
                assert_eq!(texts(&once), texts(&twice), "{mutant}");
                assert_eq!(plan::orphans(&resolved(&mutant, &config), &once, &twice), [], "{mutant}");
                some_built = true;
            }
            assert!(some_built, "{manifest}");
        }
    }
}

fn resolved(manifest: &Value, config: &OperatorConfig) -> Cluster {
    let manifest: Postgresql = serde_json::from_value(manifest.clone()).unwrap();
    Cluster::resolve(&manifest, config, &References::unread()).unwrap()
}

const SET: &str = "StatefulSet demo";
const BACKUP: &str = "CronJob logical-backup-demo";
const POOLER: &[&str] = &[
    "Deployment demo-pooler",
    "Secret demo-pooler-u",
    "Secret pooler.demo.credentials.postgresql.acid.zalan.do",
    "Service demo-pooler",
];

/// A change of the manifest `demo`, and the objects that it touches.
fn changes() -> Vec<(Value, Vec<&'static str>)> {
    let pooler = POOLER.to_vec();
    vec![
        (json!({"numberOfInstances": 3}), vec![SET]),
        (json!({"dockerImage": "spilo:next"}), vec![SET]),
        (json!({"resources": {"limits": {"cpu": "2"}}}), vec![SET]),
        (json!({"volume": {"size": "2Gi"}}), vec![SET]),
        (json!({"patroni": {"ttl": 40}}), vec![SET]),
        (json!({"users": {"app": []}}), vec!["Secret app.demo.credentials.postgresql.acid.zalan.do"]),
        (json!({"users": {"app": ["nologin"]}}), vec![]),
        (json!({"databases": {"app": "postgres"}}), vec![]),
        (json!({"maintenanceWindows": ["01:00-02:00"]}), vec![]),
        (json!({"enableMasterLoadBalancer": true}), vec!["Service demo"]),
        (json!({"enableReplicaNodePort": true}), vec!["Service demo-repl"]),
        (json!({"enableMasterPoolerLoadBalancer": true}), vec![]),
        (json!({"enableConnectionPooler": true}), pooler.clone()),
        (json!({"connectionPooler": {"mode": "session"}}), pooler),
        (json!({"enableLogicalBackup": true}), vec![BACKUP]),
        (json!({"logicalBackupSchedule": "1 1 * * *"}), vec![]),
        (json!({"preparedDatabases": {"app": {}}}), vec![]),
    ]
}

#[test]
fn a_change_of_one_field_touches_only_the_objects_it_is_about() {
    let demo = json!({
        "apiVersion": "acid.zalan.do/v1", "kind": "postgresql", "metadata": {"name": "demo"},
        "spec": {"teamId": "acid", "numberOfInstances": 2, "postgresql": {"version": "17"}, "volume": {"size": "1Gi"}},
    });
    let config = configuration("default");
    let before = texts(&built(&demo, &config).unwrap());
    for (change, expected) in changes() {
        let mut changed = demo.clone();
        for (field, value) in change.as_object().unwrap() {
            changed
                .pointer_mut("/spec")
                .unwrap()
                .as_object_mut()
                .unwrap()
                .insert(field.clone(), value.clone());
        }
        let after = texts(&built(&changed, &config).unwrap());
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let touched: Vec<&str> = names
            .into_iter()
            .filter(|name| before.get(*name) != after.get(*name))
            .map(String::as_str)
            .collect();
        assert_eq!(touched, expected, "{change}");
    }
}

#[test]
fn what_a_manifest_no_longer_asks_for_is_an_orphan_and_nothing_else() {
    let config = configuration("default");
    let demo = |spec: Value| {
        let mut manifest = json!({
            "apiVersion": "acid.zalan.do/v1", "kind": "postgresql", "metadata": {"name": "demo"},
            "spec": {"teamId": "acid", "numberOfInstances": 2, "postgresql": {"version": "17"}, "volume": {"size": "1Gi"}},
        });
        let fields = manifest.pointer_mut("/spec").unwrap().as_object_mut().unwrap();
        fields.extend(spec.as_object().unwrap().clone());
        manifest
    };
    let with =
        demo(json!({"enableConnectionPooler": true, "enableLogicalBackup": true, "users": {"app": []}}));
    let without = demo(json!({}));
    let (old, new) = (built(&with, &config).unwrap(), built(&without, &config).unwrap());
    let orphans = plan::orphans(&resolved(&without, &config), &old, &new);
    let mut names: Vec<String> =
        orphans.iter().map(|it| format!("{} {}", it.object.kind.as_str(), it.object.name)).collect();
    names.sort();
    let mut expected: Vec<&str> = POOLER.iter().copied().chain([BACKUP]).collect();
    expected.sort_unstable();
    assert_eq!(names, expected, "a user's Secret stays: the role stays, too");

    let mut strangers = old.clone();
    for pooler in &mut strangers.poolers {
        let service = pooler.service.as_mut().unwrap();
        service.metadata.labels = Some([("application".to_owned(), "spilo".to_owned())].into());
    }
    let orphans = plan::orphans(&resolved(&without, &config), &strangers, &new);
    assert!(
        orphans.iter().all(|it| it.object.name != "demo-pooler" || it.object.kind != plan::Kind::Service)
    );
}
