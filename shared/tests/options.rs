//! Every option of the configuration, and every field, that no golden case sets changes exactly the objects that the
//! table names.
//!
//! The same cluster is built twice: without it, and with the table's value.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may be blunt")]

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use shared::api::{OperatorConfiguration, Postgresql};
use shared::build::{Resources, build};
use shared::cluster::{Cluster, References};
use shared::config::OperatorConfig;
use shared::plan;

const TABLE: &str = include_str!("../../tests/fixtures/options.yaml");
const DEFAULT: &str = include_str!("../../tests/fixtures/golden/configurations/default.yaml");

/// A cluster that has all that an option may be about.
const CLUSTER: &str = "
apiVersion: acid.zalan.do/v1
kind: postgresql
metadata: { name: acid-all, namespace: default, uid: '42', annotations: { without-limits: 'true' } }
spec:
  teamId: acid
  numberOfInstances: 2
  volume: { size: 1Gi }
  postgresql: { version: '17' }
  users: { app: [] }
  databases: { app: app }
  enableConnectionPooler: true
  enableReplicaConnectionPooler: true
  enableLogicalBackup: true
";

/// An option of the configuration, or a field of `spec`.
#[derive(Deserialize)]
struct Row {
    option: Option<String>,
    field: Option<String>,
    value: Value,
    /// Further options.
    #[serde(default)]
    with: BTreeMap<String, Value>,
    /// Further fields.
    #[serde(default)]
    spec: BTreeMap<String, Value>,
    #[serde(default)]
    touches: BTreeSet<String>,
}

#[test]
fn an_option_that_no_golden_case_sets_changes_the_objects_that_its_row_names() {
    let rows: Vec<Row> = serde_saphyr::from_str(TABLE).unwrap();
    let mut wrong = Vec::new();
    for Row { option, field, value, mut with, mut spec, touches } in rows {
        let before = built(&with, &spec);
        let name = match (option, field) {
            (Some(option), None) => option,
            (None, Some(field)) => {
                spec.insert(field.clone(), value.clone());
                field
            }
            both_or_none => panic!("{both_or_none:?}: name an option or a field"),
        };
        if !spec.contains_key(&name) {
            with.insert(name.clone(), value);
        }
        let touched = difference(&before, &built(&with, &spec));
        if touched.is_empty() || touched != touches {
            wrong.push(format!("{name}: touches {touched:?}, not {touches:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn built(options: &BTreeMap<String, Value>, fields: &BTreeMap<String, Value>) -> Resources {
    let mut resource: Value = serde_saphyr::from_str(DEFAULT).unwrap();
    for (option, value) in options {
        set(resource["configuration"].as_object_mut().unwrap(), option, value.clone());
    }
    let resource: OperatorConfiguration = serde_json::from_value(resource).unwrap();
    let config =
        OperatorConfig::from_resource(&resource).unwrap_or_else(|errors| panic!("{options:?}: {errors}"));
    let mut manifest: Value = serde_saphyr::from_str(CLUSTER).unwrap();
    for (field, value) in fields {
        set(manifest["spec"].as_object_mut().unwrap(), field, value.clone());
    }
    let manifest: Postgresql = serde_json::from_value(manifest).unwrap();
    let references =
        References { environment_secret_keys: vec!["FROM_SECRET".to_owned()], ..References::default() };
    build(&Cluster::resolve(&manifest, &config, &references).unwrap())
}

fn set(configuration: &mut Map<String, Value>, option: &str, value: Value) {
    match option.split_once('.') {
        Some((group, leaf)) => {
            let group = configuration.entry(group).or_insert_with(|| json!({}));
            set(group.as_object_mut().unwrap(), leaf, value);
        }
        None => drop(configuration.insert(option.to_owned(), value)),
    }
}

/// The kinds of objects that are others, `roles` and `Patroni`'s configuration among them.
fn difference(one: &Resources, other: &Resources) -> BTreeSet<String> {
    let (before, after) = (plan::objects(one), plan::objects(other));
    let changed = |these: &[(plan::ObjectName, Value)], those: &[(plan::ObjectName, Value)]| -> Vec<String> {
        let others = these.iter().filter(|object| !those.contains(object));
        others.map(|(name, _)| name.kind.as_str().to_owned()).collect()
    };
    let mut kinds: BTreeSet<String> =
        changed(&before, &after).into_iter().chain(changed(&after, &before)).collect();
    kinds.extend((one.roles != other.roles).then(|| "roles".to_owned()));
    kinds.extend((one.patroni != other.patroni).then(|| "Patroni".to_owned()));
    kinds
}
