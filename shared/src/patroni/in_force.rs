//! What a change of a Postgres setting costs a running cluster, given its value before and after.
//!
//! `plan` asks. PostgreSQL asks for a restart only when a value really becomes another one: Patroni compares what it is to
//! write with what the server says of itself, units and spellings apart. So a setting that is written down with the value
//! it has anyway restarts nobody. What it has where nobody asks is Spilo's or PostgreSQL's default; one is not known here:
//! Spilo makes `max_connections` of the machine's memory.

use serde_json::Value;

use crate::settings::find;
use crate::version::PostgresVersion;

use super::patch::SPILO_PARAMETERS;
use super::settings::{Cost, cost};

/// The setting whose value in a new cluster follows the memory.
const OF_THE_MEMORY: &str = "max_connections";

/// What a change costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeCost {
    /// What it costs at most.
    pub cost: Cost,
    /// Whether it may cost less, because the value before is not known and may be the same.
    pub perhaps_less: bool,
}

/// What changing a setting from one value to another costs; `null` is none of the manifest's.
pub fn cost_of_change(name: &str, from: &Value, to: &Value, version: PostgresVersion) -> ChangeCost {
    let cost = cost(name, version);
    let certain = |cost| ChangeCost { cost, perhaps_less: false };
    if cost != Cost::Restart {
        return certain(cost);
    }
    let Some(setting) = find(name, version) else {
        return ChangeCost { cost, perhaps_less: from.is_null() || to.is_null() };
    };
    let before = text(from).or_else(|| default(name, version).filter(|_| setting.name != OF_THE_MEMORY));
    let after = text(to).or_else(|| default(name, version));
    match (before, after) {
        (Some(before), Some(after)) if setting.is_same(&before, &after) => certain(Cost::Reload),
        (Some(_), Some(_)) => certain(cost),
        _ => ChangeCost { cost, perhaps_less: true },
    }
}

/// What a setting has where the manifest says nothing, as far as it is known.
fn default(name: &str, version: PostgresVersion) -> Option<String> {
    let spilo = SPILO_PARAMETERS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    let spilo = spilo.map(|(_, value)| *value);
    spilo.or_else(|| find(name, version)?.boot).map(str::to_owned)
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn costs(name: &str, from: Value, to: Value, major: &str) -> (Cost, bool) {
        let ChangeCost { cost, perhaps_less } = cost_of_change(name, &from, &to, major.parse().unwrap());
        (cost, perhaps_less)
    }

    #[test]
    fn a_value_that_the_server_has_anyway_restarts_nobody() {
        let (restart, reload) = ((Cost::Restart, false), (Cost::Reload, false));
        for (name, from, to, expected) in [
            ("max_worker_processes", json!(null), json!("8"), reload),
            ("max_worker_processes", json!("8"), json!(null), reload),
            ("max_worker_processes", json!(null), json!("9"), restart),
            ("max_locks_per_transaction", json!("64"), json!("0x40"), reload),
            ("track_commit_timestamp", json!(null), json!("false"), reload),
            ("track_commit_timestamp", json!(null), json!("on"), restart),
            ("wal_buffers", json!("16MB"), json!("16384kB"), reload),
            ("wal_level", json!(null), json!("replica"), reload),
            ("wal_level", json!(null), json!("logical"), restart),
            ("autovacuum_max_workers", json!(null), json!("5"), reload), // Spilo's
            ("autovacuum_max_workers", json!(null), json!("3"), restart), // PostgreSQL's
            ("archive_mode", json!(null), json!("on"), reload),
            ("max_connections", json!("100"), json!(null), reload),
            ("work_mem", json!(null), json!("8MB"), reload),
        ] {
            assert_eq!(costs(name, from.clone(), to.clone(), "17"), expected, "{name} from {from} to {to}");
        }
    }

    #[test]
    fn where_the_value_before_is_not_known_a_restart_is_told_as_one_that_may_not_come() {
        for (name, to) in
            [("max_connections", "100"), ("pg_stat_statements.max", "5000"), ("jit_provider", "llvmjit")]
        {
            assert_eq!(costs(name, json!(null), json!(to), "17"), (Cost::Restart, true), "{name}");
        }
        assert_eq!(costs("max_connections", json!("100"), json!("200"), "17"), (Cost::Restart, false));
    }

    #[test]
    fn the_value_that_a_server_starts_with_follows_its_version() {
        assert_eq!(costs("huge_page_size", json!(null), json!("0"), "14").0, Cost::Reload);
        assert_eq!(costs("autovacuum_worker_slots", json!(null), json!("16"), "18").0, Cost::Reload);
        assert_eq!(costs("autovacuum_max_workers", json!(null), json!("3"), "18").0, Cost::Reload);
    }
}
