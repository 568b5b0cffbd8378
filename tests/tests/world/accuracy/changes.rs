//! The changes: everything taken away once, settings of PostgreSQL, fields drawn from the schemas, and several at once.
//!
//! Only what admission accepts is tried. What is left out needs more than this world has, and stands in [`LEFT_OUT`].

use std::collections::BTreeMap;

use kube::CustomResourceExt;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Map, Value, json};
use shared::admission;
use shared::admission::configuration::{ConfigurationChange, refusals};
use shared::api::{OperatorConfiguration, Postgresql};
use shared::config::{OperatorConfig, Source};

#[path = "../../../../shared/tests/schema/mod.rs"]
mod schema;

/// Fields and options that are not drawn.
const LEFT_OUT: &[&str] = &[
    // An upgrade needs a shell in the pods; e2e has one.
    "version",
    "major_version_upgrade_mode",
    "minimal_major_version",
    "target_major_version",
    "major_version_upgrade_team_allow_list",
    // The kind of another operator.
    "streams",
    // Passwords change with time, and not with the manifest.
    "enable_password_rotation",
    "usersWithSecretRotation",
    "usersWithInPlaceSecretRotation",
    // Secrets, ConfigMaps and servers that are not there.
    "enable_teams_api",
    "infrastructure_roles_secret_name",
    "infrastructure_roles_secrets",
    "pod_environment_configmap",
    "pod_environment_secret",
    "logical_backup_cronjob_environment_secret",
];

/// Settings that Spilo writes for every cluster: their value without being asked is not PostgreSQL's.
const BY_SPILO: &[&str] = &[
    "archive_mode",
    "autovacuum_max_workers",
    "max_connections",
    "max_replication_slots",
    "max_wal_senders",
    "wal_level",
];

/// The most members that are tried.
const MOST_MEMBERS: i32 = 4;

/// One member, and next to nothing in the manifest.
pub(super) fn small() -> Value {
    spec(
        "
        teamId: acid
        numberOfInstances: 1
        volume: {size: 1Gi}
        postgresql: {version: '17', parameters: {scram_iterations: '1'}}
        ",
    )
}

/// Three members, and what most people write.
pub(super) fn large() -> Value {
    spec(
        "
        teamId: acid
        numberOfInstances: 3
        dockerImage: spilo:1
        volume: {size: 10Gi}
        postgresql:
          version: '17'
          parameters: {scram_iterations: '1', max_connections: '200', work_mem: 8MB, shared_buffers: 1GB}
        users: {owner: [superuser, createdb], app: []}
        databases: {shop: owner}
        resources: {requests: {cpu: 100m, memory: 1Gi}, limits: {cpu: '2', memory: 2Gi}}
        podAnnotations: {a: b}
        enableMasterLoadBalancer: true
        allowedSourceRanges: [10.0.0.0/8]
        ",
    )
}

/// Two members, and something of everything.
pub(super) fn full() -> Value {
    spec(
        "
        teamId: acid
        numberOfInstances: 2
        volume: {size: 5Gi}
        postgresql:
          version: '17'
          parameters: {scram_iterations: '1', log_statement: all, max_worker_processes: '16', archive_timeout: 60s}
        patroni: {ttl: 40, initdb: {encoding: UTF8}, slots: {cdc: {type: physical}}, pg_hba: [local all all trust]}
        users: {app: [], writer: [createrole]}
        databases: {app: app}
        preparedDatabases: {bar: {defaultUsers: true, schemas: {data: {}}, extensions: {hstore: data}}}
        enableConnectionPooler: true
        connectionPooler: {mode: session, maxDBConnections: 40}
        enableLogicalBackup: true
        logicalBackupSchedule: 30 0 * * *
        sidecars: [{name: exporter, image: 'exporter:1', ports: [{containerPort: 9187}], env: [{name: A, value: b}]}]
        initContainers: [{name: first, image: 'first:1'}]
        env: [{name: WALE_BACKUP_THRESHOLD, value: '1'}]
        tolerations: [{key: postgres, operator: Exists, effect: NoSchedule}]
        additionalVolumes: [{name: more, mountPath: /more, volumeSource: {emptyDir: {}}}]
        serviceAnnotations: {some: thing}
        enableReplicaLoadBalancer: true
        ",
    )
}

