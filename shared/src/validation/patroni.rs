//! Patroni's settings: times that leave room for each other, synchronous replication that can be had, slots, `pg_hba`.
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

/// Connection types, and how many fields stand before the method (at least).
const HBA_TYPES: &[(&str, usize)] =
    &[("local", 3), ("host", 4), ("hostssl", 4), ("hostnossl", 4), ("hostgssenc", 4), ("hostnogssenc", 4)];

/// How a connection may be let in.
const HBA_METHODS: &[&str] = &[
    "trust",
    "reject",
    "scram-sha-256",
    "md5",
    "password",
    "gss",
    "sspi",
    "ident",
    "peer",
    "ldap",
    "radius",
    "cert",
    "pam",
    "bsd",
    "oauth",
];

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
            errors.invalid(path().field(name), format!("{number} is negative"));
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
    if let Some(count) = count.filter(|count| members > 0 && *count >= members) {
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

/// Lines of `pg_hba.conf`: one bad line and nobody can connect any more.
pub(super) fn pg_hba(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let lines = section(manifest).into_iter().flat_map(|patroni| patroni.pg_hba.iter().flatten());
    for (index, line) in lines.enumerate() {
        if let Err(message) = hba_line(line) {
            errors.invalid(path().field("pg_hba").index(index), message);
        }
    }
}

fn hba_line(line: &str) -> Result<(), String> {
    let listed = line.split('#').next().unwrap_or_default().split(',').map(str::trim_start);
    let listed = listed.collect::<Vec<_>>().join(",");
    let fields: Vec<&str> = listed.split_whitespace().collect();
    let Some(first) = fields.first() else { return Ok(()) };
    if first.starts_with("include") || line.contains('"') {
        return Ok(()); // names in quotes may hold blanks; PostgreSQL reads them
    }
    let Some((_, before)) = HBA_TYPES.iter().find(|(known, _)| known == first) else {
        let types: Vec<&str> = HBA_TYPES.iter().map(|(known, _)| *known).collect();
        return Err(format!("begins with \"{first}\"; a line begins with one of {}", types.join(", ")));
    };
    // `host all all 10.0.0.0 255.0.0.0 md5` has the mask in a field of its own.
    let masked = *before == 4 && fields.get(4).is_some_and(|field| field.parse::<std::net::IpAddr>().is_ok());
    match fields.get(before + usize::from(masked)) {
        None => Err(format!(
            "is too short; write {}",
            if *before == 4 { "type database user address method" } else { "local database user method" }
        )),
        Some(method) if !HBA_METHODS.contains(method) => {
            Err(format!("has the unknown method \"{method}\"; choose one of {}", HBA_METHODS.join(", ")))
        }
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::hba_line;

    #[test]
    fn lines_of_pg_hba_are_read_as_postgres_reads_them() {
        for line in [
            "hostssl all all 0.0.0.0/0 md5",
            "local   all  postgres  peer # comment",
            "host all all 10.0.0.0 255.0.0.0 scram-sha-256",
            "hostssl all +zalandos all pam",
            "host replication standby samenet scram-sha-256 clientcert=verify-full",
            "host orders, billing app all md5",
            "# only a comment",
            "",
            r#"host "my db" all all md5"#,
        ] {
            assert_eq!(hba_line(line), Ok(()), "{line}");
        }
        for line in ["hostsl all all all md5", "host all all md5", "local all md5", "host all all all scram"]
        {
            assert!(hba_line(line).is_err(), "{line}");
        }
    }
}
