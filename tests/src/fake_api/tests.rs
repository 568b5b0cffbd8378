//! The server, as `kube::Client` and `kube::runtime` see it.

use std::pin::pin;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{
    Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions, ResourceExt, WatchEvent,
    WatchParams,
};
use kube::runtime::watcher::{self, watcher};
use serde_json::json;

use super::*;

fn server() -> FakeApi {
    FakeApi::new(Store::default(), || Timestamp::UNIX_EPOCH)
}

fn maps(server: &FakeApi) -> Api<ConfigMap> {
    Api::namespaced(server.client("test"), "default")
}

fn map(name: &str, labels: Value) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}, "data": {"key": "1"}}))
        .unwrap()
}

#[tokio::test]
async fn an_object_is_made_once_read_changed_and_deleted() {
    let server = server();
    let maps = maps(&server);
    let made = maps.create(&PostParams::default(), &map("a", json!({}))).await.unwrap();
    assert_eq!(made.resource_version().as_deref(), Some("1"));
    let twice = maps.create(&PostParams::default(), &map("a", json!({}))).await.unwrap_err();
    assert!(matches!(twice, kube::Error::Api(status) if status.is_already_exists()));
    let same = Patch::Merge(json!({"data": {"key": "1"}}));
    let same = maps.patch("a", &PatchParams::default(), &same).await.unwrap();
    assert_eq!(same.resource_version().as_deref(), Some("1"), "a write that changes nothing is none");
    let other = Preconditions { uid: Some("another".into()), resource_version: None };
    let other = DeleteParams { preconditions: Some(other), ..DeleteParams::default() };
    assert!(matches!(maps.delete("a", &other).await, Err(kube::Error::Api(status)) if status.is_conflict()));
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    assert!(maps.get_opt("a").await.unwrap().is_none());
}

#[tokio::test]
async fn a_replacement_of_an_old_version_is_a_conflict() {
    let server = server();
    let maps = maps(&server);
    let old = maps.create(&PostParams::default(), &map("a", json!({}))).await.unwrap();
    let change = Patch::Merge(json!({"data": {"key": "2"}}));
    maps.patch("a", &PatchParams::default(), &change).await.unwrap();
    let late = maps.replace("a", &PostParams::default(), &old).await;
    assert!(matches!(late, Err(kube::Error::Api(status)) if status.is_conflict()));
}

#[tokio::test]
async fn a_json_patch_is_refused_when_its_test_fails() {
    let server = server();
    let maps = maps(&server);
    maps.create(&PostParams::default(), &map("a", json!({}))).await.unwrap();
    let operations =
        json!([{"op": "test", "path": "/data/key", "value": "2"}, {"op": "remove", "path": "/data"}]);
    let patch = Patch::Json::<()>(serde_json::from_value(operations).unwrap());
    assert!(maps.patch("a", &PatchParams::default(), &patch).await.is_err());
    assert!(maps.get("a").await.unwrap().data.is_some());
}

#[tokio::test]
async fn an_object_with_a_finalizer_goes_when_the_finalizer_does() {
    let server = server();
    let maps = maps(&server);
    let mut held = map("a", json!({}));
    held.metadata.finalizers = Some(vec!["hold".into()]);
    maps.create(&PostParams::default(), &held).await.unwrap();
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    assert!(maps.get("a").await.unwrap().metadata.deletion_timestamp.is_some());
    let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    maps.patch("a", &PatchParams::default(), &release).await.unwrap();
    assert!(maps.get_opt("a").await.unwrap().is_none());
}

#[tokio::test]
async fn the_status_changes_only_through_its_subresource() {
    let server = server();
    let pods: Api<Pod> = Api::namespaced(server.client("test"), "default");
    let pod = json!({"metadata": {"name": "a"}, "spec": {"containers": []}});
    pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    let both = Patch::Merge(json!({"spec": {"nodeName": "n"}, "status": {"phase": "Running"}}));
    let changed = pods.patch("a", &PatchParams::default(), &both).await.unwrap();
    assert_eq!((changed.metadata.generation, changed.status), (Some(2), None));
    let both = Patch::Merge(json!({"spec": {"nodeName": "m"}, "status": {"phase": "Running"}}));
    let changed = pods.patch_status("a", &PatchParams::default(), &both).await.unwrap();
    assert_eq!(changed.metadata.generation, Some(2));
    assert_eq!(changed.status.unwrap().phase.as_deref(), Some("Running"));
    assert_eq!(changed.spec.unwrap().node_name.as_deref(), Some("n"));
}

