//! The two routers: reviews (behind TLS) and probes (plain). Everything between HTTP and the verdict is here.
//!
//! What cannot be judged is answered with an HTTP error and a Kubernetes `Status`, not with a refusal: the API server
//! then applies the failure policy and shows our words. axum's own body limit of 2 MB is below what the API server
//! may send (an object of 3 MB, twice, escaped), and a 413 would look like an unexplained denial.

use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use axum::extract::{DefaultBodyLimit, FromRequest as _, Request as HttpRequest, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, body::Bytes};
use jiff::Timestamp;
use kube::core::Status;
use kube::core::response::StatusSummary;
use tokio::sync::{Semaphore, watch};
use tower::util::MapResponseLayer;
use tracing::{debug, error};

use crate::answer::{Answer, Verdict};
use crate::configuration::{Current, Source};
use crate::metrics::Metrics;
use crate::mutate::mutate;
use crate::review::Request;
use crate::surroundings::World;
use crate::validate::{Circumstances, validate};

/// The largest review the API server sends.
const BODY_LIMIT: usize = 7 * 1024 * 1024;
/// The API server waits five seconds for a manifest; a body that takes longer will not be missed.
const BODY_TIME: Duration = Duration::from_secs(5);
/// It waits fifteen for a configuration, whose effects on all clusters are told.
const JUDGING_TIME: Duration = Duration::from_secs(15);

/// What the routes share.
#[derive(Clone)]
pub struct App {
    /// The configuration in force.
    pub configuration: Current,
    /// Where it comes from.
    pub source: Arc<Source>,
    /// Whether the process is about to stop.
    pub draining: watch::Receiver<bool>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// What stands around manifests in Kubernetes.
    pub world: Arc<World>,
    /// The clock; a function, so tests can choose the day.
    pub clock: fn() -> Timestamp,
}

/// What is asked.
#[derive(Clone, Copy)]
enum Webhook {
    Mutate,
    Validate,
}

impl Webhook {
    fn label(self) -> &'static str {
        match self {
            Self::Mutate => "mutate",
            Self::Validate => "validate",
        }
    }
}

/// What the API server calls.
pub fn reviews(app: App) -> Router {
    let app = Arc::new(app);
    let told = Arc::clone(&app);
    Router::new()
        .route("/mutate", post(|state, request| answer(Webhook::Mutate, state, request)))
        .route("/validate", post(|state, request| answer(Webhook::Validate, state, request)))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(MapResponseLayer::new(move |response| close_when_draining(&told, response)))
        .with_state(app)
}

/// What the kubelet and Prometheus call.
pub fn probes(app: App) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Arc::new(app))
}

async fn ready(State(app): State<Arc<App>>) -> Response {
    if *app.draining.borrow() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping").into_response();
    }
    if app.configuration.borrow().is_none() {
        return (StatusCode::SERVICE_UNAVAILABLE, "no valid configuration has been read yet").into_response();
    }
    "ok".into_response()
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], app.metrics.text()).into_response()
}

