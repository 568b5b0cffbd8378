//! Patroni's HTTP API: the six calls the operator makes, over a tower service.
//!
//! `observe` reads with it and `step` acts with it. It decides nothing; every act names what it saw (the leader that is
//! to step down, the keys that differ), so that an act on stale knowledge is refused by Patroni instead of done twice.
//! A newcomer would not guess that `/switchover` and `/restart` answer in plain text, and only when they are done.

mod wire;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use shared::patroni::{MemberStatus, Members};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tower::ServiceExt;

use crate::metrics::Metrics;

pub use wire::{Address, BoxError, HttpPort, connect};

/// How long a question may take.
const QUESTION: Duration = Duration::from_secs(5);

/// How long an act may take. Patroni goes on with it when we have hung up; the next look sees the result.
const ACT: Duration = Duration::from_secs(60);

/// How many requests may be under way at once, over all clusters.
const IN_FLIGHT: usize = 64;

/// How much of Patroni's answer stands in an error.
const SHOWN: usize = 300;

/// A call to Patroni that did not work.
#[derive(Debug, thiserror::Error)]
pub enum PatroniError {
    /// Nobody answers there.
    #[error("could not reach Patroni at {at} for {call}")]
    Unreachable {
        /// Who was asked.
        at: Address,
        /// Method and path.
        call: &'static str,
        /// What went wrong on the way.
        source: BoxError,
    },
    /// The answer did not come in time.
    #[error("Patroni at {at} did not answer {call} within {} s", within.as_secs())]
    Deadline {
        /// Who was asked.
        at: Address,
        /// Method and path.
        call: &'static str,
        /// How long we waited.
        within: Duration,
    },
    /// Patroni said no.
    #[error("Patroni at {at} refused {call} with {status}: {body}")]
    Refused {
        /// Who was asked.
        at: Address,
        /// Method and path.
        call: &'static str,
        /// The answer's status.
        status: StatusCode,
        /// What Patroni wrote, shortened.
        body: String,
    },
    /// The answer is not what this call answers.
    #[error("could not read the answer of Patroni at {at} to {call}")]
    Answer {
        /// Who was asked.
        at: Address,
        /// Method and path.
        call: &'static str,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl PatroniError {
    /// The kind of this error, for metrics.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::Deadline { .. } => "deadline",
            Self::Refused { .. } => "refused",
            Self::Answer { .. } => "answer",
        }
    }
}

/// One of the six calls.
struct Call {
    name: &'static str,
    method: Method,
    path: &'static str,
    body: Option<Value>,
    within: Duration,
}

impl Call {
    /// A question: no body, a short deadline.
    fn question(name: &'static str, path: &'static str) -> Self {
        Self { name, method: Method::GET, path, body: None, within: QUESTION }
    }

    /// An act: it may take longer.
    fn act(name: &'static str, path: &'static str, body: Value) -> Self {
        Self { name, method: Method::POST, path, body: Some(body), within: ACT }
    }
}

/// The client. Cheap to clone; all clones share the limit of requests under way.
#[derive(Clone)]
pub struct Patroni {
    port: HttpPort,
    metrics: Metrics,
    slots: Arc<Semaphore>,
}

impl Patroni {
    /// A client over the given service: [`connect`] for real, a router in tests.
    pub fn new(port: HttpPort, metrics: Metrics) -> Self {
        Self { port, metrics, slots: Arc::new(Semaphore::new(IN_FLIGHT)) }
    }

    /// Everyone who registered with the cluster, as any member knows it.
    pub async fn cluster(&self, at: &Address) -> Result<Members, PatroniError> {
        self.read(at, Call::question("GET /cluster", "/cluster")).await
    }

    /// The dynamic configuration. Refused with 502 while the cluster has none yet.
    pub async fn config(&self, at: &Address) -> Result<Value, PatroniError> {
        self.read(at, Call::question("GET /config", "/config")).await
    }

    /// Changes the dynamic configuration by a merge patch; answers with the configuration as it is now.
    pub async fn patch_config(&self, at: &Address, patch: &Value) -> Result<Value, PatroniError> {
        let body = Some(patch.clone());
        let (name, path) = ("PATCH /config", "/config");
        self.read(at, Call { name, method: Method::PATCH, path, body, within: QUESTION }).await
    }

    /// What this member knows about itself.
    pub async fn status(&self, at: &Address) -> Result<MemberStatus, PatroniError> {
        self.read(at, Call::question("GET /patroni", "/patroni")).await
    }

    /// Makes `candidate` the primary in place of `leader`; refused when `leader` does not lead any more.
    pub async fn switchover(&self, at: &Address, leader: &str, candidate: &str) -> Result<(), PatroniError> {
        let body = serde_json::json!({ "leader": leader, "candidate": candidate });
        self.call(at, Call::act("POST /switchover", "/switchover", body)).await
    }

    /// Restarts this member's Postgres, if settings wait for it; refused otherwise.
    pub async fn restart(&self, at: &Address) -> Result<(), PatroniError> {
        let body = serde_json::json!({ "restart_pending": true });
        self.call(at, Call::act("POST /restart", "/restart", body)).await
    }

    /// A call whose answer is JSON.
    async fn read<T: DeserializeOwned>(&self, at: &Address, call: Call) -> Result<T, PatroniError> {
        let name = call.name;
        self.ask(at, call, |body| {
            serde_json::from_slice(&body).map_err(|source| PatroniError::Answer {
                at: at.clone(),
                call: name,
                source,
            })
        })
        .await
    }

    /// A call whose answer says nothing more.
    async fn call(&self, at: &Address, call: Call) -> Result<(), PatroniError> {
        self.ask(at, call, |_| Ok(())).await
    }

    /// A call within its deadline, counted by what came of it, the reading of the answer included.
    async fn ask<T>(
        &self,
        at: &Address,
        call: Call,
        read: impl FnOnce(Bytes) -> Result<T, PatroniError>,
    ) -> Result<T, PatroniError> {
        let (name, within, begun) = (call.name, call.within, Instant::now());
        let answer = tokio::time::timeout(within, self.send(at, call))
            .await
            .unwrap_or_else(|_| Err(PatroniError::Deadline { at: at.clone(), call: name, within }));
        let result = answer.and_then(read);
        let outcome = result.as_ref().map(drop).map_err(PatroniError::category);
        self.metrics.requested("patroni", outcome, begun.elapsed());
        result
    }

    /// Sends the request and judges the status of the answer.
    async fn send(&self, at: &Address, call: Call) -> Result<Bytes, PatroniError> {
        let Call { name, method, path, body, within: _ } = call;
        let unreachable = |source: BoxError| PatroniError::Unreachable { at: at.clone(), call: name, source };
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{at}{path}"))
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(|error| unreachable(error.into()))?;
        let _slot = self.slots.acquire().await.map_err(|error| unreachable(error.into()))?;
        let response: Response<Bytes> = self.port.clone().oneshot(request).await.map_err(unreachable)?;
        let status = response.status();
        if status.is_success() {
            return Ok(response.into_body());
        }
        Err(PatroniError::Refused { at: at.clone(), call: name, status, body: shown(response.body()) })
    }
}

/// The beginning of what Patroni wrote, on one line.
fn shown(body: &Bytes) -> String {
    let text: String = String::from_utf8_lossy(body).split_whitespace().collect::<Vec<_>>().join(" ");
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests;
