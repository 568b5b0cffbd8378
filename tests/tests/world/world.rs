//! A world: an API server, everything around it, and operators, in virtual time.
//!
//! ```text
//!  story ──► World ──► API server in memory ◄── operator(s), the real ones
//!              │            ▲      ▲              │        │
//!              └── tick ────┘      └── Patroni ◄──┘        └──► databases
//! ```
//! Parts: what people do (`people`), what a story reads (`seen`), the world as plain data (`saved`).

mod people;
mod saved;
mod seen;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use operator::activity::Activity;
use operator::cluster::stores::{Scope, Stores, infrastructure_places};
use operator::cluster::{KnownDisks, Proofs, Upgrades};
use operator::context::Context;
use operator::controller;
use operator::events::Events;
use operator::http::{RestApi, routes};
use operator::leader::{Candidacy, LEASE, Mandate, Tenure};
use operator::metrics::Metrics;
use operator::patroni::Patroni;
use operator::rights::Rights;
use operator::rolling::Places;
use operator::team::{self, Teams};
use serde_json::Value;
use shared::config::OperatorConfig;
use tests::fake_api::{Call, FakeApi, Key, Store, When};
use tests::simulation::{Nature, clock, patroni};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::database::{Databases, Servers};
use crate::disks::Cloud;
use crate::exec::{Commands, Shells};

use saved::{Parts, save};
pub(crate) use saved::{Points, Saved};

/// Where the operators would run.
pub(crate) const OPERATORS: &str = "postgres-operator";
/// Where all clusters of the stories live.
pub(crate) const NAMESPACE: &str = "default";
/// What an update does to two members, and to three.
pub(crate) const ROLLING_TWO: [&str; 3] =
    ["recreate demo-1", "switchover demo-0 to demo-1", "recreate demo-0"];
pub(crate) const ROLLING_THREE: [&str; 4] =
    ["recreate demo-1", "recreate demo-2", "switchover demo-0 to demo-1", "recreate demo-0"];
/// When stories begin.
const BEGIN: &str = "2026-01-01T00:00:00Z";
/// How long nothing may happen before a world counts as settled: longer than two loops of Patroni.
const QUIET: u64 = 35;
/// When a story is given up.
const PATIENCE: u64 = 1800;

/// The world.
pub(crate) struct World {
    pub(crate) api: FakeApi,
    pub(crate) nature: Arc<Mutex<Nature>>,
    pub(crate) servers: Arc<Mutex<Servers>>,
    pub(crate) cloud: Cloud,
    pub(crate) commands: Arc<Mutex<Commands>>,
    pub(crate) metrics: Metrics,
    pub(crate) activity: Activity,
    rest_api: RestApi,
    config: watch::Sender<Arc<OperatorConfig>>,
    recreated: Arc<Mutex<Vec<(Timestamp, String)>>>,
    points: Option<Points>,
    operators: BTreeMap<String, JoinHandle<()>>,
    ticking: JoinHandle<()>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.ticking.abort();
        self.operators.values().for_each(JoinHandle::abort);
        self.api.listen(None);
    }
}

/// How an operator stands to others.
#[derive(Clone, Debug, Default)]
pub(crate) struct Role {
    /// It asks for leases, and of clusters in so many shards.
    pub(crate) shards: Option<u32>,
    /// Whose clusters it looks after.
    pub(crate) controller_id: Option<String>,
    /// What it may do in Kubernetes.
    pub(crate) rights: Rights,
}

/// The configuration of the stories: finalizers, so that deletion is a story, too.
pub(crate) fn configuration() -> OperatorConfig {
    let mut config = OperatorConfig::default();
    config.kubernetes.enable_finalizers = true;
    config
}

/// A manifest as a user would write it. A password costs one round, so that stories are short.
pub(crate) fn manifest(members: i32) -> Value {
    serde_saphyr::from_str(&format!(
        "
        apiVersion: acid.zalan.do/v1
        kind: postgresql
        metadata: {{name: demo}}
        spec:
          teamId: acid
          numberOfInstances: {members}
          volume: {{size: 1Gi}}
          dockerImage: spilo:1
          postgresql: {{version: '17', parameters: {{scram_iterations: '1'}}}}
          users: {{app: []}}
          databases: {{app: app}}
        "
    ))
    .unwrap()
}