/// Tells the API server to open its next connection elsewhere: it keeps connections for as long as it can.
fn close_when_draining(app: &App, mut response: Response) -> Response {
    if *app.draining.borrow() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn answer(webhook: Webhook, State(app): State<Arc<App>>, request: HttpRequest) -> Response {
    let began = Instant::now();
    let (operation, outcome, response) =
        match tokio::time::timeout(BODY_TIME, Bytes::from_request(request, &())).await {
            Ok(Ok(body)) => match tokio::time::timeout(JUDGING_TIME, judge(webhook, &app, &body)).await {
                Ok(judged) => judged,
                Err(_) => ("unknown", "late", late("the review could not be judged in time")),
            },
            Ok(Err(rejection)) => {
                ("unknown", "bad", failure(rejection.status(), "BadRequest", &rejection.body_text()))
            }
            Err(_) => ("unknown", "bad", late("the body did not arrive in time")),
        };
    app.metrics.reviewed(webhook.label(), operation, outcome, began.elapsed());
    response
}

fn late(words: &str) -> Response {
    failure(StatusCode::REQUEST_TIMEOUT, "Timeout", words)
}

/// The operation and outcome for the metrics, and the response.
async fn judge(webhook: Webhook, app: &App, body: &[u8]) -> (&'static str, &'static str, Response) {
    let request = match Request::read(body) {
        Ok(request) => request,
        Err(error) => {
            return ("unknown", "bad", failure(StatusCode::BAD_REQUEST, "BadRequest", &error.to_string()));
        }
    };
    let operation = request.operation_label();
    let Some(config) = app.configuration.borrow().clone() else {
        let words = "the webhook has not read a valid operator configuration yet";
        let response = failure(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", words);
        return (operation, "unready", response);
    };
    let (source, world, now) = (Arc::clone(&app.source), Arc::clone(&app.world), (app.clock)());
    let builds = matches!(webhook, Webhook::Validate) && request.is_preview();
    let metrics = Arc::clone(&app.metrics);
    let decide = move || {
        let circumstances = Circumstances { config: &config, source: &source, now, world: &world };
        let verdict = match webhook {
            Webhook::Mutate => mutate(&request, &config),
            Webhook::Validate => validate(&request, &circumstances),
        };
        let verdict = verdict.under(&world.policy, &request);
        let outcome = verdict.label();
        if let Verdict::Denied(errors) = &verdict {
            metrics.refused(errors);
        }
        debug!(kind = request.kind.kind, namespace = request.namespace, operation, outcome, "reviewed");
        Answer::new(&request, verdict).map(|answer| (outcome, answer))
    };
    match finished(decide, builds).await {
        Some(Ok((outcome, answer))) => (operation, outcome, Json(answer).into_response()),
        Some(Err(error)) => {
            error!(%error, "could not write an answer");
            (operation, "failed", internal("could not write the answer"))
        }
        None => {
            error!(operation, "a check did not finish");
            (operation, "failed", internal("a check of the webhook did not finish; its log says which"))
        }
    }
}

/// Previews that are built at once: more than there are cores would take memory and make each of them slower.
static PREVIEWS: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(available_parallelism().map_or(1, NonZero::get)));

/// Runs a decision to its end; a check that panics costs an answer, not the connection and its other requests.
///
/// Checks take some ten microseconds, less than the way to another thread and back. A preview builds clusters and gets
/// a thread of its own, so that it holds up nobody else.
async fn finished<T: Send + 'static>(decide: impl FnOnce() -> T + Send + 'static, builds: bool) -> Option<T> {
    if builds {
        let turn = PREVIEWS.acquire().await.ok()?;
        let decide = move || {
            let _turn = turn;
            decide()
        };
        tokio::task::spawn_blocking(decide).await.ok()
    } else {
        catch_unwind(AssertUnwindSafe(decide)).ok()
    }
}

fn internal(words: &str) -> Response {
    failure(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", words)
}

/// An HTTP error in the form whose message the API server passes on.
fn failure(code: StatusCode, reason: &str, words: &str) -> Response {
    let status = Status {
        status: Some(StatusSummary::Failure),
        code: code.as_u16(),
        message: words.to_owned(),
        reason: reason.to_owned(),
        metadata: None,
        details: None,
    };
    let mut body = serde_json::to_value(status).unwrap_or_default();
    if let Some(body) = body.as_object_mut() {
        body.insert("apiVersion".to_owned(), "v1".into());
        body.insert("kind".to_owned(), "Status".into());
    }
    (code, Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_check_that_panics_costs_its_answer_alone() {
        for builds in [false, true] {
            assert_eq!(finished(|| -> i32 { panic!("a mistake of ours") }, builds).await, None);
            assert_eq!(finished(|| 1, builds).await, Some(1));
        }
    }
}
