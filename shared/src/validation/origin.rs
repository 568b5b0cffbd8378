//! Where a cluster's data comes from: a clone of another cluster, or a standby that follows one.
//!
//! A contradiction here shows up only as a pod that fails to bootstrap, for hours. A timestamp selects the archive
//! instead of a base backup, and Spilo wants its offset as numbers, never `Z`.

use jiff::Timestamp;
use kube::ResourceExt;

use crate::api::{CloneDescription, Postgresql};
use crate::config::OperatorConfig;
use crate::config::syntax;
use crate::field::{FieldErrors, FieldPath};
use crate::plan::{Change, Effect};

use super::text;

fn clone_path() -> FieldPath {
    FieldPath::spec().field("clone")
}

fn standby_path() -> FieldPath {
    FieldPath::spec().field("standby")
}

/// A cluster is a clone or a standby.
pub(super) fn one_origin(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    if manifest.spec.clone.is_some() && manifest.spec.standby.is_some() {
        errors.forbidden(
            standby_path(),
            "contradicts spec.clone: a cluster is a clone or a standby; remove one",
        );
    }
}

/// The cluster to clone, and the moment to restore to.
pub(super) fn clone(manifest: &Postgresql, config: &OperatorConfig, errors: &mut FieldErrors) {
    let Some(clone) = &manifest.spec.clone else { return };
    let path = clone_path().field("cluster");
    if clone.cluster.is_empty() {
        errors.required(path, "is required: the name of the cluster to clone");
    } else if !text::is_dns_1035_label(&clone.cluster) || clone.cluster.len() > 63 {
        errors.invalid(
            path,
            format!(
                "\"{}\" cannot be the name of a cluster; write metadata.name of the source",
                clone.cluster
            ),
        );
    } else if text::given(&clone.timestamp).is_none() && clone.cluster == manifest.name_any() {
        errors.invalid(
            path,
            "is this cluster itself; name another one, or set clone.timestamp to restore its archive",
        );
    }
    if let Some(uid) = text::given(&clone.uid).filter(|uid| !is_uuid(uid)) {
        let message = format!("\"{uid}\" is not a UID; take metadata.uid of the source's manifest");
        errors.invalid(clone_path().field("uid"), message);
    }
    if let Some(timestamp) = text::given(&clone.timestamp) {
        if let Err(message) = moment(timestamp) {
            errors.invalid(clone_path().field("timestamp"), format!("\"{timestamp}\" {message}"));
        }
        archive(manifest, clone, config, errors);
        if text::given(&clone.uid).is_none()
            && text::given(&clone.s3_wal_path).is_none()
            && !by_environment(manifest)
        {
            let message = "is required with clone.timestamp: metadata.uid of the source is part of its archive's path; or \
                           write the path as clone.s3_wal_path";
            errors.required(clone_path().field("uid"), message);
        }
    }
    storage(clone, errors);
}

/// A restore to a moment needs an archive to read.
fn archive(
    manifest: &Postgresql,
    clone: &CloneDescription,
    config: &OperatorConfig,
    errors: &mut FieldErrors,
) {
    let cloud = &config.aws_or_gcp;
    let configured = cloud.wal_s3_bucket.is_some()
        || cloud.wal_gs_bucket.is_some()
        || cloud.wal_az_storage_account.is_some()
        || config.kubernetes.pod_environment_configmap.is_some()
        || config.kubernetes.pod_environment_secret.is_some();
    if text::given(&clone.s3_wal_path).is_none() && !configured && !by_environment(manifest) {
        let message = "is required with clone.timestamp: the operator has no WAL bucket configured";
        errors.required(clone_path().field("s3_wal_path"), message);
    }
}

/// Whether variables of the manifest may say where the archive is.
fn by_environment(manifest: &Postgresql) -> bool {
    let spec = &manifest.spec;
    spec.env_from.is_some() || spec.env.iter().flatten().any(|variable| variable.name.starts_with("CLONE_"))
}

