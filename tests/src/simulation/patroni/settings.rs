//! Postgres settings as Patroni handles them: which wait for a restart, and which a replica takes from its primary.
//!
//! Which wait for a restart a real server has told; the rest is PostgreSQL's documentation, not the operator's tables.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use serde::Serialize;
use serde_json::Value;

/// What a real server says of its settings; the last column is when a new value is taken up.
const TABLE: &str = include_str!("../../../../shared/settings/pg17.csv");

/// Whether a restart brings the setting into force.
fn is_at_start(name: &str) -> bool {
    static AT_START: OnceLock<BTreeSet<&str>> = OnceLock::new();
    let lines = || TABLE.lines().filter(|line| line.ends_with(",postmaster"));
    AT_START.get_or_init(|| lines().filter_map(|line| line.split(',').next()).collect()).contains(name)
}

/// What a real server starts with where nobody asks for a value.
fn boot(name: &str) -> Option<&'static str> {
    static BOOT: OnceLock<BTreeMap<&str, &str>> = OnceLock::new();
    let of = |line: &'static str| {
        let columns: Vec<&str> = line.split(',').collect();
        Some((*columns.first()?, *columns.get(7)?)).filter(|(_, value)| !value.is_empty())
    };
    BOOT.get_or_init(|| TABLE.lines().filter_map(of).collect()).get(name).copied()
}

/// Settings that may not be lower on a replica than on its primary.
const BOUND: &[&str] = &[
    "max_connections",
    "max_locks_per_transaction",
    "max_prepared_transactions",
    "max_wal_senders",
    "max_worker_processes",
];

/// What Postgres runs with where nothing is said.
const DEFAULTS: &[(&str, &str)] =
    &[("max_connections", "100"), ("max_wal_senders", "10"), ("max_worker_processes", "8")];

/// A setting that waits for a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Change {
    old_value: String,
    new_value: String,
}

/// The settings that wait for a restart.
pub(super) type Waiting = BTreeMap<String, Change>;

/// The settings that a dynamic configuration asks for.
pub(super) fn of(config: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut wanted: BTreeMap<String, String> =
        DEFAULTS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let parameters = config.pointer("/postgresql/parameters").and_then(Value::as_object);
    wanted.extend(parameters.into_iter().flatten().map(|(name, value)| (name.clone(), text(value))));
    wanted
}

/// What Postgres runs with after a start.
pub(super) fn at_start(
    wanted: &BTreeMap<String, String>,
    primary: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut result = wanted.clone();
    for name in BOUND {
        let number = |of: &BTreeMap<String, String>| of.get(*name).and_then(|text| text.parse::<i64>().ok());
        if let (Some(low), Some(high)) = (number(wanted), number(primary))
            && low < high
        {
            result.insert((*name).to_owned(), high.to_string());
        }
    }
    result
}

/// What a reload brings into force.
pub(super) fn reload(in_force: &mut BTreeMap<String, String>, wanted: &BTreeMap<String, String>) {
    in_force.retain(|name, _| is_at_start(name) || wanted.contains_key(name));
    let reloaded = wanted.iter().filter(|(name, _)| !is_at_start(name));
    in_force.extend(reloaded.map(|(name, value)| (name.clone(), value.clone())));
}

/// What waits for a restart.
pub(super) fn waiting(in_force: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> Waiting {
    let names: BTreeSet<&String> = in_force.keys().chain(wanted.keys()).collect();
    let is = |of: &BTreeMap<String, String>, name: &str| {
        of.get(name).cloned().or_else(|| boot(name).map(str::to_owned))
    };
    let names = names.into_iter().filter(|name| is_at_start(name) && is(in_force, name) != is(wanted, name));
    let value =
        |of: &BTreeMap<String, String>, name: &str| of.get(name).cloned().unwrap_or_else(|| "?".to_owned());
    names
        .map(|name| {
            (name.clone(), Change { old_value: value(in_force, name), new_value: value(wanted, name) })
        })
        .collect()
}