#[tokio::test]
async fn an_apply_makes_an_object_and_takes_back_what_it_no_longer_says() {
    let server = server();
    let maps = maps(&server);
    let wish = |data: Value| {
        Patch::Apply(
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}),
        )
    };
    let ours = PatchParams::apply("ours");
    maps.patch("a", &ours, &wish(json!({"x": "1", "y": "1"}))).await.unwrap();
    let stranger = maps.patch("a", &PatchParams::apply("theirs"), &wish(json!({"x": "2"}))).await;
    assert!(matches!(stranger, Err(kube::Error::Api(status)) if status.is_conflict()));
    let less = maps.patch("a", &ours, &wish(json!({"x": "1"}))).await.unwrap();
    assert_eq!(serde_json::to_value(less.data).unwrap(), json!({"x": "1"}));
}

#[tokio::test(start_paused = true)]
async fn a_watch_shows_what_enters_and_what_leaves_its_selection() {
    let server = server();
    let maps = maps(&server);
    maps.create(&PostParams::default(), &map("a", json!({"app": "x"}))).await.unwrap();
    maps.create(&PostParams::default(), &map("b", json!({"app": "y"}))).await.unwrap();
    assert_eq!(maps.list(&ListParams::default().labels("app=x")).await.unwrap().items.len(), 1);
    let mut events = maps.watch(&WatchParams::default().labels("app=x"), "0").await.unwrap().boxed();
    let mut next = async || match events.next().await.unwrap().unwrap() {
        WatchEvent::Added(map) => format!("added {}", map.name_any()),
        WatchEvent::Modified(map) => format!("modified {}", map.name_any()),
        WatchEvent::Deleted(map) => format!("deleted {}", map.name_any()),
        WatchEvent::Bookmark(mark) => format!("at {}", mark.metadata.resource_version),
        WatchEvent::Error(error) => error.to_string(),
    };
    assert_eq!(next().await, "added a");
    let relabel = |app: &str| Patch::Merge(json!({"metadata": {"labels": {"app": app}}}));
    maps.patch("a", &PatchParams::default(), &relabel("y")).await.unwrap();
    assert_eq!(next().await, "deleted a");
    maps.patch("b", &PatchParams::default(), &relabel("x")).await.unwrap();
    assert_eq!(next().await, "added b");
    assert_eq!(next().await, "at 4");
}

#[tokio::test(start_paused = true)]
async fn a_watcher_survives_cut_watches_and_forgotten_versions() {
    let server = server();
    let maps = maps(&server);
    maps.create(&PostParams::default(), &map("a", json!({}))).await.unwrap();
    let mut events = pin!(watcher(maps.clone(), watcher::Config::default()));
    let mut seen = Vec::new();
    for round in 0..2 {
        loop {
            match events.next().await.unwrap() {
                Ok(watcher::Event::InitApply(map) | watcher::Event::Apply(map)) => seen.push(map.name_any()),
                Ok(watcher::Event::InitDone) => break,
                Ok(_) | Err(_) => {}
            }
        }
        if round == 0 {
            maps.create(&PostParams::default(), &map("b", json!({}))).await.unwrap();
            server.cut_watches();
        }
    }
    assert!(seen.ends_with(&["a".to_owned(), "b".to_owned()]), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_fails_as_it_was_told_to_before_or_after_its_effect() {
    let server = server();
    let maps = maps(&server);
    let creates = |call: &Call| call.verb == Verb::Create;
    server.fail(Fault::on(creates, Failure::Status(500)));
    assert!(maps.create(&PostParams::default(), &map("a", json!({}))).await.is_err());
    assert!(maps.get_opt("a").await.unwrap().is_none());
    server.fail(Fault::on(creates, Failure::Silence).too_late());
    assert!(maps.create(&PostParams::default(), &map("a", json!({}))).await.is_err());
    assert!(maps.get_opt("a").await.unwrap().is_some());
    let told: Vec<_> = server.state().journal.iter().map(|call| (call.verb, call.changed)).collect();
    assert_eq!(told, [(Verb::Create, false), (Verb::Get, false), (Verb::Create, true), (Verb::Get, false)]);
}
