//! Further volumes of the pods: names and mount paths that collide with nothing, containers that exist.
//!
//! Upstream leaves a colliding volume out but keeps its mount, which no pod survives.

use std::borrow::Cow;

use crate::api::{AdditionalVolume, Postgresql};
use crate::config::OperatorConfig;
use crate::field::{FieldErrors, FieldPath};

use super::containers::{DATABASE, sidecar_name};
use super::text;

/// Volumes the operator makes itself.
const RESERVED_NAMES: &[&str] = &["pgdata", "dshm", "postgresql-run"];

fn volumes(manifest: &Postgresql) -> impl Iterator<Item = (FieldPath, &AdditionalVolume)> {
    let path = FieldPath::spec().field("additionalVolumes");
    let volumes = manifest.spec.additional_volumes.iter().flatten().enumerate();
    volumes.map(move |(index, volume)| (path.index(index), volume))
}

/// Every volume has a name of its own.
pub(super) fn names(manifest: &Postgresql, config: &OperatorConfig, errors: &mut FieldErrors) {
    let tls = manifest.spec.tls.as_ref();
    let mut taken: Vec<&str> = RESERVED_NAMES.to_vec();
    taken.extend(tls.map(|tls| tls.secret_name.as_str()).filter(|name| !name.is_empty()));
    taken.extend(tls.and_then(|tls| tls.ca_secret_name.as_deref()));
    taken.extend(config.aws_or_gcp.additional_secret_mount.as_deref());
    let reserved = taken.len();
    for (path, volume) in volumes(manifest) {
        let (name, path) = (volume.name.as_str(), path.field("name"));
        if name.is_empty() {
            errors.required(path, "is required");
        } else if !text::is_dns_1123_label(name) || name.len() > 63 {
            let message = format!(
                "\"{name}\" cannot name a volume; use at most 63 lower-case letters, digits and dashes"
            );
            errors.invalid(path, message);
        } else if let Some(at) = taken.iter().position(|other| *other == name) {
            let whose = if at < reserved { "a volume of the operator" } else { "another volume" };
            errors.duplicate(path, format!("\"{name}\" is {whose} already; choose another name"));
        }
        taken.push(name);
    }
}

/// Every volume has a place of its own.
pub(super) fn mount_paths(manifest: &Postgresql, config: &OperatorConfig, errors: &mut FieldErrors) {
    let spec = &manifest.spec;
    let tls = spec.tls.as_ref().filter(|tls| !tls.secret_name.is_empty());
    let reserved = [
        ("/home/postgres/pgdata", true),
        ("/dev/shm", spec.enable_shm_volume.unwrap_or(config.general.enable_shm_volume)),
        ("/tls", tls.is_some()),
        ("/tlsca", tls.is_some_and(|tls| tls.ca_secret_name.is_some())),
        ("/var/run/postgresql", config.kubernetes.share_pgsocket_with_sidecars),
    ];
    let mut taken: Vec<&str> = Vec::new();
    for (path, volume) in volumes(manifest) {
        let (full, path) = (volume.mount_path.as_str(), path.field("mountPath"));
        let mount = full.trim_end_matches('/');
        if full.is_empty() {
            errors.required(path, "is required: where in the container the volume is mounted");
        } else if !full.starts_with('/') || full.contains(':') || mount.is_empty() {
            errors.invalid(path, format!("\"{full}\" is not a place to mount at; write an absolute path"));
        } else if reserved.iter().any(|(own, used)| *used && *own == mount) {
            errors.forbidden(path, format!("{mount} holds a volume of the operator; mount elsewhere"));
        } else if taken.contains(&mount) {
            errors.duplicate(path, format!("{mount} holds another volume already; mount elsewhere"));
        }
        taken.push(mount);
    }
}

/// Every volume goes to containers that exist.
pub(super) fn targets(manifest: &Postgresql, config: &OperatorConfig, errors: &mut FieldErrors) {
    let mut known: Vec<Cow<'_, str>> = vec![DATABASE.into(), "all".into(), "scalyr-sidecar".into()];
    let sidecars = manifest.spec.sidecars.iter().flatten().enumerate();
    known.extend(sidecars.map(|(index, sidecar)| sidecar_name(index, sidecar)));
    known.extend(config.general.sidecars.iter().map(|sidecar| sidecar.name.as_str().into()));
    known.extend(config.general.sidecar_docker_images.keys().map(Into::into));
    for (path, volume) in volumes(manifest) {
        let targets = volume.target_containers.as_deref().unwrap_or_default();
        for (at, target) in targets.iter().enumerate() {
            let path = path.field("targetContainers").index(at);
            if !known.iter().any(|name| name == target) {
                errors.invalid(
                    path,
                    format!("\"{target}\" is no container of the pods; name postgres, a sidecar or all"),
                );
            } else if target == "all" && targets.len() > 1 {
                errors.invalid(path, "\"all\" already means every container; remove the other names");
            }
        }
    }
}

/// Folders of volumes lie inside of them.
pub(super) fn sub_paths(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    for (path, volume) in volumes(manifest).filter(|(_, volume)| volume.is_sub_path_expr != Some(true)) {
        inner(path.field("subPath"), volume.sub_path.as_deref(), errors);
    }
    let volume = &manifest.spec.volume;
    inner(FieldPath::spec().field("volume").field("subPath"), volume.sub_path.as_deref(), errors);
}

fn inner(path: FieldPath, sub_path: Option<&str>, errors: &mut FieldErrors) {
    if let Some(sub_path) = sub_path.filter(|sub_path| !text::is_inner_path(sub_path)) {
        errors.invalid(path, format!("\"{sub_path}\" leaves the volume; write a relative path without .."));
    }
}
