//! One story for each thing that can be in a cluster's way.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::{Value, json};

use super::*;
use crate::admission::{review, review_among};

fn manifest(name: &str, fields: Value) -> Value {
    let mut spec = json!({
        "teamId": "acid", "numberOfInstances": 2, "volume": {"size": "10Gi"}, "postgresql": {"version": "17"},
        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "2Gi"}},
    });
    spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    json!({
        "apiVersion": "acid.zalan.do/v1", "kind": "postgresql",
        "metadata": {"name": name, "namespace": "default", "uid": "u-1"}, "spec": spec,
    })
}

fn named<T: Clone>(things: &[(&str, T)]) -> Option<Named<T>> {
    Some(Arc::new(things.iter().map(|(name, thing)| ((*name).to_owned(), thing.clone())).collect()))
}

fn warned(old: Option<&Value>, new: &Value, around: &Surroundings) -> Vec<String> {
    let changes = review_among(old, new, &OperatorConfig::default(), around).unwrap();
    let plan: Vec<String> =
        review(old, new, &OperatorConfig::default()).unwrap().iter().map(ToString::to_string).collect();
    changes.iter().map(ToString::to_string).filter(|line| !plan.contains(line)).collect()
}

fn of_new(fields: Value, around: &Surroundings) -> Vec<String> {
    warned(None, &manifest("acid-demo", fields), around)
}

const FAST: StorageClass = StorageClass { expandable: false, default: false };

#[test]
fn what_is_not_known_is_not_spoken_of() {
    let fields = json!({
        "volume": {"size": "10Gi", "storageClass": "none"}, "podPriorityClassName": "none", "clone": {"cluster": "none"},
        "tls": {"secretName": "none", "caFile": "ca.crt"}, "envFrom": [{"configMapRef": {"name": "none"}}],
    });
    assert_eq!(of_new(fields, &Surroundings::default()), Vec::<String>::new());
}

#[test]
fn a_storage_class_that_does_not_exist_is_told_with_those_that_do() {
    let around =
        Surroundings { storage_classes: named(&[("fast", FAST), ("slow", FAST)]), ..Default::default() };
    assert_eq!(
        of_new(json!({"volume": {"size": "1Gi", "storageClass": "quick"}}), &around),
        ["spec.volume.storageClass: there is no StorageClass \"quick\" now, so pods wait; known: fast, slow"]
    );
    assert_eq!(
        of_new(json!({}), &around),
        [
            "spec.volume.storageClass: is not set and no StorageClass is the default now, so pods wait for volumes"
        ]
    );
    assert_eq!(
        of_new(json!({"volume": {"size": "1Gi", "storageClass": "fast"}}), &around),
        Vec::<String>::new()
    );
}

#[test]
fn volumes_that_cannot_grow_are_told_when_they_shall() {
    let standard = StorageClass { expandable: false, default: true };
    let around = Surroundings { storage_classes: named(&[("standard", standard)]), ..Default::default() };
    let old = manifest("acid-demo", json!({}));
    let larger = manifest("acid-demo", json!({"volume": {"size": "20Gi"}}));
    assert_eq!(
        warned(Some(&old), &larger, &around),
        ["spec.volume.size: StorageClass \"standard\" cannot expand volumes now: they stay as they are \
          (allowVolumeExpansion)"]
    );
    let more = manifest("acid-demo", json!({"numberOfInstances": 3}));
    assert_eq!(warned(Some(&old), &more, &around), Vec::<String>::new());
}

fn quota(hard: &[(&str, &str)], used: &[(&str, &str)]) -> Quota {
    let amounts = |all: &[(&str, &str)]| {
        all.iter().map(|(name, text)| ((*name).to_owned(), text.parse().unwrap())).collect()
    };
    Quota { hard: amounts(hard), used: amounts(used), scoped: false }
}

#[test]
fn a_quota_counts_what_the_change_adds() {
    let used =
        quota(&[("requests.memory", "4Gi"), ("pods", "10")], &[("requests.memory", "3Gi"), ("pods", "3")]);
    let around = Surroundings { quotas: named(&[("team", used)]), ..Default::default() };
    assert_eq!(
        of_new(json!({}), &around),
        [
            "metadata.namespace: ResourceQuota \"team\" stops pods now: requests.memory 3Gi of 4Gi used, 2Gi more wanted"
        ]
    );
    let old = manifest("acid-demo", json!({}));
    let one_more = manifest("acid-demo", json!({"numberOfInstances": 3}));
    assert_eq!(warned(Some(&old), &one_more, &around), Vec::<String>::new());
    let scoped = Quota { scoped: true, ..quota(&[("pods", "0")], &[]) };
    let around = Surroundings { quotas: named(&[("scoped", scoped)]), ..Default::default() };
    assert_eq!(of_new(json!({}), &around), Vec::<String>::new());
}

