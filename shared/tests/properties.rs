//! What holds for every golden manifest and for those that are wrong in one place: building never panics, building twice
//! is the same, and what is no longer asked for goes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may be blunt")]

mod cases;
mod mutants;

use std::collections::BTreeMap;

use mutants::mutants;
use serde_json::{Value, json};
use shared::api::Postgresql;
use shared::build::{Resources, build};
use shared::cluster::{Cluster, References};
use shared::config::OperatorConfig;
use shared::plan;

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
    for config in [cases::configuration("default"), cases::configuration("custom")] {
        for manifest in cases::manifests() {
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

const BACKUP: &str = "CronJob logical-backup-demo";
const POOLER: &[&str] = &[
    "Deployment demo-pooler",
    "Secret demo-pooler-u",
    "Secret pooler.demo.credentials.postgresql.acid.zalan.do",
    "Service demo-pooler",
];

#[test]
fn what_a_manifest_no_longer_asks_for_is_an_orphan_and_nothing_else() {
    let config = cases::configuration("default");
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
