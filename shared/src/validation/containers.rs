//! Sidecars and init containers: names, images, ports, and whether the configuration allows them at all.
//!
//! Upstream enforces its switches only when a StatefulSet is made, so existing clusters slip past them; and the
//! containers of a pod share one network, so a sidecar cannot listen where PostgreSQL does.

use std::borrow::Cow;

use crate::api::{Postgresql, Sidecar};
use crate::config::OperatorConfig;
use crate::config::syntax;
use crate::field::{FieldErrors, FieldPath};
use crate::plan::{Change, Effect};

use super::{environment, text};

/// The database's container.
pub(super) const DATABASE: &str = "postgres";

/// What the database's container listens on, and for what.
const DATABASE_PORTS: &[(i32, &str)] = &[(5432, "PostgreSQL"), (8008, "Patroni")];

/// What the operator sets in every sidecar before the manifest's own variables.
const SIDECAR_VARIABLES: &[&str] = &["POD_NAME", "POD_NAMESPACE", "POSTGRES_USER", "POSTGRES_PASSWORD"];

fn sidecars(manifest: &Postgresql) -> impl Iterator<Item = (FieldPath, &Sidecar)> {
    let path = FieldPath::spec().field("sidecars");
    manifest.spec.sidecars.iter().flatten().enumerate().map(move |(at, sidecar)| (path.index(at), sidecar))
}

/// The name of the sidecar at `index`: what it says, or `sidecar-<index>`.
pub(super) fn sidecar_name(index: usize, sidecar: &Sidecar) -> Cow<'_, str> {
    sidecar.name.as_deref().map_or_else(|| format!("sidecar-{index}").into(), Cow::Borrowed)
}

/// The configuration can forbid sidecars and init containers.
pub(super) fn allowed(manifest: &Postgresql, config: &OperatorConfig, errors: &mut FieldErrors) {
    let spec = &manifest.spec;
    let wanted = [
        ("sidecars", spec.sidecars.as_ref().is_some_and(|list| !list.is_empty()), "enable_sidecars"),
        (
            "initContainers",
            spec.init_containers.as_ref().is_some_and(|list| !list.is_empty()),
            "enable_init_containers",
        ),
    ];
    let switches = [config.kubernetes.enable_sidecars, config.kubernetes.enable_init_containers];
    for ((name, wanted, switch), on) in wanted.into_iter().zip(switches) {
        if wanted && !on {
            let message = format!("are not allowed here ({switch} of the operator is false); remove them");
            errors.forbidden(FieldPath::spec().field(name), message);
        }
    }
}

