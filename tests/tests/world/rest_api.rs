//! The REST API over a cluster that lives: the shapes that others rely on, who may read them, and what nobody reads.

use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::world::{World, manifest};

const CANARY: &str = "canary-in-the-mine";

/// Asks with a token, or without one.
async fn ask(world: &World, path: &str, token: Option<&str>) -> (StatusCode, Value) {
    let mut request = Request::get(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(axum::body::Body::empty()).unwrap();
    let answer = world.rest_api().oneshot(request).await.unwrap();
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

async fn read(world: &World, path: &str) -> Value {
    let (status, body) = ask(world, path, Some("ann@*")).await;
    assert_eq!(status, StatusCode::OK, "{path}: {body}");
    body
}

async fn with_canaries() -> World {
    let mut manifest = manifest(2);
    manifest["spec"]["env"] = json!([{"name": "TOKEN", "value": CANARY}]);
    let world = World::with(manifest).await;
    world.configure(|config| config.logical_backup.s3_secret_access_key = Some(CANARY.to_owned()));
    world.settle().await;
    world
}

#[tokio::test(start_paused = true)]
async fn tools_find_upstreams_shapes() {
    let world = with_canaries().await;
    world.patch(json!({"numberOfInstances": 3}));
    world.settle().await;
    let status = read(&world, "/status/").await;
    assert_eq!(status["Clusters"], 1);
    assert_eq!(status["WorkerQueueSize"].as_object().unwrap().len(), 8, "one for each worker");
    assert!(status["LastSyncTime"].as_i64().unwrap() > 0);
    assert_eq!(read(&world, "/readyz/").await, "OK");
    assert_eq!(read(&world, "/clusters/").await, json!({"acid": ["demo"]}));
    assert_eq!(read(&world, "/clusters/acid/").await, json!(["demo"]));
    assert_eq!(read(&world, "/databases/").await, json!({"demo": ["app"]}));
    let config = read(&world, "/config/").await;
    assert_eq!(config["operator"]["WatchedNamespace"], "");

    let cluster = read(&world, "/clusters/default/demo/").await;
    assert_eq!((&cluster["Team"], &cluster["Cluster"]), (&json!("acid"), &json!("demo")));
    assert_eq!(cluster["Status"]["PostgresClusterStatus"], "Running");
    assert_eq!(cluster["Spec"]["numberOfInstances"], 3);
    for object in ["MasterService", "ReplicaService", "StatefulSet", "PrimaryPodDisruptionBudget"] {
        assert!(cluster[object]["metadata"]["name"].is_string(), "{object} of {cluster:#}");
    }
    let history = read(&world, "/clusters/default/demo/history/").await;
    assert_eq!(history[0]["Diff"], json!(["spec.numberOfInstances: one more member is added"]));

    assert_eq!(read(&world, "/workers/0/status/").await, "idle");
    assert_eq!(read(&world, "/workers/all/queue/").await["0"], json!({"Keys": [], "List": []}));
    assert!(read(&world, "/workers/0/logs/").await.is_array());
    assert!(read(&world, "/clusters/default/demo/logs/").await.is_array());
}

#[tokio::test(start_paused = true)]
async fn whoever_may_read_a_manifest_may_read_about_it_and_nobody_else() {
    let world = with_canaries().await;
    let status = async |path, token| ask(&world, path, token).await.0;
    assert_eq!(status("/status/", None).await, StatusCode::OK);
    for path in
        ["/config/", "/clusters/", "/clusters/default/demo/", "/clusters/default/demo/logs/", "/databases/"]
    {
        assert_eq!(status(path, None).await, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(status(path, Some("forged")).await, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(status(path, Some("eve@other")).await, StatusCode::FORBIDDEN, "{path}");
    }
    assert_eq!(status("/clusters/default/demo/", Some("ann@default")).await, StatusCode::OK);
    assert_eq!(
        status("/clusters/", Some("ann@default")).await,
        StatusCode::FORBIDDEN,
        "of one namespace only"
    );
    let (_, told) = ask(&world, "/clusters/default/demo/", Some("eve@other")).await;
    assert_eq!(told["error"], "user eve may not get postgresqls default/demo");
}

#[tokio::test(start_paused = true)]
async fn no_answer_holds_a_secret() {
    let world = with_canaries().await;
    for path in [
        "/config/",
        "/clusters/default/demo/",
        "/clusters/default/demo/logs/",
        "/clusters/default/demo/history/",
        "/workers/all/status/",
    ] {
        let body = read(&world, path).await.to_string();
        assert!(!body.contains(CANARY), "{path}: {body}");
    }
    let cluster = read(&world, "/clusters/default/demo/").await;
    assert_eq!(cluster["Spec"]["env"][0], json!({"name": "TOKEN", "value": "(hidden)"}));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_told_as_upstream_tells_it() {
    let world = World::with(manifest(1)).await;
    for (path, error) in [
        ("/clusters/default/other/", "could not find cluster"),
        ("/clusters/nobody/", "could not find clusters for the team"),
        ("/workers/99/status/", "could not find worker"),
        ("/debug/pprof/", "page not found"),
    ] {
        assert_eq!(
            ask(&world, path, Some("ann@*")).await,
            (StatusCode::NOT_FOUND, json!({ "error": error }))
        );
    }
}
