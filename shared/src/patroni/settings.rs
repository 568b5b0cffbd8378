//! Where each Postgres setting lives, and what changing it costs.
//!
//! `build` asks which of a manifest's parameters go into the pod's environment, `plan` what a change costs, and
//! validation which names are not ours to set. Whether Postgres takes a value up by a reload it has told us itself
//! (`settings`); listed here is only what Patroni and Spilo add: a name in none of the lists lives in Patroni's store.
//! One that surprises: the five standby-bound settings may never be lower on a replica than on its primary, so lowering
//! them starts with the primary, and raising them with the replicas.

use crate::settings::{self, Context};
use crate::version::PostgresVersion;

/// Where a Postgres setting is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// In the pod's environment (`SPILO_CONFIGURATION`), which Patroni reads once, when the pod starts.
    Pod,
    /// In Patroni's dynamic configuration: one value for all members, changed while they run.
    Store,
    /// Patroni writes it itself and ignores every other value.
    Patroni,
}

/// What it takes until a changed setting is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cost {
    /// Patroni reloads Postgres; nobody notices.
    Reload,
    /// Postgres restarts in every pod.
    Restart,
    /// Every pod is recreated, because the value is part of its environment.
    RollingUpdate,
}

/// Settings that live in the pod's environment: the names that upstream calls bootstrap-only.
const POD: &[&str] = &[
    "archive_command",
    "bg_mon.history_buckets",
    "bg_mon.listen_address",
    "extwlist.custom_path",
    "extwlist.extensions",
    "log_destination",
    "log_directory",
    "log_file_mode",
    "log_filename",
    "log_rotation_age",
    "log_truncate_on_rotation",
    "logging_collector",
    "pg_stat_statements.track_utility",
    "shared_buffers",
    "shared_preload_libraries",
    "ssl",
    "ssl_ca_file",
    "ssl_cert_file",
    "ssl_crl_file",
    "ssl_key_file",
];

/// Settings that Patroni passes on the command line or writes into its own files.
const PATRONI: &[&str] = &[
    "cluster_name",
    "config_file",
    "data_directory",
    "external_pid_file",
    "hba_file",
    "hot_standby",
    "ident_file",
    "listen_addresses",
    "port",
    "primary_conninfo",
    "primary_slot_name",
    "promote_trigger_file",
    "recovery_target",
    "recovery_target_action",
    "recovery_target_inclusive",
    "recovery_target_lsn",
    "recovery_target_name",
    "recovery_target_time",
    "recovery_target_timeline",
    "recovery_target_xid",
    "restore_command",
    "unix_socket_directories",
    "wal_log_hints",
];

/// Settings of extensions that are read only at the server's start. PostgreSQL's own table knows no extensions.
const EXTENSIONS_AT_START: &[&str] = &[
    "cron.database_name",
    "cron.host",
    "cron.log_statement",
    "cron.max_running_jobs",
    "cron.use_background_workers",
    "pg_prewarm.autoprewarm",
    "pg_stat_statements.max",
    "timescaledb.max_background_workers",
];

/// Settings that may not be lower on a replica than on its primary.
const STANDBY_BOUND: &[&str] = &[
    "max_connections",
    "max_locks_per_transaction",
    "max_prepared_transactions",
    "max_wal_senders",
    "max_worker_processes",
];

