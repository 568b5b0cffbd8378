//! The operator as a service: probes first, then the configuration, the stores, the lease, and the looks at clusters.
//!
//! `main` runs one, tests run several. What a newcomer would not guess: a configuration that asks for other watches (other
//! Secrets with infrastructure roles, teams, another namespace) starts the stores anew, under the same lease and in the same
//! process.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use shared::config::{OperatorConfig, WatchedNamespace};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::activity::Activity;
use crate::args::Args;
use crate::cluster::stores::{Changes, Scope, StoreGone, Stores, infrastructure_places};
use crate::cluster::{KnownDisks, Upgrades};
use crate::config::{self, Current, Source};
use crate::context::Context;
use crate::database::{Counted, Limits, Postgres};
use crate::events::Events;
use crate::exec::PodExec;
use crate::http::{self, Readiness, RestApi};
use crate::leader::{Candidacy, LeaderError, Mandate, Tenure};
use crate::metrics::Metrics;
use crate::patroni::{self, Patroni};
use crate::rights::{self, Rights};
use crate::rolling::Places;
use crate::team::{self, Teams};
use crate::{controller, disks};

/// How long looks under way may take when the service is asked to stop. Whatever they leave undone is seen by the next one.
const FINISH: Duration = Duration::from_secs(5);

