//! The containers of a member: the database, and what stands beside it.

use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EnvVar, HTTPGetAction, Probe, SecurityContext,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::cluster::Cluster;
use crate::cluster::pod::DATABASE_CONTAINER;

use super::env::{self, field_ref, has, literal, secret_ref};
use super::security::{of_container, restrained};
use super::volumes::{data_mounts, mounts_of};

/// PostgreSQL's port, in the pod and on every Service.
pub(super) const POSTGRES_PORT: i32 = 5432;
/// Patroni's REST API in the pod.
const PATRONI_PORT: i32 = 8008;
/// The port of Spilo's background monitoring.
const MONITORING_PORT: i32 = 8080;

/// The database container, then the sidecars in order of precedence.
pub(super) fn containers(cluster: &Cluster) -> Vec<Container> {
    let sidecars = cluster.pod.sidecars.iter().map(|sidecar| with_surroundings(cluster, sidecar));
    let all = std::iter::once(database(cluster)).chain(sidecars);
    all.map(|container| restrained(&cluster.pod.security, container)).collect()
}

/// The ports of a database container.
pub(super) fn database_ports() -> Vec<ContainerPort> {
    [PATRONI_PORT, POSTGRES_PORT, MONITORING_PORT].map(tcp).into()
}

pub(super) fn tcp(port: i32) -> ContainerPort {
    ContainerPort { container_port: port, protocol: Some("TCP".to_owned()), ..ContainerPort::default() }
}

fn database(cluster: &Cluster) -> Container {
    let pod = &cluster.pod;
    Container {
        name: DATABASE_CONTAINER.to_owned(),
        image: Some(pod.image.clone()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        resources: Some(pod.resources.clone()),
        ports: Some(database_ports()),
        volume_mounts: Some(mounts_of(cluster, DATABASE_CONTAINER)),
        env: Some(env::database(cluster)),
        env_from: Some(pod.environment.sources.clone()).filter(|sources| !sources.is_empty()),
        security_context: Some(security(cluster)),
        liveness_probe: pod.liveness_probe.clone(),
        readiness_probe: pod.readiness_probe.then(readiness),
        ..Container::default()
    }
}

fn security(cluster: &Cluster) -> SecurityContext {
    let security = &cluster.pod.security;
    let capabilities = (!security.capabilities.is_empty())
        .then(|| Capabilities { add: Some(security.capabilities.clone()), drop: None });
    SecurityContext { capabilities, ..of_container(security) }
}

/// Ready as Patroni sees it: the primary, or a replica that streams.
fn readiness() -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some("/readiness".to_owned()),
            port: IntOrString::Int(PATRONI_PORT),
            scheme: Some("HTTP".to_owned()),
            ..HTTPGetAction::default()
        }),
        initial_delay_seconds: Some(6),
        period_seconds: Some(10),
        timeout_seconds: Some(5),
        success_threshold: Some(1),
        failure_threshold: Some(3),
        ..Probe::default()
    }
}

/// A sidecar with the mounts and variables that every sidecar gets.
fn with_surroundings(cluster: &Cluster, sidecar: &Container) -> Container {
    let mut container = sidecar.clone();
    let mut mounts = container.volume_mounts.take().unwrap_or_default();
    let own: Vec<String> = mounts.iter().map(|mount| mount.mount_path.clone()).collect();
    mounts.extend(data_mounts(cluster).into_iter().filter(|mount| !own.contains(&mount.mount_path)));
    mounts.extend(super::volumes::extra_mounts(cluster, &sidecar.name));
    container.volume_mounts = Some(mounts);
    container.env = Some(sidecar_env(cluster, sidecar.env.as_deref().unwrap_or_default()));
    container
}

fn sidecar_env(cluster: &Cluster, own: &[EnvVar]) -> Vec<EnvVar> {
    let superuser = cluster.superuser();
    let mut all = vec![
        field_ref("POD_NAME", "metadata.name"),
        field_ref("POD_NAMESPACE", "metadata.namespace"),
        literal("POSTGRES_USER", superuser),
        secret_ref("POSTGRES_PASSWORD", &cluster.secret_name(superuser), super::PASSWORD_KEY),
    ];
    let further: Vec<EnvVar> = own.iter().filter(|variable| !has(&all, &variable.name)).cloned().collect();
    all.extend(further);
    all
}
