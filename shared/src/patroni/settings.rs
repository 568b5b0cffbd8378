//! Where each Postgres setting lives, and what changing it costs.
//!
//! `build` asks which of a manifest's parameters go into the pod's environment, `plan` what a change costs, and
//! validation which names are not ours to set. Only exceptions are listed: a name that is not here lives in Patroni's
//! store and is changed by a reload. One that surprises: the five standby-bound settings may never be lower on a
//! replica than on its primary, so lowering them starts with the primary, and raising them with the replicas.

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

/// When Postgres takes up a new value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TakenUp {
    /// Only when the server starts (context `postmaster`).
    AtStart,
    /// Only when the server starts in versions before this one, on a reload since.
    AtStartBefore(u8),
}

/// A setting about which there is something to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Setting {
    name: &'static str,
    place: Place,
    taken_up: TakenUp,
}

/// A setting of the pod's environment.
const fn pod(name: &'static str) -> Setting {
    Setting { name, place: Place::Pod, taken_up: TakenUp::AtStart }
}

/// A setting that Patroni keeps for itself.
const fn patroni(name: &'static str) -> Setting {
    Setting { name, place: Place::Patroni, taken_up: TakenUp::AtStart }
}

/// A setting of the store that only a restart puts into force.
const fn restart(name: &'static str) -> Setting {
    Setting { name, place: Place::Store, taken_up: TakenUp::AtStart }
}

/// A setting of the store that needed a restart until the given version.
const fn restart_before(name: &'static str, version: u8) -> Setting {
    Setting { name, place: Place::Store, taken_up: TakenUp::AtStartBefore(version) }
}

/// Every setting that is not "in the store, by reload": PostgreSQL 14 to 18 and the extensions of Spilo.
const SETTINGS: &[Setting] = &[
    // Local to a pod: the names that upstream calls bootstrap-only.
    pod("archive_command"),
    pod("bg_mon.history_buckets"),
    pod("bg_mon.listen_address"),
    pod("extwlist.custom_path"),
    pod("extwlist.extensions"),
    pod("log_destination"),
    pod("log_directory"),
    pod("log_file_mode"),
    pod("log_filename"),
    pod("log_rotation_age"),
    pod("log_truncate_on_rotation"),
    pod("logging_collector"),
    pod("pg_stat_statements.track_utility"),
    pod("shared_buffers"),
    pod("shared_preload_libraries"),
    pod("ssl"),
    pod("ssl_ca_file"),
    pod("ssl_cert_file"),
    pod("ssl_crl_file"),
    pod("ssl_key_file"),
    // Patroni passes these on the command line or writes them into its own files.
    patroni("cluster_name"),
    patroni("config_file"),
    patroni("data_directory"),
    patroni("external_pid_file"),
    patroni("hba_file"),
    patroni("hot_standby"),
    patroni("ident_file"),
    patroni("listen_addresses"),
    patroni("port"),
    patroni("primary_conninfo"),
    patroni("primary_slot_name"),
    patroni("promote_trigger_file"),
    patroni("recovery_target"),
    patroni("recovery_target_action"),
    patroni("recovery_target_inclusive"),
    patroni("recovery_target_lsn"),
    patroni("recovery_target_name"),
    patroni("recovery_target_time"),
    patroni("recovery_target_timeline"),
    patroni("recovery_target_xid"),
    patroni("restore_command"),
    patroni("unix_socket_directories"),
    patroni("wal_log_hints"),
    // Everything else that Postgres reads only when it starts.
    restart("archive_mode"),
    restart("autovacuum_freeze_max_age"),
    restart_before("autovacuum_max_workers", 18),
    restart("autovacuum_multixact_freeze_max_age"),
    restart("autovacuum_worker_slots"),
    restart("bonjour"),
    restart("bonjour_name"),
    restart("commit_timestamp_buffers"),
    restart("cron.database_name"),
    restart("cron.host"),
    restart("cron.log_statement"),
    restart("cron.max_running_jobs"),
    restart("cron.use_background_workers"),
    restart("data_sync_retry"),
    restart("debug_io_direct"),
    restart("dynamic_shared_memory_type"),
    restart("event_source"),
    restart("huge_page_size"),
    restart("huge_pages"),
    restart("ignore_invalid_pages"),
    restart("io_max_combine_limit"),
    restart("io_max_concurrency"),
    restart("io_method"),
    restart("jit_provider"),
    restart("max_active_replication_origins"),
    restart("max_connections"),
    restart("max_files_per_process"),
    restart("max_locks_per_transaction"),
    restart("max_logical_replication_workers"),
    restart("max_notify_queue_pages"),
    restart("max_pred_locks_per_transaction"),
    restart("max_prepared_transactions"),
    restart("max_replication_slots"),
    restart("max_wal_senders"),
    restart("max_worker_processes"),
    restart("min_dynamic_shared_memory"),
    restart("multixact_member_buffers"),
    restart("multixact_offset_buffers"),
    restart("notify_buffers"),
    restart("old_snapshot_threshold"),
    restart("pg_stat_statements.max"),
    restart("reserved_connections"),
    restart("serializable_buffers"),
    restart("shared_memory_type"),
    restart("subtransaction_buffers"),
    restart("superuser_reserved_connections"),
    restart("track_activity_query_size"),
    restart("track_commit_timestamp"),
    restart("transaction_buffers"),
    restart("unix_socket_group"),
    restart("unix_socket_permissions"),
    restart("wal_buffers"),
    restart("wal_decode_buffer_size"),
    restart("wal_level"),
];

/// Settings that may not be lower on a replica than on its primary.
const STANDBY_BOUND: &[&str] = &[
    "max_connections",
    "max_locks_per_transaction",
    "max_prepared_transactions",
    "max_wal_senders",
    "max_worker_processes",
];

/// The entry of a setting, when there is one. Postgres ignores the case of names.
fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name.eq_ignore_ascii_case(name))
}

/// Where the setting lives.
pub fn place(name: &str) -> Place {
    find(name).map_or(Place::Store, |setting| setting.place)
}

/// What changing the setting costs with this version of Postgres. Changing one that Patroni owns does nothing at all,
/// so validation refuses it; it counts as a restart here.
pub fn cost(name: &str, version: PostgresVersion) -> Cost {
    let Some(setting) = find(name) else { return Cost::Reload };
    let at_start = match setting.taken_up {
        TakenUp::AtStart => true,
        TakenUp::AtStartBefore(since) => version.major() < since,
    };
    match setting.place {
        Place::Pod => Cost::RollingUpdate,
        Place::Store | Place::Patroni if at_start => Cost::Restart,
        Place::Store | Place::Patroni => Cost::Reload,
    }
}

/// Whether a replica refuses to work with a lower value than its primary has.
pub fn is_standby_bound(name: &str) -> bool {
    STANDBY_BOUND.iter().any(|bound| bound.eq_ignore_ascii_case(name))
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
        ] {
            assert_eq!(cost(name, version(major)), expected, "{name} on {major}");
        }
    }

    #[test]
    fn every_setting_is_listed_once_and_in_order() {
        for place in [Place::Pod, Place::Patroni, Place::Store] {
            let names: Vec<_> = SETTINGS.iter().filter(|s| s.place == place).map(|s| s.name).collect();
            assert!(names.is_sorted_by(|a, b| a < b), "{place:?}: {names:?}");
        }
        assert_eq!(SETTINGS.iter().filter(|setting| setting.place == Place::Pod).count(), 20);
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
