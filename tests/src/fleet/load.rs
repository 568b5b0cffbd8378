//! What a fleet is made of: the manifests, the configuration, and the order to make them.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ApiResource, DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};
use shared::api::{OperatorConfiguration, Postgresql};
use shared::config::{OperatorConfig, read_resource};

use super::Outcome;
use super::args::Args;
use super::operator;

/// Where all clusters are.
pub(super) const NAMESPACE: &str = "fleet";
/// How many requests of the load are under way at once.
pub(super) const AT_ONCE: usize = 32;

const MANIFEST: &str = include_str!("../../../docs/examples/minimal.yaml");
const CONFIGURATION: &str = include_str!("../../../deploy/base/operator/configuration.yaml");

/// The manifest of a cluster: the README's, under a name of its own.
pub(super) fn manifest(name: &str, members: usize) -> Outcome<Postgresql> {
    let mut manifest: Postgresql = serde_saphyr::from_str(MANIFEST)?;
    manifest.metadata.name = Some(name.to_owned());
    manifest.metadata.namespace = Some(NAMESPACE.to_owned());
    manifest.spec.number_of_instances = i32::try_from(members)?;
    Ok(manifest)
}

/// The same, but its pods fit on no node.
pub(super) fn stuck_manifest(name: &str, members: usize) -> Outcome<Postgresql> {
    let mut manifest = manifest(name, members)?;
    let nowhere = json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "nowhere", "operator": "Exists"}]},
    ]}});
    manifest.spec.node_affinity = Some(serde_json::from_value(nowhere)?);
    Ok(manifest)
}

/// The names of so many clusters.
pub(super) fn names(what: &str, clusters: usize) -> Vec<String> {
    (0..clusters).map(|number| format!("acid-{what}-{number:05}")).collect()
}

/// The shipped configuration without what a fleet of stand-ins does not have: databases and a Teams API.
pub(super) fn configuration(args: &Args, port: u16) -> Outcome<OperatorConfiguration> {
    let mut document: Value = serde_saphyr::from_str(CONFIGURATION)?;
    let own = json!({
        "metadata": {"name": operator::NAMESPACE, "namespace": operator::NAMESPACE},
        "configuration": {
            "workers": args.workers,
            "debug": {"enable_database_access": false},
            "teams_api": {"enable_teams_api": false},
            "logging_rest_api": {"api_port": port},
        },
    });
    json_patch::merge(&mut document, &own);
    Ok(serde_json::from_value(document)?)
}

/// The configuration as the operator reads it.
pub(super) fn read(configuration: &OperatorConfiguration) -> Outcome<OperatorConfig> {
    read_resource(configuration).config.map_err(|errors| {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        errors.join("; ").into()
    })
}

/// Makes the namespaces and the configuration.
pub(super) async fn prepare(client: &Client, configuration: &OperatorConfiguration) -> Outcome<()> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    for name in [operator::NAMESPACE, NAMESPACE] {
        let namespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
        namespaces.create(&PostParams::default(), &namespace).await?;
    }
    create(client, of_kind("OperatorConfiguration", serde_json::to_value(configuration)?)).await
}

/// An object of ours with its kind, which our types leave out.
fn of_kind(kind: &str, mut object: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields
            .extend([("apiVersion".to_owned(), json!("acid.zalan.do/v1")), ("kind".to_owned(), json!(kind))]);
    }
    object
}

/// Creates an object of any kind.
pub(super) async fn create(client: &Client, object: Value) -> Outcome<()> {
    let object: DynamicObject = serde_json::from_value(object)?;
    let types = object.types.as_ref().ok_or("an object of no kind")?;
    let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(types)?);
    let namespace = object.metadata.namespace.as_deref().unwrap_or(NAMESPACE);
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let created = api.create(&PostParams::default(), &object).await;
    created.map(drop).map_err(|error| format!("{} {}: {error}", types.kind, object.name_any()).into())
}

/// Applies manifests, many at once.
pub(super) async fn apply(client: &Client, manifests: Vec<Postgresql>) -> Outcome<()> {
    let created = stream::iter(manifests)
        .map(async |manifest| create(client, of_kind("postgresql", serde_json::to_value(manifest)?)).await);
    created.buffer_unordered(AT_ONCE).try_collect::<()>().await
}
