//! A pod's volumes as folders: claims where the provisioner has put them, everything else under the pod's own folder.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{
    Container, DownwardAPIVolumeFile, KeyToPath, PersistentVolume, PersistentVolumeClaim, Pod, Volume,
};
use kube::{Api, Client};

use super::environment::{Variables, expand, field_of};
use super::mounts::Mounts;
use super::pod::Waiting;
use super::process::Owner;
use super::references::{Data, References};

/// Mode of files that say nothing else. Only the user that runs the pods reads them.
const MODE: i32 = 0o644;

/// What volumes are made from.
#[derive(Clone, Copy)]
pub struct Maker<'a> {
    /// The way to claims.
    pub client: &'a Client,
    /// Whose volumes.
    pub pod: &'a Pod,
    /// The pod's address.
    pub address: &'a str,
    /// Secrets and ConfigMaps.
    pub read: &'a References,
    /// The pod's service-account token.
    pub token: &'a str,
    /// The pod's folder.
    pub folder: &'a Path,
    /// Who must be able to read all of it.
    pub owner: Option<Owner>,
}

type Files = Vec<(String, Vec<u8>, i32)>;

impl Maker<'_> {
    /// Makes the folders of all volumes that a container mounts; also tells the folders of its claims.
    ///
    /// # Errors
    /// When something is not there yet.
    pub async fn mounts(
        &self,
        container: &Container,
        variables: &Variables,
    ) -> Result<(Mounts, Vec<PathBuf>), Waiting> {
        let volumes = self.pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        let by_name: BTreeMap<&str, &Volume> = volumes.map(|volume| (volume.name.as_str(), volume)).collect();
        let (mut all, mut claims) = (Vec::new(), Vec::new());
        for mount in container.volume_mounts.as_deref().unwrap_or_default() {
            let Some(volume) = by_name.get(mount.name.as_str()) else { continue };
            let mut folder = self.folder_of(volume).await?;
            if volume.persistent_volume_claim.is_some() {
                claims.push(folder.clone());
            }
            let expression = mount.sub_path_expr.as_ref().map(|text| expand(text, variables));
            if let Some(sub_path) = mount.sub_path.clone().or(expression) {
                folder = folder.join(sub_path);
                self.folder(&folder)?;
            }
            all.push((mount.mount_path.clone(), folder));
        }
        Ok((Mounts::new(all), claims))
    }

    async fn folder_of(&self, volume: &Volume) -> Result<PathBuf, Waiting> {
        if let Some(claim) = &volume.persistent_volume_claim {
            return self.claimed(&claim.claim_name).await;
        }
        if let Some(host) = &volume.host_path {
            return Ok(host.path.clone().into());
        }
        let folder = self.folder.join("volumes").join(&volume.name);
        self.folder(&folder)?;
        if volume.empty_dir.is_some() {
            return Ok(folder);
        }
        for (name, content, mode) in self.files(volume)? {
            let path = folder.join(name);
            if let Some(parent) = path.parent() {
                self.folder(parent)?;
            }
            self.file(&path, &content, mode)?;
        }
        Ok(folder)
    }

    /// A claim's folder, once a volume is bound to it.
    async fn claimed(&self, name: &str) -> Result<PathBuf, Waiting> {
        let namespace = self.pod.metadata.namespace.as_deref().unwrap_or_default();
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), namespace);
        let claim = claims.get_opt(name).await.map_err(Waiting::api)?;
        let not_yet = || Waiting::of("ContainerCreating", format!("claim {name} is not bound yet"));
        let volume = claim.and_then(|claim| claim.spec?.volume_name).ok_or_else(not_yet)?;
        let volumes: Api<PersistentVolume> = Api::all(self.client.clone());
        let volume = volumes.get_opt(&volume).await.map_err(Waiting::api)?.and_then(|volume| volume.spec);
        let spec = volume.ok_or_else(not_yet)?;
        let path = spec.local.map(|local| local.path).or(spec.host_path.map(|host| host.path));
        let folder =
            path.ok_or_else(|| Waiting::of("VolumeUnknown", format!("the volume of {name} is no folder")))?;
        Ok(folder.into())
    }

    fn files(&self, volume: &Volume) -> Result<Files, Waiting> {
        if let Some(secret) = &volume.secret {
            let name = secret.secret_name.clone().unwrap_or_default();
            let found = (self.read.secrets.get(&name), secret.optional, secret.default_mode);
            return picked(("Secret", &name), found, secret.items.as_deref());
        }
        if let Some(map) = &volume.config_map {
            let found = (self.read.config_maps.get(&map.name), map.optional, map.default_mode);
            return picked(("ConfigMap", &map.name), found, map.items.as_deref());
        }
        if let Some(downward) = &volume.downward_api {
            return Ok(self.fields(downward.items.as_deref()));
        }
        let Some(projected) = &volume.projected else {
            return Err(Waiting::of(
                "VolumeUnknown",
                format!("volume {} is of an unknown kind", volume.name),
            ));
        };
        let mut files = Files::new();
        for source in projected.sources.iter().flatten() {
            if let Some(token) = &source.service_account_token {
                files.push((token.path.clone(), self.token.as_bytes().to_vec(), 0o600));
            }
            if let Some(secret) = &source.secret {
                let found = (self.read.secrets.get(&secret.name), secret.optional, projected.default_mode);
                files.extend(picked(("Secret", &secret.name), found, secret.items.as_deref())?);
            }
            if let Some(map) = &source.config_map {
                let found = (self.read.config_maps.get(&map.name), map.optional, projected.default_mode);
                files.extend(picked(("ConfigMap", &map.name), found, map.items.as_deref())?);
            }
            files.extend(
                self.fields(source.downward_api.as_ref().and_then(|downward| downward.items.as_deref())),
            );
        }
        Ok(files)
    }

    fn fields(&self, items: Option<&[DownwardAPIVolumeFile]>) -> Files {
        let field = |item: &DownwardAPIVolumeFile| {
            let value = field_of(self.pod, self.address, &item.field_ref.as_ref()?.field_path)?;
            Some((item.path.clone(), value.into_bytes(), item.mode.unwrap_or(MODE)))
        };
        items.unwrap_or_default().iter().filter_map(field).collect()
    }

    /// Makes a folder that the pod's user may write to.
    ///
    /// # Errors
    /// When the file system does not allow it.
    pub fn folder(&self, path: &Path) -> Result<(), Waiting> {
        if path.is_dir() {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.folder(parent)?;
        }
        std::fs::create_dir(path).and_then(|()| Owner::take(self.owner, path)).map_err(Waiting::disk(path))
    }

    /// Writes a file of the pod's user.
    ///
    /// # Errors
    /// When the file system does not allow it.
    pub fn file(&self, path: &Path, content: &[u8], mode: i32) -> Result<(), Waiting> {
        let mode = std::fs::Permissions::from_mode(u32::try_from(mode).unwrap_or(0o600));
        std::fs::write(path, content)
            .and_then(|()| std::fs::set_permissions(path, mode))
            .and_then(|()| Owner::take(self.owner, path))
            .map_err(Waiting::disk(path))
    }
}