/// Where the archive is and how to open it.
fn storage(clone: &CloneDescription, errors: &mut FieldErrors) {
    location(clone_path().field("s3_wal_path"), text::given(&clone.s3_wal_path), "s3://", errors);
    if let Some(endpoint) = text::given(&clone.s3_endpoint).filter(|url| !syntax::is_http_url(url)) {
        let message =
            format!("\"{endpoint}\" is not a URL; write for example https://s3.eu-central-1.amazonaws.com");
        errors.invalid(clone_path().field("s3_endpoint"), message);
    }
    match (text::given(&clone.s3_access_key_id), text::given(&clone.s3_secret_access_key)) {
        (Some(_), None) => {
            errors.required(clone_path().field("s3_secret_access_key"), "is required with s3_access_key_id");
        }
        (None, Some(_)) => {
            errors.required(clone_path().field("s3_access_key_id"), "is required with s3_secret_access_key");
        }
        _ => {}
    }
}

/// A path in a bucket.
fn location(path: FieldPath, value: Option<&str>, scheme: &str, errors: &mut FieldErrors) {
    let Some(value) = value else { return };
    let Some(rest) = value.strip_prefix(scheme) else {
        return errors
            .invalid(path, format!("\"{value}\" is not a path in a bucket; write {scheme}<bucket>/<path>"));
    };
    let bucket = rest.split('/').next().unwrap_or_default();
    if bucket.is_empty() {
        errors.invalid(path, format!("\"{value}\" names no bucket; write {scheme}<bucket>/<path>"));
    } else if !syntax::is_bucket(bucket) {
        let message = format!(
            "has the bucket \"{bucket}\"; the name of a bucket is 3 to 63 lower-case letters, digits, dashes and dots"
        );
        errors.invalid(path, message);
    } else if value.contains(char::is_whitespace) {
        errors.invalid(path, format!("\"{value}\" has a blank in it; remove it"));
    }
}

/// A name or an address, and nothing around it.
fn host(path: FieldPath, host: &str, errors: &mut FieldErrors) {
    let plain = host.trim_end_matches('.');
    if text::is_dns_1123_subdomain(&plain.to_lowercase()) || host.parse::<std::net::IpAddr>().is_ok() {
        return;
    }
    let message = if host.contains("://") {
        format!("\"{host}\" is a URL; write the host name alone")
    } else if let Some((name, port)) = host.split_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()) {
        format!("\"{host}\" has a port; write {name} here and \"{port}\" as standby_port")
    } else if host.contains(',') {
        format!("\"{host}\" is a list; name the one host to follow")
    } else {
        format!("\"{host}\" is not a host; write its DNS name or address")
    };
    errors.invalid(path, message);
}

/// The cluster to follow.
pub(super) fn standby(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let Some(standby) = &manifest.spec.standby else { return };
    let path = standby_path();
    let given = |value: &Option<String>| text::given(value).is_some();
    let (followed, s3, gs) =
        (given(&standby.standby_host), given(&standby.s3_wal_path), given(&standby.gs_wal_path));
    if let Some(name) = text::given(&standby.standby_host) {
        host(path.field("standby_host"), name, errors);
    }
    if !followed && !s3 && !gs {
        errors.required(path.clone(), "needs a source: standby_host, s3_wal_path or gs_wal_path");
    }
    if s3 && gs {
        errors.forbidden(path.field("gs_wal_path"), "contradicts s3_wal_path; keep one of them");
    }
    if s3 {
        location(path.field("s3_wal_path"), standby.s3_wal_path.as_deref(), "s3://", errors);
    }
    if gs {
        location(path.field("gs_wal_path"), standby.gs_wal_path.as_deref(), "gs://", errors);
    }
    if let Some(port) = text::given(&standby.standby_port) {
        if !port.parse::<u16>().is_ok_and(|port| port > 0) {
            errors.invalid(path.field("standby_port"), format!("\"{port}\" is not a port; write 1 to 65535"));
        } else if !followed {
            errors.required(path.field("standby_host"), "is required with standby_port");
        }
    }
    if let Some(slot) = text::given(&standby.standby_primary_slot_name) {
        if !text::is_slot_name(slot) {
            let message = format!(
                "\"{slot}\" cannot name a slot; use at most 63 lower-case letters, digits and underscores"
            );
            errors.invalid(path.field("standby_primary_slot_name"), message);
        } else if !followed {
            errors.required(path.field("standby_host"), "is required with standby_primary_slot_name");
        }
    }
}

