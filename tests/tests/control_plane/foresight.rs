//! `operator adopt --check` over clusters that upstream's operator made: what it says, and that it writes nothing.

use std::fs;
use std::path::PathBuf;

use clap::Parser;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Endpoints, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, ListParams, PostParams};
use operator::adopt::{Report, check, check_with};
use operator::args::{Adopt, Command, CommandLine};
use serde_json::{Value, json};
use shared::api::{OperatorConfiguration, Postgresql};

use crate::takeover::upstreams_cluster;

/// What the command line says.
fn adopt(flags: &[&str]) -> Adopt {
    let line = CommandLine::try_parse_from(["operator", "adopt", "--check"].iter().chain(flags)).unwrap();
    let Some(Command::Adopt(adopt)) = line.command else { panic!("not adopt") };
    adopt
}

/// The name of the configuration under which upstream's objects were recorded.
const CONFIGURATION: &str = "golden-default";

/// What is told of a namespace, under the configuration that upstream's objects were made by.
async fn report(client: &Client, namespace: &str, flags: &[&str]) -> Report {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/configurations/default.yaml");
    let mut configuration: DynamicObject =
        serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    configuration.metadata.namespace = Some(namespace.to_owned());
    let kind = ApiResource::erase::<OperatorConfiguration>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &kind);
    api.create(&PostParams::default(), &configuration).await.unwrap();
    check_with(client.clone(), &adopt(&[place(namespace), flags.to_vec()].concat())).await.unwrap()
}

fn place(namespace: &str) -> Vec<&str> {
    vec!["--namespace", namespace, "--watched-namespace", namespace, "--configuration-object", CONFIGURATION]
}

/// Versions of everything in a namespace that could have been written.
async fn versions(client: &Client, namespace: &str) -> Vec<(String, Option<String>)> {
    let mut all = Vec::new();
    for object in everything(client, namespace).await {
        let metadata = &object["metadata"];
        let name = format!("{} {}", object["kind"], metadata["name"]);
        if object["kind"] != "OperatorConfiguration" {
            all.push((name, metadata["resourceVersion"].as_str().map(str::to_owned)));
        }
    }
    all
}

async fn everything(client: &Client, namespace: &str) -> Vec<Value> {
    let kinds = [
        ApiResource::erase::<StatefulSet>(&()),
        ApiResource::erase::<Pod>(&()),
        ApiResource::erase::<Service>(&()),
        ApiResource::erase::<Endpoints>(&()),
        ApiResource::erase::<Secret>(&()),
        ApiResource::erase::<ServiceAccount>(&()),
        ApiResource::erase::<RoleBinding>(&()),
        ApiResource::erase::<PodDisruptionBudget>(&()),
        ApiResource::erase::<Postgresql>(&()),
        ApiResource::erase::<OperatorConfiguration>(&()),
    ];
    let mut all = Vec::new();
    for kind in &kinds {
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, kind);
        for object in api.list(&ListParams::default()).await.unwrap() {
            let mut value = json!(object);
            value["apiVersion"] = json!(kind.api_version);
            value["kind"] = json!(kind.kind);
            all.push(value);
        }
    }
    all
}

pub(crate) async fn an_adoption_is_foreseen_without_writing_anything(client: Client) {
    let namespace = "foresight";
    let case = upstreams_cluster(&client, namespace, |_| {}).await;
    let before = versions(&client, namespace).await;
    let report = report(&client, namespace, &["--service-account", "foresight:nobody"]).await;
    let text = report.to_string();
    println!("{text}");
    let cluster = format!("{namespace}/{}", case.cluster.identity().name);
    assert!(text.contains(&format!("{cluster}: taken over, no pod is touched")), "{text}");
    assert!(text.contains("patch StatefulSet"), "{text}");
    assert!(!report.clusters[&cluster].needs_attention());
    assert!(
        text.contains("rights: missing: ") && report.needs_attention(),
        "that account may do nothing: {text}"
    );
    assert_eq!(versions(&client, namespace).await, before, "nothing was written");

    // The same from files.
    let folder: PathBuf = std::env::temp_dir().join(format!("foresight-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": everything(&client, namespace).await });
    fs::write(folder.join("all.yaml"), serde_saphyr::to_string(&list).unwrap()).unwrap();
    let from = folder.to_str().unwrap();
    let offline = check(&adopt(&[vec!["--from", from], place(namespace)].concat())).await.unwrap();
    fs::remove_dir_all(&folder).unwrap();
    let lines = |text: &str| {
        text.lines().filter(|line| !line.starts_with("rights")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines(&offline.to_string()), lines(&text));
    assert!(!offline.needs_attention());
}

pub(crate) async fn pods_that_an_adoption_would_recreate_are_named_with_the_fields(client: Client) {
    let namespace = "foresight-rolls";
    upstreams_cluster(&client, namespace, |object| {
        if object["kind"] == "StatefulSet" {
            let variables =
                object["spec"]["template"]["spec"]["containers"][0]["env"].as_array_mut().unwrap();
            variables.push(json!({ "name": "OLD_VARIABLE", "value": "upstream's" }));
        }
    })
    .await;
    let report = report(&client, namespace, &[]).await;
    let text = report.to_string();
    assert!(text.contains("taken over, and pods are recreated") && text.contains(": env"), "{text}");
    assert!(report.needs_attention());
}

pub(crate) async fn a_manifest_that_admission_would_refuse_is_foreseen_in_its_words(client: Client) {
    let namespace = "foresight-refused";
    crate::manifests::make_namespace(&client, namespace).await;
    let fields = json!({ "postgresql": { "version": "16", "parameters": { "max_connections": "plenty" } } });
    let manifests = crate::manifests::manifests(&client, namespace);
    manifests.create(&Default::default(), &crate::manifests::manifest("acid-wrong", &fields)).await.unwrap();
    let report = report(&client, namespace, &[]).await;
    let text = report.to_string();
    let refused = r#"refused: spec.postgresql.parameters[max_connections]: "plenty" is not a whole number"#;
    assert!(text.contains(refused), "{text}");
    assert!(report.needs_attention());
}
