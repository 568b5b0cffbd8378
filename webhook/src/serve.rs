//! Two listeners and an orderly end. Asked by `main` for `webhook serve`.
//!
//! ```text
//!  SIGTERM ─► not ready, every answer says "Connection: close"      (--drain: others learn that we go)
//!          ─► listeners close, requests under way are answered      (at most LAST_REQUESTS)
//!          ─► end
//! ```
//!
//! The API server keeps its connections for as long as it can, and a connection stays with one replica. Each is
//! therefore closed, between two requests, after five to ten minutes, so that load spreads again.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use jiff::Timestamp;
use kube::Client;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;
use tracing::{debug, info, warn};

use crate::args::Serve;
use crate::metrics::Metrics;
use crate::routes::{self, App};
use crate::surroundings::World;
use crate::tls::{Certificate, Files, LOOK_EVERY, TlsError};
use crate::{audit, configuration};

const MOST_CONNECTIONS: usize = 1024;
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
const HEADER_TIME: Duration = Duration::from_secs(10);
const LAST_REQUESTS: Duration = Duration::from_secs(10);
const CONNECTION_AGE: Duration = Duration::from_secs(300);

/// Why the webhook cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The certificate cannot be served.
    #[error("could not load the certificate")]
    Tls(#[from] TlsError),
    /// An address cannot be listened on.
    #[error("could not listen on {address}")]
    Listen {
        /// Which one.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The probes' server ended.
    #[error("could not answer probes")]
    Probes(#[source] std::io::Error),
    /// The signals to stop cannot be received.
    #[error("could not listen for signals")]
    Signal(#[source] std::io::Error),
    /// No way to Kubernetes is known.
    #[error("could not find a Kubernetes cluster to talk to")]
    Connect(#[source] kube::Error),
}

/// Serves until told to stop.
///
/// # Errors
/// When something needed at the start is not there.
pub async fn serve(args: Serve) -> Result<(), ServeError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Signal)?;
    let metrics = Arc::new(Metrics::default());
    let certificate = Certificate::load(Files::within(&args.tls_dir), Arc::clone(&metrics)).await?;
    let tls = Arc::new(certificate.server_config()?);
    let client = Client::try_default().await.map_err(ServeError::Connect)?;
    // The schema is compiled when it is first used. That must not be the first review's time.
    let _ = tokio::task::spawn_blocking(|| shared::schema::check(&serde_json::Value::Null)).await;
    let (config, current) = watch::channel(None);
    let (draining, is_draining) = watch::channel(false);
    let (closed, is_closed) = watch::channel(false);
    let source = args.source();
    let world = Arc::new(World { policy: args.policy.policy(), ..World::default() });
    let app = App {
        configuration: current,
        source: Arc::new(source.clone()),
        draining: is_draining,
        metrics: Arc::clone(&metrics),
        world: Arc::clone(&world),
        clock: Timestamp::now,
    };
    let reviews = listen(args.listen).await?;
    let probes = listen(args.probes).await?;
    info!(reviews = %args.listen, probes = %args.probes, ?source, "listening");

    tokio::spawn(certificate.follow(LOOK_EVERY));
    world.watch(&client, &args.reach(), &metrics);
    tokio::spawn(audit::follow(world, app.configuration.clone(), Arc::clone(&metrics)));
    tokio::spawn(configuration::follow(client, source, config, metrics));
    let reviews = tokio::spawn(accept(reviews, tls, routes::reviews(app.clone()), is_closed.clone()));
    let probes = axum::serve(probes, routes::probes(app)).with_graceful_shutdown(until(is_closed));
    let probes = tokio::spawn(probes.into_future());

    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    info!("stopping: not ready any more, closing connections");
    draining.send_replace(true);
    tokio::time::sleep(Duration::from_secs(args.drain_seconds)).await;
    closed.send_replace(true);
    let _ = reviews.await;
    match tokio::time::timeout(LAST_REQUESTS, probes).await {
        Ok(Ok(Err(error))) => Err(ServeError::Probes(error)),
        Ok(Ok(Ok(())) | Err(_)) | Err(_) => Ok(()),
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address, source })
}

/// Waits until a flag is raised, or nobody is left who could raise it.
async fn until(mut flag: watch::Receiver<bool>) {
    let _ = flag.wait_for(|raised| *raised).await;
}

/// Accepts connections until `closed`, then lets those under way finish.
pub async fn accept(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    app: Router,
    closed: watch::Receiver<bool>,
) {
    let acceptor = TlsAcceptor::from(tls);
    let slots = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(until(closed.clone()));
    loop {
        let next = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.accept().await)
        };
        tokio::select! {
            () = &mut stop => break,
            Some(_) = connections.join_next() => {}
            (slot, accepted) = next => match (slot, accepted) {
                (Ok(slot), Ok((stream, peer))) => {
                    let connection = Connection { acceptor: acceptor.clone(), app: app.clone(), peer, _slot: slot };
                    connections.spawn(connection.serve(stream, until(closed.clone())));
                }
                (_, Err(error)) => {
                    // Out of file descriptors, most likely: they come back when connections end.
                    warn!(%error, "could not accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                (Err(_), Ok(_)) => break,
            }
        }
    }
    drop(listener);
    let finished = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(LAST_REQUESTS, finished).await.is_err() {
        warn!("some requests were not answered before the end");
    }
}

struct Connection {
    acceptor: TlsAcceptor,
    app: Router,
    peer: SocketAddr,
    _slot: OwnedSemaphorePermit,
}

impl Connection {
    async fn serve(self, stream: TcpStream, closed: impl Future<Output = ()>) {
        let _ = stream.set_nodelay(true);
        let stream = match tokio::time::timeout(HANDSHAKE_TIME, self.acceptor.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return debug!(peer = %self.peer, %error, "the TLS handshake failed"),
            Err(_) => return debug!(peer = %self.peer, "the TLS handshake took too long"),
        };
        let service =
            TowerToHyperService::new(self.app.map_request(|request: Request<_>| request.map(Body::new)));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIME)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            _ = connection.as_mut() => return,
            () = closed => {}
            () = tokio::time::sleep(age(self.peer)) => {}
        }
        connection.as_mut().graceful_shutdown();
        let _ = tokio::time::timeout(LAST_REQUESTS, connection).await;
    }
}

/// Five to ten minutes, spread by the peer's port so that connections opened together do not end together.
fn age(peer: SocketAddr) -> Duration {
    CONNECTION_AGE + Duration::from_secs(u64::from(peer.port()) % CONNECTION_AGE.as_secs())
}
