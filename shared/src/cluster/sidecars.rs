//! The containers beside the database: the manifest's, then the configuration's.
//!
//! Minimum and maximum resources bind the database alone; sidecars only share its defaults.

use k8s_openapi::api::core::v1::{Container, ResourceRequirements};

use crate::api::{PostgresqlSpec, Resources, Sidecar};
use crate::config::OperatorConfig;

use super::{pod, resources};

/// Sidecars in order of precedence, manifest first; of two with one name the first stays.
pub(super) fn of(spec: &PostgresqlSpec, config: &OperatorConfig) -> Vec<Container> {
    let own = spec
        .sidecars
        .iter()
        .flatten()
        .enumerate()
        .map(|(index, sidecar)| own_sidecar(index, sidecar, config));
    let by_image = config.general.sidecar_docker_images.iter().map(|(name, image)| Container {
        name: name.clone(),
        image: Some(image.clone()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        resources: Some(sidecar_resources(None, config)),
        ..Container::default()
    });
    let mut kept: Vec<Container> = Vec::new();
    for sidecar in own.chain(config.general.sidecars.iter().cloned()).chain(by_image) {
        if kept.iter().all(|present| present.name != sidecar.name) {
            kept.push(sidecar);
        }
    }
    kept
}

fn own_sidecar(index: usize, sidecar: &Sidecar, config: &OperatorConfig) -> Container {
    Container {
        name: sidecar
            .name
            .clone()
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| format!("sidecar-{index}")),
        image: sidecar.image.clone(),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        ports: sidecar.ports.clone(),
        env: sidecar.env.clone(),
        command: sidecar.command.clone(),
        resources: Some(sidecar_resources(sidecar.resources.as_ref(), config)),
        ..Container::default()
    }
}

fn sidecar_resources(asked: Option<&Resources>, config: &OperatorConfig) -> ResourceRequirements {
    resources::requirements(asked, &pod::defaults(config), None, config.general.set_memory_request_to_limit)
}
