//! What PostgreSQL says of its own settings: type, unit, range, words, and when a new value is taken up.
//!
//! Validation asks what a value may be, `patroni::settings` what a change costs. The tables are answers of real servers
//! (`shared/settings/generate.sh`), one for each major version: a setting may be a boolean in one and a list of words in
//! the next (`wal_compression`), or need a restart in one only (`autovacuum_max_workers`).

mod value;

use std::cmp::Ordering;
use std::sync::OnceLock;

use crate::spelling;
use crate::version::PostgresVersion;

/// The tables, by major version.
const TABLES: &[(u8, &str)] = &[
    (14, include_str!("../../settings/pg14.csv")),
    (15, include_str!("../../settings/pg15.csv")),
    (16, include_str!("../../settings/pg16.csv")),
    (17, include_str!("../../settings/pg17.csv")),
    (18, include_str!("../../settings/pg18.csv")),
];

/// A setting of one version of PostgreSQL.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// Its name as PostgreSQL writes it; case does not matter.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// When a new value is taken up.
    pub context: Context,
    /// What PostgreSQL starts with where nobody asks for a value, in the setting's own unit. Known of numbers, booleans and
    /// words that need a restart.
    pub boot: Option<&'static str>,
}

/// What a setting takes.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// `on`, `off` and their friends.
    Bool,
    /// Any text.
    Text,
    /// One of some words: those PostgreSQL shows, and those it takes as well.
    Words(Vec<&'static str>, Vec<&'static str>),
    /// A whole number.
    Integer(Range),
    /// A number.
    Real(Range),
}

/// The bounds of a number, counted in its unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// What a number without a unit counts in, for example `kB`; empty for a mere number.
    pub unit: &'static str,
    /// The least value.
    pub least: f64,
    /// The largest value.
    pub most: f64,
}

/// When a new value is taken up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Context {
    /// Never: it was decided when PostgreSQL was compiled or the data directory made.
    Never,
    /// When the server starts (`postmaster`).
    Start,
    /// When the configuration is read again; some only in new sessions.
    Reload,
}

/// The setting of that name in that version.
pub fn find(name: &str, version: PostgresVersion) -> Option<&'static Setting> {
    let (_, table) = tables().iter().find(|(major, _)| *major == version.major())?;
    let at = table.binary_search_by(|setting| order(setting.name, name)).ok()?;
    table.get(at)
}

/// The versions that have a setting of that name, oldest first.
pub fn versions_with(name: &str) -> Vec<u8> {
    let known = |table: &[Setting]| table.iter().any(|setting| setting.name.eq_ignore_ascii_case(name));
    tables().iter().filter(|(_, table)| known(table)).map(|(major, _)| *major).collect()
}

/// The name in that version that somebody who wrote `name` most likely meant.
pub fn closest(name: &str, version: PostgresVersion) -> Option<&'static str> {
    let (_, table) = tables().iter().find(|(major, _)| *major == version.major())?;
    let settable = table.iter().filter(|setting| setting.context != Context::Never);
    spelling::closest(name, settable.map(|setting| setting.name))
}

/// All tables, read once.
fn tables() -> &'static [(u8, Vec<Setting>)] {
    static READ: OnceLock<Vec<(u8, Vec<Setting>)>> = OnceLock::new();
    READ.get_or_init(|| TABLES.iter().map(|(major, text)| (*major, table(text))).collect())
}

fn table(text: &'static str) -> Vec<Setting> {
    let mut settings: Vec<Setting> =
        text.lines().filter(|line| !line.starts_with('#')).filter_map(setting).collect();
    settings.sort_by(|left, right| order(left.name, right.name));
    settings
}

/// The order in which names are looked up: lengths tell most of them apart. PostgreSQL writes a few with capitals
/// (`DateStyle`).
fn order(left: &str, right: &str) -> Ordering {
    let length = left.len().cmp(&right.len());
    length.then_with(|| lower(left).cmp(lower(right)))
}

