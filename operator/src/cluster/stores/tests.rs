//! The watches over a small API server in memory: lists, then a stream of events for as long as a test likes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use http::{Request, Response};
use http_body_util::StreamBody;
use hyper::body::Frame;
use kube::ResourceExt;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::*;

/// A receiver as a stream.
fn stream_of(receiver: mpsc::UnboundedReceiver<Bytes>) -> BoxStream<'static, Bytes> {
    futures::stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver))).boxed()
}

/// An API server that lists what it was given and streams what it is told to.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    objects: HashMap<&'static str, Vec<Value>>,
    watchers: HashMap<String, mpsc::UnboundedSender<Bytes>>,
    lists: Vec<String>,
}

impl Server {
    fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let body = server.answer(request.uri()).map(|bytes| Ok::<_, Infallible>(Frame::data(bytes)));
            async move { Ok::<_, Infallible>(Response::new(StreamBody::new(body))) }
        });
        Client::new(service, "default")
    }

    fn answer(&self, uri: &http::Uri) -> BoxStream<'static, Bytes> {
        let mut state = self.0.lock().unwrap();
        let plural = uri.path().rsplit('/').next().unwrap_or_default().to_owned();
        if uri.query().unwrap_or_default().contains("watch=true") {
            let (sender, receiver) = mpsc::unbounded_channel();
            state.watchers.insert(plural, sender);
            return stream_of(receiver);
        }
        let items = state.objects.get(plural.as_str()).cloned().unwrap_or_default();
        let list = json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "10"}, "items": items});
        state.lists.push(uri.to_string());
        futures::stream::iter([Bytes::from(list.to_string())]).boxed()
    }

    fn has(&self, plural: &'static str, object: Value) {
        self.0.lock().unwrap().objects.entry(plural).or_default().push(object);
    }

    /// Sends a watch event, once somebody watches.
    async fn event(&self, plural: &str, kind: &str, object: Value) {
        let line = format!("{}\n", json!({"type": kind, "object": object}));
        loop {
            if let Some(watcher) = self.0.lock().unwrap().watchers.get(plural) {
                watcher.send(Bytes::from(line)).unwrap();
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn scope() -> Scope {
    Scope {
        namespace: None,
        cluster_labels: BTreeMap::from([("application".to_owned(), "spilo".to_owned())]),
        cluster_name_label: "cluster-name".to_owned(),
        service_account: "postgres-pod".to_owned(),
        role_binding: "postgres-pod".to_owned(),
        infrastructure: BTreeSet::new(),
        teams: false,
        rights: Default::default(),
    }
}

fn manifest(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "acid.zalan.do/v1", "kind": "postgresql",
        "metadata": {"name": name, "namespace": namespace, "resourceVersion": "1", "generation": 1},
        "spec": {"teamId": "acid", "numberOfInstances": 1, "postgresql": {"version": "17"}, "volume": {"size": "1Gi"}},
    })
}

fn child(kind: &str, name: &str, version: &str, annotations: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": kind,
        "metadata": {
            "name": name, "namespace": "a", "resourceVersion": version, "annotations": annotations,
            "labels": {"application": "spilo", "cluster-name": "demo"},
        },
    })
}

fn node(name: &str, version: &str, cordoned: bool) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "resourceVersion": version},
        "spec": {"unschedulable": cordoned},
    })
}

/// The clusters to look at, once it is quiet.
async fn settled(changes: &Changes) -> Vec<String> {
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut names: Vec<_> = std::iter::from_fn(|| changes.try_next())
        .map(|cluster| format!("{}/{}", cluster.namespace.unwrap_or_default(), cluster.name))
        .collect();
    names.sort();
    names
}

/// Stores over a server with two clusters and some of their objects.
async fn started() -> (Server, Stores, Changes) {
    let server = Server::default();
    server.has("postgresqls", manifest("a", "demo"));
    server.has("postgresqls", manifest("b", "other"));
    server.has("endpoints", child("Endpoints", "demo", "2", json!({"leader": "demo-0", "renewTime": "1"})));
    let mut pod = child("Pod", "demo-0", "3", json!({}));
    pod["spec"] = json!({"nodeName": "node1", "containers": []});
    server.has("pods", pod);
    server.has("nodes", node("node1", "1", false));
    server.has("nodes", node("node2", "1", false));
    let (stores, changes) = Stores::start(&server.client(), &scope());
    stores.wait_until_ready().await.unwrap();
    assert_eq!(settled(&changes).await, ["a/demo", "b/other"]);
    (server, stores, changes)
}

#[tokio::test(start_paused = true)]
async fn the_start_lists_each_kind_once_and_wakes_each_cluster_once() {
    let (server, stores, _changes) = started().await;
    assert_eq!(stores.pods.len(), 1);
    assert_eq!(stores.watches(), 14);
    let lists = server.0.lock().unwrap().lists.clone();
    assert_eq!(lists.len(), 14, "{lists:#?}");
    let pods = lists.iter().find(|uri| uri.contains("/pods")).unwrap();
    assert!(pods.contains("labelSelector=application%3Dspilo%2Ccluster-name"), "{pods}");
    let services = lists.iter().find(|uri| uri.contains("/services?")).unwrap();
    assert!(
        services.contains("application+in+%28spilo%2Cdb-connection-pooler%29%2Ccluster-name"),
        "{services}"
    );
    let backups = lists.iter().find(|uri| uri.contains("/cronjobs")).unwrap();
    assert!(backups.contains("labelSelector=application%3Dspilo-logical-backup%2Ccluster-name"), "{backups}");
    let accounts = lists.iter().find(|uri| uri.contains("/serviceaccounts")).unwrap();
    assert!(accounts.contains("fieldSelector=metadata.name%3Dpostgres-pod"), "{accounts}");
}

