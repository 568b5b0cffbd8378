//! `webhook validate --against`: a file held against what is stored in a real cluster, which stays as it is.
//!
//! The words must be those that the API server passes on from the webhook when the same file is tried there.

use std::fs;
use std::path::{Path, PathBuf};

use http::Request;
use kube::Client;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use shared::config::OperatorConfig;
use webhook::args::Validate;
use webhook::offline::{self, Report};

use crate::admission::{Webhook, namespace, warnings_of};
use crate::kubeconfig;
use crate::manifests::{manifest, manifests};

const NAMESPACE: &str = "against";

/// A file that is removed again.
struct File(PathBuf);

impl File {
    fn with_name(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("against-{}-{name}", std::process::id()));
        fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

async fn judged(documents: &[Value]) -> Report {
    let text: Vec<String> = documents.iter().map(Value::to_string).collect();
    held_against(&text.join("\n---\n"), kubeconfig()).await.unwrap()
}

async fn held_against(text: &str, kubeconfig: &Path) -> Result<Report, offline::OfflineError> {
    let file = File::with_name("manifests.yaml", text);
    let against = Some(kubeconfig.to_owned());
    offline::validate(&Validate { file: vec![file.0.clone()], against, ..Validate::default() }).await
}

/// A manifest as a file says it.
fn file_of(name: &str, fields: &Value) -> Value {
    let mut file = serde_json::to_value(manifest(name, fields)).unwrap();
    file["apiVersion"] = json!("acid.zalan.do/v1");
    file["kind"] = json!("postgresql");
    file["metadata"]["namespace"] = json!(NAMESPACE);
    file
}

fn team(name: &str, additional: Value) -> Value {
    json!({
        "apiVersion": "acid.zalan.do/v1", "kind": "PostgresTeam",
        "metadata": { "name": name, "namespace": NAMESPACE }, "spec": { "additionalTeams": additional },
    })
}

pub(crate) async fn what_a_file_would_change_in_the_cluster_is_told_without_changing_it(client: Client) {
    namespace(&client, NAMESPACE, json!({})).await;
    let _webhook = Webhook::for_namespace(&client, NAMESPACE, OperatorConfig::default()).await;
    let api = manifests(&client, NAMESPACE);
    let stored = api.create(&PostParams::default(), &manifest("acid-stored", &json!({}))).await.unwrap();

    let same = judged(&[file_of("acid-stored", &json!({}))]).await;
    assert_eq!((same.text.as_str(), same.valid), ("postgresql \"acid-stored\" is valid", true));

    let grown = file_of(
        "acid-stored",
        &json!({ "numberOfInstances": 3, "volume": { "size": "20Gi" }, "users": { "ada": [] } }),
    );
    let told = judged(std::slice::from_ref(&grown)).await;
    let path = format!("/apis/acid.zalan.do/v1/namespaces/{NAMESPACE}/postgresqls/acid-stored?dryRun=All");
    let request = Request::patch(path).header("content-type", "application/merge-patch+json");
    let request = request.body(serde_json::to_vec(&grown).unwrap().into()).unwrap();
    let online = warnings_of(&client, request).await;
    let lines: Vec<&str> = told.text.lines().skip(1).map(str::trim_start).collect();
    assert_eq!(lines.len(), 3, "{}", told.text);
    assert_eq!(lines, online, "offline and online words differ");
    assert!(told.valid);

    let shrunk = file_of("acid-stored", &json!({ "volume": { "size": "5Gi" } }));
    let refused =
        judged(&[shrunk.clone(), file_of("acid-new", &json!({ "volume": { "size": "5Gi" } }))]).await;
    assert!(!refused.valid);
    let params = PatchParams { dry_run: true, ..PatchParams::default() };
    let online = api.patch("acid-stored", &params, &Patch::Merge(&shrunk)).await.unwrap_err();
    let kube::Error::Api(status) = online else { panic!("{online}") };
    let (words, new) = refused.text.rsplit_once('\n').unwrap();
    assert!(status.message.ends_with(words), "{} is not in {}", words, status.message);
    assert_eq!(new, "postgresql \"acid-new\" is valid", "a new cluster may be as small as it likes");

    let after = api.get("acid-stored").await.unwrap();
    assert_eq!(after.metadata.resource_version, stored.metadata.resource_version);
}

pub(crate) async fn a_circle_of_teams_over_two_objects_is_told_in_the_cluster_and_before(client: Client) {
    namespace(&client, NAMESPACE, json!({})).await;
    let webhook = Webhook::for_namespace(&client, NAMESPACE, OperatorConfig::default()).await;
    webhook.world.watch(&client, &Default::default(), &webhook.metrics);
    let path = format!("/apis/acid.zalan.do/v1/namespaces/{NAMESPACE}/postgresteams");
    let create = |team: &Value, query: &str| {
        Request::post(format!("{path}{query}"))
            .header("content-type", "application/json")
            .body(serde_json::to_vec(team).unwrap().into())
            .unwrap()
    };
    let (first, second) =
        (team("first", json!({ "acid": ["ops"] })), team("second", json!({ "ops": ["acid"] })));
    assert_eq!(warnings_of(&client, create(&first, "")).await, Vec::<String>::new());
    while webhook.world.teams().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let circle = "spec.additionalTeams[ops][0]: closes the circle ops → acid → ops: each member gets a role in all \
                  their clusters";
    assert_eq!(warnings_of(&client, create(&second, "?dryRun=All")).await, [circle]);
    let offline = judged(&[second]).await;
    assert_eq!(offline.text, format!("PostgresTeam \"second\" is valid\n  {circle}"));
}

pub(crate) async fn a_cluster_that_cannot_be_asked_is_an_error_that_says_why(_client: Client) {
    let manifest = file_of("acid-stored", &json!({})).to_string();
    let missing = held_against(&manifest, Path::new("/nowhere/kubeconfig")).await.unwrap_err();
    assert!(missing.to_string().contains("/nowhere/kubeconfig"), "{missing}");

    let changed = |from: &str, to: &str| {
        let text = fs::read_to_string(kubeconfig()).unwrap();
        let mut value: Value = serde_json::from_str(&text).unwrap();
        assert!(value.pointer(from).is_some());
        *value.pointer_mut(from).unwrap() = json!(to);
        File::with_name("kubeconfig", &value.to_string())
    };
    let closed = changed("/clusters/0/cluster/server", "https://127.0.0.1:1");
    let words = held_against(&manifest, &closed.0).await.unwrap_err().to_string();
    assert!(words.starts_with("could not ask the cluster: ") && words.contains("refused"), "{words}");

    let stranger = changed("/users/0/user/token", "nobody");
    let words = held_against(&manifest, &stranger.0).await.unwrap_err().to_string();
    assert_eq!(words, "could not ask the cluster: Unauthorized");
}
