//! A year of runs against an API server in memory: at no moment does a client distrust what is served.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may be blunt")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use certs::args::Target;
use certs::certificate::{Certificate, accepted, key_matches};
use certs::ensure::ensure;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tower::service_fn;

const HOUR: SignedDuration = SignedDuration::from_hours(1);
const SECRETS: &str = "/api/v1/namespaces/operators/secrets";
const VALIDATING: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/c";
const MUTATING: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/c";

/// Objects by path, and the number of writes after which the connection breaks.
#[derive(Default)]
struct Store {
    objects: BTreeMap<String, Value>,
    writes: usize,
    broken_after: Option<usize>,
}

impl Store {
    fn answer(&mut self, method: &Method, path: &str, body: Value) -> (StatusCode, Value) {
        if *method != Method::GET {
            if self.broken_after.is_some_and(|limit| self.writes >= limit) {
                return failure(StatusCode::CONFLICT, "Conflict");
            }
            self.writes += 1;
        }
        let path = match body["metadata"]["name"].as_str() {
            Some(name) if *method == Method::POST => format!("{path}/{name}"),
            _ => path.to_owned(),
        };
        if *method == Method::PATCH {
            let bundle = body["webhooks"][0]["clientConfig"]["caBundle"].clone();
            self.objects.get_mut(&path).unwrap()["webhooks"][0]["clientConfig"]["caBundle"] = bundle;
        } else if *method != Method::GET {
            self.objects.insert(path.clone(), body);
        }
        match self.objects.get(&path) {
            Some(object) => (StatusCode::OK, object.clone()),
            None => failure(StatusCode::NOT_FOUND, "NotFound"),
        }
    }

    fn bytes(&self, pointer: (&str, &str)) -> Vec<u8> {
        let value = self.objects.get(pointer.0).and_then(|object| object.pointer(pointer.1)).cloned();
        serde_json::from_value::<ByteString>(value.unwrap_or(json!(""))).unwrap().0
    }

    fn served(&self) -> Option<Certificate> {
        let secret = format!("{SECRETS}/tls");
        let certificate = self.bytes((&secret, "/data/tls.crt"));
        if !certificate.is_empty() {
            assert!(key_matches(&certificate, &self.bytes((&secret, "/data/tls.key"))));
        }
        Certificate::read_all(&certificate).into_iter().next()
    }

    fn trusted(&self, path: &str) -> Vec<Certificate> {
        Certificate::read_all(&self.bytes((path, "/webhooks/0/clientConfig/caBundle")))
    }
}

fn failure(code: StatusCode, reason: &str) -> (StatusCode, Value) {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code.as_u16(),
    });
    (code, status)
}

#[derive(Clone, Default)]
struct Api(Arc<Mutex<Store>>);

impl Api {
    fn installed() -> Self {
        let api = Self::default();
        for (path, kind) in [(VALIDATING, "Validating"), (MUTATING, "Mutating")] {
            let object = json!({
                "apiVersion": "admissionregistration.k8s.io/v1", "kind": format!("{kind}WebhookConfiguration"),
                "metadata": {"name": "c"},
                "webhooks": [{"name": "w.x.y", "clientConfig": {}, "sideEffects": "None", "admissionReviewVersions": ["v1"]}],
            });
            api.0.lock().unwrap().objects.insert(path.to_owned(), object);
        }
        api
    }

    fn client(&self) -> Client {
        let store = Arc::clone(&self.0);
        let service = service_fn(move |request: Request<Body>| {
            let store = Arc::clone(&store);
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let body = serde_json::from_slice(&body).unwrap_or_default();
                let (code, answer) = store.lock().unwrap().answer(&parts.method, parts.uri.path(), body);
                let answer = Body::from(answer.to_string().into_bytes());
                Ok::<_, Infallible>(Response::builder().status(code).body(answer).unwrap())
            }
        });
        Client::new(service, "operators")
    }
}

fn target() -> Target {
    Target {
        namespace: "operators".to_owned(),
        secret: "tls".to_owned(),
        authority_secret: None,
        service: "webhook".to_owned(),
        validating_webhook_configuration: vec!["c".to_owned()],
        mutating_webhook_configuration: vec!["c".to_owned()],
        lifetime_days: 30,
        dns_name: Vec::new(),
        settling_seconds: 120,
    }
}

fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

#[tokio::test]
async fn the_first_run_goes_all_the_way_and_the_second_changes_nothing() {
    let api = Api::installed();
    ensure(&api.client(), &target(), start()).await.unwrap();
    let before = {
        let store = api.0.lock().unwrap();
        let leaf = store.served().unwrap();
        for path in [VALIDATING, MUTATING] {
            assert!(accepted(&leaf, &store.trusted(path), &target().names(), start()));
        }
        store.writes
    };
    ensure(&api.client(), &target(), start() + HOUR).await.unwrap();
    assert_eq!(api.0.lock().unwrap().writes, before);
}

#[tokio::test]
async fn in_a_year_of_runs_no_client_ever_distrusts_what_is_served() {
    let api = Api::installed();
    let (client, target) = (api.client(), target());
    let mut previous = None;
    let mut leaves = std::collections::BTreeSet::new();
    let mut authorities = std::collections::BTreeSet::new();
    for hour in (0..365 * 24).step_by(12) {
        let now = start() + HOUR * hour;
        ensure(&client, &target, now).await.unwrap();
        let store = api.0.lock().unwrap();
        let leaf = store.served().unwrap();
        for path in [VALIDATING, MUTATING] {
            let trusted = store.trusted(path);
            assert!(accepted(&leaf, &trusted, &target.names(), now), "hour {hour}: new leaf distrusted");
            // A replica may still serve the leaf of the run before this one.
            if let Some(previous) = &previous {
                assert!(
                    accepted(previous, &trusted, &target.names(), now),
                    "hour {hour}: old leaf distrusted"
                );
            }
            authorities.extend(trusted.into_iter().map(|authority| authority.subject));
        }
        leaves.insert(leaf.subject.clone());
        previous = Some(leaf);
    }
    assert_eq!(authorities.len(), 5, "one at the start, a successor every 80 days");
    assert!(leaves.len() >= 18, "a leaf lives 20 days: {}", leaves.len());
    assert_eq!(api.0.lock().unwrap().trusted(VALIDATING).len(), 1, "no old authority is left over");
}

#[tokio::test]
async fn a_run_that_dies_before_any_write_is_finished_by_the_next() {
    // 2,000 hours hold the installation, three renewals and one change of authority.
    for broken_after in 0..12 {
        let api = Api::installed();
        api.0.lock().unwrap().broken_after = Some(broken_after);
        let mut failed = 0;
        for hour in (0..2200).step_by(20) {
            let now = start() + HOUR * hour;
            if ensure(&api.client(), &target(), now).await.is_err() {
                api.0.lock().unwrap().broken_after = None;
                failed += 1;
                continue;
            }
            let store = api.0.lock().unwrap();
            let leaf = store.served().unwrap();
            assert!(
                accepted(&leaf, &store.trusted(MUTATING), &target().names(), now),
                "{broken_after}, {hour}"
            );
        }
        assert_eq!(failed, 1, "write {broken_after} was never reached");
    }
}
