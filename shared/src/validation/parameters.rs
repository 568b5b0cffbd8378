//! PostgreSQL's parameters: none that belong to Patroni or the operator, and values that PostgreSQL would read.
//!
//! A bad value keeps PostgreSQL from starting, in every pod. What a version knows stands in `settings`, which parameters
//! are not the user's to set in `patroni::settings`. The surprise: Patroni leaves out a name that it does not know and
//! goes on, so that a misspelt parameter never had any effect. Names with a prefix belong to extensions and pass.

use std::borrow::Cow;

use crate::api::Postgresql;
use crate::config::OperatorConfig;
use crate::field::{FieldErrors, FieldPath};
use crate::patroni::settings::{Place, place};
use crate::settings::{self, Context};
use crate::version::PostgresVersion;

/// What to use instead of a parameter that Patroni keeps for itself, by how its name begins.
const INSTEAD: &[(&str, &str)] = &[
    ("hba_file", "; use spec.patroni.pg_hba for its lines"),
    ("recovery_target", "; use spec.clone.timestamp to restore to a moment"),
    ("restore_command", "; use spec.clone or spec.standby to read an archive"),
    ("port", ", always to 5432"),
];

fn path(name: &str) -> FieldPath {
    FieldPath::spec().field("postgresql").field("parameters").key(name)
}

/// Name, and the same in lower case, and value of each parameter.
fn parameters(manifest: &Postgresql) -> impl Iterator<Item = (&String, Cow<'_, str>, &String)> {
    let parameters = manifest.spec.postgresql.parameters.iter().flatten();
    parameters.map(|(name, value)| (name, lower_case(name), value))
}

/// Almost every name is written so already.
fn lower_case(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        name.to_ascii_lowercase().into()
    } else {
        name.into()
    }
}

/// The value of one parameter.
pub(super) fn value<'a>(manifest: &'a Postgresql, name: &str) -> Option<&'a str> {
    let mut parameters = manifest.spec.postgresql.parameters.iter().flatten();
    parameters.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// Names that can stand in `postgresql.conf`, each once.
pub(super) fn names(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let mut seen = Vec::new();
    for (name, lower, _) in parameters(manifest) {
        let part = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$')
        };
        if !lower.split('.').all(part) {
            let message = format!("\"{name}\" is not the name of a parameter; parameters look like work_mem");
            errors.invalid(path(name), message);
        }
        if seen.contains(&lower) {
            errors.duplicate(
                path(name),
                format!("stands here twice: PostgreSQL reads \"{name}\" without case"),
            );
        }
        seen.push(lower);
    }
}

/// The version whose parameters they are; none while that is wrong itself.
fn version(manifest: &Postgresql) -> Option<PostgresVersion> {
    manifest.spec.postgresql.version.parse().ok()
}

/// Names that this version has.
pub(super) fn known(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let Some(version) = version(manifest) else { return };
    let looks_like_one = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    for (name, lower, _) in parameters(manifest) {
        match settings::find(&lower, version) {
            _ if place(&lower) == Place::Patroni => {}
            Some(setting) if setting.context == Context::Never => errors.forbidden(
                path(name),
                "cannot be set: it is fixed when PostgreSQL is built or the data directory is made",
            ),
            Some(_) => {}
            None if looks_like_one(name) => errors.not_supported(path(name), unknown(name, version)),
            None => {}
        }
    }
}

/// What to do about a name that this version does not have.
fn unknown(name: &str, version: PostgresVersion) -> String {
    let others = settings::versions_with(name);
    let others: Vec<String> = others.iter().map(ToString::to_string).collect();
    if !others.is_empty() {
        return format!("is no parameter of PostgreSQL {version}, only of {}; remove it", others.join(", "));
    }
    match settings::closest(name, version) {
        Some(meant) => format!("is no parameter of PostgreSQL {version}; did you mean {meant}?"),
        None => format!(
            "is no parameter of PostgreSQL {version}; one of an extension begins with the extension's name and a dot"
        ),
    }
}

/// Parameters that are not the user's to set.
pub(super) fn owned(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let synchronous =
        manifest.spec.patroni.as_ref().and_then(|patroni| patroni.synchronous_mode) == Some(true);
    for (name, lower, _) in parameters(manifest) {
        if place(&lower) == Place::Patroni {
            let instead = INSTEAD.iter().find(|(beginning, _)| lower.starts_with(beginning));
            let instead = instead.map_or("; remove it", |(_, instead)| *instead);
            errors.forbidden(path(name), format!("cannot be set: Patroni sets it{instead}"));
        } else if lower == "synchronous_standby_names" && synchronous {
            errors.forbidden(
                path(name),
                "cannot be set: Patroni sets it while spec.patroni.synchronous_mode is on",
            );
        }
    }
}

/// Values that PostgreSQL would read.
pub(super) fn values(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    // A wrong version is said elsewhere; that must not hide a bad value.
    let version = version(manifest).unwrap_or(PostgresVersion::NEWEST);
    for (name, lower, value) in parameters(manifest) {
        let setting = settings::find(&lower, version).filter(|_| place(&lower) != Place::Patroni);
        if let Some(Err(message)) = setting.map(|setting| setting.read(value)) {
            errors.invalid(path(name), format!("\"{value}\" {message}"));
        }
    }
}

/// Values that leave replicas or change streams without what they need.
pub(super) fn replication(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let spec = &manifest.spec;
    let several = spec.number_of_instances > 1;
    for name in ["max_wal_senders", "max_replication_slots"] {
        if several && value(manifest, name).is_some_and(|value| value.trim() == "0") {
            errors.invalid(path(name), "is 0, but replicas need it; leave it out or set at least 5");
        }
    }
    let Some(level) = value(manifest, "wal_level").map(|level| level.trim().to_ascii_lowercase()) else {
        return;
    };
    let logical_slot = spec
        .patroni
        .iter()
        .flat_map(|patroni| patroni.slots.iter().flatten())
        .any(|(_, slot)| slot.get("type").is_some_and(|kind| kind == "logical"));
    let streams = spec.streams.as_ref().is_some_and(|streams| !streams.is_empty());
    if (logical_slot || streams) && level != "logical" {
        let who = if streams { "spec.streams" } else { "the logical slots of spec.patroni.slots" };
        errors.invalid(path("wal_level"), format!("is \"{level}\", but {who} need \"logical\""));
    } else if level == "minimal" {
        let message =
            "is \"minimal\", with which Patroni does not run PostgreSQL; choose \"replica\" or \"logical\"";
        errors.invalid(path("wal_level"), message);
    }
}
