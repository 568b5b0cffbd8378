//! The definitions of our kinds, as they are committed.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::conditions::is_crd_established;
use kube::runtime::wait::await_condition;
use kube::{Client, ResourceExt};

/// All of them.
pub const DEFINITIONS: &[&str] = &[
    include_str!("../../../crds/postgresql.yaml"),
    include_str!("../../../crds/operatorconfiguration.yaml"),
    include_str!("../../../crds/postgresteam.yaml"),
];

/// Installs them all, and waits until they are served.
///
/// # Errors
/// When one is refused.
pub async fn install(client: &Client) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for text in DEFINITIONS {
        let definition: CustomResourceDefinition = serde_saphyr::from_str(text)?;
        let name = definition.name_any();
        let params = PatchParams::apply("control-plane-test").force();
        api.patch(&name, &params, &Patch::Apply(&definition)).await?;
        await_condition(api.clone(), &name, is_crd_established()).await?;
    }
    // The definitions are established a moment before they are served everywhere.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    Ok(())
}
