//! Which objects each field of a manifest touches, and that it touches no other.
//!
//! The table has a row for every field that `docs/compatibility.md` knows. Each change is made to a cluster that has
//! everything (poolers, backups, a user), so that a change which reaches too far is seen. The tables behind it: contract
//! of upstream's objects, and what `kubectl get` shows of them.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may be blunt")]

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use shared::api::Postgresql;
use shared::build::build;
use shared::cluster::{Cluster, References};
use shared::config::OperatorConfig;
use shared::plan;

const COMPATIBILITY: &str = include_str!("../../docs/compatibility.md");

// Names of objects, in the table below: each is followed by the next one's blank.
const SET: &[&str] = &["StatefulSet demo"];
const BACKUP: &[&str] = &["CronJob logical-backup-demo"];
const POOLERS: &[&str] = &["Deployment demo-pooler", "Deployment demo-pooler-repl"];
const PRIMARY: &[&str] = &["Service demo"];
const REPLICAS: &[&str] = &["Service demo-repl"];
const POOLER_PRIMARY: &[&str] = &["Service demo-pooler"];
const POOLER_REPLICAS: &[&str] = &["Service demo-pooler-repl"];
const USER_LISTS: &[&str] = &["Secret demo-pooler-repl-u", "Secret demo-pooler-u"];
const BUDGETS: &[&str] =
    &["PodDisruptionBudget postgres-demo-critical-op-pdb", "PodDisruptionBudget postgres-demo-pdb"];
/// Nothing of Kubernetes: SQL, Patroni, or nothing at all.
const NOTHING: &[&[&str]] = &[];

/// A change of one field.
struct Row {
    /// As `docs/compatibility.md` names it.
    field: &'static str,
    /// What has to be there before, for the change to matter.
    before: Value,
    /// The value the field gets.
    value: Value,
    /// The objects that change, come or go.
    touches: Vec<&'static [&'static str]>,
}

fn row(field: &'static str, value: Value, touches: &[&'static [&'static str]]) -> Row {
    Row { field, before: json!({}), value, touches: touches.to_vec() }
}

impl Row {
    fn after(mut self, before: Value) -> Self {
        self.before = before;
        self
    }
}

/// What is changed: a cluster with everything.
fn everything() -> Value {
    json!({
        "teamId": "acid", "numberOfInstances": 2, "postgresql": {"version": "17"}, "volume": {"size": "1Gi"},
        "enableConnectionPooler": true, "enableReplicaConnectionPooler": true, "enableLogicalBackup": true,
        "users": {"app": []},
    })
}

/// Rows of the pods and of what stands in them.
fn pods() -> Vec<Row> {
    let affinity = json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]},
    ]}});
    let spread = json!([{"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule"}]);
    let volume = json!([{"name": "more", "mountPath": "/mnt", "volumeSource": {"emptyDir": {}}}]);
    vec![
        row("additionalVolumes", volume, &[SET]),
        row("dockerImage", json!("spilo:next"), &[SET]),
        row("enableShmVolume", json!(false), &[SET]),
        row("env", json!([{"name": "A", "value": "1"}]), &[SET]),
        row("envFrom", json!([{"configMapRef": {"name": "more"}}]), &[SET]),
        row("initContainers", json!([{"name": "first", "image": "busybox"}]), &[SET]),
        row("init_containers", json!([{"name": "first", "image": "busybox"}]), NOTHING),
        row("livenessProbe", json!({"httpGet": {"path": "/liveness", "port": 8008}}), &[SET]),
        // The affinity of the members says nothing about the nodes that dump them.
        row("nodeAffinity", affinity, &[POOLERS, SET]),
        row("numberOfInstances", json!(3), &[SET]),
        row("maintenanceWindows", json!(["01:00-02:00"]), NOTHING),
        row("podAnnotations", json!({"a": "b"}), &[BACKUP, POOLERS, SET]),
        row("podPriorityClassName", json!("high"), &[SET]),
        row("pod_priority_class_name", json!("high"), NOTHING),
        row("resources", json!({"limits": {"cpu": "3"}}), &[SET]),
        row("schedulerName", json!("own"), &[SET]),
        row("sidecars", json!([{"name": "beside", "image": "busybox"}]), &[SET]),
        row("spiloFSGroup", json!(103), &[POOLERS, SET]),
        row("spiloRunAsGroup", json!(103), &[SET]),
        row("spiloRunAsUser", json!(101), &[SET]),
        row("tolerations", json!([{"key": "postgres", "operator": "Exists"}]), &[BACKUP, POOLERS, SET]),
        row("topologySpreadConstraints", spread, &[BACKUP, SET]),
        row("tls", json!({"secretName": "cert"}), &[POOLERS, SET]),
        row("tls.caFile", json!("ca.crt"), &[POOLERS, SET]).after(json!({"tls": {"secretName": "cert"}})),
        row("tls.caSecretName", json!("ca"), &[POOLERS, SET])
            .after(json!({"tls": {"secretName": "cert", "caFile": "ca.crt"}})),
        row("tls.certificateFile", json!("own.crt"), &[POOLERS, SET])
            .after(json!({"tls": {"secretName": "cert"}})),
        row("tls.privateKeyFile", json!("own.key"), &[POOLERS, SET])
            .after(json!({"tls": {"secretName": "cert"}})),
        row("tls.secretName", json!("other"), &[POOLERS, SET]).after(json!({"tls": {"secretName": "cert"}})),
        row("volume", json!({"size": "2Gi"}), &[SET]),
        row("volume.iops", json!(4000), NOTHING),
        row("volume.isSubPathExpr", json!(true), &[SET]).after(json!({"volume": {"subPath": "$(POD_NAME)"}})),
        row("volume.selector", json!({"matchLabels": {"disk": "ssd"}}), &[SET]),
        row("volume.size", json!("2Gi"), &[SET]),
        row("volume.storageClass", json!("fast"), &[SET]),
        row("volume.subPath", json!("data"), &[SET]),
        row("volume.throughput", json!(200), NOTHING),
        row("volume.type", json!("gp3"), NOTHING),
    ]
}