pub(crate) fn manifest_key() -> Key {
    Key::new("acid.zalan.do", "postgresqls", NAMESPACE, "demo")
}

impl World {
    /// A world of these parts, in which no operator runs yet.
    pub(crate) fn of(saved: Saved) -> Self {
        clock::set(saved.at);
        let api = FakeApi::new(saved.store, clock::now);
        let nature = Arc::new(Mutex::new(saved.nature));
        let recreated = Arc::new(Mutex::new(saved.acts));
        let (config, _) = watch::channel(saved.config);
        let ticking = tokio::spawn(tick_for_ever(api.clone(), Arc::clone(&nature)));
        let servers = Arc::new(Mutex::new(saved.servers));
        let operators = BTreeMap::new();
        let (cloud, commands) = (Cloud::default(), Arc::default());
        let world = Self {
            api,
            nature,
            servers,
            cloud,
            commands,
            metrics: Metrics::default(),
            activity: Activity::default(),
            rest_api: RestApi::new(false),
            config,
            recreated,
            points: None,
            operators,
            ticking,
        };
        world.listen();
        world
    }

    /// A world with nothing in it.
    pub(crate) fn empty() -> Self {
        Self::configured(configuration())
    }

    /// The same, with another configuration.
    pub(crate) fn configured(config: OperatorConfig) -> Self {
        Self::of(Saved {
            label: "the beginning".to_owned(),
            at: BEGIN.parse().unwrap(),
            store: Store::default(),
            nature: Nature::default(),
            servers: Servers::default(),
            config: Arc::new(config),
            acts: Vec::new(),
        })
    }

    /// A world with one operator and one cluster, as its manifest says.
    pub(crate) async fn with(manifest: Value) -> Self {
        Self::under(configuration(), manifest).await
    }

    /// The same without finalizers.
    pub(crate) async fn without_finalizers(manifest: Value) -> Self {
        let mut config = configuration();
        config.kubernetes.enable_finalizers = false;
        Self::under(config, manifest).await
    }

    /// The same under another configuration.
    pub(crate) async fn under(config: OperatorConfig, manifest: Value) -> Self {
        let mut world = Self::configured(config);
        world.start("operator");
        world.apply(manifest);
        world.settle().await;
        world.forget();
        world
    }

    fn parts(&self) -> Parts {
        Parts {
            api: self.api.clone(),
            nature: Arc::clone(&self.nature),
            servers: Arc::clone(&self.servers),
            config: self.config.clone(),
            recreated: Arc::clone(&self.recreated),
            points: self.points.clone(),
        }
    }

    /// Keeps what can be read of acts and events from here on.
    pub(crate) fn forget(&self) {
        self.recreated.lock().unwrap().clear();
        {
            let patroni = &mut self.nature.lock().unwrap().patroni;
            patroni.acts.clear();
            patroni.asked.clear();
        }
        self.servers.lock().unwrap().statements.clear();
        let mut state = self.api.state();
        state.journal.clear();
    }

    /// Keeps a copy of the world before and after each call of an operator that can change something.
    pub(crate) fn keep_points(&mut self) -> Points {
        let points = Points::default();
        self.points = Some(Arc::clone(&points));
        self.listen();
        points
    }

    fn listen(&self) {
        let parts = self.parts();
        self.api.listen(Some(Arc::new(move |call: &Call, when| {
            if when == When::After {
                parts.note(call);
            }
            let label = format!("{:?} {} {}", call.verb, call.key.resource, call.key.name);
            parts.point(&label, when);
        })));
    }

    /// Starts an operator that is alone.
    pub(crate) fn start(&mut self, name: &str) {
        self.start_as(name, Role::default());
    }

