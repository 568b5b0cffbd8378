//! Secrets and webhook configurations: what they hold, and writing them. Asked by `ensure`.
//!
//! Secrets are written with the resourceVersion that was read (or by POST), so two jobs at once conflict instead of
//! mixing a key of one with a certificate of the other. A caBundle is applied under a field manager of its own that
//! owns nothing else; tools that apply our YAML leave it alone because it is absent there.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The field manager that owns the caBundles.
pub const FIELD_MANAGER: &str = "postgres-operator-certs";

/// The keys of a Secret of type `kubernetes.io/tls`, and the authorities beside them.
pub const CERTIFICATE: &str = "tls.crt";
/// The private key.
pub const KEY: &str = "tls.key";
/// The authorities to trust, as cert-manager names them too.
pub const AUTHORITIES: &str = "ca.crt";

/// Why Kubernetes could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// No connection could be configured.
    #[error("could not find a Kubernetes cluster to talk to")]
    Connect(#[source] kube::Error),
    /// A Secret could not be read.
    #[error("could not read the Secret {name}")]
    ReadSecret {
        /// Its name.
        name: String,
        /// What the API server said.
        source: kube::Error,
    },
    /// A Secret could not be written.
    #[error("could not write the Secret {name}")]
    WriteSecret {
        /// Its name.
        name: String,
        /// What the API server said.
        source: kube::Error,
    },
    /// A webhook configuration could not be read.
    #[error("could not read the webhook configuration {name}")]
    ReadConfiguration {
        /// Its name.
        name: String,
        /// What the API server said.
        source: kube::Error,
    },
    /// A webhook configuration could not be patched.
    #[error("could not apply the caBundle of the webhook configuration {name}")]
    Trust {
        /// Its name.
        name: String,
        /// What the API server said.
        source: kube::Error,
    },
}

/// A Secret as it was read; `None` inside when it does not exist.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    secret: Option<Secret>,
}

impl Stored {
    /// The bytes under `key`, empty when there are none.
    pub fn get(&self, key: &str) -> &[u8] {
        let data = self.secret.as_ref().and_then(|secret| secret.data.as_ref());
        data.and_then(|data| data.get(key)).map_or(&[], |bytes| bytes.0.as_slice())
    }
}

/// Reads a Secret; a missing one is no error.
///
/// # Errors
/// When the API server does not answer or refuses.
pub async fn read_secret(client: &Client, namespace: &str, name: &str) -> Result<Stored, PublishError> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = api
        .get_opt(name)
        .await
        .map_err(|source| PublishError::ReadSecret { name: name.to_owned(), source })?;
    Ok(Stored { secret })
}

/// Writes a Secret of type `kubernetes.io/tls` in place of what was read.
///
/// # Errors
/// When the API server refuses, or somebody else has written the Secret since.
pub async fn write_secret(
    client: &Client,
    namespace: &str,
    name: &str,
    read: &Stored,
    data: [(&str, &[u8]); 3],
) -> Result<(), PublishError> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let data: BTreeMap<_, _> =
        data.into_iter().map(|(key, bytes)| (key.to_owned(), ByteString(bytes.to_vec()))).collect();
    let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    let written = match &read.secret {
        Some(old) => {
            let secret = Secret { data: Some(data), ..old.clone() };
            api.replace(name, &parameters, &secret).await
        }
        None => {
            let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
            let type_ = Some("kubernetes.io/tls".to_owned());
            api.create(&parameters, &Secret { metadata, type_, data: Some(data), ..Secret::default() }).await
        }
    };
    written.map(|_| ()).map_err(|source| PublishError::WriteSecret { name: name.to_owned(), source })
}

/// A webhook configuration: its name, and each webhook's name with its caBundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// Name of the object.
    pub name: String,
    /// The webhooks in it.
    pub webhooks: Vec<(String, Option<Vec<u8>>)>,
}

impl Configuration {
    /// Whether every webhook trusts exactly `bundle`.
    pub fn trusts(&self, bundle: &[u8]) -> bool {
        self.webhooks.iter().all(|(_, trusted)| trusted.as_deref() == Some(bundle))
    }
}