/// Rows of Services, poolers and backups.
fn surroundings() -> Vec<Row> {
    let node_ports = || {
        json!({
            "enableMasterNodePort": true, "enableReplicaNodePort": true, "enableMasterPoolerNodePort": true,
            "enableReplicaPoolerNodePort": true,
        })
    };
    vec![
        row("allowedSourceRanges", json!(["10.0.0.0/8"]), &[PRIMARY, POOLER_PRIMARY])
            .after(json!({"enableMasterLoadBalancer": true, "enableMasterPoolerLoadBalancer": true})),
        row("connectionPooler", json!({"mode": "session"}), &[POOLERS]),
        row("connectionPooler.dockerImage", json!("pgbouncer:next"), &[POOLERS]),
        row("connectionPooler.maxDBConnections", json!(20), &[POOLERS]),
        row("connectionPooler.mode", json!("session"), &[POOLERS]),
        row("connectionPooler.numberOfInstances", json!(4), &[POOLERS]),
        row("connectionPooler.resources", json!({"limits": {"cpu": "3"}}), &[POOLERS]),
        row("connectionPooler.schema", json!("other"), &[POOLERS]),
        row(
            "connectionPooler.user",
            json!("pgb"),
            &[
                POOLERS,
                USER_LISTS,
                &[
                    "Secret pgb.demo.credentials.postgresql.acid.zalan.do",
                    "Secret pooler.demo.credentials.postgresql.acid.zalan.do",
                ],
            ],
        ),
        row(
            "enableConnectionPooler",
            json!(false),
            &[&["Deployment demo-pooler", "Secret demo-pooler-u", "Service demo-pooler"]],
        ),
        row(
            "enableReplicaConnectionPooler",
            json!(false),
            &[&["Deployment demo-pooler-repl", "Secret demo-pooler-repl-u", "Service demo-pooler-repl"]],
        ),
        row("enableLogicalBackup", json!(false), &[BACKUP]),
        row("logicalBackupRetention", json!("1 week"), &[BACKUP]),
        row("logicalBackupSchedule", json!("1 1 * * *"), &[BACKUP]),
        row("enableMasterLoadBalancer", json!(false), &[PRIMARY]),
        row("enableMasterNodePort", json!(true), &[PRIMARY]),
        row("enableMasterPoolerLoadBalancer", json!(true), &[POOLER_PRIMARY]),
        row("enableMasterPoolerNodePort", json!(true), &[POOLER_PRIMARY]),
        row("enableReplicaLoadBalancer", json!(true), &[REPLICAS]),
        row("enableReplicaNodePort", json!(true), &[REPLICAS]),
        row("enableReplicaPoolerLoadBalancer", json!(true), &[POOLER_REPLICAS]),
        row("enableReplicaPoolerNodePort", json!(true), &[POOLER_REPLICAS]),
        row("masterNodePort", json!(30001), &[PRIMARY]).after(node_ports()),
        row("masterPoolerNodePort", json!(30001), &[POOLER_PRIMARY]).after(node_ports()),
        row("replicaNodePort", json!(30001), &[REPLICAS]).after(node_ports()),
        row("replicaPoolerNodePort", json!(30001), &[POOLER_REPLICAS]).after(node_ports()),
        row("masterServiceAnnotations", json!({"a": "b"}), &[PRIMARY, POOLER_PRIMARY]),
        row("replicaServiceAnnotations", json!({"a": "b"}), &[REPLICAS, POOLER_REPLICAS]),
        row("serviceAnnotations", json!({"a": "b"}), &[PRIMARY, REPLICAS, POOLER_PRIMARY, POOLER_REPLICAS]),
        row("replicaLoadBalancer", json!(true), NOTHING),
        row("useLoadBalancer", json!(true), NOTHING),
    ]
}

