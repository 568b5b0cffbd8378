//! Parameters that are fine one by one, and that PostgreSQL does not start with together, or not in this container.
//!
//! PostgreSQL checks these when it starts, not when it reads them, so the pod fails in a loop. The sources are its own
//! messages at start; memory is compared with the container's limit,
//! beyond which the kernel ends PostgreSQL.

use crate::api::{Postgresql, ResourceAmounts};
use crate::config::OperatorConfig;
use crate::field::{FieldErrors, FieldPath};
use crate::plan::{Change, Effect};
use crate::quantity::Amount;
use crate::settings;
use crate::version::PostgresVersion;

use super::parameters;

fn path(name: &str) -> FieldPath {
    FieldPath::spec().field("postgresql").field("parameters").key(name)
}

/// Settings with less than which Patroni does not run PostgreSQL, the least, and what it takes instead.
/// Source: Patroni's list of options for the command line.
const PATRONIS_LEAST: &[(&str, f64, f64)] = &[
    ("max_connections", 25.0, 100.0),
    ("max_locks_per_transaction", 32.0, 64.0),
    ("max_replication_slots", 4.0, 10.0),
    ("max_wal_senders", 3.0, 10.0),
    ("max_worker_processes", 2.0, 8.0),
];

/// The value as a number: bytes for memory. Nothing when it is absent or wrong, which is said elsewhere.
fn written(manifest: &Postgresql, name: &str) -> Option<f64> {
    let value = parameters::value(manifest, name)?;
    let version = manifest.spec.postgresql.version.parse().unwrap_or(PostgresVersion::NEWEST);
    settings::find(name, version)?.amount(value)
}

/// The number that PostgreSQL runs with, as far as the manifest says one.
fn number(manifest: &Postgresql, name: &str) -> Option<f64> {
    let written = written(manifest, name)?;
    let least = PATRONIS_LEAST.iter().find(|(known, least, _)| *known == name && written < *least);
    Some(least.map_or(written, |(_, _, instead)| *instead))
}

/// Numbers that Patroni puts aside without a word.
pub(super) fn below_patroni(manifest: &Postgresql, _: &OperatorConfig, changes: &mut Vec<Change>) {
    for (name, least, instead) in PATRONIS_LEAST {
        if let Some(number) = written(manifest, name).filter(|number| number < least) {
            let message =
                format!("is {number}; Patroni takes {least} at least and runs PostgreSQL with {instead}");
            changes.push(Change { field: path(name), effect: Effect::Ignored, message });
        }
    }
}

/// The value as a word in lower case.
fn word(manifest: &Postgresql, name: &str) -> Option<String> {
    parameters::value(manifest, name).map(|value| value.trim().to_ascii_lowercase())
}

/// Somebody beside the superuser must get in.
pub(super) fn connections(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let most = number(manifest, "max_connections").unwrap_or(100.0);
    let superusers = number(manifest, "superuser_reserved_connections");
    let others = number(manifest, "reserved_connections");
    let reserved = superusers.unwrap_or(3.0) + others.unwrap_or(0.0);
    if reserved < most {
        return;
    }
    let name = if others.is_some_and(|others| others > 0.0) {
        "reserved_connections"
    } else {
        "superuser_reserved_connections"
    };
    let message =
        format!("reserves {reserved} of {most} connections altogether; lower it or raise max_connections");
    errors.invalid(path(name), message);
}

/// Every replica streams, and a new one copies at the same time.
pub(super) fn replicas_fit(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let members = manifest.spec.number_of_instances;
    for (name, spare, what) in [
        ("max_wal_senders", 1, "one for each replica and one more for a copy"),
        ("max_replication_slots", 0, "one for each replica"),
    ] {
        let needed = f64::from(members.saturating_sub(1).saturating_add(spare));
        if let Some(given) = number(manifest, name).filter(|given| members > 1 && *given < needed) {
            errors.invalid(path(name), format!("is {given}, but {members} members need {needed}: {what}"));
        }
    }
}