#[tokio::test(start_paused = true)]
async fn a_cordoned_node_wakes_the_clusters_that_have_a_pod_there() {
    let (server, stores, changes) = started().await;
    server.event("nodes", "MODIFIED", node("node2", "20", true)).await;
    assert!(settled(&changes).await.is_empty());
    server.event("nodes", "MODIFIED", node("node1", "21", true)).await;
    assert_eq!(settled(&changes).await, ["a/demo"]);
    assert_eq!(stores.nodes.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_wakes_nobody_and_a_failover_wakes_the_cluster() {
    let (server, stores, changes) = started().await;
    let renewed = json!({"leader": "demo-0", "renewTime": "2"});
    server.event("endpoints", "MODIFIED", child("Endpoints", "demo", "20", renewed)).await;
    assert!(settled(&changes).await.is_empty());
    assert_eq!(stores.endpoints.all().next().unwrap().resource_version().as_deref(), Some("20"));
    let moved = json!({"leader": "demo-1", "renewTime": "3"});
    server.event("endpoints", "MODIFIED", child("Endpoints", "demo", "21", moved)).await;
    assert_eq!(settled(&changes).await, ["a/demo"]);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_child_wakes_its_cluster_and_leaves_the_store() {
    let (server, stores, changes) = started().await;
    assert_eq!(stores.pods.found_by(Clue::cluster("demo")).len(), 1);
    server.event("pods", "DELETED", child("Pod", "demo-0", "30", json!({}))).await;
    assert_eq!(settled(&changes).await, ["a/demo"]);
    assert!(stores.pods.is_empty());
    assert!(stores.pods.found_by(Clue::cluster("demo")).is_empty());
}

#[tokio::test(start_paused = true)]
async fn our_own_status_wakes_nobody_and_a_new_generation_does() {
    let (server, stores, changes) = started().await;
    let mut reported = manifest("a", "demo");
    reported["status"] = json!({"PostgresClusterStatus": "Running"});
    reported["metadata"]["resourceVersion"] = json!("40");
    server.event("postgresqls", "MODIFIED", reported.clone()).await;
    assert!(settled(&changes).await.is_empty());
    assert_eq!(stores.manifests.len(), 2);
    reported["metadata"]["generation"] = json!(2);
    server.event("postgresqls", "MODIFIED", reported).await;
    assert_eq!(settled(&changes).await, ["a/demo"]);
}

#[tokio::test(start_paused = true)]
async fn a_manifest_that_cannot_be_decoded_is_kept_as_such_and_stops_nothing() {
    let (server, stores, changes) = started().await;
    let mut broken = manifest("b", "broken");
    broken["spec"] = json!("not a spec");
    server.event("postgresqls", "ADDED", broken).await;
    assert_eq!(settled(&changes).await, ["b/broken"]);
    let broken = ClusterRef::new("broken").within("b");
    assert!(stores.manifests.get(&broken).unwrap().0.is_err());
    let present = stores.present.get(&broken.into_kind_unchecked(()));
    assert!(present.is_some(), "or nobody would look at it");
}

#[tokio::test(start_paused = true)]
async fn a_secret_of_another_namespace_finds_its_cluster_by_name() {
    let (server, _stores, changes) = started().await;
    let mut secret = child("Secret", "robot", "50", json!({}));
    secret["metadata"]["namespace"] = json!("elsewhere");
    server.event("secrets", "ADDED", secret).await;
    assert_eq!(settled(&changes).await, ["a/demo"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_is_resumed_without_a_new_list() {
    let (server, _stores, changes) = started().await;
    let before = server.0.lock().unwrap().lists.len();
    server.0.lock().unwrap().watchers.clear();
    server.event("pods", "MODIFIED", child("Pod", "demo-0", "60", json!({"a": "b"}))).await;
    assert_eq!(settled(&changes).await, ["a/demo"]);
    assert_eq!(server.0.lock().unwrap().lists.len(), before);
}

#[tokio::test(start_paused = true)]
async fn a_shared_service_account_wakes_every_cluster_of_its_namespace() {
    let (server, _stores, changes) = started().await;
    let account = json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
        "metadata": {"name": "postgres-pod", "namespace": "a", "resourceVersion": "70"}});
    server.event("serviceaccounts", "DELETED", account).await;
    assert_eq!(settled(&changes).await, ["a/demo"]);
}

#[tokio::test(start_paused = true)]
async fn a_written_stateful_set_is_known_until_the_watch_shows_more_and_never_comes_back_from_the_dead() {
    let (server, stores, changes) = started().await;
    let set = |version: &str| {
        let mut set = child("StatefulSet", "demo", version, json!({}));
        set["apiVersion"] = json!("apps/v1");
        set
    };
    let written = |version: &str| stores.wrote_set(serde_json::from_value(set(version)).unwrap());
    let known = || {
        let found = stores.stateful_sets.get(&ObjectRef::new("demo").within("a"));
        found.and_then(|set| set.resource_version())
    };
    written("20");
    assert_eq!(known().as_deref(), Some("20"));
    assert_eq!(stores.stateful_sets.found_by(Clue::cluster("demo")).len(), 1);
    server.event("statefulsets", "ADDED", set("20")).await;
    assert_eq!(settled(&changes).await, ["a/demo"], "it is looked at as always");
    server.event("statefulsets", "DELETED", set("30")).await;
    assert_eq!(settled(&changes).await, ["a/demo"]);
    written("25"); // the answer was slower than the watch
    assert_eq!(known(), None);
}
