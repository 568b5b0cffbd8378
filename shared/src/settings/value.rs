//! How PostgreSQL reads the value of a setting, and what it would say of a bad one.
//!
//! Two surprises: units are written with exact case (`kB`, `MB`, never `mb` or `Mi`), and a number without a unit
//! counts in the setting's own unit, so `shared_buffers: "128"` is 128 pages of 8 kB.

use super::{Kind, Range, Setting};

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

const NO_MEMORY: &str = "is not an amount of memory; write a number with kB, MB, GB or TB, for example 64MB";
const NO_TIME: &str = "is not a time; write a number with us, ms, s, min, h or d, for example 30s";
const NO_INTEGER: &str = "is not a whole number; write digits, without a unit";
const NO_REAL: &str = "is not a number, for example 0.9";

impl Setting {
    /// Whether PostgreSQL would read `value`.
    ///
    /// # Errors
    /// What is wrong, and what would be right.
    pub fn read(&self, value: &str) -> Result<(), String> {
        // PostgreSQL trims numbers and booleans, but takes a word as it stands.
        let trimmed = value.trim();
        match &self.kind {
            Kind::Text => Ok(()),
            Kind::Bool if is_bool(trimmed) => Ok(()),
            Kind::Bool => Err("is not a boolean; write on or off".to_owned()),
            Kind::Words(shown, also) if is_one_of(shown, value) || is_one_of(also, value) => Ok(()),
            Kind::Words(shown, _) => Err(format!("is not known; choose one of {}", listed(shown))),
            Kind::Integer(range) => range.holds(trimmed, true),
            Kind::Real(range) => range.holds(trimmed, false),
        }
    }

    /// Whether PostgreSQL takes two values for the same. Those that it would not read are the same as themselves only.
    pub fn is_same(&self, one: &str, other: &str) -> bool {
        if one == other {
            return true;
        }
        if self.read(one).is_err() || self.read(other).is_err() {
            return false;
        }
        let lower = |value: &str| value.trim().to_ascii_lowercase();
        match &self.kind {
            Kind::Text => false,
            Kind::Bool => truth(&lower(one)) == truth(&lower(other)),
            Kind::Words(shown, _) => {
                let (one, other) = (word(shown, &lower(one)), word(shown, &lower(other)));
                one.is_some() && one == other
            }
            Kind::Integer(range) => range.counted(one, true) == range.counted(other, true),
            Kind::Real(range) => range.counted(one, false) == range.counted(other, false),
        }
    }

    /// How many bytes `value` is (milliseconds for a time, the number itself without a unit); nothing if it is no
    /// number that PostgreSQL would read.
    pub fn amount(&self, value: &str) -> Option<f64> {
        let (Kind::Integer(range) | Kind::Real(range)) = &self.kind else { return None };
        self.read(value).ok()?;
        let (number, unit) = number_and_unit(value.trim())?;
        let unit = if unit.is_empty() { range.unit } else { unit };
        let worth = MEMORY.iter().chain(TIME).find(|(known, _)| *known == unit);
        Some(number * worth.map_or(1.0, |(_, worth)| *worth))
    }
}

/// Words that PostgreSQL takes without showing them, and what it shows. Others of them are not compared.
const SHOWN_AS: &[(&str, &str)] = &[("archive", "replica"), ("hot_standby", "replica")];

