//! The way to Patroni: addresses, the service type, and the real HTTP client behind it.
//!
//! [`super::Patroni`] speaks through an [`HttpPort`]; tests put an axum router there. Patroni's server closes every
//! connection after one answer (it is Python's `http.server`), so connections are not kept.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tower::util::BoxCloneSyncService;

/// Any error on the way.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A service that carries a request to Patroni and the answer back.
pub type HttpPort = BoxCloneSyncService<Request<Bytes>, Response<Bytes>, BoxError>;

/// Where Patroni listens in every pod.
const API_PORT: u16 = 8008;

/// How long a connection may take to be made: a pod's address that is gone does not answer at all.
const CONNECT: Duration = Duration::from_secs(2);

/// The longest answer that is read.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// The Patroni of one pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    host: String,
    port: u16,
}

impl Address {
    /// The Patroni of the pod with this address.
    pub fn of_pod(ip: impl Into<String>) -> Self {
        Self::new(ip, API_PORT)
    }

    /// A Patroni that listens elsewhere.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// The real way: plain HTTP, no proxy, no connections kept.
pub fn connect() -> HttpPort {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(CONNECT));
    connector.set_nodelay(true);
    let client: Client<HttpConnector, Full<Bytes>> =
        Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
    BoxCloneSyncService::new(tower::service_fn(move |request: Request<Bytes>| {
        let client = client.clone();
        async move {
            let (head, body) = client.request(request.map(Full::new)).await?.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
            Ok::<_, BoxError>(Response::from_parts(head, body))
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_address_stands_in_brackets() {
        assert_eq!(Address::of_pod("10.2.0.7").to_string(), "10.2.0.7:8008");
        assert_eq!(Address::of_pod("fd00::7").to_string(), "[fd00::7]:8008");
    }
}
