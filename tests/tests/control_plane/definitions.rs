//! The definitions of our kinds, as they are committed.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::conditions::is_crd_established;
use kube::runtime::wait::await_condition;
use kube::{Client, ResourceExt};
use serde_json::Value;

const DEFINITIONS: &[&str] = &[
    include_str!("../../../crds/postgresql.yaml"),
    include_str!("../../../crds/operatorconfiguration.yaml"),
    include_str!("../../../crds/postgresteam.yaml"),
];

/// Installs them all, and waits until they are served.
pub(crate) async fn install(client: &Client) {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for text in DEFINITIONS {
        let definition: Value = serde_saphyr::from_str(text).unwrap();
        let name = definition["metadata"]["name"].as_str().unwrap();
        let params = PatchParams::apply("control-plane-test").force();
        let applied = api.patch(name, &params, &Patch::Apply(&definition)).await;
        applied.unwrap_or_else(|error| panic!("{name}: {error}"));
        let established = await_condition(api.clone(), name, is_crd_established());
        tokio::time::timeout(Duration::from_secs(30), established).await.unwrap().unwrap();
    }
    // The definitions are established a moment before they are served everywhere.
    tokio::time::sleep(Duration::from_secs(1)).await;
}

pub(crate) async fn every_definition_is_established(client: Client) {
    let api: Api<CustomResourceDefinition> = Api::all(client);
    let all = api.list(&Default::default()).await.unwrap();
    assert_eq!(all.items.len(), DEFINITIONS.len());
    for definition in all {
        let conditions = definition.status.clone().unwrap().conditions.unwrap();
        for (kind, wanted) in [("Established", "True"), ("NamesAccepted", "True")] {
            let condition = conditions.iter().find(|condition| condition.type_ == kind).unwrap();
            assert_eq!(condition.status, wanted, "{}: {condition:?}", definition.name_any());
        }
        let complaint =
            conditions.iter().find(|one| one.type_ == "NonStructuralSchema" && one.status == "True");
        assert!(complaint.is_none(), "{}: {complaint:?}", definition.name_any());
    }
}
