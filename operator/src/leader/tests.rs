//! Candidates over a small API server in memory, in virtual time.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::json;

use k8s_openapi::api::coordination::v1::Lease;
use tokio::time::{Instant, sleep, timeout};

use super::*;

/// An API server that knows one lease.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    lease: Option<Lease>,
    version: u64,
    calls: Vec<Method>,
    down: bool,
}

impl Server {
    fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let server = server.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await?.to_bytes();
                let (code, answer) = server.answer(&head.method, head.uri.path().ends_with("leases"), &body);
                let response = Response::builder().status(code).body(Full::new(Bytes::from(answer)));
                Ok::<_, tower::BoxError>(response?)
            }
        });
        Client::new(service, "default")
    }

    fn answer(&self, method: &Method, is_list: bool, body: &[u8]) -> (StatusCode, Vec<u8>) {
        let mut state = self.0.lock().unwrap();
        if !is_list {
            state.calls.push(method.clone());
        }
        let refuse = |code: StatusCode| {
            let reason = code.canonical_reason().unwrap().replace(" ", "");
            let status = json!({"kind": "Status", "metadata": {}, "status": "Failure", "code": code.as_u16(),
                "message": "refused", "reason": reason});
            (code, serde_json::to_vec(&status).unwrap())
        };
        if state.down {
            return refuse(StatusCode::INTERNAL_SERVER_ERROR);
        }
        if method == Method::GET && is_list {
            return refuse(StatusCode::FORBIDDEN); // an old role: the lease is read from time to time
        }
        if method == Method::GET {
            return match &state.lease {
                Some(lease) => (StatusCode::OK, serde_json::to_vec(lease).unwrap()),
                None => refuse(StatusCode::NOT_FOUND),
            };
        }
        let mut written: Lease = serde_json::from_slice(body).unwrap();
        let current = state.lease.as_ref().and_then(|lease| lease.metadata.resource_version.clone());
        if written.metadata.resource_version != current {
            return refuse(StatusCode::CONFLICT);
        }
        state.version += 1;
        written.metadata.resource_version = Some(state.version.to_string());
        state.lease = Some(written);
        (StatusCode::OK, serde_json::to_vec(&state.lease).unwrap())
    }

    fn holder(&self) -> Option<String> {
        let state = self.0.lock().unwrap();
        state.lease.clone()?.spec?.holder_identity
    }

    fn set_holder(&self, holder: &str) {
        let mut state = self.0.lock().unwrap();
        state.version += 1;
        let version = state.version.to_string();
        let lease = state.lease.get_or_insert_default();
        lease.metadata.resource_version = Some(version);
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = Some(holder.to_owned());
        spec.lease_duration_seconds = Some(8);
    }

    fn set_down(&self, down: bool) {
        self.0.lock().unwrap().down = down;
    }

    fn take_calls(&self) -> Vec<Method> {
        std::mem::take(&mut self.0.lock().unwrap().calls)
    }

    fn candidate(&self, identity: &str) -> Leadership {
        Leadership::start(self.client(), Candidacy::new("default", "operator", identity), None)
    }
}

#[tokio::test(start_paused = true)]
async fn a_free_lease_is_taken_at_once() {
    let server = Server::default();
    let mut one = server.candidate("one");
    one.acquired().await.unwrap();
    assert_eq!(server.holder().as_deref(), Some("one"));
    assert!(one.view().until.is_some());
}

#[tokio::test(start_paused = true)]
async fn at_rest_the_leader_writes_and_never_reads() {
    let server = Server::default();
    let mut one = server.candidate("one");
    one.acquired().await.unwrap();
    server.take_calls();
    sleep(Duration::from_secs(61)).await;
    let calls = server.take_calls();
    assert_eq!(calls.len(), 30);
    assert!(calls.iter().all(|method| *method == Method::PUT), "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn the_next_one_leads_as_soon_as_the_lease_is_given_back() {
    let server = Server::default();
    let mut one = server.candidate("one");
    one.acquired().await.unwrap();
    let mut two = server.candidate("two");
    sleep(Duration::from_secs(60)).await;
    assert!(two.view().until.is_none());
    one.release().await.unwrap();
    let began = Instant::now();
    two.acquired().await.unwrap();
    assert!(began.elapsed() <= Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(server.holder().as_deref(), Some("two"));
}

#[tokio::test(start_paused = true)]
async fn a_silent_holder_is_replaced_after_its_duration_by_our_own_clock() {
    let server = Server::default();
    server.set_holder("dead");
    let began = Instant::now();
    let mut one = server.candidate("one");
    one.acquired().await.unwrap();
    let waited = began.elapsed();
    assert!(waited >= Duration::from_secs(8) && waited < Duration::from_secs(10), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_renew_gives_up_before_anybody_may_take_over() {
    let server = Server::default();
    let mut one = server.candidate("one");
    one.acquired().await.unwrap();
    server.set_down(true);
    let began = Instant::now();
    let error = one.lost().await;
    assert!(matches!(error, LeaderError::Expired { .. }), "{error}");
    assert!(began.elapsed() < Patience::default().duration, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_short_outage_costs_nothing() {
    let server = Server::default();
    let mut one = server.candidate("one");
    one.acquired().await.unwrap();
    server.set_down(true);
    sleep(Duration::from_secs(5)).await;
    server.set_down(false);
    assert!(timeout(Duration::from_secs(60), one.lost()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_lease_in_other_hands_is_lost_at_once() {
    let server = Server::default();
    let mut one = server.candidate("one");
    one.acquired().await.unwrap();
    server.set_holder("two");
    assert!(matches!(one.lost().await, LeaderError::Taken { holder, .. } if holder == "two"));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_lease_is_made_again() {
    let server = Server::default();
    let mut one = server.candidate("one");
    one.acquired().await.unwrap();
    server.0.lock().unwrap().lease = None;
    sleep(Duration::from_secs(10)).await;
    assert_eq!(server.holder().as_deref(), Some("one"));
    assert!(timeout(Duration::from_secs(10), one.lost()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_candidate_that_waits_can_be_stopped() {
    let server = Server::default();
    server.set_holder("other");
    let one = server.candidate("one");
    sleep(Duration::from_secs(5)).await;
    one.release().await.unwrap();
    assert_eq!(server.holder().as_deref(), Some("other"));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_disappears_is_left_to_its_holder_for_its_duration() {
    let server = Server::default();
    server.set_holder("other");
    let mut one = server.candidate("one");
    sleep(Duration::from_secs(5)).await;
    server.0.lock().unwrap().lease = None;
    let began = Instant::now();
    one.acquired().await.unwrap();
    assert!(began.elapsed() >= Patience::default().duration, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_joint_lease_is_held_by_several_and_never_given_back() {
    let server = Server::default();
    let joint = |client| {
        let candidacy = Candidacy { joint: true, ..Candidacy::new("default", "operator", "4-shards") };
        Leadership::start(client, candidacy, None)
    };
    let (mut one, mut two) = (joint(server.client()), joint(server.client()));
    one.acquired().await.unwrap();
    two.acquired().await.unwrap();
    let mut other = server.candidate("alone");
    assert!(timeout(Duration::from_secs(60), other.acquired()).await.is_err());
    one.release().await.unwrap();
    assert!(timeout(Duration::from_secs(60), other.acquired()).await.is_err());
    two.release().await.unwrap();
    other.acquired().await.unwrap();
}
