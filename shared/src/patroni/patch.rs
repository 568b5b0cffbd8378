//! The difference between Patroni's configuration as it is and as it should be.
//!
//! `plan` and `rollout` ask. The store is shared with people (`patronictl edit-config`), so a key is removed only when
//! the caller knows that we had set it, and a key that the manifest never mentions is left alone. One that surprises: a
//! removed key does not always become `null`. Spilo writes defaults of its own at bootstrap, and falling back to
//! Patroni's or Postgres's default instead would, for example, switch WAL archiving off.

use serde_json::{Map, Value};

use super::config::{AppliedKeys, DynamicConfig};
use super::settings;

/// What Spilo writes into the store at bootstrap: a key of ours that goes falls back to this, not to `null`.
const SPILO_OPTIONS: &[(&str, u64)] = &[("maximum_lag_on_failover", 33_554_432)];

/// The same for Postgres settings. Those of `max_connections` depend on the pod's memory and are not known here.
pub(super) const SPILO_PARAMETERS: &[(&str, &str)] = &[
    ("archive_mode", "on"),
    ("archive_timeout", "1800s"),
    ("autovacuum_analyze_scale_factor", "0.02"),
    ("autovacuum_max_workers", "5"),
    ("autovacuum_vacuum_scale_factor", "0.05"),
    ("checkpoint_completion_target", "0.9"),
    ("log_autovacuum_min_duration", "0"),
    ("log_checkpoints", "on"),
    ("log_connections", "on"),
    ("log_disconnections", "on"),
    ("log_line_prefix", "%t [%p]: [%l-1] %c %x %d %u %a %h "),
    ("log_lock_waits", "on"),
    ("log_min_duration_statement", "500"),
    ("log_statement", "ddl"),
    ("log_temp_files", "0"),
    ("max_replication_slots", "10"),
    ("max_wal_senders", "10"),
    ("tcp_keepalives_idle", "900"),
    ("tcp_keepalives_interval", "100"),
    ("track_functions", "all"),
];