#[test]
fn a_quota_on_limits_refuses_a_container_without_any() {
    let around = Surroundings {
        quotas: named(&[("team", quota(&[("limits.cpu", "90")], &[]))]),
        ..Default::default()
    };
    let mut config = OperatorConfig::default();
    config.postgres_pod_resources.default_cpu_limit = None;
    let bare = manifest("acid-demo", json!({"resources": {"requests": {"cpu": "1"}}}));
    let told = |config: &OperatorConfig| -> Vec<String> {
        review_among(None, &bare, config, &around).unwrap().iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        told(&config),
        ["metadata.namespace: ResourceQuota \"team\" refuses pods now: container postgres has no cpu limit"]
    );
    config.postgres_pod_resources.default_cpu_limit = Some(Quantity("2".to_owned()));
    assert_eq!(told(&config), Vec::<String>::new());
}

#[test]
fn a_limit_range_is_held_against_containers_and_claims() {
    let item = |kind: &str, min: Value, max: Value| -> LimitRangeItem {
        serde_json::from_value(json!({"type": kind, "min": min, "max": max})).unwrap()
    };
    let items = vec![
        item("Container", json!({}), json!({"memory": "1Gi"})),
        item("PersistentVolumeClaim", json!({"storage": "20Gi"}), json!({})),
        item("Pod", json!({}), json!({"memory": "1Mi"})),
    ];
    let around = Surroundings { limit_ranges: named(&[("small", items)]), ..Default::default() };
    assert_eq!(
        of_new(json!({}), &around),
        [
            "metadata.namespace: LimitRange \"small\" stops pods now: memory limit of postgres is above 1Gi",
            "metadata.namespace: LimitRange \"small\" stops pods now: volumes of 10Gi are below 20Gi",
        ]
    );
}

#[test]
fn pod_security_names_what_it_will_not_let_in() {
    let around = |level| Surroundings { pod_security: Some(level), ..Default::default() };
    let told = of_new(json!({}), &around(Level::Restricted));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with("metadata.namespace: Pod Security \"restricted\" refuses the pods now: "),
        "{told:?}"
    );
    assert!(told[0].len() <= 255, "{told:?}");
    assert_eq!(of_new(json!({}), &around(Level::Baseline)), Vec::<String>::new());
    let on_host = json!({"additionalVolumes": [
        {"name": "host", "mountPath": "/host", "volumeSource": {"hostPath": {"path": "/"}}},
    ]});
    assert_eq!(
        of_new(on_host, &around(Level::Baseline)),
        ["metadata.namespace: Pod Security \"baseline\" refuses the pods now: host is a hostPath"]
    );
    assert_eq!(Level::of(Some("baseline")), Level::Baseline);
    assert_eq!(Level::of(None), Level::Privileged);
}

#[test]
fn a_missing_secret_or_config_map_is_told_where_it_is_named() {
    let around = Surroundings {
        secrets: named(&[("there", ())]),
        config_maps: named(&[("there", ())]),
        ..Default::default()
    };
    let secret = |name: &str, more: Value| {
        let mut reference = json!({"name": name, "key": "k"});
        reference.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"secretKeyRef": reference})
    };
    let fields = json!({
        "env": [
            {"name": "A", "valueFrom": secret("there", json!({}))},
            {"name": "B", "valueFrom": secret("gone", json!({}))},
            {"name": "C", "valueFrom": secret("gone-but-optional", json!({"optional": true}))},
            {"name": "D", "valueFrom": secret("app.acid-demo.credentials.postgresql.acid.zalan.do", json!({}))},
        ],
        "envFrom": [{"configMapRef": {"name": "settings"}}],
        "users": {"app": []},
        "tls": {"secretName": "certificate"},
    });
    let told = of_new(fields, &around);
    assert_eq!(
        told,
        [
            "spec.tls.secretName: there is no Secret \"certificate\" in the namespace now; pods wait for it",
            "spec.env[1].valueFrom.secretKeyRef.name: there is no Secret \"gone\" in the namespace now; pods wait for it",
            "spec.envFrom[0].configMapRef.name: there is no ConfigMap \"settings\" in the namespace now; pods wait for it",
        ]
    );
}