/// Every container has a name of its own.
pub(super) fn names(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let mut containers: Vec<(FieldPath, Cow<'_, str>)> = sidecars(manifest)
        .enumerate()
        .map(|(index, (path, sidecar))| (path.field("name"), sidecar_name(index, sidecar)))
        .collect();
    let init = FieldPath::spec().field("initContainers");
    for (index, container) in manifest.spec.init_containers.iter().flatten().enumerate() {
        containers.push((init.index(index).field("name"), container.name.as_str().into()));
    }
    let mut taken = Vec::new();
    for (path, name) in containers {
        if name.is_empty() {
            errors.required(path, "is required");
        } else if name == DATABASE {
            errors.forbidden(path, "\"postgres\" is the database's container; choose another name");
        } else if !text::is_dns_1123_label(&name) || name.len() > 63 {
            let message = format!(
                "\"{name}\" cannot name a container; use at most 63 lower-case letters, digits and dashes"
            );
            errors.invalid(path, message);
        } else if taken.contains(&name) {
            errors.duplicate(path, format!("\"{name}\" is another container already; choose another name"));
        }
        taken.push(name);
    }
}

/// Every container has an image.
pub(super) fn images(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let mut images: Vec<(FieldPath, Option<&String>)> =
        sidecars(manifest).map(|(path, sidecar)| (path.field("image"), sidecar.image.as_ref())).collect();
    let init = FieldPath::spec().field("initContainers");
    for (index, container) in manifest.spec.init_containers.iter().flatten().enumerate() {
        images.push((init.index(index).field("image"), container.image.as_ref()));
    }
    for (path, image) in images {
        match image.map(|image| image.trim()) {
            None | Some("") => errors.required(path, "is required: the image to run"),
            Some(image) => image_name(path, image, errors),
        }
    }
    let own = [
        (FieldPath::spec().field("dockerImage"), manifest.spec.docker_image.as_ref()),
        (
            FieldPath::spec().field("connectionPooler").field("dockerImage"),
            manifest.spec.connection_pooler.as_ref().and_then(|pooler| pooler.docker_image.as_ref()),
        ),
    ];
    for (path, image) in own {
        if let Some(image) = image.filter(|image| !image.is_empty()) {
            image_name(path, image, errors);
        }
    }
}

fn image_name(path: FieldPath, image: &str, errors: &mut FieldErrors) {
    if !syntax::is_image(image) {
        let message = format!("\"{image}\" is not an image; write registry/name:tag, the name in lower case");
        errors.invalid(path, message);
    }
}

/// A tag that means another image every day.
pub(super) fn moving_images(manifest: &Postgresql, _: &OperatorConfig, changes: &mut Vec<Change>) {
    let Some(image) = text::given(&manifest.spec.docker_image) else { return };
    let last = image.rsplit('/').next().unwrap_or_default();
    if !image.contains('@') && (!last.contains(':') || last.ends_with(":latest")) {
        let message = "names no version; members made at different times may run different ones".to_owned();
        changes.push(Change {
            field: FieldPath::spec().field("dockerImage"),
            effect: Effect::Ignored,
            message,
        });
    }
}

/// Ports of sidecars are ports, and nobody else's.
pub(super) fn ports(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let mut taken: Vec<(i32, &str, Cow<'_, str>)> =
        DATABASE_PORTS.iter().map(|(port, who)| (*port, "", Cow::Borrowed(*who))).collect();
    for (index, (path, sidecar)) in sidecars(manifest).enumerate() {
        let mut own = Vec::new();
        for (at, port) in sidecar.ports.iter().flatten().enumerate() {
            let path = path.field("ports").index(at);
            let number = port.container_port;
            if !(1..=65_535).contains(&number) {
                errors.invalid(
                    path.field("containerPort"),
                    format!("{number} is not a port; write 1 to 65535"),
                );
            } else if let Some((_, what, who)) = taken.iter().find(|(taken, ..)| *taken == number) {
                let message = format!(
                    "{number} is taken by {what}{who}: the containers of a pod share their ports, so choose another"
                );
                errors.duplicate(path.field("containerPort"), message);
            }
            if let Some(name) = port.name.as_deref().filter(|name| !is_port_name(name)) {
                let message = format!(
                    "\"{name}\" cannot name a port; use at most 15 lower-case letters, digits and dashes"
                );
                errors.invalid(path.field("name"), message);
            }
            if let Some(protocol) =
                port.protocol.as_deref().filter(|known| !["TCP", "UDP", "SCTP"].contains(known))
            {
                let message = format!("\"{protocol}\" is not supported; choose TCP, UDP or SCTP");
                errors.not_supported(path.field("protocol"), message);
            }
            own.push((number, "the sidecar ", sidecar_name(index, sidecar)));
        }
        taken.extend(own);
    }
}

/// At most 15 characters of a DNS label, one of them a letter.
fn is_port_name(name: &str) -> bool {
    name.len() <= 15 && text::is_dns_1123_label(name) && name.contains(|c: char| c.is_ascii_lowercase())
}

/// The variables of sidecars.
pub(super) fn sidecar_environment(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    for (path, sidecar) in sidecars(manifest) {
        let owned = |name: &str| {
            SIDECAR_VARIABLES
                .iter()
                .any(|owned| owned.eq_ignore_ascii_case(name))
                .then_some("the operator sets it")
        };
        environment::list(&path.field("env"), sidecar.env.as_deref().unwrap_or_default(), &owned, errors);
    }
}
