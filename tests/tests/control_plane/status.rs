//! The status where upstream's definition of `postgresql` is installed: it declares the word only.

use std::cell::Cell;
use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use crate::manifests::{manifest, manifests};
use crate::takeover::{operator, upstreams_cluster};

const NAMESPACE: &str = "word-only";

pub(crate) async fn upstreams_definition_keeps_the_word_and_nothing_is_written_for_ever(client: Client) {
    declare_the_word_only(&client).await;
    let case = upstreams_cluster(&client, NAMESPACE, |_| {}).await;
    let name = case.cluster.identity().name.clone();
    let manifests = manifests(&client, NAMESPACE);
    let stored = async || manifests.get(&name).await.unwrap();
    let operator = operator(&client, &case).await;
    operator.look_until("it runs", async || status(&stored().await) == json!({ WORD: "Running" })).await;

    let (before, looks) = (stored().await.resource_version(), Cell::new(0));
    operator
        .look_until("it was looked at ten times more", async || {
            looks.set(looks.get() + 1);
            looks.get() > 10
        })
        .await;
    assert_eq!(stored().await.resource_version(), before, "a settled cluster is not written");

    tests::control_plane::definitions::install(&client).await.unwrap();
    operator
        .look_until("the status is whole, now that it can be", async || {
            let stored = stored().await;
            status(&stored)["observedGeneration"].as_i64() == stored.metadata.generation
                && status(&stored)["conditions"][0]["reason"] == "Reconciled"
        })
        .await;
}

const WORD: &str = "PostgresClusterStatus";

fn status(manifest: &DynamicObject) -> Value {
    manifest.data["status"].clone()
}

/// Makes the definition declare of the status what upstream's does, and waits until it holds.
async fn declare_the_word_only(client: &Client) {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let schema =
        json!({ "type": "object", "required": [WORD], "properties": { WORD: { "type": "string" } } });
    let path = "/spec/versions/0/schema/openAPIV3Schema/properties/status";
    let patch = json!([{ "op": "replace", "path": path, "value": schema }]);
    let patch = Patch::Json::<()>(serde_json::from_value(patch).unwrap());
    api.patch("postgresqls.acid.zalan.do", &PatchParams::default(), &patch).await.unwrap();

    let probes = manifests(client, "default");
    probes.create(&Default::default(), &manifest("acid-probe", &json!({}))).await.unwrap();
    for number in 0.. {
        let told = json!({ "status": { WORD: "Running", "observedGeneration": number } });
        let written = probes.patch_status("acid-probe", &PatchParams::default(), &Patch::Merge(&told)).await;
        if status(&written.unwrap()).get("observedGeneration").is_none() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    probes.delete("acid-probe", &Default::default()).await.unwrap();
}
