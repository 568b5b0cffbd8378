//! The objects of event streams: made once their slots are there, adopted from upstream, removed with the manifest's wish.

use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::runtime::conditions::is_crd_established;
use kube::runtime::wait::await_condition;
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use shared::annotations::EVENT_STREAMS;
use shared::api::{FabricEventStream, Postgresql};

use crate::adoption::{self, UPSTREAM};
use crate::golden;
use crate::manifests::make_namespace;
use crate::operator::{Operator, run};

const NAMESPACE: &str = "event-streams";

const DEFINITION: &str = include_str!("../../fixtures/fabriceventstream.yaml");

fn stream(application: &str, table: &str) -> Value {
    json!({
        "applicationId": application, "database": "foo",
        "tables": { table: { "eventType": format!("{application}.event") } },
    })
}

/// What upstream's operator would have made for an application: the same, under a name drawn by lot.
fn upstreams_object(name: &str, labels: &shared::labels::LabelMap) -> FabricEventStream {
    serde_json::from_value(json!({
        "apiVersion": "zalando.org/v1", "kind": "FabricEventStream",
        "metadata": { "name": name, "labels": labels },
        "spec": { "applicationId": "shop", "eventStreams": [] },
    }))
    .unwrap()
}

pub(crate) async fn event_streams_are_made_adopted_and_removed(client: Client) {
    let mut case = golden::case("default", "minimal", NAMESPACE);
    make_namespace(&client, NAMESPACE).await;
    let wish = json!([stream("shop", "data.orders"), stream("news", "articles")]);
    case.manifest.spec.streams = serde_json::from_value(wish.clone()).unwrap();
    let manifests: Api<Postgresql> = Api::namespaced(client.clone(), NAMESPACE);
    manifests.create(&PostParams::default(), &case.manifest).await.unwrap();
    adoption::recreate(&client, &case).await;
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    for pod in pods.list(&Default::default()).await.unwrap() {
        run(&pods, &pod.name_any()).await;
    }
    let name = case.cluster.identity().name.clone();
    let operator =
        Operator::start(&client, case.config.clone(), NAMESPACE, &name, case.cluster.members()).await;

    operator
        .look_until("the status says what is missing", async || {
            let status = json!(manifests.get(&name).await.unwrap().status).to_string();
            status.contains("FabricEventStream of zalando.org/v1 is not installed")
        })
        .await;

    install(&client).await;
    let streams: Api<FabricEventStream> = Api::namespaced(client.clone(), NAMESPACE);
    let theirs = upstreams_object(&format!("{name}-xkcdq"), &case.cluster.labels().full());
    let params = PostParams { field_manager: Some(UPSTREAM.into()), ..PostParams::default() };
    streams.create(&params, &theirs).await.unwrap();
    let of_other_cluster =
        upstreams_object("acid-other-abcde", &[("cluster-name".into(), "acid-other".into())].into());
    streams.create(&PostParams::default(), &of_other_cluster).await.unwrap();
    operator
        .look_until("both applications have their object", async || {
            names(&streams).await == ["acid-minimal-news", "acid-minimal-xkcdq", "acid-other-abcde"]
                && streams.get("acid-minimal-xkcdq").await.unwrap().spec.event_streams.len() == 1
        })
        .await;
    let adopted = streams.get("acid-minimal-xkcdq").await.unwrap().spec;
    let source = json!(adopted.event_streams.first().unwrap().source);
    assert_eq!(source["schema"], "data");
    assert_eq!(source["jdbcConnection"]["slotName"], "fes_foo_shop");

    wish_for(&manifests, &name, json!([stream("shop", "data.orders")])).await;
    operator
        .look_until("the stream that is no longer wanted is gone", async || {
            names(&streams).await == ["acid-minimal-xkcdq", "acid-other-abcde"]
        })
        .await;
    wish_for(&manifests, &name, Value::Null).await;
    let sets: Api<StatefulSet> = Api::namespaced(client, NAMESPACE);
    operator
        .look_until("the last one is gone, and nobody asks for any again", async || {
            let set = sets.get(&name).await.unwrap();
            let is_noted = set.annotations().get(EVENT_STREAMS).is_some_and(|text| text == "false");
            is_noted && names(&streams).await == ["acid-other-abcde"]
        })
        .await;
}

async fn install(client: &Client) {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let definition: CustomResourceDefinition = serde_saphyr::from_str(DEFINITION).unwrap();
    api.create(&PostParams::default(), &definition).await.unwrap();
    let name = definition.name_any();
    let established = await_condition(api, &name, is_crd_established());
    tokio::time::timeout(Duration::from_secs(30), established).await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
}

async fn names(streams: &Api<FabricEventStream>) -> Vec<String> {
    streams.list(&Default::default()).await.unwrap().iter().map(ResourceExt::name_any).collect()
}

async fn wish_for(manifests: &Api<Postgresql>, name: &str, streams: Value) {
    let patch = Patch::Merge(json!({ "spec": { "streams": streams } }));
    manifests.patch(name, &PatchParams::default(), &patch).await.unwrap();
}