/// The wanted entries of a Secret or ConfigMap as files.
fn picked(
    (kind, name): (&'static str, &str),
    (data, optional, mode): (Option<&Data>, Option<bool>, Option<i32>),
    items: Option<&[KeyToPath]>,
) -> Result<Files, Waiting> {
    let mode = mode.unwrap_or(MODE);
    let Some(data) = data else {
        let missing = Waiting::of("ContainerCreating", format!("{kind} \"{name}\" is not there"));
        return if optional == Some(true) { Ok(Files::new()) } else { Err(missing) };
    };
    let Some(items) = items else {
        return Ok(data.iter().map(|(key, content)| (key.clone(), content.clone(), mode)).collect());
    };
    let mut files = Files::new();
    for item in items {
        match data.get(&item.key) {
            Some(content) => files.push((item.path.clone(), content.clone(), item.mode.unwrap_or(mode))),
            None if optional == Some(true) => {}
            None => {
                let message = format!("{kind} \"{name}\" has no key \"{}\"", item.key);
                return Err(Waiting::of("ContainerCreating", message));
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> Data {
        [("tls.crt".to_owned(), b"c".to_vec()), ("tls.key".to_owned(), b"k".to_vec())].into()
    }

    #[test]
    fn all_entries_or_the_named_ones_become_files() {
        let all = picked(("Secret", "s"), (Some(&data()), None, Some(0o640)), None).unwrap();
        assert_eq!(all, [("tls.crt".into(), b"c".to_vec(), 0o640), ("tls.key".into(), b"k".to_vec(), 0o640)]);
        let item = KeyToPath { key: "tls.key".into(), path: "private/key".into(), mode: Some(0o600) };
        let one = picked(("Secret", "s"), (Some(&data()), None, None), Some(&[item])).unwrap();
        assert_eq!(one, [("private/key".into(), b"k".to_vec(), 0o600)]);
    }

    #[test]
    fn what_is_missing_is_waited_for_unless_it_is_optional() {
        let missing = picked(("Secret", "s"), (None, None, None), None).unwrap_err();
        assert_eq!(missing.message, "Secret \"s\" is not there");
        assert!(picked(("Secret", "s"), (None, Some(true), None), None).unwrap().is_empty());
        let item = KeyToPath { key: "no".into(), path: "no".into(), mode: None };
        let no_key = picked(("ConfigMap", "m"), (Some(&data()), None, None), Some(&[item])).unwrap_err();
        assert_eq!(no_key.message, "ConfigMap \"m\" has no key \"no\"");
    }
}