#[test]
fn a_priority_class_that_does_not_exist_keeps_pods_from_being_made() {
    let around = Surroundings { priority_classes: named(&[("high", ())]), ..Default::default() };
    let told = of_new(json!({"podPriorityClassName": "higher"}), &around);
    assert_eq!(
        told,
        ["spec.podPriorityClassName: there is no PriorityClass \"higher\" now; no pod can be made"]
    );
    assert_eq!(of_new(json!({"podPriorityClassName": "high"}), &around), Vec::<String>::new());
}

#[test]
fn a_clone_copies_a_cluster_that_is_there_or_reads_an_archive() {
    let around = Surroundings { clusters: named(&[]), ..Default::default() };
    let told = of_new(json!({"clone": {"cluster": "acid-source"}}), &around);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with("spec.clone.cluster: there is no cluster \"acid-source\" in the namespace now")
    );
    let from_archive = json!({"clone": {
        "cluster": "acid-source", "timestamp": "2026-01-31T12:30:00+00:00", "uid": "efd12e58-5786-11e8-b5a7-06148230260c", "s3_wal_path": "s3://bucket/path",
    }});
    assert_eq!(of_new(from_archive, &around), Vec::<String>::new());
}

fn refused(name: &str, fields: Value, neighbour: &Value) -> Vec<String> {
    let stored = StoredManifest::of(neighbour);
    let other = neighbour["metadata"]["name"].as_str().unwrap();
    let around = Surroundings { clusters: named(&[(other, stored)]), ..Default::default() };
    let answer = review_among(None, &manifest(name, fields), &OperatorConfig::default(), &around);
    answer.err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

#[test]
fn a_name_that_another_clusters_objects_have_is_refused() {
    let neighbour = manifest("acid-demo", json!({}));
    assert_eq!(
        refused("acid-demo-repl", json!({}), &neighbour),
        [
            "metadata.name: needs the Endpoints \"acid-demo-repl\", which belongs to the cluster \"acid-demo\"; choose \
          another name"
        ]
    );
    assert_eq!(refused("acid-demo-pooler", json!({}), &neighbour), Vec::<String>::new(), "it has no pooler");
    let pooled = manifest("acid-demo", json!({"enableConnectionPooler": true}));
    assert_eq!(refused("acid-demo-pooler", json!({}), &pooled).len(), 1);
    assert_eq!(
        refused("acid-demo-leader", json!({}), &neighbour).len(),
        0,
        "the state is kept in ConfigMaps"
    );
    assert_eq!(refused("acid-demo-2", json!({}), &neighbour), Vec::<String>::new());
    assert_eq!(refused("acid-demo", json!({}), &neighbour), Vec::<String>::new(), "it is the same cluster");
}

#[test]
fn two_long_names_may_not_share_a_backup_job() {
    let long = format!("acid-{}", "x".repeat(34));
    let backed_up = json!({"enableLogicalBackup": true});
    let neighbour = manifest(&format!("{long}-one"), backed_up.clone());
    let told = refused(&format!("{long}-two"), backed_up, &neighbour);
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("metadata.name: needs the CronJob \"logical-backup-"), "{told:?}");
}

#[test]
fn a_clash_that_was_there_before_does_not_stop_another_change() {
    let neighbour = StoredManifest::of(&manifest("acid-demo", json!({})));
    let around = Surroundings { clusters: named(&[("acid-demo", neighbour)]), ..Default::default() };
    let old = manifest("acid-demo-repl", json!({}));
    let new = manifest("acid-demo-repl", json!({"numberOfInstances": 3}));
    assert!(review_among(Some(&old), &new, &OperatorConfig::default(), &around).is_ok());
}

#[test]
fn a_stored_manifest_keeps_what_decisions_need() {
    let mut object = manifest("acid-demo", json!({}));
    object["status"] = json!({"PostgresClusterStatus": "Running"});
    object["metadata"]["managedFields"] = json!([{}]);
    object["metadata"]["annotations"] =
        json!({"kubectl.kubernetes.io/last-applied-configuration": "{}", "mine": "stays"});
    let raw = StoredManifest::of(&object).raw();
    assert_eq!(raw["metadata"]["annotations"], json!({"mine": "stays"}));
    assert!(raw.get("status").is_none() && raw["metadata"].get("managedFields").is_none());
    assert_eq!(raw["spec"], object["spec"]);
}
