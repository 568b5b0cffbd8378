//! The types of the parameters people set most, as PostgreSQL declares them, and how PostgreSQL reads a value.
//!
//! Two surprises: units are written with exact case (`kB`, `MB`, never `mb` or `Mi`), and a number without a unit
//! counts in the parameter's own unit, so `shared_buffers: "128"` is 128 pages of 8 kB.

/// What a parameter takes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Type {
    /// `on`, `off` and their friends.
    Bool,
    /// A whole number between two bounds.
    Integer(i64, i64),
    /// A number between two bounds.
    Real(f64, f64),
    /// One of some words.
    Enum(&'static [&'static str]),
    /// Bytes: what a bare number counts in, and the bounds in that unit.
    Memory(&'static str, i64, i64),
    /// Time: what a bare number counts in, and the bounds in that unit.
    Time(&'static str, i64, i64),
}

use Type::{Bool, Enum, Integer, Memory, Real, Time};

const MAX: i64 = i32::MAX as i64;
const MAX_KB: i64 = MAX;
/// Messages in the log, from most to least.
const LEVELS: &[&str] = &[
    "debug5", "debug4", "debug3", "debug2", "debug1", "debug", "log", "info", "notice", "warning", "error",
    "fatal", "panic",
];

/// Every parameter whose values are checked. Ranges are PostgreSQL's own (`pg_settings.min_val`, `max_val`).
const TYPES: &[(&str, Type)] = &[
    ("archive_mode", Enum(&["on", "off", "always", "true", "false", "yes", "no", "1", "0"])),
    ("archive_timeout", Time("s", 0, 1_073_741_823)),
    ("autovacuum", Bool),
    ("autovacuum_analyze_scale_factor", Real(0.0, 100.0)),
    ("autovacuum_analyze_threshold", Integer(0, MAX)),
    ("autovacuum_freeze_max_age", Integer(100_000, 2_000_000_000)),
    ("autovacuum_max_workers", Integer(1, 262_143)),
    ("autovacuum_naptime", Time("s", 1, 2_147_483)),
    ("autovacuum_vacuum_cost_delay", Time("ms", -1, 100)),
    ("autovacuum_vacuum_cost_limit", Integer(-1, 10_000)),
    ("autovacuum_vacuum_scale_factor", Real(0.0, 100.0)),
    ("autovacuum_vacuum_threshold", Integer(0, MAX)),
    ("autovacuum_work_mem", Memory("kB", -1, MAX_KB)),
    ("checkpoint_completion_target", Real(0.0, 1.0)),
    ("checkpoint_timeout", Time("s", 30, 86_400)),
    ("client_min_messages", Enum(LEVELS)),
    ("deadlock_timeout", Time("ms", 1, MAX)),
    ("default_statistics_target", Integer(1, 10_000)),
    (
        "default_transaction_isolation",
        Enum(&["serializable", "repeatable read", "read committed", "read uncommitted"]),
    ),
    ("default_transaction_read_only", Bool),
    ("effective_cache_size", Memory("8kB", 1, MAX)),
    ("effective_io_concurrency", Integer(0, 1000)),
    ("fsync", Bool),
    ("full_page_writes", Bool),
    ("hot_standby_feedback", Bool),
    ("huge_pages", Enum(&["try", "on", "off", "true", "false", "yes", "no", "1", "0"])),
    ("idle_in_transaction_session_timeout", Time("ms", 0, MAX)),
    ("idle_session_timeout", Time("ms", 0, MAX)),
    ("jit", Bool),
    ("lock_timeout", Time("ms", 0, MAX)),
    ("log_autovacuum_min_duration", Time("ms", -1, MAX)),
    ("log_checkpoints", Bool),
    ("log_connections", Enum(&[])),
    ("log_disconnections", Bool),
    ("log_error_verbosity", Enum(&["terse", "default", "verbose"])),
    ("log_lock_waits", Bool),
    ("log_min_duration_statement", Time("ms", -1, MAX)),
    ("log_min_error_statement", Enum(LEVELS)),
    ("log_min_messages", Enum(LEVELS)),
    ("log_rotation_age", Time("min", 0, 35_791_394)),
    ("log_statement", Enum(&["none", "ddl", "mod", "all"])),
    ("log_temp_files", Memory("kB", -1, MAX_KB)),
    ("log_truncate_on_rotation", Bool),
    ("logging_collector", Bool),
    ("maintenance_work_mem", Memory("kB", 64, MAX_KB)),
    ("max_connections", Integer(1, 262_143)),
    ("max_locks_per_transaction", Integer(10, MAX)),
    ("max_logical_replication_workers", Integer(0, 262_143)),
    ("max_parallel_maintenance_workers", Integer(0, 1024)),
    ("max_parallel_workers", Integer(0, 1024)),
    ("max_parallel_workers_per_gather", Integer(0, 1024)),
    ("max_prepared_transactions", Integer(0, 262_143)),
    ("max_replication_slots", Integer(0, 262_143)),
    ("max_slot_wal_keep_size", Memory("MB", -1, MAX)),
    ("max_standby_archive_delay", Time("ms", -1, MAX)),
    ("max_standby_streaming_delay", Time("ms", -1, MAX)),
    ("max_wal_senders", Integer(0, 262_143)),
    ("max_wal_size", Memory("MB", 2, MAX)),
    ("max_worker_processes", Integer(0, 262_143)),
    ("min_wal_size", Memory("MB", 2, MAX)),
    ("password_encryption", Enum(&["md5", "scram-sha-256"])),
    ("random_page_cost", Real(0.0, f64::MAX)),
    ("seq_page_cost", Real(0.0, f64::MAX)),
    ("shared_buffers", Memory("8kB", 16, 1_073_741_823)),
    ("ssl", Bool),
    ("statement_timeout", Time("ms", 0, MAX)),
    (
        "synchronous_commit",
        Enum(&["on", "off", "local", "remote_write", "remote_apply", "true", "false", "yes", "no", "1", "0"]),
    ),
    ("temp_buffers", Memory("8kB", 100, 1_073_741_823)),
    ("temp_file_limit", Memory("kB", -1, MAX_KB)),
    ("track_activities", Bool),
    ("track_commit_timestamp", Bool),
    ("track_counts", Bool),
    ("track_functions", Enum(&["none", "pl", "all"])),
    ("track_io_timing", Bool),
    ("vacuum_cost_limit", Integer(1, 10_000)),
    ("wal_buffers", Memory("8kB", -1, 262_143)),
    ("wal_compression", Enum(&["pglz", "lz4", "zstd", "on", "off", "true", "false", "yes", "no", "1", "0"])),
    ("wal_keep_size", Memory("MB", 0, MAX)),
    ("wal_level", Enum(&["minimal", "replica", "logical", "archive", "hot_standby"])),
    ("wal_receiver_timeout", Time("ms", 0, MAX)),
    ("wal_sender_timeout", Time("ms", 0, MAX)),
    ("work_mem", Memory("kB", 64, MAX_KB)),
];

/// Unit, and how many bytes it has.
const MEMORY: &[(&str, f64)] = &[
    ("B", 1.0),
    ("kB", 1024.0),
    ("MB", 1_048_576.0),
    ("GB", 1_073_741_824.0),
    ("TB", 1_099_511_627_776.0),
    ("8kB", 8192.0), // never written by a user: what pages count in
];

/// Unit, and how many milliseconds it has.
const TIME: &[(&str, f64)] =
    &[("us", 0.001), ("ms", 1.0), ("s", 1000.0), ("min", 60_000.0), ("h", 3_600_000.0), ("d", 86_400_000.0)];

/// What a parameter takes, when it is one of those listed. `name` is in lower case.
pub(super) fn type_of(name: &str) -> Option<Type> {
    TYPES.iter().find(|(known, _)| *known == name).map(|(_, known)| *known)
}

impl Type {
    /// Whether PostgreSQL would read `value`; else what is wrong and what would be right.
    pub(super) fn read(self, value: &str) -> Result<(), String> {
        let value = value.trim();
        match self {
            Bool if is_bool(value) => Ok(()),
            Bool => Err("is not a boolean; write on or off".to_owned()),
            Enum(words) if words.is_empty() || words.iter().any(|word| word.eq_ignore_ascii_case(value)) => {
                Ok(())
            }
            Enum(words) => {
                let words: Vec<&str> =
                    words.iter().copied().filter(|word| !is_bool(word) || word.len() > 1).collect();
                Err(format!("is not known; choose one of {}", words.join(", ")))
            }
            Integer(least, most) => match whole(value) {
                Some(number) if (least..=most).contains(&number) => Ok(()),
                Some(_) => Err(format!("is out of range; it must be between {least} and {most}")),
                None => Err("is not a whole number; write digits, without a unit".to_owned()),
            },
            Real(least, most) => match value.parse::<f64>() {
                Ok(number) if (least..=most).contains(&number) => Ok(()),
                Ok(_) if most < f64::MAX => {
                    Err(format!("is out of range; it must be between {least} and {most}"))
                }
                Ok(_) => Err(format!("is out of range; it must be at least {least}")),
                Err(_) => Err("is not a number, for example 0.9".to_owned()),
            },
            Memory(base, least, most) => {
                let sample =
                    "is not an amount of memory; write a number with kB, MB, GB or TB, for example 64MB";
                within(value, MEMORY, (base, least, most), sample)
            }
            Time(base, least, most) => {
                let sample = "is not a time; write a number with us, ms, s, min, h or d, for example 30s";
                within(value, TIME, (base, least, most), sample)
            }
        }
    }
}

/// A number with a unit, between bounds given in the parameter's own unit.
fn within(
    value: &str,
    units: &[(&str, f64)],
    (base, least, most): (&str, i64, i64),
    sample: &str,
) -> Result<(), String> {
    let digits =
        value.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+'))).unwrap_or(value.len());
    let (number, unit) = value.split_at_checked(digits).ok_or(sample)?;
    let (number, unit) = (number.parse::<f64>().map_err(|_| sample)?, unit.trim());
    let worth = |name: &str| units.iter().find(|(known, _)| *known == name).map(|(_, worth)| *worth);
    let base_worth = worth(base).unwrap_or(1.0);
    let unit_worth = if unit.is_empty() { base_worth } else { worth(unit).ok_or(sample)? };
    let counted = number * unit_worth / base_worth;
    // The bounds fit into 31 bits, so the conversion is exact.
    #[allow(clippy::cast_precision_loss, reason = "bounds are below 2^31")]
    let (least_counted, most_counted) = (least as f64, most as f64);
    if counted < least_counted || counted > most_counted {
        let per = if unit.is_empty() && base == "8kB" { "; a bare number counts pages of 8kB" } else { "" };
        return Err(format!(
            "is out of range; it must be between {} and {}{per}",
            named(least, base),
            named(most, base)
        ));
    }
    Ok(())
}

/// A bound with its unit, pages turned into kB.
fn named(bound: i64, base: &str) -> String {
    match base {
        "8kB" if bound > 0 => format!("{}kB", bound * 8),
        _ if bound <= 0 => bound.to_string(),
        _ => format!("{bound}{base}"),
    }
}

/// A whole number as PostgreSQL reads one: decimal (rounded where it has a fraction), or hexadecimal behind `0x`.
fn whole(value: &str) -> Option<i64> {
    if let Some(digits) = value.strip_prefix("0x") {
        return i64::from_str_radix(digits, 16).ok();
    }
    let number = value.parse::<f64>().ok().filter(|number| number.is_finite())?;
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a cast from a float saturates, and no range is that wide"
    )]
    let rounded = number.round_ties_even() as i64;
    Some(rounded)
}