/// Rows of where a cluster's data comes from.
fn origin() -> Vec<Row> {
    let clone = || json!({"clone": {"cluster": "source", "timestamp": "2026-01-31T12:30:00+00:00"}});
    let standby = |section: Value| json!({"users": {}, "standby": section});
    let from_host = || standby(json!({"standby_host": "source"}));
    vec![
        row("clone", json!({"cluster": "source"}), &[SET]),
        row("clone.cluster", json!("other"), &[SET]).after(clone()),
        row("clone.s3_access_key_id", json!("id"), &[SET]).after(clone()),
        row("clone.s3_endpoint", json!("https://s3"), &[SET]).after(clone()),
        row("clone.s3_force_path_style", json!(true), &[SET]).after(clone()),
        row("clone.s3_secret_access_key", json!("key"), &[SET]).after(clone()),
        row("clone.s3_wal_path", json!("s3://bucket"), &[SET]).after(clone()),
        row("clone.timestamp", json!("2026-02-01T12:30:00+00:00"), &[SET]).after(clone()),
        row("clone.uid", json!("efd12e58-5786-11e8-b5a7-06148230260c"), &[SET]).after(clone()),
        row("standby", json!({"standby_host": "source"}), &[SET]).after(json!({"users": {}})),
        row("standby.gs_wal_path", json!("gs://other"), &[SET])
            .after(standby(json!({"gs_wal_path": "gs://bucket"}))),
        row("standby.s3_wal_path", json!("s3://other"), &[SET])
            .after(standby(json!({"s3_wal_path": "s3://bucket"}))),
        row("standby.standby_host", json!("other"), &[SET]).after(from_host()),
        row("standby.standby_port", json!("5433"), &[SET]).after(from_host()),
        row("standby.standby_primary_slot_name", json!("demo"), &[SET]).after(from_host()),
    ]
}

/// Rows of the database's settings.
fn settings() -> Vec<Row> {
    let replicated = || json!({"patroni": {"synchronous_mode": true}});
    vec![
        row("patroni", json!({"ttl": 40}), &[SET]),
        row("patroni.failsafe_mode", json!(true), &[SET]),
        row("patroni.initdb", json!({"locale": "C"}), &[SET]),
        row("patroni.loop_wait", json!(9), &[SET]),
        row("patroni.maximum_lag_on_failover", json!(1024), &[SET]),
        row("patroni.pg_hba", json!(["local all all trust"]), &[SET]),
        row("patroni.retry_timeout", json!(9), &[SET]),
        row("patroni.slots", json!({"cdc": {"type": "physical"}}), &[SET]),
        row("patroni.synchronous_mode", json!(true), &[SET]),
        row("patroni.synchronous_mode_strict", json!(true), &[SET]).after(replicated()),
        row("patroni.synchronous_node_count", json!(2), &[SET]).after(replicated()),
        row("patroni.ttl", json!(40), &[SET]),
        row("postgresql", json!({"version": "17", "parameters": {"work_mem": "8MB"}}), &[SET]),
        row("postgresql.parameters", json!({"shared_buffers": "64MB"}), &[SET]),
        row("postgresql.version", json!("18"), &[BACKUP, SET]),
    ]
}