/// Whether a list names the setting. Postgres ignores the case of names.
fn lists(list: &[&str], name: &str) -> bool {
    list.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Where the setting lives.
pub fn place(name: &str) -> Place {
    if lists(POD, name) {
        Place::Pod
    } else if lists(PATRONI, name) {
        Place::Patroni
    } else {
        Place::Store
    }
}

/// What changing the setting costs with this version of Postgres. Changing one that Patroni owns does nothing at all,
/// so validation refuses it; it costs here what Postgres would ask.
pub fn cost(name: &str, version: PostgresVersion) -> Cost {
    let setting = settings::find(name, version);
    let at_start =
        setting.is_some_and(|setting| setting.context != Context::Reload) || lists(EXTENSIONS_AT_START, name);
    match place(name) {
        Place::Pod => Cost::RollingUpdate,
        Place::Store | Place::Patroni if at_start => Cost::Restart,
        Place::Store | Place::Patroni => Cost::Reload,
    }
}

/// Whether a replica refuses to work with a lower value than its primary has.
pub fn is_standby_bound(name: &str) -> bool {
    lists(STANDBY_BOUND, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> PostgresVersion {
        text.parse().unwrap()
    }

    /// `postgres --describe-config` of PostgreSQL 15.18: everything with context POSTMASTER.
    const POSTMASTER_15: &str = "archive_mode autovacuum_freeze_max_age autovacuum_max_workers \
        autovacuum_multixact_freeze_max_age bonjour bonjour_name cluster_name data_directory data_sync_retry \
        dynamic_shared_memory_type event_source external_pid_file hba_file hot_standby huge_page_size huge_pages \
        ident_file jit_provider listen_addresses logging_collector max_connections max_files_per_process \
        max_locks_per_transaction max_logical_replication_workers max_pred_locks_per_transaction \
        max_prepared_transactions max_replication_slots max_wal_senders max_worker_processes \
        min_dynamic_shared_memory old_snapshot_threshold port recovery_target recovery_target_action \
        recovery_target_inclusive recovery_target_lsn recovery_target_name recovery_target_time \
        recovery_target_timeline recovery_target_xid shared_buffers shared_memory_type shared_preload_libraries \
        superuser_reserved_connections track_activity_query_size track_commit_timestamp unix_socket_directories \
        unix_socket_group unix_socket_permissions wal_buffers wal_decode_buffer_size wal_level wal_log_hints";

    #[test]
    fn what_postgres_15_reads_only_at_its_start_is_never_called_a_reload() {
        for name in POSTMASTER_15.split_whitespace() {
            assert_ne!(cost(name, version("15")), Cost::Reload, "{name}");
        }
    }

    #[test]
    fn the_cost_follows_the_place_and_the_version() {
        for (name, major, expected) in [
            ("work_mem", "17", Cost::Reload),
            ("max_connections", "17", Cost::Restart),
            ("MAX_CONNECTIONS", "17", Cost::Restart),
            ("shared_buffers", "17", Cost::RollingUpdate),
            ("log_filename", "17", Cost::RollingUpdate),
            ("autovacuum_max_workers", "17", Cost::Restart),
            ("autovacuum_max_workers", "18", Cost::Reload),
            ("archive_timeout", "17", Cost::Reload),
            ("max_notify_queue_pages", "17", Cost::Restart),
            ("pg_stat_statements.max", "17", Cost::Restart),
            ("pg_stat_statements.track", "17", Cost::Reload),
        ] {
            assert_eq!(cost(name, version(major)), expected, "{name} on {major}");
        }
    }

    #[test]
    fn every_setting_is_listed_once_and_in_order() {
        for list in [POD, PATRONI, EXTENSIONS_AT_START, STANDBY_BOUND] {
            assert!(list.is_sorted_by(|a, b| a < b), "{list:?}");
        }
        assert!(POD.iter().all(|name| !PATRONI.contains(name)));
        assert_eq!(POD.len(), 20);
    }

    #[test]
    fn every_listed_name_without_a_prefix_is_one_that_postgres_has() {
        for name in [POD, PATRONI, STANDBY_BOUND].concat() {
            assert!(name.contains('.') || !settings::versions_with(name).is_empty(), "{name}");
        }
    }

    #[test]
    fn the_standby_bound_settings_all_need_a_restart() {
        for name in STANDBY_BOUND {
            assert!(is_standby_bound(name));
            assert_eq!(cost(name, version("14")), Cost::Restart, "{name}");
        }
        assert!(!is_standby_bound("work_mem"));
    }
}