/// Why the service ended without being asked to.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The address of probes and figures.
    #[error("could not listen at {address}")]
    Listen {
        /// Which one.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// A part could not be made.
    #[error("could not start {part}")]
    Start {
        /// Which one.
        part: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The watches ended.
    #[error(transparent)]
    Stores(#[from] StoreGone),
    /// It may not act any more.
    #[error(transparent)]
    Leader(#[from] LeaderError),
}

/// Looks after clusters until it is asked to stop.
///
/// # Errors
/// When it cannot begin, and when it may not act any more: what is under way must not go on, and the process ends.
pub async fn run(
    client: Client,
    args: Args,
    activity: Activity,
    stop: watch::Receiver<bool>,
) -> Result<(), ServiceError> {
    let stopping = until(stop.clone());
    tokio::select! {
        result = serve(client, &args, activity, stop) => result,
        // Whoever acts finishes by itself, and says when.
        () = async { stopping.await; sleep(FINISH * 3).await } => Ok(()),
    }
}

async fn until(mut stop: watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending().await
    }
}

/// What the service consists of, whatever is watched.
struct Service<'a> {
    args: &'a Args,
    client: Client,
    config: watch::Receiver<Arc<OperatorConfig>>,
    stop: watch::Receiver<bool>,
    rest_api: RestApi,
    readiness: Readiness,
    rights: Rights,
}

/// Why the looks at clusters ended.
enum End {
    Stopped,
    OtherScope,
}

async fn serve(
    client: Client,
    args: &Args,
    activity: Activity,
    stop: watch::Receiver<bool>,
) -> Result<(), ServiceError> {
    let (metrics, readiness) = (Metrics::default(), Readiness::default());
    let listen = |source| ServiceError::Listen { address: args.listen.clone(), source };
    let listener = TcpListener::bind(&args.listen).await.map_err(listen)?;
    let own_port = listener.local_addr().map_err(listen)?.port();
    let rest_api = RestApi::new(args.open_api);
    let router = http::router(readiness.clone(), metrics.clone(), rest_api.clone());
    // Probes and figures are answered until the service has ended, and no longer.
    let mut background = tokio::task::JoinSet::new();
    background.spawn(async move {
        if let Err(error) = http::serve(listener, router, std::future::pending()).await {
            tracing::error!(%error, "probes and figures are not served any more");
        }
    });
    let config = tokio::select! {
        config = first_configuration(&client, args, &metrics, &mut background) => config,
        () = until(stop.clone()) => return Ok(()),
    };
    background.spawn(http::follow_port(rest_api.clone(), own_port, config.clone()));
    let rights = Rights::default();
    let mut service = Service { args, client, config, stop, rest_api, readiness, rights };
    service.ask_for_rights(&metrics).await;
    let (mut ctx, mut changes) = service.begin(activity, metrics).await?;
    let mut tenure = None;
    if service.is_one_of_several() {
        tenure = service.take_lease().await?;
        if tenure.is_none() {
            return Ok(());
        }
    }
    ctx.mandate = tenure.as_ref().map_or_else(Mandate::default, Tenure::mandate);
    background.spawn(show(ctx.mandate.clone(), ctx.metrics.clone()));
    loop {
        service.rest_api.start(ctx.clone(), changes.clone());
        tracing::info!("looking after clusters");
        match service.work(ctx.clone(), changes, tenure.as_mut()).await? {
            End::Stopped => break,
            End::OtherScope => {
                tracing::info!("the configuration asks for other watches; watching anew");
                service.ask_for_rights(&ctx.metrics).await;
                ctx.events = ctx.events.under(&service.rights);
                (ctx.stores, changes, ctx.watched) = service.watch().await?;
            }
        }
    }
    match tenure {
        Some(tenure) => Ok(tenure.release().await?),
        None => Ok(()),
    }
}

impl Service<'_> {
    /// What the operator may do where clusters are served now; what is missing is told, all of it.
    async fn ask_for_rights(&mut self, metrics: &Metrics) {
        let Args { namespace: own, lease, .. } = self.args;
        let served = scope(&self.config.borrow(), own, &Rights::default()).namespace;
        let places = rights::Places { served: served.as_deref(), own, lease };
        self.rights = Rights::ask(&self.client, places).await;
        metrics.lacks_rights(self.rights.missing());
        if let Some(missing) = self.rights.told() {
            tracing::warn!(missing, "rights are missing; going on without them");
        }
    }

    /// The stores, filled.
    async fn watch(&mut self) -> Result<(Stores, Changes, Option<String>), ServiceError> {
        let scope = scope(&self.config.borrow_and_update().clone(), &self.args.namespace, &self.rights);
        let (stores, changes) = Stores::start(&self.client, &scope);
        stores.wait_until_ready().await?;
        Ok((stores, changes, scope.namespace))
    }

    /// Everything that a look needs, but the right to take one.
    async fn begin(
        &mut self,
        activity: Activity,
        metrics: Metrics,
    ) -> Result<(Context, Changes), ServiceError> {
        let (stores, changes, watched) = self.watch().await?;
        self.readiness.set(true);
        let start = |part| move |source| ServiceError::Start { part, source };
        let (args, client) = (self.args, self.client.clone());
        let teams =
            team::connect(team::authorities()).map_err(|error| start("the Teams API")(error.into()))?;
        let postgres = Postgres::new(Limits::default()).map_err(|error| start("PostgreSQL")(error.into()))?;
        let disks = disks::connect(metrics.clone()).map_err(|error| start("EC2")(error.into()))?;
        let ctx = Context {
            patroni: Patroni::new(patroni::connect(), metrics.clone()),
            teams: Teams::new(teams, metrics.clone()),
            database: Arc::new(Counted::new(postgres, metrics.clone())),
            proofs: Default::default(),
            events: Events::new(client.clone(), args.identity()).under(&self.rights),
            disks,
            known_disks: KnownDisks::default(),
            controller_id: args.controller_id.clone().filter(|id| !id.is_empty()),
            mandate: Mandate::over(1),
            namespace: args.namespace.clone(),
            clock: Timestamp::now,
            config: self.config.clone(),
            activity,
            watched,
            stores,
            metrics,
            rolling: Places::default(),
            exec: Arc::new(PodExec::new(client.clone())),
            upgrades: Upgrades::default(),
            client,
        };
        Ok((ctx, changes))
    }

    /// Whether others may run that a lease keeps apart.
    fn is_one_of_several(&self) -> bool {
        let may = |verb: &&str| self.rights.allow_for::<Lease>(verb);
        self.args.leader_election && ["create", "get", "update"].iter().all(may)
    }

    /// Waits for the lease. `None` when asked to stop before.
    async fn take_lease(&self) -> Result<Option<Tenure>, ServiceError> {
        let identity = self.args.identity().unwrap_or_else(unique);
        tracing::info!(identity, "waiting for the lease");
        let candidacy = Candidacy::new(&self.args.namespace, &self.args.lease, &identity);
        tokio::select! {
            tenure = Tenure::take(&self.client, candidacy, self.args.shards) => Ok(Some(tenure?)),
            () = until(self.stop.clone()) => Ok(None),
        }
    }

    /// Looks at clusters until asked to stop, or until something else is to be watched.
    async fn work(
        &self,
        ctx: Context,
        changes: Changes,
        tenure: Option<&mut Tenure>,
    ) -> Result<End, ServiceError> {
        let watched = self.scope_now();
        let lost = async {
            match tenure {
                Some(tenure) => tenure.lost().await,
                None => std::future::pending().await,
            }
        };
        let cut_short = async {
            until(self.stop.clone()).await;
            sleep(FINISH).await;
        };
        tokio::select! {
            () = controller::run(ctx, changes, until(self.stop.clone())) => Ok(End::Stopped),
            () = cut_short => {
                tracing::warn!("looks that take long are left to the next operator");
                Ok(End::Stopped)
            }
            error = lost => Err(error.into()),
            () = self.other_scope(&watched) => Ok(End::OtherScope),
        }
    }

    fn scope_now(&self) -> Scope {
        scope(&self.config.borrow(), &self.args.namespace, &self.rights)
    }

    async fn other_scope(&self, watched: &Scope) {
        let differs =
            |config: &Arc<OperatorConfig>| scope(config, &self.args.namespace, &self.rights) != *watched;
        if self.config.clone().wait_for(differs).await.is_err() {
            std::future::pending().await
        }
    }
}