fn lower(name: &str) -> impl Iterator<Item = u8> {
    name.bytes().map(|byte| byte.to_ascii_lowercase())
}

/// One line of a table.
fn setting(line: &'static str) -> Option<Setting> {
    let mut fields = line.split(',');
    let mut next = || fields.next();
    let (name, kind, unit) = (next()?, next()?, next()?);
    let (least, most, words, also) = (next()?, next()?, next()?, next()?);
    let boot = Some(next()?).filter(|value| !value.is_empty());
    let context = match next()? {
        "internal" => Context::Never,
        "postmaster" => Context::Start,
        _ => Context::Reload,
    };
    let list = |text: &'static str| -> Vec<&'static str> {
        if text.is_empty() { Vec::new() } else { text.split('|').collect() }
    };
    let range = || Some(Range { unit, least: least.parse().ok()?, most: most.parse().ok()? });
    let kind = match kind {
        "bool" => Kind::Bool,
        "enum" => Kind::Words(list(words), list(also)),
        "integer" => Kind::Integer(range()?),
        "real" => Kind::Real(range()?),
        _ => Kind::Text,
    };
    Some(Setting { name, kind, context, boot })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(major: u8) -> PostgresVersion {
        major.to_string().parse().unwrap()
    }

    #[test]
    fn every_line_of_every_table_is_read() {
        assert_eq!(TABLES.len(), PostgresVersion::SUPPORTED.len());
        for (major, text) in TABLES {
            let lines = text.lines().filter(|line| !line.starts_with('#')).count();
            let (_, table) = tables().iter().find(|(known, _)| known == major).unwrap();
            assert_eq!(table.len(), lines, "{major}");
            assert!(lines > 300, "{major}");
            for setting in table {
                assert_eq!(find(setting.name, version(*major)), Some(setting));
            }
            let twice = table.windows(2).find(|pair| order(pair[0].name, pair[1].name).is_eq());
            assert_eq!(twice, None);
        }
    }

    #[test]
    fn a_setting_is_what_its_version_says() {
        assert_eq!(find("WAL_compression", version(14)).unwrap().kind, Kind::Bool);
        assert!(matches!(find("wal_compression", version(17)).unwrap().kind, Kind::Words(..)));
        assert_eq!(find("autovacuum_max_workers", version(17)).unwrap().context, Context::Start);
        assert_eq!(find("autovacuum_max_workers", version(18)).unwrap().context, Context::Reload);
        assert_eq!(find("block_size", version(18)).unwrap().context, Context::Never);
        assert_eq!(
            find("shared_buffers", version(16)).unwrap().kind,
            Kind::Integer(Range { unit: "8kB", least: 16.0, most: 1_073_741_823.0 })
        );
        assert_eq!(find("max_wal_senders", version(17)).unwrap().boot, Some("10"));
        assert_eq!(find("work_mem", version(17)).unwrap().boot, None, "it needs no restart");
        assert_eq!(find("datestyle", version(17)).unwrap().name, "DateStyle");
        assert_eq!(versions_with("old_snapshot_threshold"), [14, 15, 16]);
    }

    #[test]
    fn words_that_a_build_may_lack_are_known_in_every_version_that_can_have_them() {
        for major in [15, 16, 17, 18] {
            let Kind::Words(words, _) = &find("wal_compression", version(major)).unwrap().kind else {
                panic!()
            };
            assert!(words.contains(&"zstd") && words.contains(&"lz4"), "{major}: {words:?}");
        }
    }

    #[test]
    fn a_slip_is_recognized_and_another_word_is_not() {
        for (written, meant) in [
            ("max_conections", Some("max_connections")),
            ("maxconnections", Some("max_connections")),
            ("work_memory", Some("work_mem")),
            ("effective_cache_sizes", Some("effective_cache_size")),
            ("favourite_colour_of_the_team", None),
            ("x", None),
        ] {
            assert_eq!(closest(written, version(17)), meant, "{written}");
        }
    }
}
