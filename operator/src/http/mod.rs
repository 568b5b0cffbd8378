//! The plain HTTP server: probes for Kubernetes, figures for Prometheus, and upstream's REST API ([`RestApi`]).
//!
//! `main` starts it before anything else. Alive means that the process can answer; ready means that it has read the
//! configuration and the stores. A standby that waits for the lease is ready, too, or a rolling update of the operator
//! itself would never end.

mod access;
mod api;
mod question;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use shared::config::OperatorConfig;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::metrics::{self, Metrics};

pub use api::{RestApi, routes};

/// Whether the operator is ready. All clones share the answer.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// The operator is ready from now on, or is not any more.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    /// Whether it is.
    fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The paths and their answers.
pub fn router(readiness: Readiness, metrics: Metrics, api: RestApi) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready).with_state(readiness))
        .route("/metrics", get(figures).with_state(metrics))
        .merge(routes(api))
}

/// Serves the REST API at the port of the configuration, wherever that moves to. At `own` it is served already.
pub async fn follow_port(api: RestApi, own: u16, mut config: watch::Receiver<Arc<OperatorConfig>>) {
    loop {
        let port = config.borrow_and_update().logging_rest_api.api_port;
        let mut later = config.clone();
        let moved = async move {
            let differs = |config: &Arc<OperatorConfig>| config.logging_rest_api.api_port != port;
            if later.wait_for(differs).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        if port == own {
            moved.await;
            continue;
        }
        let served = match TcpListener::bind(("::", port)).await {
            Ok(listener) => serve(listener, routes(api.clone()), moved).await,
            Err(error) => Err(error),
        };
        if let Err(error) = served {
            tracing::warn!(%error, port, "cannot serve the REST API at api_port");
            tokio::time::sleep(AGAIN).await;
        }
    }
}

/// The pause after a port could not be had.
const AGAIN: std::time::Duration = std::time::Duration::from_secs(30);

/// Serves until `stop` resolves, then answers what is under way and ends.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}

/// `GET /readyz`.
async fn ready(State(readiness): State<Readiness>) -> impl IntoResponse {
    if readiness.get() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the configuration and the stores are not read yet\n")
    }
}

/// `GET /metrics`.
async fn figures(State(metrics): State<Metrics>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics.text())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    async fn get(router: Router, path: &str) -> (StatusCode, String) {
        let answer = router.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn it_is_alive_before_it_is_ready() {
        let readiness = Readiness::default();
        let router = router(readiness.clone(), Metrics::default(), RestApi::default());
        assert_eq!(get(router.clone(), "/healthz").await.0, StatusCode::OK);
        assert_eq!(get(router.clone(), "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
        readiness.set(true);
        assert_eq!(get(router, "/readyz").await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn the_figures_end_as_open_metrics_demands() {
        let (status, text) =
            get(router(Readiness::default(), Metrics::default(), RestApi::default()), "/metrics").await;
        assert_eq!(status, StatusCode::OK);
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    #[tokio::test]
    async fn the_rest_api_stands_beside_the_probes_and_waits_for_the_stores() {
        let router = router(Readiness::default(), Metrics::default(), RestApi::default());
        let (status, body) = get(router.clone(), "/clusters/").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(body, r#"{"error":"the configuration and the stores are not read yet"}"#);
        assert_eq!(get(router, "/nowhere").await.0, StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn the_rest_api_moves_with_its_port() {
        let free = async || TcpListener::bind("[::]:0").await.unwrap().local_addr().unwrap().port();
        let (first, second) = (free().await, free().await);
        let at = |port| {
            let mut config = OperatorConfig::default();
            config.logging_rest_api.api_port = port;
            Arc::new(config)
        };
        let (sender, receiver) = watch::channel(at(first));
        let following = tokio::spawn(follow_port(RestApi::default(), 1, receiver));
        let answers = async |port: u16| {
            while tokio::net::TcpStream::connect(("::1", port)).await.is_err() {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        let soon = std::time::Duration::from_secs(60);
        tokio::time::timeout(soon, answers(first)).await.unwrap();
        sender.send_replace(at(second));
        tokio::time::timeout(soon, answers(second)).await.unwrap();
        following.abort();
    }

    #[tokio::test]
    async fn it_stops_when_asked_to() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let router = router(Readiness::default(), Metrics::default(), RestApi::default());
        let server = tokio::spawn(serve(listener, router, async { stopped.await.unwrap_or(()) }));
        stop.send(()).unwrap();
        server.await.unwrap().unwrap();
    }
}