/// A running cluster cannot start to follow another one; a standby can stop.
pub(super) fn standby_only_from_the_start(
    old: &Postgresql,
    new: &Postgresql,
    _: &OperatorConfig,
    errors: &mut FieldErrors,
) {
    if old.spec.standby.is_none() && new.spec.standby.is_some() {
        let message =
            "cannot be added to a cluster with data of its own; create a new cluster as the standby";
        errors.forbidden(standby_path(), message);
    }
}

/// A standby has the version of what it follows.
pub(super) fn standby_keeps_version(
    old: &Postgresql,
    new: &Postgresql,
    _: &OperatorConfig,
    errors: &mut FieldErrors,
) {
    let version = |manifest: &Postgresql| manifest.spec.postgresql.version.clone();
    if old.spec.standby.is_some() && new.spec.standby.is_some() && version(old) != version(new) {
        let message = "cannot change on a standby; upgrade the source and make the standby anew";
        errors.forbidden(FieldPath::spec().field("postgresql").field("version"), message);
    }
}

/// What a standby takes from its source instead of its manifest.
pub(super) fn standby_is_read_only(manifest: &Postgresql, _: &OperatorConfig, changes: &mut Vec<Change>) {
    let spec = &manifest.spec;
    if spec.standby.is_none() {
        return;
    }
    let sections = [
        ("users", spec.users.as_ref().is_some_and(|section| !section.is_empty())),
        ("databases", spec.databases.as_ref().is_some_and(|section| !section.is_empty())),
        ("preparedDatabases", spec.prepared_databases.is_some()),
        ("streams", spec.streams.as_ref().is_some_and(|section| !section.is_empty())),
    ];
    for (name, _) in sections.into_iter().filter(|(_, given)| *given) {
        let message = "has no effect while the cluster is a standby: it is read-only".to_owned();
        changes.push(Change { field: FieldPath::spec().field(name), effect: Effect::Ignored, message });
    }
}

/// Whoever may read the manifest reads these.
pub(super) fn secrets_in_clear(manifest: &Postgresql, _: &OperatorConfig, changes: &mut Vec<Change>) {
    let key = manifest.spec.clone.as_ref().and_then(|clone| text::given(&clone.s3_secret_access_key));
    if key.is_some() {
        let message = "stands in clear; take CLONE_AWS_SECRET_ACCESS_KEY from a Secret in spec.env";
        let field = clone_path().field("s3_secret_access_key");
        changes.push(Change { field, effect: Effect::Ignored, message: message.to_owned() });
    }
}

/// RFC 3339 with the offset in numbers, and with a `T` as the CRD's own rule wants it, and upstream's.
fn moment(text: &str) -> Result<(), &'static str> {
    let sample = "is not a moment; write for example 2026-01-31T12:30:00+00:00";
    let (date, time) = text.split_once(['T', ' ']).ok_or(sample)?;
    if time.ends_with(['Z', 'z']) {
        return Err("must give its offset in numbers; write +00:00 instead of Z");
    }
    if !time.contains(['+', '-']) {
        return Err("lacks an offset from UTC; append +00:00 or yours");
    }
    if text.contains(' ') {
        return Err(sample);
    }
    format!("{date}T{time}").parse::<Timestamp>().map(|_| ()).map_err(|_| sample)
}

/// 8-4-4-4-12 hexadecimal digits.
fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|group| group.chars().all(|c| c.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_a_date_a_time_and_an_offset_in_numbers() {
        for text in
            ["2026-01-02T03:04:05+00:00", "2026-01-02T03:04:05.123-05:30", "2026-01-02T03:04:05+01:00"]
        {
            assert_eq!(moment(text), Ok(()), "{text}");
        }
        for text in [
            "2026-01-02T03:04:05Z",
            "2026-01-02T03:04:05",
            "2026-02-30T00:00:00+00:00",
            "yesterday",
            "2026-01-02",
            "2026-01-02 03:04:05+01:00",
        ] {
            assert!(moment(text).is_err(), "{text}");
        }
    }
}
