//! Starts the operator: probes first, then the configuration, the stores, the lease, and the looks at clusters.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use jiff::Timestamp;
use kube::Client;
use operator::activity::Activity;
use operator::args::{Args, Command, CommandLine};
use operator::cluster::stores::{Scope, Stores, infrastructure_places};
use operator::cluster::{KnownDisks, Upgrades};
use operator::config::{self, Source};
use operator::context::Context;
use operator::database::{Limits, Postgres};
use operator::events::Events;
use operator::exec::PodExec;
use operator::http::{self, Readiness, RestApi};
use operator::leader::{Candidacy, Leadership};
use operator::metrics::Metrics;
use operator::patroni::{self, Patroni};
use operator::rights::Rights;
use operator::rolling::Places;
use operator::team::{self, Teams};
use operator::{controller, disks, telemetry};
use shared::config::{OperatorConfig, WatchedNamespace};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

type Fatal = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let line = CommandLine::parse();
    let args = match line.command {
        None => line.run,
        Some(Command::Run(args)) => *args,
        Some(Command::Render(render)) => return print(operator::render::render(&render)),
    };
    let run = async {
        let activity = Activity::default();
        telemetry::init(&activity)?;
        operate(args, activity).await
    };
    match run.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("operator: {}", operator::cluster::told(&*error));
            ExitCode::FAILURE
        }
    }
}

/// Prints what was rendered, or why it could not be.
fn print(rendered: Result<String, operator::render::RenderError>) -> ExitCode {
    match rendered {
        Ok(documents) => {
            print!("{documents}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{}", operator::cluster::told(&error));
            ExitCode::FAILURE
        }
    }
}

/// Everything in order, until a signal or the loss of the lease.
async fn operate(args: Args, activity: Activity) -> Result<(), Fatal> {
    let (metrics, readiness) = (Metrics::default(), Readiness::default());
    let listener = TcpListener::bind(&args.listen).await?;
    let (own_port, rest_api) = (listener.local_addr()?.port(), RestApi::new(args.open_api));
    tokio::spawn(http::serve(
        listener,
        http::router(readiness.clone(), metrics.clone(), rest_api.clone()),
        std::future::pending(),
    ));
    let client = Client::try_default().await?;
    let config = first_configuration(&client, &args).await?;
    let served = scope(&config.borrow(), &args, &Rights::default()).namespace;
    let rights = rights(&client, served.as_deref(), &args.namespace, &metrics).await;
    let scope = scope(&config.borrow(), &args, &rights);
    let (stores, changes) = Stores::start(&client, &scope);
    stores.wait_until_ready().await?;
    readiness.set(true);
    let ctx = Context {
        patroni: Patroni::new(patroni::connect(), metrics.clone()),
        teams: Teams::new(team::connect(team::authorities())?, metrics.clone()),
        database: Arc::new(Postgres::new(Limits::default())?),
        proofs: Default::default(),
        events: Events::new(client.clone(), Some(args.identity.clone())).under(&rights),
        disks: disks::connect(metrics.clone())?,
        known_disks: KnownDisks::default(),
        controller_id: args.controller_id.clone().filter(|id| !id.is_empty()),
        namespace: args.namespace.clone(),
        clock: Timestamp::now,
        config: config.clone(),
        activity,
        watched: scope.namespace.clone(),
        stores,
        metrics,
        rolling: Places::default(),
        exec: Arc::new(PodExec::new(client.clone())),
        upgrades: Upgrades::default(),
        client,
    };
    rest_api.start(ctx.clone(), changes.clone());
    tokio::spawn(http::follow_port(rest_api, own_port, config.clone()));
    let leadership = lead(&ctx.client, &args, &ctx.metrics, &rights).await?;
    tracing::info!("looking after clusters");
    until_the_end(controller::run(ctx, changes, stopped()?), leadership, config, scope, &args).await
}

