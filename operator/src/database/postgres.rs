//! A real PostgreSQL server, over TLS.
//!
//! Each question opens a connection of its own: syncs are rare, and a settled cluster must hold none. Surprising:
//! statements travel by the extended protocol, where the server itself refuses a text that holds more than one.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use shared::roles::contents::Existing;
use shared::roles::{Catalog, Statement};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_postgres::Client;
use tokio_postgres::config::{ChannelBinding, Config, SslMode, TargetSessionAttrs};

use super::tls::{self, Tls};
use super::{Binding, Database, DatabaseError, Endpoint, Failure, inside, read};

/// How much longer than the server's own limit we wait for its answer: then it is not the statement that hangs.
const GRACE: Duration = Duration::from_secs(5);

/// How many connections, and how long anything may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at once, over all clusters.
    pub connections: usize,
    /// The longest wait for a place among them, and then for the connection.
    pub connect: Duration,
    /// The longest a single statement may run, ended by the server itself.
    pub statement: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 16, connect: Duration::from_secs(15), statement: Duration::from_secs(60) }
    }
}

/// The [`Database`] of production.
pub struct Postgres {
    tls: Arc<ClientConfig>,
    places: Arc<Semaphore>,
    limits: Limits,
}

impl Postgres {
    /// Prepares TLS; connects to nothing yet.
    pub fn new(limits: Limits) -> Result<Self, DatabaseError> {
        let tls = tls::client_config().map_err(|error| DatabaseError::Tls(error.into()))?;
        Ok(Self { tls: Arc::new(tls), places: Arc::new(Semaphore::new(limits.connections)), limits })
    }

    async fn connect(&self, at: &Endpoint) -> Result<Session, DatabaseError> {
        let late = |_| DatabaseError::Deadline(self.limits.connect);
        let place = timeout(self.limits.connect, self.places.clone().acquire_owned()).await.map_err(late)?;
        let place = place.map_err(|_closed| DatabaseError::Lost)?;
        let name =
            ServerName::try_from(at.server_name.clone()).map_err(|error| DatabaseError::Tls(error.into()))?;
        let tls = Tls { config: self.tls.clone(), name };
        let config = self.config(at);
        let connected = timeout(self.limits.connect, config.connect(tls)).await.map_err(late)?;
        let (client, connection) = connected.map_err(DatabaseError::of_connection)?;
        let mut driver = JoinSet::new();
        driver.spawn(connection.map(drop));
        Ok(Session { client, driver, _place: place })
    }

    /// Only a primary will do, only with TLS. The search path keeps what users define out of our statements, and a
    /// commit does not wait for replicas that may not exist yet.
    fn config(&self, at: &Endpoint) -> Config {
        let options = format!(
            "-c synchronous_commit=local -c search_path=pg_catalog -c statement_timeout={}",
            self.limits.statement.as_millis()
        );
        let mut config = Config::new();
        config
            .host(&at.host)
            .port(at.port)
            .dbname(&at.database)
            .user(&at.user)
            .password(&at.password)
            .application_name("postgres-operator")
            .options(options)
            .connect_timeout(self.limits.connect)
            .ssl_mode(SslMode::Require)
            .channel_binding(match at.binding {
                Binding::Preferred => ChannelBinding::Prefer,
                Binding::Required => ChannelBinding::Require,
            })
            .target_session_attrs(TargetSessionAttrs::ReadWrite);
        config
    }

    async fn read(&self, at: &Endpoint) -> Result<Catalog, DatabaseError> {
        let session = self.connect(at).await?;
        let reading = timeout(self.limits.statement + GRACE, read::catalog(&session.client));
        let catalog = reading.await.map_err(|_| DatabaseError::Deadline(self.limits.statement))??;
        session.close().await;
        Ok(catalog)
    }

    async fn read_inside(&self, at: &Endpoint) -> Result<Existing, DatabaseError> {
        let session = self.connect(at).await?;
        let reading = timeout(self.limits.statement + GRACE, inside::contents(&session.client));
        let contents = reading.await.map_err(|_| DatabaseError::Deadline(self.limits.statement))??;
        session.close().await;
        Ok(contents)
    }

    async fn run_each(&self, at: &Endpoint, statements: &[Statement]) -> Result<Vec<Failure>, DatabaseError> {
        if statements.is_empty() {
            return Ok(Vec::new());
        }
        let session = self.connect(at).await?;
        let mut failures = Vec::new();
        let mut usable = true;
        for statement in statements {
            let outcome =
                if usable { self.execute(&session, statement).await } else { Err(DatabaseError::Lost) };
            usable = usable && !matches!(outcome, Err(DatabaseError::Lost | DatabaseError::Deadline(_)));
            failures.extend(outcome.err().map(|source| Failure { statement: statement.clone(), source }));
        }
        if usable {
            session.close().await;
        }
        Ok(failures)
    }

    async fn execute(&self, session: &Session, statement: &Statement) -> Result<(), DatabaseError> {
        let sql = statement.to_sql();
        match timeout(self.limits.statement + GRACE, session.client.execute_typed(&sql, &[])).await {
            Err(_) => Err(DatabaseError::Deadline(self.limits.statement)),
            Ok(Err(error)) => Err(DatabaseError::of_statement(error)),
            Ok(Ok(_)) => Ok(()),
        }
    }
}

impl Database for Postgres {
    fn catalog<'a>(&'a self, at: &'a Endpoint) -> BoxFuture<'a, Result<Catalog, DatabaseError>> {
        self.read(at).boxed()
    }

    fn contents<'a>(&'a self, at: &'a Endpoint) -> BoxFuture<'a, Result<Existing, DatabaseError>> {
        self.read_inside(at).boxed()
    }

    fn run<'a>(
        &'a self,
        at: &'a Endpoint,
        statements: &'a [Statement],
    ) -> BoxFuture<'a, Result<Vec<Failure>, DatabaseError>> {
        self.run_each(at, statements).boxed()
    }
}

/// An open connection. Dropped, it is cut; closed, it says goodbye.
struct Session {
    client: Client,
    /// The one task that moves bytes; it ends with the session at the latest.
    driver: JoinSet<()>,
    _place: OwnedSemaphorePermit,
}

impl Session {
    /// Lets the server know, but does not wait long for it: the work is done.
    async fn close(self) {
        let Self { client, mut driver, _place } = self;
        drop(client);
        let _ = timeout(Duration::from_secs(1), driver.join_next()).await;
    }
}