/// A kind of webhook configuration. The two differ in nothing that matters here but their name.
pub trait WebhookKind: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug {
    /// The webhooks and their caBundles.
    fn webhooks(&self) -> Vec<(String, Option<Vec<u8>>)>;
}

impl WebhookKind for ValidatingWebhookConfiguration {
    fn webhooks(&self) -> Vec<(String, Option<Vec<u8>>)> {
        let webhooks = self.webhooks.iter().flatten();
        webhooks.map(|hook| (hook.name.clone(), bytes(hook.client_config.ca_bundle.as_ref()))).collect()
    }
}

impl WebhookKind for MutatingWebhookConfiguration {
    fn webhooks(&self) -> Vec<(String, Option<Vec<u8>>)> {
        let webhooks = self.webhooks.iter().flatten();
        webhooks.map(|hook| (hook.name.clone(), bytes(hook.client_config.ca_bundle.as_ref()))).collect()
    }
}

fn bytes(bundle: Option<&ByteString>) -> Option<Vec<u8>> {
    bundle.map(|bundle| bundle.0.clone())
}

/// Reads a webhook configuration.
///
/// # Errors
/// When it does not exist or the API server does not answer.
pub async fn read_configuration<K: WebhookKind>(
    client: &Client,
    name: &str,
) -> Result<Configuration, PublishError> {
    let api: Api<K> = Api::all(client.clone());
    let object = api
        .get(name)
        .await
        .map_err(|source| PublishError::ReadConfiguration { name: name.to_owned(), source })?;
    Ok(Configuration { name: object.name_any(), webhooks: object.webhooks() })
}

/// Makes every webhook of a configuration trust `bundle`.
///
/// # Errors
/// When the API server refuses.
pub async fn trust<K: WebhookKind>(
    client: &Client,
    configuration: &Configuration,
    bundle: &[u8],
) -> Result<(), PublishError> {
    let api: Api<K> = Api::all(client.clone());
    let name = configuration.name.as_str();
    let body = trust_patch::<K>(configuration, bundle);
    api.patch(name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&body))
        .await
        .map(|_| ())
        .map_err(|source| PublishError::Trust { name: name.to_owned(), source })
}

/// What is applied: names and caBundles, nothing else, so nothing else is owned.
fn trust_patch<K: WebhookKind>(configuration: &Configuration, bundle: &[u8]) -> Value {
    let bundle = ByteString(bundle.to_vec());
    let webhooks: Vec<Value> = configuration
        .webhooks
        .iter()
        .map(|(name, _)| json!({"name": name, "clientConfig": {"caBundle": bundle}}))
        .collect();
    json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": {"name": configuration.name},
        "webhooks": webhooks,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_ca_bundle_is_applied() {
        let configuration = Configuration {
            name: "postgres-operator".to_owned(),
            webhooks: vec![("a.b.c".to_owned(), None)],
        };
        assert_eq!(
            trust_patch::<ValidatingWebhookConfiguration>(&configuration, b"pem"),
            json!({
                "apiVersion": "admissionregistration.k8s.io/v1",
                "kind": "ValidatingWebhookConfiguration",
                "metadata": {"name": "postgres-operator"},
                "webhooks": [{"name": "a.b.c", "clientConfig": {"caBundle": "cGVt"}}],
            })
        );
    }

    #[test]
    fn a_configuration_is_trusted_when_every_webhook_carries_the_bundle() {
        let with = |bundles: [Option<&[u8]>; 2]| Configuration {
            name: "c".to_owned(),
            webhooks: bundles.map(|b| ("w".to_owned(), b.map(<[u8]>::to_vec))).to_vec(),
        };
        assert!(with([Some(b"pem"), Some(b"pem")]).trusts(b"pem"));
        assert!(!with([Some(b"pem"), None]).trusts(b"pem"));
        assert!(!with([Some(b"pem"), Some(b"old")]).trusts(b"pem"));
    }
}
