//! Patroni's settings: times that leave room for each other, synchronous replication that can be had, slots.
//!
//! Patroni corrects contradictory times in silence. 0 means "not set" in a manifest, as upstream reads it.

use std::collections::BTreeMap;

use kube::ResourceExt;

use crate::api::{Patroni, Postgresql};
use crate::config::OperatorConfig;
use crate::field::{FieldErrors, FieldPath};
use crate::plan::{Change, Effect};

use super::text;

/// What Spilo sets when the manifest does not: `ttl`, `loop_wait`, `retry_timeout`.
const TIMES: (i64, i64, i64) = (30, 10, 10);

fn path() -> FieldPath {
    FieldPath::spec().field("patroni")
}

fn section(manifest: &Postgresql) -> Option<&Patroni> {
    manifest.spec.patroni.as_ref()
}

/// No number is negative, and a leader's lock outlives one round of the loop with all its retries.
pub(super) fn times(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let Some(patroni) = section(manifest) else { return };
    let numbers = [
        ("ttl", patroni.ttl),
        ("loop_wait", patroni.loop_wait),
        ("retry_timeout", patroni.retry_timeout),
        ("maximum_lag_on_failover", patroni.maximum_lag_on_failover),
        ("synchronous_node_count", patroni.synchronous_node_count),
    ];
    for (name, number) in numbers {
        if let Some(number) = number.filter(|number| *number < 0) {
            errors.invalid(
                path().field(name),
                format!("{number} is negative; write 0 or more, or leave it out"),
            );
        }
    }
    for (name, number, least) in [
        ("ttl", patroni.ttl, 20),
        ("loop_wait", patroni.loop_wait, 1),
        ("retry_timeout", patroni.retry_timeout, 3),
    ] {
        if let Some(number) = number.filter(|number| (1..least).contains(number)) {
            errors.invalid(
                path().field(name),
                format!("{number} is too short; Patroni needs at least {least} seconds"),
            );
        }
    }
    let set = |number: Option<i64>, default| number.filter(|number| *number > 0).unwrap_or(default);
    let (ttl, wait, retry) =
        (set(patroni.ttl, TIMES.0), set(patroni.loop_wait, TIMES.1), set(patroni.retry_timeout, TIMES.2));
    let needed = wait.saturating_add(retry.saturating_mul(2));
    if ttl < needed {
        errors.invalid(
            path().field("ttl"),
            format!("is {ttl}, but must be at least loop_wait + 2 × retry_timeout = {wait} + 2 × {retry} = {needed}"),
        );
    }
}

/// Synchronous replication needs as many standbys as it waits for.
pub(super) fn synchronous(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let Some(patroni) = section(manifest) else { return };
    let (on, strict) =
        (patroni.synchronous_mode == Some(true), patroni.synchronous_mode_strict == Some(true));
    let members = i64::from(manifest.spec.number_of_instances);
    if strict && !on {
        errors
            .invalid(path().field("synchronous_mode_strict"), "has no effect without synchronous_mode: true");
    }
    let count = patroni.synchronous_node_count.filter(|count| *count > 0);
    // 1 is the default that is written into a manifest: a single member with it is told, not refused.
    if let Some(count) = count.filter(|count| members > 0 && *count >= members.max(2)) {
        errors.invalid(
            path().field("synchronous_node_count"),
            format!("is {count}, but of {members} members at most {} can be standbys", members - 1),
        );
    } else if on && strict && members == 1 {
        let message =
            "would refuse every write: a single member has no standby; ask for at least two members";
        errors.invalid(path().field("synchronous_mode_strict"), message);
    }
}

/// Synchronous replication without a standby is asynchronous.
pub(super) fn synchronous_alone(manifest: &Postgresql, _: &OperatorConfig, changes: &mut Vec<Change>) {
    let on = section(manifest).is_some_and(|patroni| patroni.synchronous_mode == Some(true));
    if on && manifest.spec.number_of_instances == 1 {
        let message = "has no effect with a single member".to_owned();
        changes.push(Change { field: path().field("synchronous_mode"), effect: Effect::Ignored, message });
    }
}

/// Permanent replication slots.
pub(super) fn slots(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let member = format!("{}_", manifest.name_any().replace('-', "_"));
    for (name, slot) in section(manifest).into_iter().flat_map(|patroni| patroni.slots.iter().flatten()) {
        let path = path().field("slots").key(name);
        if !text::is_slot_name(name) {
            let message = format!(
                "\"{name}\" cannot name a slot; use at most 63 lower-case letters, digits and underscores"
            );
            errors.invalid(path.clone(), message);
        }
        if name.strip_prefix(&member).is_some_and(|rest| rest.parse::<u32>().is_ok()) {
            errors.forbidden(path.clone(), "is the slot of a member of this cluster; choose another name");
        }
        if name.starts_with("fes_") {
            errors.forbidden(
                path.clone(),
                "begins with fes_, as the slots of spec.streams do; choose another name",
            );
        }
        slot_kind(&path, slot, errors);
    }
}

fn slot_kind(path: &FieldPath, slot: &BTreeMap<String, String>, errors: &mut FieldErrors) {
    match slot.get("type").map(String::as_str) {
        Some("physical") => {}
        Some("logical") => {
            for (key, example) in [("database", "a database of this cluster"), ("plugin", "pgoutput")] {
                if slot.get(key).is_none_or(String::is_empty) {
                    errors.required(
                        path.key(key),
                        format!("is required for a logical slot, for example {example}"),
                    );
                }
            }
        }
        Some(other) => {
            errors.not_supported(
                path.key("type"),
                format!("\"{other}\" is not supported; choose physical or logical"),
            );
        }
        None => errors.required(path.key("type"), "is required; choose physical or logical"),
    }
}