/// WAL has room, and its bounds are in order.
pub(super) fn wal_sizes(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let (least, most) = (number(manifest, "min_wal_size"), number(manifest, "max_wal_size"));
    if let (Some(least), Some(most)) = (least, most)
        && least > most
    {
        errors.invalid(path("min_wal_size"), "is more than max_wal_size; lower it or raise max_wal_size");
    }
    let Some(volume) = manifest.spec.volume.size.parse::<Amount>().ok().filter(|size| !size.is_zero()) else {
        return;
    };
    for (name, size) in [
        ("min_wal_size", least),
        ("max_wal_size", most),
        ("wal_keep_size", number(manifest, "wal_keep_size")),
    ] {
        if size.is_some_and(|size| size >= bytes(volume)) {
            let message = format!(
                "would fill the volume of {}; keep it well below spec.volume.size",
                manifest.spec.volume.size
            );
            errors.invalid(path(name), message);
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "sizes are compared, not counted")]
fn bytes(amount: Amount) -> f64 {
    amount.units() as f64
}

/// Huge pages come from the node, and only to those who ask for them.
pub(super) fn huge_pages(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    if word(manifest, "huge_pages").as_deref() == Some("on") && !has_huge_pages(manifest) {
        let message = "is on, but the container has no huge pages; set spec.resources.limits.hugepages-2Mi, or huge_pages \
                       to try";
        errors.invalid(path("huge_pages"), message);
    }
}

fn has_huge_pages(manifest: &Postgresql) -> bool {
    let limits = manifest.spec.resources.as_ref().and_then(|resources| resources.limits.as_ref());
    limits.is_some_and(|limits| limits.hugepages_2mi.is_some() || limits.hugepages_1gi.is_some())
}

/// Shared memory fits into the container, along with all the rest.
pub(super) fn shared_buffers(manifest: &Postgresql, config: &OperatorConfig, errors: &mut FieldErrors) {
    let Some((limit, text)) = memory_limit(manifest, config).filter(|_| !has_huge_pages(manifest)) else {
        return;
    };
    if number(manifest, "shared_buffers").is_some_and(|size| size >= bytes(limit)) {
        let message = format!(
            "does not fit into the container's memory of {text}; a quarter of it is usual, or raise \
             spec.resources.limits.memory"
        );
        errors.invalid(path("shared_buffers"), message);
    }
}

/// The most memory the database's container gets, and how that was written: the manifest's limit or the configured
/// one, not below the configured least, and not below the request.
fn memory_limit<'a>(manifest: &'a Postgresql, config: &'a OperatorConfig) -> Option<(Amount, &'a str)> {
    fn amount(text: &str) -> Option<(Amount, &str)> {
        let amount = text.parse::<Amount>().ok().filter(|amount| !amount.is_zero())?;
        Some((amount, text))
    }
    let resources = manifest.spec.resources.as_ref();
    let own = |side: Option<&'a ResourceAmounts>| side?.memory.as_deref().and_then(amount);
    let bounds = &config.postgres_pod_resources;
    let configured = bounds.default_memory_limit.as_ref().and_then(|limit| amount(&limit.0));
    let limit = own(resources.and_then(|resources| resources.limits.as_ref())).or(configured)?;
    let least = bounds.min_memory_limit.as_ref().and_then(|limit| amount(&limit.0));
    let raised =
        [own(resources.and_then(|resources| resources.requests.as_ref())), least].into_iter().flatten();
    raised.chain([limit]).max_by_key(|(amount, _)| *amount)
}

/// A bare number of pages was probably meant as something else.
pub(super) fn pages(manifest: &Postgresql, _: &OperatorConfig, changes: &mut Vec<Change>) {
    for name in ["shared_buffers", "effective_cache_size"] {
        let Some(text) = parameters::value(manifest, name).map(str::trim) else { continue };
        let bare = text.chars().all(|c| c.is_ascii_digit()) && !text.is_empty();
        if let Some(size) = number(manifest, name).filter(|size| bare && *size > 0.0) {
            let message = format!("{text} counts pages of 8kB, {}kB in all; write a unit", size / 1024.0);
            changes.push(Change { field: path(name), effect: Effect::Ignored, message });
        }
    }
}