/// Rows of who owns the cluster and who may log in.
fn people() -> Vec<Row> {
    let stream = json!([{"applicationId": "shop", "database": "shop", "tables": {"orders": {"eventType": "ordered"}}}]);
    vec![
        row("databases", json!({"app": "app"}), NOTHING),
        row(
            "preparedDatabases",
            json!({"shop": {"defaultUsers": true}}),
            &[&[
                "Secret shop-owner-user.demo.credentials.postgresql.acid.zalan.do",
                "Secret shop-reader-user.demo.credentials.postgresql.acid.zalan.do",
                "Secret shop-writer-user.demo.credentials.postgresql.acid.zalan.do",
            ]],
        ),
        row(
            "streams",
            stream,
            &[
                SET,
                &["FabricEventStream demo-shop", "Secret fes-user.demo.credentials.postgresql.acid.zalan.do"],
            ],
        ),
        row(
            "teamId",
            json!("other"),
            &[
                SET,
                BACKUP,
                POOLERS,
                USER_LISTS,
                PRIMARY,
                REPLICAS,
                BUDGETS,
                &[
                    "Secret app.demo.credentials.postgresql.acid.zalan.do",
                    "Secret postgres.demo.credentials.postgresql.acid.zalan.do",
                    "Secret standby.demo.credentials.postgresql.acid.zalan.do",
                ],
            ],
        ),
        row(
            "users",
            json!({"app": [], "more": []}),
            &[&["Secret more.demo.credentials.postgresql.acid.zalan.do"]],
        ),
        row("usersIgnoringSecretRotation", json!(["app"]), NOTHING),
        row("usersWithInPlaceSecretRotation", json!(["app"]), NOTHING),
        row("usersWithSecretRotation", json!(["app"]), NOTHING),
    ]
}

fn table() -> Vec<Row> {
    pods().into_iter().chain(surroundings()).chain(origin()).chain(settings()).chain(people()).collect()
}

/// Writes one map over another, section by section.
fn overlay(base: &mut Value, more: &Value) {
    match (base.as_object_mut(), more.as_object().filter(|more| !more.is_empty())) {
        (Some(fields), Some(more)) => {
            more.iter()
                .for_each(|(key, value)| overlay(fields.entry(key.clone()).or_insert(Value::Null), value));
        }
        _ => *base = more.clone(),
    }
}

/// Every object of a manifest as text, by kind and name.
fn texts(spec: &Value) -> BTreeMap<String, String> {
    let manifest: Postgresql = serde_json::from_value(json!({
        "apiVersion": "acid.zalan.do/v1", "kind": "postgresql", "metadata": {"name": "demo"}, "spec": spec,
    }))
    .unwrap();
    let cluster = Cluster::resolve(&manifest, &OperatorConfig::default(), &References::unread());
    let resources = build(&cluster.unwrap_or_else(|errors| panic!("{spec}: {errors}")));
    let objects = plan::objects(&resources).into_iter();
    objects
        .map(|(name, object)| (format!("{} {}", name.kind.as_str(), name.name), object.to_string()))
        .collect()
}

#[test]
fn a_change_of_one_field_touches_only_the_objects_it_is_about() {
    let mut wrong = Vec::new();
    for Row { field, before, value, touches } in table() {
        let mut old = everything();
        before.as_object().into_iter().flatten().for_each(|(key, value)| overlay(&mut old[key], value));
        let mut new = old.clone();
        match field.split_once('.') {
            Some((section, leaf)) => new[section][leaf] = value,
            None => new[field] = value,
        }
        let (before, after) = (texts(&old), texts(&new));
        let names: BTreeSet<&str> = before.keys().chain(after.keys()).map(String::as_str).collect();
        let touched: BTreeSet<&str> =
            names.into_iter().filter(|name| before.get(*name) != after.get(*name)).collect();
        let expected: BTreeSet<&str> = touches.into_iter().flatten().copied().collect();
        if touched != expected {
            wrong.push(format!("{field}\n    touches {touched:?}\n    should  {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_has_a_row_for_every_field_of_a_manifest_and_one_only() {
    let section = COMPATIBILITY.split("\n## Manifest\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let documented: Vec<&str> =
        section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let mut fields: Vec<&str> = table().iter().map(|row| row.field).collect();
    fields.sort_unstable();
    let mut expected = documented.clone();
    expected.sort_unstable();
    assert_eq!(fields, expected);
}
