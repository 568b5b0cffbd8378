//! Patroni's HTTP API on the address of one pod.

use std::io;
use std::net::Ipv4Addr;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use kube::Client;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

use super::kubelet;
use super::members::{Members, Place};

/// Where Patroni listens in every pod.
const PORT: u16 = 8008;

/// One member and all that it knows.
#[derive(Clone)]
pub(super) struct Member {
    pub(super) members: Members,
    pub(super) place: Place,
    pub(super) client: Client,
}

/// Answers at an address until aborted.
pub(super) async fn serve(
    member: Member,
    address: Ipv4Addr,
    tasks: &mut JoinSet<()>,
) -> io::Result<AbortHandle> {
    let listener = TcpListener::bind((address, PORT)).await?;
    let router = Router::new()
        .route("/cluster", get(async |State(at): State<Member>| Json(at.members.described(&at.place))))
        .route("/config", get(configuration).patch(patch))
        .route("/patroni", get(async || Json(json!({"state": "running", "role": "primary", "timeline": 1}))))
        .route("/switchover", post(switch_over))
        .route("/restart", post(async || "restarted successfully"))
        .with_state(member);
    Ok(tasks.spawn(async move {
        let _ = axum::serve(listener, router).await; // it has no end of its own
    }))
}

async fn configuration(State(at): State<Member>) -> Json<Value> {
    Json(at.members.configuration(&at.place, None))
}

async fn patch(State(at): State<Member>, Json(patch): Json<Value>) -> Json<Value> {
    Json(at.members.configuration(&at.place, Some(&patch)))
}

async fn switch_over(State(at): State<Member>, Json(wish): Json<Value>) -> (StatusCode, &'static str) {
    let name = |key: &str| wish.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (leader, candidate) = (name("leader"), name("candidate"));
    if !at.members.switch_over(&at.place, &leader, &candidate) {
        return (StatusCode::PRECONDITION_FAILED, "leader or candidate does not match");
    }
    for (member, leads) in [(leader, false), (candidate, true)] {
        if let Err(error) = kubelet::label(&at.client, &at.place, &member, leads).await {
            tracing::warn!(%error, member, "could not write the role");
        }
    }
    (StatusCode::OK, "Successfully switched over")
}
