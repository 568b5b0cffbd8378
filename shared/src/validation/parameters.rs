//! PostgreSQL's parameters: none that belong to Patroni or the operator, and values that PostgreSQL would read.
//!
//! A bad value keeps PostgreSQL from starting, in every pod. Which type a parameter has stands in `parameter_types`;
//! which are not the user's to set, in
//! `patroni::settings`; a parameter that is in neither passes (extensions bring their own).

use crate::api::Postgresql;
use crate::config::OperatorConfig;
use crate::field::{FieldErrors, FieldPath};
use crate::patroni::settings::{Place, place};

use super::parameter_types::{Type, type_of};

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
fn parameters(manifest: &Postgresql) -> impl Iterator<Item = (&String, String, &String)> {
    let parameters = manifest.spec.postgresql.parameters.iter().flatten();
    parameters.map(|(name, value)| (name, name.to_ascii_lowercase(), value))
}

/// The value of one parameter.
pub(super) fn value<'a>(manifest: &'a Postgresql, name: &str) -> Option<&'a str> {
    parameters(manifest).find(|(_, known, _)| known == name).map(|(_, _, value)| value.as_str())
}

/// Names that can stand in `postgresql.conf`, each once.
pub(super) fn names(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let mut seen: Vec<String> = Vec::new();
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
    for (name, lower, value) in parameters(manifest) {
        if let Some(message) = type_of(&lower).and_then(|known| wrong(known, value)) {
            errors.invalid(path(name), message);
        }
    }
}

/// What is wrong with a value of a known type.
fn wrong(known: Type, value: &str) -> Option<String> {
    known.read(value).err().map(|what| format!("\"{value}\" {what}"))
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
    } else if level == "minimal" && several {
        errors.invalid(path("wal_level"), "is \"minimal\", but replicas need \"replica\" or \"logical\"");
    }
}