/// Waits for the first valid configuration; it is watched from then on.
async fn first_configuration(
    client: &Client,
    args: &Args,
    metrics: &Metrics,
    background: &mut tokio::task::JoinSet<()>,
) -> watch::Receiver<Arc<OperatorConfig>> {
    let (sender, mut read) = watch::channel(None);
    let events = Events::new(client.clone(), args.identity());
    let current = Current { sender, metrics: metrics.clone(), events };
    background.spawn(config::follow(client.clone(), Source::of(args), args.overrides(), current));
    // The built-in defaults are sent once and by nobody after that.
    let first =
        read.wait_for(Option::is_some).await.ok().and_then(|config| config.clone()).unwrap_or_default();
    let (valid, receiver) = watch::channel(first);
    background.spawn(async move {
        while read.changed().await.is_ok() {
            if let Some(config) = read.borrow_and_update().clone() {
                valid.send_replace(config);
            }
        }
        valid.closed().await;
    });
    receiver
}

/// Shows in the figures what this process may act for.
async fn show(mandate: Mandate, metrics: Metrics) {
    let mut held = mandate.held();
    loop {
        let shards = held.borrow_and_update().len();
        metrics.leads(shards > 0);
        metrics.holds(shards);
        if held.changed().await.is_err() {
            return;
        }
    }
}

/// A name that no other process has.
fn unique() -> String {
    let mut bytes = [0_u8; 8];
    // Without randomness the process id has to do: two operators on one machine still differ.
    let random = getrandom::fill(&mut bytes)
        .map_or_else(|_| u64::from(std::process::id()), |()| u64::from_ne_bytes(bytes));
    format!("operator-{random:016x}")
}

/// What is watched.
pub(crate) fn scope(config: &OperatorConfig, own: &str, rights: &Rights) -> Scope {
    let kubernetes = &config.kubernetes;
    let account = kubernetes.pod_service_account_name.clone();
    let binding = kubernetes.pod_service_account_role_binding_definition.as_ref();
    Scope {
        namespace: match kubernetes.watched(own) {
            WatchedNamespace::All => None,
            WatchedNamespace::One(namespace) => Some(namespace),
        },
        cluster_labels: kubernetes.cluster_labels.clone(),
        cluster_name_label: kubernetes.cluster_name_label.clone(),
        role_binding: binding
            .and_then(|binding| binding.metadata.name.clone())
            .unwrap_or_else(|| account.clone()),
        service_account: account,
        infrastructure: infrastructure_places(config, own),
        teams: config.teams_api.enable_postgres_team_crd,
        rights: rights.clone(),
    }
}
