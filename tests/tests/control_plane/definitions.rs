//! The definitions of our kinds, as they are committed.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::Api;
use kube::{Client, ResourceExt};
use tests::control_plane::definitions::DEFINITIONS;

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