    /// Starts an operator among others.
    pub(crate) fn start_as(&mut self, name: &str, role: Role) {
        let identity = name.to_owned();
        let client = self.api.client(name);
        let (database, port) = (self.parts(), self.parts());
        let listener = Arc::new(move |call: &str, when| port.point(call, when));
        let port = patroni::port(Arc::clone(&self.nature), listener);
        let databases = Databases {
            servers: Arc::clone(&self.servers),
            listener: Arc::new(move |call: &str, when| database.point(call, when)),
        };
        let config = self.config.subscribe();
        let rest_api = self.rest_api.clone();
        let (metrics, activity) = (self.metrics.clone(), self.activity.clone());
        let (cloud, exec) = (self.cloud.clone(), self.parts());
        let shells = Shells {
            commands: Arc::clone(&self.commands),
            api: self.api.clone(),
            nature: Arc::clone(&self.nature),
            listener: Arc::new(move |call: &str, when| exec.point(call, when)),
        };
        let run = async move {
            let (stores, changes) = Stores::start(&client, &scope(&config.borrow().clone(), role.rights));
            stores.wait_until_ready().await.unwrap();
            let waiting = changes.clone();
            let mut ctx = Context {
                activity,
                watched: None,
                patroni: Patroni::new(port, metrics.clone()),
                teams: Teams::new(team::connect(team::authorities()).unwrap(), metrics.clone()),
                database: Arc::new(databases),
                events: Events::new(client.clone(), None),
                controller_id: role.controller_id,
                mandate: Mandate::default(),
                namespace: OPERATORS.to_owned(),
                clock: clock::now,
                config,
                client,
                stores,
                metrics,
                rolling: Places::default(),
                upgrades: Upgrades::default(),
                proofs: Proofs::default(),
                exec: Arc::new(shells),
                disks: Arc::new(cloud),
                known_disks: KnownDisks::default(),
            };
            rest_api.start(ctx.clone(), waiting);
            let Some(shards) = role.shards else {
                return controller::run(ctx, changes, std::future::pending()).await;
            };
            // Held for as long as this runs, and dropped with it: as with a process that is killed.
            let candidacy = Candidacy::new(&ctx.namespace, LEASE, &identity);
            let mut tenure = Tenure::take(&ctx.client, candidacy, shards).await.unwrap();
            ctx.mandate = tenure.mandate();
            tokio::select! {
                () = controller::run(ctx, changes, std::future::pending()) => {}
                error = tenure.lost() => panic!("{identity}: {error}"),
            }
        };
        self.operators.insert(name.to_owned(), tokio::spawn(run));
    }

    /// The REST API of the first operator.
    pub(crate) fn rest_api(&self) -> axum::Router {
        routes(self.rest_api.clone())
    }

    /// Stops an operator without notice.
    pub(crate) fn kill(&mut self, name: &str) {
        self.operators.remove(name).unwrap().abort();
    }

    /// Lets time pass.
    pub(crate) async fn pass(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    /// Lets time pass until nothing has happened for a while, other than events for people.
    pub(crate) async fn settle(&self) {
        if !self.comes_to_rest().await {
            panic!("the world does not settle; status: {:#}; acts: {:#?}", self.status(), self.acts());
        }
    }

    /// As [`settle`](Self::settle); whether it did.
    pub(crate) async fn comes_to_rest(&self) -> bool {
        let (mut quiet, mut last) = (0, self.changes());
        for _ in 0..PATIENCE {
            self.pass(1).await;
            let now = self.changes();
            quiet = if now == last { quiet + 1 } else { 0 };
            last = now;
            if quiet >= QUIET && !self.is_busy() {
                return true;
            }
        }
        false
    }

    /// A copy of everything but the operators.
    pub(crate) fn saved(&self) -> Saved {
        save(&self.parts(), "saved")
    }
}

async fn tick_for_ever(api: FakeApi, nature: Arc<Mutex<Nature>>) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut nature = nature.lock().unwrap();
        api.with(|store| nature.tick(store, clock::now()));
    }
}

/// What an operator with this configuration watches.
fn scope(config: &OperatorConfig, rights: Rights) -> Scope {
    let kubernetes = &config.kubernetes;
    Scope {
        namespace: None,
        cluster_labels: kubernetes.cluster_labels.clone(),
        cluster_name_label: kubernetes.cluster_name_label.clone(),
        role_binding: kubernetes.pod_service_account_name.clone(),
        service_account: kubernetes.pod_service_account_name.clone(),
        infrastructure: infrastructure_places(config, OPERATORS),
        teams: false,
        rights,
    }
}