/// The word that PostgreSQL shows for a lower-case one: one of its words, a boolean written in another way, or an old name.
fn word(shown: &[&'static str], value: &str) -> Option<&'static str> {
    let named = |wanted: &str| shown.iter().copied().find(|word| word.eq_ignore_ascii_case(wanted));
    let old = SHOWN_AS.iter().find(|(old, _)| *old == value).map(|(_, new)| *new);
    let flag = || named(if truth(value) { "on" } else { "off" });
    named(value).or_else(|| old.and_then(named)).or_else(|| is_bool(value).then(flag).flatten())
}

/// Whether a boolean in lower case is true.
fn truth(value: &str) -> bool {
    value == "1"
        || value == "on"
        || (!value.is_empty() && ("true".starts_with(value) || "yes".starts_with(value)))
}

fn is_one_of(words: &[&str], value: &str) -> bool {
    words.iter().any(|word| word.eq_ignore_ascii_case(value))
}

fn listed(words: &[&str]) -> String {
    let words: Vec<&str> = words.iter().copied().filter(|word| !word.is_empty()).collect();
    words.join(", ")
}

impl Range {
    /// Whether a number, with or without a unit, lies between the bounds.
    fn holds(&self, value: &str, whole: bool) -> Result<(), String> {
        let (units, sample): (&[(&str, f64)], _) = match (self.unit, whole) {
            ("", true) => (&[], NO_INTEGER),
            ("", false) => (&[], NO_REAL),
            (unit, _) if TIME.iter().any(|(known, _)| *known == unit) => (TIME, NO_TIME),
            _ => (MEMORY, NO_MEMORY),
        };
        let (number, unit) = number_and_unit(value).ok_or(sample)?;
        let is_known = |name: &str| units.iter().any(|(known, _)| *known == name);
        if !unit.is_empty() && !is_known(unit) {
            return Err(sample.to_owned());
        }
        let counted = self.in_own_unit(number, unit, whole);
        if (self.least..=self.most).contains(&counted) { Ok(()) } else { Err(self.told(unit)) }
    }

    /// A value as PostgreSQL keeps it.
    fn counted(&self, value: &str, whole: bool) -> Option<f64> {
        let (number, unit) = number_and_unit(value.trim())?;
        Some(self.in_own_unit(number, unit, whole))
    }

    /// A number of a unit, or of none, in the setting's own.
    fn in_own_unit(&self, number: f64, unit: &str, whole: bool) -> f64 {
        let worth = |name: &str| {
            let found = MEMORY.iter().chain(TIME).find(|(known, _)| *known == name);
            found.map_or(1.0, |(_, worth)| *worth)
        };
        let counted = if unit.is_empty() { number } else { number * worth(unit) / worth(self.unit) };
        // PostgreSQL takes a whole number with a fraction and rounds it, to the even one of two neighbours.
        if whole { counted.round_ties_even() } else { counted }
    }

    /// The bounds in words.
    fn told(&self, unit: &str) -> String {
        let pages = unit.is_empty() && self.unit == "8kB";
        let per = if pages { "; a bare number counts pages of 8kB" } else { "" };
        let least = self.named(self.least);
        // Some have no upper bound but that of the machine's numbers.
        if self.most >= f64::MAX / 10.0 {
            return format!("is out of range; it must be at least {least}{per}");
        }
        format!("is out of range; it must be between {least} and {}{per}", self.named(self.most))
    }

    /// A bound with its unit, pages turned into kB. Zero and below need none, or mean something of their own.
    fn named(&self, bound: f64) -> String {
        match self.unit {
            _ if bound <= 0.0 => bound.to_string(),
            "8kB" => format!("{}kB", bound * 8.0),
            unit => format!("{bound}{unit}"),
        }
    }
}

/// A number as PostgreSQL reads one, decimal or hexadecimal behind `0x`, and the unit behind it.
fn number_and_unit(value: &str) -> Option<(f64, &str)> {
    if let Some(digits) = value.strip_prefix("0x") {
        let number = i32::from_str_radix(digits, 16).ok()?;
        return Some((f64::from(number), ""));
    }
    let end = end_of_number(value);
    let (number, unit) = value.split_at_checked(end)?;
    let number = number.parse::<f64>().ok().filter(|number| number.is_finite())?;
    Some((number, unit.trim_start()))
}

/// Where the number ends: sign, digits, a point, and an exponent, which is none when no digit follows its `e`.
fn end_of_number(value: &str) -> usize {
    let is_mantissa = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+');
    let end = value.find(|c: char| !is_mantissa(c)).unwrap_or(value.len());
    let rest = value.get(end..).unwrap_or_default();
    let Some(exponent) = rest.strip_prefix(['e', 'E']) else { return end };
    let sign = usize::from(exponent.starts_with(['+', '-']));
    let digits = exponent.chars().skip(sign).take_while(char::is_ascii_digit).count();
    if digits == 0 { end } else { end + 1 + sign + digits }
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
    use super::super::find;

    fn read(name: &str, major: &str, value: &str) -> Result<(), String> {
        find(name, major.parse().unwrap()).unwrap().read(value)
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
            ("log_connections", &["on"]),
            ("log_min_messages", &["debug"]),
            ("synchronous_commit", &["yes", "1", "local"]),
            ("geqo_selection_bias", &["1.5", "2.0"]),
            ("log_rotation_age", &["1d", "1440", "24h"]),
            ("IntervalStyle", &["ISO_8601"]),
            ("log_line_prefix", &["", "%m [%p] "]),
        ] {
            for value in values {
                assert_eq!(read(name, "17", value), Ok(()), "{name} = {value}");
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
                assert!(read(name, "17", value).is_err(), "{name} = {value}");
            }
        }
    }

    #[test]
    fn one_value_in_several_spellings_is_one_value() {
        let same = |name: &str, one: &str, other: &str| {
            find(name, "17".parse().unwrap()).unwrap().is_same(one, other)
        };
        for (name, one, other) in [
            ("wal_buffers", "16MB", "16384kB"),
            ("wal_buffers", "2048", "16MB"),
            ("max_worker_processes", "8", "8.2"),
            ("max_connections", "0x64", "1e2"),
            ("track_commit_timestamp", "off", "FALSE"),
            ("huge_pages", "try", "TRY"),
            ("huge_pages", "on", "yes"),
            ("wal_level", "hot_standby", "replica"),
            ("unix_socket_group", "postgres", "postgres"),
            ("random_page_cost", "4", "4.0"),
        ] {
            assert!(same(name, one, other) && same(name, other, one), "{name}: {one}, {other}");
        }
        for (name, one, other) in [
            ("wal_buffers", "16MB", "16kB"),
            ("max_worker_processes", "8", "9"),
            ("track_commit_timestamp", "off", "on"),
            ("huge_pages", "try", "on"),
            ("wal_level", "minimal", "replica"),
            ("unix_socket_group", "postgres", "Postgres"),
            ("max_connections", "many", "100"),
        ] {
            assert!(!same(name, one, other), "{name}: {one}, {other}");
        }
    }

    #[test]
    fn what_a_value_may_be_follows_the_version() {
        assert!(read("log_connections", "17", "receipt,authentication").is_err());
        assert_eq!(read("log_connections", "18", "receipt,authentication"), Ok(()));
        assert!(read("wal_compression", "14", "zstd").is_err());
        assert_eq!(read("wal_compression", "15", "zstd"), Ok(()));
        assert_eq!(read("io_method", "18", "io_uring"), Ok(()));
    }

    #[test]
    fn bounds_are_told_in_words_a_person_would_write() {
        for (name, value, told) in [
            ("random_page_cost", "-1", "is out of range; it must be at least 0"),
            ("work_mem", "1kB", "is out of range; it must be between 64kB and 2147483647kB"),
            ("autovacuum_vacuum_cost_delay", "200", "is out of range; it must be between -1 and 100ms"),
            ("wal_level", "full", "is not known; choose one of minimal, replica, logical"),
        ] {
            assert_eq!(read(name, "17", value).unwrap_err(), told);
        }
    }
}