fn spec(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

/// The manifest with a patch of its specification.
pub(super) fn patched(manifest: &Value, patch: &Value) -> Value {
    let mut manifest = manifest.clone();
    json_patch::merge(&mut manifest, &json!({ "spec": patch }));
    manifest
}

/// A number of patches that admission accepts, two of three of one field.
pub(super) fn of_manifest(
    manifest: &Value,
    config: &OperatorConfig,
    seed: usize,
    wanted: usize,
) -> Vec<Value> {
    let accepted = |patch: &Value| {
        let new = patched(manifest, patch);
        let is_known = |new: Postgresql| (0..=MOST_MEMBERS).contains(&new.spec.number_of_instances);
        // What a window holds back is played in stories of its own.
        let is_held_back = patch.get("maintenanceWindows").is_some() && patch.as_object().unwrap().len() > 1;
        manifest["spec"] != new["spec"]
            && !is_held_back
            && manifest["spec"]["postgresql"]["version"] == new["spec"]["postgresql"]["version"]
            && serde_json::from_value(new.clone()).is_ok_and(is_known)
            && admission::mutate_update(manifest, &new, config).is_ok()
    };
    let spec = manifest["spec"].as_object().unwrap();
    let mut single: Vec<Value> = removals(spec).into_iter().filter(accepted).collect();
    single.extend(settings(seed).into_iter().filter(accepted));
    let drawn = drawn(&schema_of(&Postgresql::crd(), "spec"), "spec", |field, value| {
        let patch = json!({ field: value });
        accepted(&patch).then_some(patch)
    });
    single.extend(drawn);
    let single = spread(single, wanted * 2 / 3, seed);
    let several = together(&single, wanted, seed).into_iter().filter(accepted);
    let several: Vec<Value> = several.take(wanted.saturating_sub(single.len())).collect();
    single.into_iter().chain(several).collect()
}

/// The configuration that changes begin with, as a resource says it.
fn configuration() -> Value {
    json!({ "kubernetes": { "enable_finalizers": true } })
}

fn read(configuration: &Value) -> Option<OperatorConfig> {
    let resource = json!({
        "apiVersion": "acid.zalan.do/v1", "kind": "OperatorConfiguration", "metadata": {"name": "operator"},
        "configuration": configuration,
    });
    let resource: OperatorConfiguration = serde_json::from_value(resource).ok()?;
    OperatorConfig::from_resource(&resource).ok()
}

/// A configuration, and a number of others without danger, each with what makes it another one.
pub(super) fn of_configuration(
    manifests: &[Postgresql],
    wanted: usize,
) -> (OperatorConfig, Vec<(Value, OperatorConfig)>) {
    let old = read(&configuration()).unwrap();
    let changed = |patch: &Value| {
        let mut configuration = configuration();
        json_patch::merge(&mut configuration, patch);
        let new = read(&configuration).filter(|new| *new != old)?;
        let (source, insisted) = (Source::Resource, "");
        let change =
            ConfigurationChange { source, old: &old, new: &new, manifests: &manifests, insisted, now: None };
        refusals(&change).is_empty().then_some(new)
    };
    let schema = schema_of(&OperatorConfiguration::crd(), "configuration");
    let (groups, top): (Vec<_>, Vec<_>) = schema["properties"]
        .as_object()
        .unwrap()
        .iter()
        .partition(|(_, property)| property["properties"].is_object());
    let top: Map<String, Value> =
        top.into_iter().map(|(name, property)| (name.clone(), property.clone())).collect();
    let mut single = drawn(&json!({ "properties": top }), "configuration", |option, value| {
        let patch = json!({ option: value });
        changed(&patch).map(|_| patch)
    });
    for (group, options) in groups {
        single.extend(drawn(options, &format!("configuration.{group}"), |option, value| {
            let patch = json!({ group: { option: value } });
            changed(&patch).map(|_| patch)
        }));
    }
    let single = spread(single, wanted * 3 / 4, 3);
    let several = together(&single, wanted, 3);
    let all = single.into_iter().chain(several);
    let all = all.filter_map(|patch| changed(&patch).map(|new| (patch, new))).take(wanted).collect();
    (old, all)
}

fn schema_of(crd: &impl serde::Serialize, part: &str) -> Value {
    let crd = serde_json::to_value(crd).unwrap();
    crd.pointer(&format!("/spec/versions/0/schema/openAPIV3Schema/properties/{part}")).unwrap().clone()
}

/// Everything that a manifest says taken away: whole fields, and entries of sections.
fn removals(spec: &Map<String, Value>) -> Vec<Value> {
    let mut patches = Vec::new();
    for (field, value) in spec {
        patches.push(json!({ field: null }));
        for (key, inner) in value.as_object().into_iter().flatten() {
            patches.push(json!({ field: { key: null } }));
            for (inmost, _) in inner.as_object().into_iter().flatten() {
                patches.push(json!({ field: { key: { inmost: null } } }));
            }
        }
    }
    patches
}

/// Settings of PostgreSQL, of every kind and context, some with the value that they have without being asked.
fn settings(seed: usize) -> Vec<Value> {
    let table = include_str!("../../../../shared/settings/pg17.csv");
    let lines = table.lines().filter(|line| !line.starts_with('#')).skip(seed).step_by(7);
    let patches = lines.flat_map(|line| {
        let columns: Vec<&str> = line.split(',').collect();
        let values = match (columns[1], columns[3].parse::<i64>()) {
            ("bool", _) => vec!["on".to_owned(), "off".to_owned()],
            ("integer", Ok(least)) => vec![(least + 17).to_string()],
            ("real", _) => vec!["0.37".to_owned()],
            ("enum", _) => columns[5].split('|').take(1).map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        // What a server starts with anyway restarts nobody.
        let boot = Some(columns[7]).filter(|value| !value.is_empty() && !BY_SPILO.contains(&columns[0]));
        values
            .into_iter()
            .chain(boot.map(str::to_owned))
            .map(|value| json!({ "postgresql": { "parameters": { columns[0]: value } } }))
            .collect::<Vec<_>>()
    });
    patches.collect()
}

/// Two accepted values of each property, as the schema draws them.
fn drawn(schema: &Value, path: &str, accepted: impl Fn(&str, &Value) -> Option<Value>) -> Vec<Value> {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let config = Config { failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, rng);
    let mut patches = Vec::new();
    for (name, property) in schema["properties"].as_object().unwrap() {
        if LEFT_OUT.contains(&name.as_str()) {
            continue;
        }
        let values = schema::following(property, &format!("{path}.{name}"));
        let mut found: Vec<Value> = Vec::new();
        for _ in 0..8 {
            let value = values.new_tree(&mut runner).unwrap().current();
            found.extend(accepted(name, &value).filter(|patch| !found.contains(patch)));
            if found.len() == 2 {
                break;
            }
        }
        patches.extend(found);
    }
    patches
}

/// So many of them, from everywhere in the list, and each only once.
fn spread(patches: Vec<Value>, most: usize, seed: usize) -> Vec<Value> {
    let mut by_text: BTreeMap<String, Value> = BTreeMap::new();
    patches.into_iter().for_each(|patch| drop(by_text.insert(patch.to_string(), patch)));
    let all: Vec<Value> = by_text.into_values().collect();
    let (count, most) = (all.len(), most.min(all.len()));
    let mut places: Vec<usize> = (0..most).map(|index| (index * count / most + seed) % count).collect();
    places.dedup();
    places.into_iter().map(|place| all[place].clone()).collect()
}

/// Pairs and triples of changes.
fn together(single: &[Value], wanted: usize, seed: usize) -> Vec<Value> {
    let count = single.len();
    let at = |index: usize| &single[index % count];
    let joined = (0..wanted).map(|index| {
        let mut patch = at(index * 7 + seed).clone();
        json_patch::merge(&mut patch, at(index * 13 + 5));
        if index % 2 == 0 {
            json_patch::merge(&mut patch, at(index * 29 + 11));
        }
        patch
    });
    joined.collect()
}
