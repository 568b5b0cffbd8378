//! Requests and answers as Patroni 3.x and 4.x write them, over the same kind of service as the real ones.

use axum::Router;
use axum::body::Body;
use axum::extract::Json;
use axum::routing::{get, post};
use http_body_util::BodyExt;
use serde_json::json;
use shared::patroni::{Lag, MemberRole, MemberState};
use tower::util::BoxCloneSyncService;

use super::*;

/// A client whose every request goes to the router.
fn patroni(router: Router) -> Patroni {
    let port = BoxCloneSyncService::new(tower::service_fn(move |request: Request<Bytes>| {
        let router = router.clone();
        async move {
            let (head, body) = router.oneshot(request.map(Body::from)).await?.into_parts();
            Ok::<_, BoxError>(Response::from_parts(head, body.collect().await?.to_bytes()))
        }
    }));
    Patroni::new(port, Metrics::default())
}

fn at() -> Address {
    Address::of_pod("10.2.0.7")
}

const CLUSTER_3: &str = r#"{"members": [
  {"name": "demo-0", "role": "leader", "state": "running", "api_url": "http://10.2.0.7:8008/patroni",
   "host": "10.2.0.7", "port": 5432, "timeline": 1},
  {"name": "demo-1", "role": "sync_standby", "state": "running", "api_url": "http://10.2.0.8:8008/patroni",
   "host": "10.2.0.8", "port": 5432, "timeline": 1, "pending_restart": true, "lag": 0},
  {"name": "demo-2", "role": "replica", "state": "creating replica", "api_url": "http://10.2.0.9:8008/patroni",
   "host": "10.2.0.9", "port": 5432, "lag": "unknown"}]}"#;

const CLUSTER_4: &str = r#"{"members": [
  {"name": "demo-0", "role": "leader", "state": "running", "api_url": "http://10.2.0.7:8008/patroni",
   "host": "10.2.0.7", "port": 5432, "timeline": 2, "pending_restart": true,
   "pending_restart_reason": {"max_connections": {"old_value": "100", "new_value": "50"}}},
  {"name": "demo-1", "role": "quorum_standby", "state": "streaming", "api_url": "http://10.2.0.8:8008/patroni",
   "host": "10.2.0.8", "port": 5432, "timeline": 2, "tags": {"clonefrom": true}, "receive_lag": 0,
   "receive_lsn": "0/5000060", "replay_lag": 16, "replay_lsn": "0/5000050", "lag": 16, "lsn": "0/5000050"}],
  "scope": "demo", "pause": true}"#;

#[tokio::test]
async fn the_members_of_patroni_3_are_read() {
    let patroni = patroni(Router::new().route("/cluster", get(async || CLUSTER_3)));
    let members = patroni.cluster(&at()).await.unwrap();
    assert!(!members.pause);
    assert_eq!(members.leader().unwrap().name, "demo-0");
    let sync = members.get("demo-1").unwrap();
    assert_eq!(sync.role, MemberRole::SyncStandby);
    assert!(sync.pending_restart && sync.is_streaming());
    let copy = members.get("demo-2").unwrap();
    assert_eq!((&copy.state, copy.lag()), (&MemberState::CreatingReplica, Lag::Unknown));
}

#[tokio::test]
async fn the_members_of_patroni_4_are_read() {
    let patroni = patroni(Router::new().route("/cluster", get(async || CLUSTER_4)));
    let members = patroni.cluster(&at()).await.unwrap();
    assert!(members.pause);
    let leader = members.leader().unwrap();
    assert_eq!(leader.pending_restart_reason["max_connections"].new_value.as_deref(), Some("50"));
    let replica = members.get("demo-1").unwrap();
    assert_eq!((&replica.role, replica.lag()), (&MemberRole::QuorumStandby, Lag::Bytes(16)));
    assert!(replica.is_healthy());
}

