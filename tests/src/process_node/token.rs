//! A pod's way to the API server: a token of its service account, in a kubeconfig.

use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::{Value, json};

/// The only context in a pod's kubeconfig.
pub const CONTEXT: &str = "pod";
/// Nobody renews a token here. It ends with its pod, to which it is bound.
const LIFETIME_SECONDS: i64 = 365 * 24 * 3600;

/// Where the API server is, and what proves that it is the right one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// `https://127.0.0.1:...`
    pub url: String,
    /// The authority's certificate: PEM, in base64.
    pub authority: String,
}

impl Server {
    /// As in the kubeconfig that this process uses itself.
    pub fn from_own_kubeconfig() -> Option<Self> {
        let own = kube::config::Kubeconfig::read().ok()?;
        let cluster = own.clusters.first()?.cluster.as_ref()?;
        Some(Self { url: cluster.server.clone()?, authority: cluster.certificate_authority_data.clone()? })
    }

    /// A kubeconfig for a token.
    pub fn kubeconfig(&self, token: &str, namespace: &str) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{
                "name": CONTEXT,
                "cluster": {"server": self.url, "certificate-authority-data": self.authority},
            }],
            "users": [{"name": CONTEXT, "user": {"token": token}}],
            "contexts": [{
                "name": CONTEXT,
                "context": {"cluster": CONTEXT, "user": CONTEXT, "namespace": namespace},
            }],
            "current-context": CONTEXT,
        })
    }
}

/// A new token of the pod's service account.
///
/// # Errors
/// When the API server refuses, for example because the account is not there.
pub async fn request(client: &Client, pod: &Pod) -> Result<String, kube::Error> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let account =
        pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref()).unwrap_or("default");
    let wanted = TokenRequest {
        spec: TokenRequestSpec {
            audiences: Vec::new(),
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: pod.metadata.name.clone(),
                uid: pod.metadata.uid.clone(),
            }),
            expiration_seconds: Some(LIFETIME_SECONDS),
        },
        ..TokenRequest::default()
    };
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let answer = accounts.create_token_request(account, &PostParams::default(), &wanted).await?;
    Ok(answer.status.map(|status| status.token).unwrap_or_default())
}
