//! The objects that are stored in a cluster, for `--against`: what a file would change there.
//!
//! Reads only, with the rights of the kubeconfig. A kind that is not installed, or not to be read, is an error and not
//! "nothing stored": a file would be judged as new that is not.

use std::error::Error;
use std::path::Path;

use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value;

use super::OfflineError;
use super::documents::Document;
use crate::validate::TEAM;

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
        let kubeconfig = Kubeconfig::read_from(path).map_err(|error| failed(&error))?;
        let options = KubeConfigOptions::default();
        let config =
            Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| failed(&error))?;
        let namespace = config.default_namespace.clone();
        let client = Client::try_from(config).map_err(|error| refused(&error))?;
        Ok(Self { client, namespace })
    }

    /// The stored object of a document's kind, namespace and name; nothing when there is none.
    ///
    /// # Errors
    /// When the cluster does not answer or refuses.
    pub(super) async fn of(&self, document: &Document) -> Result<Option<Value>, OfflineError> {
        let [kind, namespace, name] = document.identity();
        // A new object whose name is generated has no past.
        if name.is_empty() {
            return Ok(None);
        }
        let (group, version) =
            document.text_at("/apiVersion").split_once('/').unwrap_or(("", document.text_at("/apiVersion")));
        let kind = GroupVersionKind::gvk(group, version, kind);
        let namespace = if namespace.is_empty() { self.namespace.as_str() } else { namespace };
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), namespace, &ApiResource::from_gvk(&kind));
        let found = api.get_opt(name).await.map_err(|error| refused(&error))?;
        Ok(found.map(|object| serde_json::to_value(object).unwrap_or_default()))
    }

    /// All teams of the cluster.
    ///
    /// # Errors
    /// When the cluster does not answer or refuses.
    pub(super) async fn teams(&self) -> Result<Vec<Value>, OfflineError> {
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("acid.zalan.do", "v1", TEAM));
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &kind);
        let found = api.list(&ListParams::default()).await.map_err(|error| refused(&error))?;
        Ok(found.items.into_iter().map(|object| serde_json::to_value(object).unwrap_or_default()).collect())
    }
}

/// What the API server says in its own words, once; of other errors the whole chain, whose end names the cause.
fn refused(error: &kube::Error) -> OfflineError {
    match error {
        kube::Error::Api(status) => OfflineError::Cluster { words: status.message.clone() },
        other => failed(other),
    }
}

fn failed(error: &dyn Error) -> OfflineError {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_words = cause.to_string();
        if !words.ends_with(&cause_words) {
            words = format!("{words}: {cause_words}");
        }
        source = cause.source();
    }
    OfflineError::Cluster { words }
}