#[tokio::test]
async fn a_member_says_master_in_one_version_and_primary_in_the_next() {
    for (role, version) in [("master", "3.3.2"), ("primary", "4.0.4")] {
        let body = json!({
            "state": "running", "postmaster_start_time": "2026-11-22 10:00:00.123456+00:00", "role": role,
            "server_version": 170_011, "xlog": {"location": 83_886_176}, "timeline": 1,
            "replication": [{"usename": "standby", "application_name": "demo-1", "client_addr": "10.2.0.8",
                "state": "streaming", "sync_state": "async", "sync_priority": 0}],
            "dcs_last_seen": 1_795_342_811, "database_system_identifier": "7575364567181213732",
            "patroni": {"version": version, "scope": "demo", "name": "demo-0"},
        });
        let patroni = patroni(Router::new().route("/patroni", get(async move || Json(body))));
        let status = patroni.status(&at()).await.unwrap();
        assert_eq!(status.role, MemberRole::Leader);
        assert_eq!(status.server_version, Some(170_011));
        assert!(!status.pending_restart && !status.cluster_unlocked);
    }
}

#[tokio::test]
async fn a_patch_is_sent_as_it_is_and_the_new_configuration_comes_back() {
    async fn patch(Json(patch): Json<Value>) -> Json<Value> {
        assert_eq!(patch, json!({"ttl": 20}));
        Json(json!({"ttl": 20, "loop_wait": 10}))
    }
    let patroni = patroni(Router::new().route("/config", axum::routing::patch(patch)));
    let config = patroni.patch_config(&at(), &json!({"ttl": 20})).await.unwrap();
    assert_eq!(config["loop_wait"], 10);
}

#[tokio::test]
async fn a_cluster_without_configuration_refuses_to_show_one() {
    // Python's `send_error` writes a page.
    let page = "<!DOCTYPE HTML>\n<html lang=\"en\">\n  <title>Error response</title>\n</html>";
    let router = Router::new().route("/config", get(async move || (StatusCode::BAD_GATEWAY, page)));
    let error = patroni(router).config(&at()).await.unwrap_err();
    assert_eq!(error.category(), "refused");
    assert!(error.to_string().contains("GET /config with 502 Bad Gateway: <!DOCTYPE HTML> <html"), "{error}");
}

#[tokio::test]
async fn a_switchover_names_both_sides_and_its_answer_is_text() {
    async fn switchover(Json(body): Json<Value>) -> (StatusCode, &'static str) {
        assert_eq!(body["candidate"], "demo-1");
        match body["leader"].as_str() {
            Some("demo-0") => (StatusCode::OK, "Successfully switched over to \"demo-1\""),
            _ => (StatusCode::PRECONDITION_FAILED, "leader name does not match"),
        }
    }
    let patroni = patroni(Router::new().route("/switchover", post(switchover)));
    patroni.switchover(&at(), "demo-0", "demo-1").await.unwrap();
    let error = patroni.switchover(&at(), "demo-2", "demo-1").await.unwrap_err();
    assert!(error.to_string().ends_with("412 Precondition Failed: leader name does not match"), "{error}");
}

#[tokio::test]
async fn a_restart_is_asked_for_only_when_settings_wait() {
    async fn restart(Json(body): Json<Value>) -> (StatusCode, &'static str) {
        assert_eq!(body, json!({"restart_pending": true}));
        (StatusCode::SERVICE_UNAVAILABLE, "restart conditions are not satisfied")
    }
    let error = patroni(Router::new().route("/restart", post(restart))).restart(&at()).await.unwrap_err();
    assert!(error.to_string().contains("restart conditions are not satisfied"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_member_that_never_answers_costs_its_deadline_and_no_more() {
    let router = Router::new().route("/cluster", get(async || std::future::pending::<()>().await));
    let began = tokio::time::Instant::now();
    let error = patroni(router).cluster(&at()).await.unwrap_err();
    assert_eq!(error.category(), "deadline");
    assert_eq!(began.elapsed(), QUESTION);
}

#[tokio::test]
async fn an_answer_that_is_no_json_is_an_error_of_its_own() {
    let router = Router::new().route("/cluster", get(async || "not yet"));
    assert_eq!(patroni(router).cluster(&at()).await.unwrap_err().category(), "answer");
}

#[tokio::test]
async fn the_real_way_reaches_a_real_socket_and_reports_a_closed_one() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let here = listener.local_addr().unwrap();
    let router = Router::new().route("/cluster", get(async || CLUSTER_4));
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let patroni = Patroni::new(connect(), Metrics::default());
    let address = Address::new("127.0.0.1", here.port());
    assert_eq!(patroni.cluster(&address).await.unwrap().members.len(), 2);
    server.abort();
    let _ = server.await;
    assert_eq!(patroni.cluster(&address).await.unwrap_err().category(), "unreachable");
}
