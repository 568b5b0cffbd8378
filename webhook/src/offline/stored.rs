//! The objects that are stored in a cluster, for `--against`: what a file would change there.

use std::path::Path;

use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value;

use super::OfflineError;
use super::documents::Document;

/// A cluster to compare with.
pub(super) struct Stored {
    client: Client,
    namespace: String,
}

impl Stored {
    /// Reads a kubeconfig; its current context counts.
    ///
    /// # Errors
    /// When it cannot be read or used.
    pub(super) async fn connect(path: &Path) -> Result<Self, OfflineError> {
        let failed = |error: &dyn std::error::Error| OfflineError::Cluster { words: error.to_string() };
        let kubeconfig = Kubeconfig::read_from(path).map_err(|error| failed(&error))?;
        let options = KubeConfigOptions::default();
        let config =
            Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| failed(&error))?;
        let namespace = config.default_namespace.clone();
        let client = Client::try_from(config).map_err(|error| failed(&error))?;
        Ok(Self { client, namespace })
    }

    /// The stored object of a document's kind, namespace and name; nothing when there is none.
    ///
    /// # Errors
    /// When the cluster does not answer or refuses.
    pub(super) async fn of(&self, document: &Document) -> Result<Option<Value>, OfflineError> {
        let [kind, namespace, name] = document.identity();
        let (group, version) =
            document.text_at("/apiVersion").split_once('/').unwrap_or(("", document.text_at("/apiVersion")));
        let kind = GroupVersionKind::gvk(group, version, kind);
        let namespace = if namespace.is_empty() { self.namespace.as_str() } else { namespace };
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), namespace, &ApiResource::from_gvk(&kind));
        let found =
            api.get_opt(name).await.map_err(|error| OfflineError::Cluster { words: error.to_string() })?;
        Ok(found.map(|object| serde_json::to_value(object).unwrap_or_default()))
    }
}