/// `on`, `off`, `true`, `false`, `yes`, `no`, `1`, `0`, and their beginnings as far as they are unique.
fn is_bool(value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    let beginning = |word: &str, least: usize| value.len() >= least && word.starts_with(&value);
    ["true", "false", "yes", "no"].iter().any(|word| beginning(word, 1))
        || value == "on"
        || beginning("off", 2)
        || value == "1"
        || value == "0"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_has_each_name_once() {
        assert!(TYPES.is_sorted_by(|(one, _), (other, _)| one < other));
    }

    #[test]
    fn what_postgres_reads_passes() {
        for (name, values) in [
            ("autovacuum", &["on", "OFF", "t", "no", "1", "of"] as &[_]),
            ("shared_buffers", &["128MB", "1 GB", "16384", "0.5GB"]),
            ("work_mem", &["4096", "64kB", "1.5MB"]),
            ("statement_timeout", &["0", "30s", "5min", "1.5h", "250"]),
            ("max_connections", &["100", "0x64", "1e2", "99.9"]),
            ("autovacuum_vacuum_cost_delay", &["2ms", "-1", "1.5"]),
            ("random_page_cost", &["1.1", "4", "1e1"]),
            ("log_min_duration_statement", &["-1", "250ms"]),
            ("wal_level", &["logical", "Replica"]),
            ("log_connections", &["on", "receipt,authentication"]),
        ] {
            for value in values {
                assert_eq!(type_of(name).unwrap().read(value), Ok(()), "{name} = {value}");
            }
        }
    }

    #[test]
    fn what_postgres_refuses_is_refused() {
        for (name, values) in [
            ("autovacuum", &["o", "enabled", "", "2"] as &[_]),
            ("shared_buffers", &["128mb", "1Gi", "8", "10%", "", "1GB2"]),
            ("work_mem", &["4M", "-1", "1kB"]),
            ("statement_timeout", &["5m", "30sec", "soon", "-5"]),
            ("max_connections", &["many", "0", "1e9", "inf", ""]),
            ("random_page_cost", &["cheap", "-1"]),
            ("wal_level", &["full"]),
        ] {
            for value in values {
                assert!(type_of(name).unwrap().read(value).is_err(), "{name} = {value}");
            }
        }
    }
}
