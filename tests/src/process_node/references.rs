//! The Secrets and ConfigMaps that a pod names, read before anything is made of them.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{ConfigMap, Container, Pod, Secret, Volume};
use kube::{Api, Client};

/// The entries of a Secret or a ConfigMap.
pub type Data = BTreeMap<String, Vec<u8>>;

/// What was read; what is not there has no entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    /// Secrets by name.
    pub secrets: BTreeMap<String, Data>,
    /// ConfigMaps by name.
    pub config_maps: BTreeMap<String, Data>,
}

/// The names of the Secrets and the ConfigMaps that a container and the pod's volumes need.
pub fn named_by(pod: &Pod, container: &Container) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut secrets, mut maps) = (BTreeSet::new(), BTreeSet::new());
    for source in container.env_from.as_deref().unwrap_or_default() {
        secrets.extend(source.secret_ref.as_ref().map(|named| named.name.clone()));
        maps.extend(source.config_map_ref.as_ref().map(|named| named.name.clone()));
    }
    for source in container.env.iter().flatten().filter_map(|variable| variable.value_from.as_ref()) {
        secrets.extend(source.secret_key_ref.as_ref().map(|named| named.name.clone()));
        maps.extend(source.config_map_key_ref.as_ref().map(|named| named.name.clone()));
    }
    for volume in pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
        named_by_volume(volume, &mut secrets, &mut maps);
    }
    (secrets, maps)
}

fn named_by_volume(volume: &Volume, secrets: &mut BTreeSet<String>, maps: &mut BTreeSet<String>) {
    secrets.extend(volume.secret.as_ref().and_then(|source| source.secret_name.clone()));
    maps.extend(volume.config_map.as_ref().map(|source| source.name.clone()));
    for source in volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten()) {
        secrets.extend(source.secret.as_ref().map(|source| source.name.clone()));
        maps.extend(source.config_map.as_ref().map(|source| source.name.clone()));
    }
}

/// Reads all of them.
///
/// # Errors
/// When the API server does not answer.
pub async fn read(client: &Client, pod: &Pod, container: &Container) -> Result<References, kube::Error> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let (secrets, maps) = named_by(pod, container);
    let mut read = References::default();
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    for name in secrets {
        if let Some(secret) = api.get_opt(&name).await? {
            let data = secret.data.unwrap_or_default().into_iter().map(|(key, bytes)| (key, bytes.0));
            read.secrets.insert(name, data.collect());
        }
    }
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    for name in maps {
        if let Some(map) = api.get_opt(&name).await? {
            let text = map.data.unwrap_or_default().into_iter().map(|(key, text)| (key, text.into_bytes()));
            let bytes = map.binary_data.unwrap_or_default().into_iter().map(|(key, bytes)| (key, bytes.0));
            read.config_maps.insert(name, text.chain(bytes).collect());
        }
    }
    Ok(read)
}
