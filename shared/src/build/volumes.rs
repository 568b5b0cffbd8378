//! The volumes of a pod, and where each container mounts them.

use k8s_openapi::api::core::v1::{EmptyDirVolumeSource, SecretVolumeSource, Volume, VolumeMount};

use crate::cluster::pod::{DATABASE_CONTAINER, TLS_CA_PATH, TLS_PATH};
use crate::cluster::{Cluster, SubPath};
use crate::names::DATA_VOLUME;

/// Where the data volume is mounted; Spilo expects it there.
const DATA_PATH: &str = "/home/postgres/pgdata";
const SHARED_MEMORY: (&str, &str) = ("dshm", "/dev/shm");
const SOCKET: (&str, &str) = ("postgresql-run", "/var/run/postgresql");
/// Readable by owner and group: PostgreSQL refuses a key that others can read.
const TLS_MODE: i32 = 0o640;

/// The volumes of the pod. The data volume is not among them: it comes from the claim template.
pub(super) fn pod_volumes(cluster: &Cluster) -> Vec<Volume> {
    let pod = &cluster.pod;
    let mut volumes = Vec::new();
    for ((name, _), wanted) in [(SHARED_MEMORY, pod.shared_memory), (SOCKET, pod.shared_socket)] {
        if wanted {
            volumes.push(in_memory(name));
        }
    }
    if let Some(mount) = &pod.secret_mount {
        volumes.push(secret(&mount.secret, None));
    }
    volumes.extend(pod.volumes.iter().map(|extra| extra.volume.clone()));
    volumes.extend(tls_volumes(cluster));
    volumes
}

/// The certificate, and the CA where it is a Secret of its own.
pub(super) fn tls_volumes(cluster: &Cluster) -> Vec<Volume> {
    let secrets = cluster.pod.tls.iter().flat_map(|tls| std::iter::once(&tls.secret).chain(&tls.ca_secret));
    secrets.map(|name| secret(name, Some(TLS_MODE))).collect()
}

/// Where they are mounted.
pub(super) fn tls_mounts(cluster: &Cluster) -> Vec<VolumeMount> {
    let Some(tls) = &cluster.pod.tls else { return Vec::new() };
    let ca = tls.ca_secret.iter().map(|name| mount(name, TLS_CA_PATH));
    std::iter::once(mount(&tls.secret, TLS_PATH)).chain(ca).collect()
}

/// What the database container mounts.
pub(super) fn mounts_of(cluster: &Cluster, container: &str) -> Vec<VolumeMount> {
    let mut mounts = data_mounts(cluster);
    if cluster.pod.shared_memory {
        mounts.insert(1.min(mounts.len()), mount(SHARED_MEMORY.0, SHARED_MEMORY.1));
    }
    mounts.extend(extra_mounts(cluster, container));
    if container == DATABASE_CONTAINER {
        mounts.extend(tls_mounts(cluster));
    }
    mounts
}

/// What every container mounts: data, and where configured the socket and the cloud credentials.
pub(super) fn data_mounts(cluster: &Cluster) -> Vec<VolumeMount> {
    let pod = &cluster.pod;
    let mut mounts = vec![at_sub_path(mount(DATA_VOLUME, DATA_PATH), cluster.volume.sub_path.as_ref())];
    if pod.shared_socket {
        mounts.push(mount(SOCKET.0, SOCKET.1));
    }
    if let Some(secret) = &pod.secret_mount {
        mounts.push(mount(&secret.secret, &secret.path));
    }
    mounts
}

/// The manifest's further volumes that a container mounts.
pub(super) fn extra_mounts(cluster: &Cluster, container: &str) -> Vec<VolumeMount> {
    let extras = cluster.pod.volumes.iter().filter(|extra| extra.targets.include(container));
    extras
        .map(|extra| at_sub_path(mount(&extra.volume.name, &extra.mount_path), extra.sub_path.as_ref()))
        .collect()
}

pub(super) fn mount(name: &str, path: &str) -> VolumeMount {
    VolumeMount { name: name.to_owned(), mount_path: path.to_owned(), ..VolumeMount::default() }
}

fn at_sub_path(mut mount: VolumeMount, sub_path: Option<&SubPath>) -> VolumeMount {
    match sub_path {
        Some(SubPath::Plain(path)) => mount.sub_path = Some(path.clone()),
        Some(SubPath::Expression(path)) => mount.sub_path_expr = Some(path.clone()),
        None => {}
    }
    mount
}

fn in_memory(name: &str) -> Volume {
    let memory = EmptyDirVolumeSource { medium: Some("Memory".to_owned()), size_limit: None };
    Volume { name: name.to_owned(), empty_dir: Some(memory), ..Volume::default() }
}

/// A volume with a Secret's files.
pub(super) fn secret(name: &str, mode: Option<i32>) -> Volume {
    let source = SecretVolumeSource {
        secret_name: Some(name.to_owned()),
        default_mode: mode,
        ..SecretVolumeSource::default()
    };
    Volume { name: name.to_owned(), secret: Some(source), ..Volume::default() }
}