/// The merge patch that turns the effective configuration (as `GET /config` answered) into the desired one; `None`
/// when nothing differs. `applied` are the keys an earlier patch of ours set: those that are no longer wanted go.
pub fn patch(desired: &DynamicConfig, effective: &Value, applied: &AppliedKeys) -> Option<Value> {
    let mut patch = Map::new();
    patch_options(desired, effective, applied, &mut patch);
    patch_synchronous(desired, effective, &mut patch);
    for (key, section) in [
        ("slots", patch_slots(desired, effective, applied)),
        ("standby_cluster", patch_standby(desired, effective)),
        ("postgresql", patch_postgresql(desired, effective, applied)),
    ] {
        if !section.is_empty() {
            patch.insert(key.to_owned(), Value::Object(section));
        }
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// The top-level keys that differ.
fn patch_options(
    desired: &DynamicConfig,
    effective: &Value,
    applied: &AppliedKeys,
    patch: &mut Map<String, Value>,
) {
    let wanted = desired.options();
    for (key, value) in &wanted {
        let current = effective.get(key);
        let same = match value {
            Value::Bool(flag) => current.and_then(Value::as_bool).unwrap_or(false) == *flag,
            _ => current == Some(value),
        };
        if !same {
            patch.insert((*key).to_owned(), value.clone());
        }
    }
    let is_wanted = |key: &str| {
        wanted.iter().any(|(name, _)| *name == key)
            || (key == "standby_cluster" && desired.standby_cluster.is_some())
    };
    let gone = applied.options.iter().filter(|key| !is_wanted(key));
    for key in gone {
        let spilo = SPILO_OPTIONS.iter().find(|(name, _)| name == key).map(|(_, value)| Value::from(*value));
        insert_if_different(patch, key, spilo, effective.get(key));
    }
}

/// The three synchronous keys: a manifest always has an opinion about them.
fn patch_synchronous(desired: &DynamicConfig, effective: &Value, patch: &mut Map<String, Value>) {
    for (key, wanted) in [
        ("synchronous_mode", desired.synchronous_mode),
        ("synchronous_mode_strict", desired.synchronous_mode_strict),
    ] {
        // `quorum` is a mode of Patroni 4 that a manifest cannot name; whoever set it by hand wants it kept.
        let current = effective.get(key);
        let is_quorum = wanted && current.and_then(Value::as_str) == Some("quorum");
        if !is_quorum && current.map_or(Some(false), as_flag) != Some(wanted) {
            patch.insert(key.to_owned(), Value::from(wanted));
        }
    }
    let wanted = desired.synchronous_node_count.unwrap_or(1).max(1);
    let current = effective.get("synchronous_node_count").map_or(Some(1), Value::as_u64);
    if current != Some(u64::from(wanted)) {
        patch.insert("synchronous_node_count".to_owned(), Value::from(wanted));
    }
}

/// The slots that differ; the ones of ours that are no longer wanted become `null`.
fn patch_slots(desired: &DynamicConfig, effective: &Value, applied: &AppliedKeys) -> Map<String, Value> {
    let current = effective.get("slots");
    let mut patch = Map::new();
    for (name, slot) in &desired.slots {
        let wanted: Map<String, Value> =
            slot.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect();
        let seen = current.and_then(|slots| slots.get(name));
        if seen.and_then(Value::as_object) == Some(&wanted) {
            continue;
        }
        // A merge patch keeps the keys it does not name, so those of the slot's former shape are nulled.
        let mut change = wanted;
        for key in seen.and_then(Value::as_object).into_iter().flat_map(Map::keys) {
            change.entry(key.clone()).or_insert(Value::Null);
        }
        patch.insert(name.clone(), Value::Object(change));
    }
    for name in applied.slots.iter().filter(|name| !desired.slots.contains_key(*name)) {
        insert_if_different(&mut patch, name, None, current.and_then(|slots| slots.get(name)));
    }
    patch
}

/// What differs below `postgresql`.
fn patch_postgresql(desired: &DynamicConfig, effective: &Value, applied: &AppliedKeys) -> Map<String, Value> {
    let current = effective.get("postgresql");
    let parameters = patch_parameters(desired, current.and_then(|own| own.get("parameters")), applied);
    let mut patch = Map::new();
    if !parameters.is_empty() {
        patch.insert("parameters".to_owned(), Value::Object(parameters));
    }
    if let Some(lines) = &desired.pg_hba {
        let wanted = Value::from(lines.clone());
        if current.and_then(|own| own.get("pg_hba")) != Some(&wanted) {
            patch.insert("pg_hba".to_owned(), wanted);
        }
    }
    patch
}

/// The Postgres settings that differ.
fn patch_parameters(
    desired: &DynamicConfig,
    current: Option<&Value>,
    applied: &AppliedKeys,
) -> Map<String, Value> {
    let seen = |name: &str| current.and_then(|parameters| parameters.get(name));
    let mut patch = Map::new();
    for (name, wanted) in desired.stored_parameters() {
        if !seen(name).is_some_and(|current| same_setting(current, wanted)) {
            patch.insert(name.clone(), Value::from(wanted.as_str()));
        }
    }
    for name in applied.parameters.iter().filter(|name| !desired.parameters.contains_key(*name)) {
        let spilo = SPILO_PARAMETERS.iter().find(|(known, _)| known == name).map(|(_, value)| *value);
        match (seen(name), spilo) {
            (Some(current), Some(spilo)) if same_setting(current, spilo) => {}
            (current, spilo) => insert_if_different(&mut patch, name, spilo.map(Value::from), current),
        }
    }
    patch
}

/// Adds `key: wanted` (`null` when nothing is wanted), unless that is what stands there.
fn insert_if_different(
    patch: &mut Map<String, Value>,
    key: &str,
    wanted: Option<Value>,
    current: Option<&Value>,
) {
    if wanted.as_ref() != current {
        patch.insert(key.to_owned(), wanted.unwrap_or(Value::Null));
    }
}

/// Whether a value in the store means what a manifest's text says. The store may hold numbers and booleans.
fn same_setting(current: &Value, wanted: &str) -> bool {
    match current {
        Value::String(text) => text == wanted,
        Value::Bool(flag) => as_flag(&Value::from(wanted)) == Some(*flag),
        other => other.as_f64().is_some_and(|number| wanted.parse() == Ok(number)),
    }
}

/// A value that Patroni and Postgres take for a boolean.
fn as_flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) => match text.to_ascii_lowercase().as_str() {
            "on" | "true" | "yes" | "1" => Some(true),
            "off" | "false" | "no" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// What differs in the standby section. A merge patch keeps what it does not name, so a value that went is nulled.
fn patch_standby(desired: &DynamicConfig, effective: &Value) -> Map<String, Value> {
    let Some(standby) = &desired.standby_cluster else { return Map::new() };
    let methods = Value::from(standby.create_replica_methods.clone());
    let text = |value: &Option<String>| value.as_deref().map(Value::from);
    let current = effective.get("standby_cluster");
    let mut patch = Map::new();
    for (key, wanted) in [
        ("create_replica_methods", Some(methods)),
        ("restore_command", text(&standby.restore_command)),
        ("host", text(&standby.host)),
        ("port", text(&standby.port)),
        ("primary_slot_name", text(&standby.primary_slot_name)),
    ] {
        let seen = current.and_then(|section| section.get(key));
        let same =
            matches!((seen, &wanted), (Some(seen), Some(Value::String(text))) if same_setting(seen, text));
        if !same {
            insert_if_different(&mut patch, key, wanted, seen);
        }
    }
    patch
}

/// The standby-bound settings that this patch lowers: Postgres has to restart on the primary first then.
pub fn lowered(patch: &Value, effective: &Value) -> Vec<String> {
    let parameters = |from: &Value| from.get("postgresql").and_then(|own| own.get("parameters")).cloned();
    let current = parameters(effective).unwrap_or_default();
    let number = |value: Option<&Value>| match value? {
        Value::String(text) => text.trim().parse::<i64>().ok(),
        other => other.as_i64(),
    };
    let changes = parameters(patch).unwrap_or_default();
    let changes = changes.as_object().into_iter().flatten();
    changes
        .filter(|(name, _)| settings::is_standby_bound(name))
        .filter(|(name, wanted)| matches!((number(current.get(name)), number(Some(wanted))), (Some(old), Some(new)) if new < old))
        .map(|(name, _)| name.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::super::StandbyCluster;
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    /// The desired side of the contract's table (checks §6).
    fn desired() -> DynamicConfig {
        DynamicConfig {
            ttl: Some(20),
            parameters: map(&[("max_connections", "50"), ("log_min_duration_statement", "200")]),
            ..DynamicConfig::default()
        }
    }

    fn effective(ttl: u32, connections: &str, statements: &str) -> Value {
        json!({"ttl": ttl, "loop_wait": 10, "postgresql": {"parameters": {
            "max_connections": connections, "log_min_duration_statement": statements, "wal_level": "replica"}}})
    }

    #[test]
    fn only_what_differs_is_patched_and_a_decrease_is_known() {
        // Upstream restarts the primary first only when nothing but decreases changed, and leaves the replicas'
        // new value pending otherwise (mixed changes). Ours knows the decrease in every mixture.
        for (effective, patch_expected, lowered_expected) in [
            (effective(20, "50", "200"), None, vec![]),
            (
                effective(30, "100", "500"),
                Some(json!({"ttl": 20, "postgresql": {"parameters":
                    {"max_connections": "50", "log_min_duration_statement": "200"}}})),
                vec!["max_connections"],
            ),
            (
                effective(20, "30", "200"),
                Some(json!({"postgresql": {"parameters": {"max_connections": "50"}}})),
                vec![],
            ),
            (
                effective(20, "100", "200"),
                Some(json!({"postgresql": {"parameters": {"max_connections": "50"}}})),
                vec!["max_connections"],
            ),
        ] {
            let patch = patch(&desired(), &effective, &AppliedKeys::default());
            assert_eq!(patch, patch_expected);
            assert_eq!(lowered(&patch.unwrap_or_default(), &effective), lowered_expected);
        }
    }

    #[test]
    fn slots_are_added_changed_kept_and_removed() {
        let slot = map(&[("type", "logical"), ("database", "foo"), ("plugin", "pgoutput")]);
        let none = AppliedKeys::default();
        let ours = AppliedKeys { slots: ["cdc".to_owned()].into(), ..AppliedKeys::default() };
        let with = DynamicConfig { slots: [("cdc".to_owned(), slot)].into(), ..DynamicConfig::default() };
        let without = DynamicConfig::default();
        let same = json!({"slots": {"cdc": {"type": "logical", "database": "foo", "plugin": "pgoutput"}}});
        let other = json!({"slots": {"cdc": {"type": "logical", "database": "foo", "plugin": "wal2json"}}});
        let wider =
            json!({"slots": {"cdc": {"type": "logical", "database": "foo", "plugin": "pgoutput", "x": 1}}});
        let nulled = json!({"slots": {"cdc": null}});
        for (name, desired, effective, applied, expected) in [
            ("missing", &with, &json!({}), &none, Some(same.clone())),
            ("equal", &with, &same, &none, None),
            ("other plugin", &with, &other, &none, Some(same.clone())),
            (
                "one key too many",
                &with,
                &wider,
                &none,
                Some(json!({"slots": {"cdc":
                    {"type": "logical", "database": "foo", "plugin": "pgoutput", "x": null}}})),
            ),
            ("made by hand", &without, &same, &none, None),
            ("ours and gone", &without, &same, &ours, Some(nulled)),
            ("gone already", &without, &json!({}), &ours, None),
        ] {
            assert_eq!(patch(desired, effective, applied), expected, "{name}");
        }
    }

    #[test]
    fn a_silent_manifest_changes_nothing_that_spilo_wrote() {
        let fresh = json!({
            "ttl": 30, "loop_wait": 10, "retry_timeout": 10, "maximum_lag_on_failover": 33_554_432,
            "postgresql": {"use_pg_rewind": true, "use_slots": true, "parameters":
                {"max_connections": 100, "archive_mode": "on", "log_temp_files": 0}},
        });
        assert_eq!(patch(&DynamicConfig::default(), &fresh, &AppliedKeys::default()), None);
    }

    #[test]
    fn the_synchronous_keys_always_follow_the_manifest() {
        let none = AppliedKeys::default();
        let sync = DynamicConfig { synchronous_mode: true, ..DynamicConfig::default() };
        assert_eq!(patch(&sync, &json!({}), &none), Some(json!({"synchronous_mode": true})));
        assert_eq!(patch(&sync, &json!({"synchronous_mode": "quorum"}), &none), None);
        let off = json!({"synchronous_mode": true, "synchronous_node_count": 2});
        assert_eq!(
            patch(&DynamicConfig::default(), &off, &none),
            Some(json!({"synchronous_mode": false, "synchronous_node_count": 1}))
        );
        assert_eq!(patch(&DynamicConfig::default(), &json!({"synchronous_node_count": 1}), &none), None);
    }

    #[test]
    fn what_we_set_once_and_want_no_more_falls_back_to_spilos_value() {
        let before = DynamicConfig {
            ttl: Some(60),
            maximum_lag_on_failover: Some(1024),
            parameters: map(&[("work_mem", "8MB"), ("log_statement", "all"), ("log_temp_files", "0")]),
            ..DynamicConfig::default()
        };
        let effective = json!({"ttl": 60, "maximum_lag_on_failover": 1024, "postgresql": {"parameters":
            {"work_mem": "8MB", "log_statement": "all", "log_temp_files": 0, "by_hand": "1"}}});
        assert_eq!(
            patch(&DynamicConfig::default(), &effective, &before.keys()),
            Some(json!({"ttl": null, "maximum_lag_on_failover": 33_554_432_u64, "postgresql": {"parameters":
                {"work_mem": null, "log_statement": "ddl"}}}))
        );
        assert_eq!(patch(&DynamicConfig::default(), &effective, &AppliedKeys::parse("garbage")), None);
    }

    #[test]
    fn numbers_and_booleans_in_the_store_equal_their_texts() {
        let desired = DynamicConfig {
            parameters: map(&[("max_connections", "100"), ("track_commit_timestamp", "on"), ("x.y", "0.2")]),
            failsafe_mode: Some(false),
            ..DynamicConfig::default()
        };
        let effective = json!({"postgresql": {"parameters":
            {"max_connections": 100, "track_commit_timestamp": true, "x.y": 0.2}}});
        assert_eq!(patch(&desired, &effective, &AppliedKeys::default()), None);
    }

    #[test]
    fn settings_of_the_pod_and_of_patroni_never_go_to_the_store() {
        let desired = DynamicConfig {
            parameters: map(&[("shared_buffers", "1GB"), ("port", "6432")]),
            ..DynamicConfig::default()
        };
        assert_eq!(patch(&desired, &json!({}), &AppliedKeys::default()), None);
        assert_eq!(desired.keys(), AppliedKeys::default());
    }

    #[test]
    fn access_lines_are_patched_below_postgresql() {
        let desired = DynamicConfig {
            pg_hba: Some(vec!["local all all trust".to_owned()]),
            ..DynamicConfig::default()
        };
        let expected = json!({"postgresql": {"pg_hba": ["local all all trust"]}});
        assert_eq!(patch(&desired, &json!({"pg_hba": []}), &AppliedKeys::default()), Some(expected.clone()));
        assert_eq!(patch(&desired, &expected, &AppliedKeys::default()), None);
    }

    #[test]
    fn a_standby_section_is_followed_and_its_removal_promotes() {
        let desired = DynamicConfig {
            standby_cluster: Some(StandbyCluster {
                create_replica_methods: vec!["basebackup_fast_xlog".to_owned()],
                host: Some("other".to_owned()),
                port: Some("5432".to_owned()),
                ..StandbyCluster::default()
            }),
            ..DynamicConfig::default()
        };
        let spilo = json!({"standby_cluster":
            {"create_replica_methods": ["basebackup_fast_xlog"], "host": "other", "port": 5432}});
        let none = AppliedKeys::default();
        assert_eq!(patch(&desired, &spilo, &none), None);
        let moved = json!({"standby_cluster": {"create_replica_methods": ["basebackup_fast_xlog"],
            "host": "old", "port": 5432, "primary_slot_name": "s"}});
        assert_eq!(
            patch(&desired, &moved, &none),
            Some(json!({"standby_cluster": {"host": "other", "primary_slot_name": null}}))
        );
        assert_eq!(
            patch(&DynamicConfig::default(), &spilo, &desired.keys()),
            Some(json!({"standby_cluster": null}))
        );
        assert_eq!(patch(&DynamicConfig::default(), &spilo, &none), None);
    }
}
