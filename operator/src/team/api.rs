//! One question to the Teams API: `GET <url>/teams/<team>` with a bearer token.
//!
//! Surprising: an answer without a list of members is an error and not an empty team, because an empty team would cost
//! people their roles.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use shared::roles::team::Answer;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use crate::patroni::{BoxError, HttpPort};

/// How long a connection may take, and how long the whole question.
const CONNECT: Duration = Duration::from_secs(3);
const QUESTION: Duration = Duration::from_secs(5);

/// The longest answer that is read.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// A question that was not answered.
#[derive(Debug, thiserror::Error)]
pub enum TeamsError {
    /// The Secret with the token could not be read.
    #[error("could not read Secret {secret} with the token of the Teams API")]
    Secret {
        /// Namespace and name.
        secret: String,
        /// What the client says.
        source: Box<kube::Error>,
    },
    /// There is no usable token in it.
    #[error(
        "Secret {secret} holds no token for the Teams API; write read-only-token-type: Bearer and read-only-token-secret"
    )]
    Token {
        /// Namespace and name.
        secret: String,
    },
    /// The question could not be put, or nobody answered.
    #[error("could not reach the Teams API about team {team:?}")]
    Unreachable {
        /// Who was asked about.
        team: String,
        /// What went wrong on the way.
        source: BoxError,
    },
    /// The answer did not come in time.
    #[error("the Teams API did not answer about team {team:?} within {} s", QUESTION.as_secs())]
    Deadline {
        /// Who was asked about.
        team: String,
    },
    /// The API said no.
    #[error("the Teams API answered {status} about team {team:?}")]
    Refused {
        /// Who was asked about.
        team: String,
        /// The answer's status.
        status: StatusCode,
    },
    /// The answer is not a team.
    #[error("the Teams API's answer about team {team:?} has no list \"member\" of names")]
    Answer {
        /// Who was asked about.
        team: String,
    },
}

impl TeamsError {
    /// The kind of this error, for metrics.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Secret { .. } => "secret",
            Self::Token { .. } => "token",
            Self::Unreachable { .. } => "unreachable",
            Self::Deadline { .. } => "deadline",
            Self::Refused { .. } => "refused",
            Self::Answer { .. } => "answer",
        }
    }
}

/// A bearer token. No form of it shows it.
#[derive(Clone)]
pub struct Token(HeaderValue);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// The token, if it is one to bear.
    pub fn new(kind: Option<&str>, secret: Option<String>) -> Option<Self> {
        let secret = secret.filter(|_| kind.is_some_and(|kind| kind.trim() == "Bearer"))?;
        let secret = secret.trim();
        let mut value = HeaderValue::from_str(&format!("Bearer {secret}")).ok()?;
        value.set_sensitive(true);
        (!secret.is_empty()).then_some(Self(value))
    }
}

/// What upstream's API answers; other keys are not read.
#[derive(Deserialize)]
struct Team {
    member: Vec<String>,
}

/// The members of a team.
pub(super) async fn members(
    port: &HttpPort,
    url: &str,
    team: &str,
    token: &Token,
) -> Result<Answer, TeamsError> {
    let late = |_| TeamsError::Deadline { team: team.to_owned() };
    tokio::time::timeout(QUESTION, ask(port, url, team, token)).await.unwrap_or_else(|error| Err(late(error)))
}

async fn ask(port: &HttpPort, url: &str, team: &str, token: &Token) -> Result<Answer, TeamsError> {
    let name = || team.to_owned();
    if matches!(team, "." | "..") {
        return Ok(Answer::NoSuchTeam); // it would be another address
    }
    let unreachable = |source: BoxError| TeamsError::Unreachable { team: name(), source };
    let request = Request::get(format!("{}/teams/{}", url.trim_end_matches('/'), in_path(team)))
        .header(AUTHORIZATION, token.0.clone())
        .header(ACCEPT, "application/json")
        .body(Bytes::new())
        .map_err(|error| unreachable(error.into()))?;
    let response = port.clone().oneshot(request).await.map_err(unreachable)?;
    match response.status() {
        StatusCode::NOT_FOUND => Ok(Answer::NoSuchTeam),
        status if status.is_success() => {
            let team: Team =
                serde_json::from_slice(response.body()).map_err(|_| TeamsError::Answer { team: name() })?;
            Ok(Answer::Members(team.member))
        }
        status => Err(TeamsError::Refused { team: name(), status }),
    }
}

/// A text as one part of an address (RFC 3986: only unreserved characters as they are).
fn in_path(text: &str) -> String {
    let part = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(part).collect()
}

/// The real way: HTTPS with the machine's certificate authorities, or plain HTTP where the address says so.
///
/// # Errors
/// TLS cannot be set up.
pub fn connect() -> Result<HttpPort, rustls::Error> {
    let mut plain = HttpConnector::new();
    plain.set_connect_timeout(Some(CONNECT));
    plain.enforce_http(false);
    let provider = rustls::crypto::ring::default_provider();
    let connector = match HttpsConnectorBuilder::new().with_provider_and_native_roots(provider.clone()) {
        Ok(builder) => builder,
        Err(error) => {
            tracing::warn!(%error, "no certificate authorities on this machine; no server outside Kubernetes is trusted");
            let nobody = ClientConfig::builder_with_provider(provider.into())
                .with_safe_default_protocol_versions()?
                .with_root_certificates(RootCertStore::empty())
                .with_no_client_auth();
            HttpsConnectorBuilder::new().with_tls_config(nobody)
        }
    };
    let connector = connector.https_or_http().enable_http1().wrap_connector(plain);
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    Ok(BoxCloneSyncService::new(tower::service_fn(move |request: Request<Bytes>| {
        let client = client.clone();
        async move {
            let (head, body) = client.request(request.map(Full::new)).await?.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
            Ok::<_, BoxError>(Response::from_parts(head, body))
        }
    })))
}
