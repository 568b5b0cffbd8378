//! Where etcd and kube-apiserver are.

use std::path::PathBuf;

/// The programs of a control plane.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The storage.
    pub etcd: PathBuf,
    /// The API server.
    pub api_server: PathBuf,
}

impl Programs {
    /// Those in the folder that `LOCAL_CLUSTER_BIN` names, or else those that the local cluster has built.
    ///
    /// # Errors
    /// Where they were looked for in vain.
    pub fn find() -> Result<Self, String> {
        let folders = folders();
        let found = folders.iter().find_map(|folder| {
            let (etcd, api_server) = (folder.join("etcd"), folder.join("kube-apiserver"));
            (etcd.exists() && api_server.exists()).then_some(Self { etcd, api_server })
        });
        found.ok_or_else(|| {
            let places: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
            format!(
                "no etcd and kube-apiserver in {}; tests/local-cluster/local-cluster build makes them, and \
                 LOCAL_CLUSTER_BIN names another folder",
                places.join(" or ")
            )
        })
    }
}

/// The folders to look in. A folder that is named is the only one.
fn folders() -> Vec<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(named) = variable("LOCAL_CLUSTER_BIN") {
        return vec![named];
    }
    let user_cache = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    let of_user = user_cache.map(|cache| cache.join("postgres-operator-local-cluster"));
    let caches = variable("LOCAL_CLUSTER_CACHE").into_iter().chain(of_user);
    caches.map(|cache| cache.join("bin")).collect()
}