/// Waits for the first valid configuration; it is watched from then on.
async fn first_configuration(
    client: &Client,
    args: &Args,
) -> Result<watch::Receiver<Arc<OperatorConfig>>, Fatal> {
    let (sender, mut read) = watch::channel(None);
    tokio::spawn(config::follow(client.clone(), Source::of(args), args.overrides(), sender));
    let first = read.wait_for(Option::is_some).await?.clone().unwrap_or_default();
    let (valid, receiver) = watch::channel(first);
    tokio::spawn(async move {
        while read.changed().await.is_ok() {
            if let Some(config) = read.borrow_and_update().clone() {
                valid.send_replace(config);
            }
        }
    });
    Ok(receiver)
}

/// What the operator may do; what is missing is told once, all of it.
async fn rights(client: &Client, served: Option<&str>, own: &str, metrics: &Metrics) -> Rights {
    let rights = Rights::ask(client, served, own).await;
    metrics.lacks_rights(rights.missing());
    if let Some(missing) = rights.told() {
        tracing::warn!(missing, "rights are missing; going on without them");
    }
    rights
}

/// What is watched.
fn scope(config: &OperatorConfig, args: &Args, rights: &Rights) -> Scope {
    let kubernetes = &config.kubernetes;
    let account = kubernetes.pod_service_account_name.clone();
    let binding = kubernetes.pod_service_account_role_binding_definition.as_ref();
    Scope {
        namespace: match kubernetes.watched(&args.namespace) {
            WatchedNamespace::All => None,
            WatchedNamespace::One(namespace) => Some(namespace),
        },
        cluster_labels: kubernetes.cluster_labels.clone(),
        cluster_name_label: kubernetes.cluster_name_label.clone(),
        role_binding: binding
            .and_then(|binding| binding.metadata.name.clone())
            .unwrap_or_else(|| account.clone()),
        service_account: account,
        infrastructure: infrastructure_places(config, &args.namespace),
        teams: config.teams_api.enable_postgres_team_crd,
        rights: rights.clone(),
    }
}

/// Waits for the lease, where one is asked for.
async fn lead(
    client: &Client,
    args: &Args,
    metrics: &Metrics,
    rights: &Rights,
) -> Result<Option<Leadership>, Fatal> {
    let may_elect =
        ["create", "get", "update"].iter().all(|verb| rights.allow("coordination.k8s.io", "leases", verb));
    if !args.leader_election || !may_elect {
        return Ok(None);
    }
    let candidacy = Candidacy::new(&args.namespace, &args.lease, &args.identity);
    let mut leadership = Leadership::start(client.clone(), candidacy);
    tracing::info!("waiting for the lease");
    leadership.acquired().await?;
    metrics.leads(true);
    Ok(Some(leadership))
}

/// Works until a signal. Losing the lease, or a configuration that asks for other watches, ends the process at once:
/// Kubernetes starts it anew.
async fn until_the_end(
    work: impl Future<Output = ()>,
    mut leadership: Option<Leadership>,
    config: watch::Receiver<Arc<OperatorConfig>>,
    watched: Scope,
    args: &Args,
) -> Result<(), Fatal> {
    let lost = async {
        match &mut leadership {
            Some(leadership) => leadership.lost().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = work => {}
        error = lost => return Err(error.into()),
        () = other_scope(config, &watched, args) => return Err("the configuration asks for other watches".into()),
    }
    match leadership {
        Some(leadership) => Ok(leadership.release().await?),
        None => Ok(()),
    }
}

async fn other_scope(mut config: watch::Receiver<Arc<OperatorConfig>>, watched: &Scope, args: &Args) {
    let differs = |config: &Arc<OperatorConfig>| scope(config, args, &watched.rights) != *watched;
    if config.wait_for(differs).await.is_err() {
        std::future::pending().await
    }
}

/// Resolves at the first SIGTERM or SIGINT.
fn stopped() -> Result<impl Future<Output = ()> + Send + Sync + 'static, Fatal> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
    })
}
