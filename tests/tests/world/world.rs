//! A world: an API server, everything around it, and operators, in virtual time.
//!
//! ```text
//!  story ──► World ──► API server in memory ◄── operator(s), the real ones
//!              │            ▲      ▲              │        │
//!              └── tick ────┘      └── Patroni ◄──┘        └──► databases
//! ```
//! The world without its operators is plain data ([`Saved`]): whoever stops an operator has nothing but that.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use operator::activity::Activity;
use operator::cluster::stores::{Scope, Stores};
use operator::cluster::{KnownDisks, Proofs, Upgrades};
use operator::context::Context;
use operator::controller;
use operator::events::Events;
use operator::http::{RestApi, routes};
use operator::metrics::Metrics;
use operator::patroni::Patroni;
use operator::rolling::Places;
use operator::team::{self, Teams};
use serde_json::{Value, json};
use shared::config::OperatorConfig;
use tests::fake_api::{Call, Deletion, FakeApi, Key, Manager, Store, Verb, When};
use tests::simulation::{Nature, clock, patroni};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::database::{Databases, Servers};
use crate::disks::Cloud;
use crate::exec::{Commands, Shells};

/// Where all clusters of the stories live.
pub(crate) const NAMESPACE: &str = "default";
/// When stories begin.
const BEGIN: &str = "2026-01-01T00:00:00Z";
/// How long nothing may happen before a world counts as settled: longer than two loops of Patroni.
const QUIET: u64 = 35;
/// When a story is given up.
const PATIENCE: u64 = 1800;

/// Everything but the operators, at one moment.
#[derive(Clone)]
pub(crate) struct Saved {
    pub(crate) label: String,
    at: Timestamp,
    store: Store,
    nature: Nature,
    servers: Servers,
    config: Arc<OperatorConfig>,
    acts: Vec<(Timestamp, String)>,
}

type Points = Arc<Mutex<Vec<Saved>>>;

/// The world.
pub(crate) struct World {
    pub(crate) api: FakeApi,
    pub(crate) nature: Arc<Mutex<Nature>>,
    pub(crate) servers: Arc<Mutex<Servers>>,
    pub(crate) cloud: Cloud,
    pub(crate) commands: Arc<Mutex<Commands>>,
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

    /// A world without finalizers, with one operator and one cluster, as its manifest says.
    pub(crate) async fn without_finalizers(manifest: Value) -> Self {
        let mut config = configuration();
        config.kubernetes.enable_finalizers = false;
        let mut world = Self::configured(config);
        world.start("operator");
        world.apply(manifest);
        world.settle().await;
        world.forget();
        world
    }

    /// A world with one operator and one cluster, as its manifest says.
    pub(crate) async fn with(manifest: Value) -> Self {
        let mut world = Self::empty();
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

    /// Starts an operator.
    pub(crate) fn start(&mut self, name: &str) {
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
        let (cloud, shells) = (self.cloud.clone(), Shells(Arc::clone(&self.commands)));
        let run = async move {
            let (stores, changes) = Stores::start(&client, &scope(&config.borrow().clone()));
            stores.wait_until_ready().await.unwrap();
            let metrics = Metrics::default();
            let waiting = changes.clone();
            let ctx = Context {
                activity: Activity::default(),
                watched: None,
                patroni: Patroni::new(port, metrics.clone()),
                teams: Teams::new(team::connect(team::authorities()).unwrap(), metrics.clone()),
                database: Arc::new(databases),
                events: Events::new(client.clone(), None),
                controller_id: None,
                namespace: "postgres-operator".to_owned(),
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
            controller::run(ctx, changes, std::future::pending()).await;
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

    /// `kubectl apply`: makes the manifest, or replaces its specification.
    pub(crate) fn apply(&self, manifest: Value) {
        let user = Manager { name: "kubectl".to_owned(), applies: false, subresource: String::new() };
        let key = manifest_key();
        self.api.with(|store| {
            if store.get(&key).is_none() {
                return drop(store.create(key, manifest, Some(&user)).unwrap());
            }
            let replaced = store.change(&key, Some(&user), |old| {
                let mut new = old.clone();
                new["spec"] = manifest["spec"].clone();
                Ok(new)
            });
            drop(replaced.unwrap());
        });
    }

    /// Changes the manifest's specification by a merge patch.
    pub(crate) fn patch(&self, patch: Value) {
        let mut manifest = (*self.api.get(&manifest_key()).unwrap()).clone();
        json_patch::merge(&mut manifest, &json!({ "spec": patch }));
        self.apply(manifest);
    }

    /// `kubectl delete` of the manifest.
    pub(crate) fn delete(&self) {
        self.api.with(|store| store.delete(&manifest_key(), &Deletion::default()).map(drop)).unwrap();
    }

    /// Makes the nodes objects: they take pods until they are told not to.
    pub(crate) fn show_nodes(&self) {
        for number in 0..self.nature.lock().unwrap().kubelet.nodes {
            let name = format!("node-{number}");
            let labels = json!({"kubernetes.io/hostname": name});
            let node =
                json!({"apiVersion": "v1", "kind": "Node", "metadata": {"labels": labels}, "spec": {}});
            self.api.with(|store| store.create(Key::new("", "nodes", "", &name), node, None)).unwrap();
        }
    }

    /// Changes a node's specification.
    pub(crate) fn node(&self, name: &str, spec: Value) {
        self.api.with(|store| {
            store.edit(&Key::new("", "nodes", "", name), |node| json_patch::merge(&mut node["spec"], &spec));
        });
    }

    /// Changes the operators' configuration.
    pub(crate) fn configure(&self, change: impl FnOnce(&mut OperatorConfig)) {
        let mut config = (**self.config.borrow()).clone();
        change(&mut config);
        self.config.send_replace(Arc::new(config));
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

    /// Whether the operator has said that it is at work.
    fn is_busy(&self) -> bool {
        let status = self.status();
        let word = status["PostgresClusterStatus"].as_str().unwrap_or_default();
        let observed = status["observedGeneration"].as_i64();
        let manifest = self.api.get(&manifest_key());
        manifest.is_some_and(|manifest| {
            manifest["metadata"]["generation"].as_i64() != observed
                || matches!(word, "" | "Creating" | "Updating")
                || manifest["metadata"]["deletionTimestamp"].is_string()
        })
    }

    fn changes(&self) -> (u64, u64) {
        (self.api.state().store.version(), self.nature.lock().unwrap().patroni.changes())
    }

    /// What the status of the cluster says.
    pub(crate) fn status(&self) -> Value {
        self.api.get(&manifest_key()).map(|manifest| manifest["status"].clone()).unwrap_or_default()
    }

    /// The word in it.
    pub(crate) fn word(&self) -> String {
        self.status()["PostgresClusterStatus"].as_str().unwrap_or_default().to_owned()
    }

    /// Every disruptive act since the last [`forget`](Self::forget), in order.
    pub(crate) fn acts(&self) -> Vec<String> {
        let mut acts = self.recreated.lock().unwrap().clone();
        let nature = self.nature.lock().unwrap();
        acts.extend(nature.patroni.acts.iter().map(|act| (act.at, act.what.clone())));
        acts.sort_by_key(|(at, _)| *at);
        acts.into_iter().map(|(_, what)| what).collect()
    }

    /// The pods that are there, by name.
    pub(crate) fn pods(&self) -> Vec<String> {
        let state = self.api.state();
        state.store.all("", "pods", NAMESPACE).map(|(key, _)| key.name.clone()).collect()
    }

    /// Every object but events, as `resource name`.
    pub(crate) fn objects(&self) -> Vec<String> {
        let state = self.api.state();
        let objects = state.store.everything().filter(|(key, _)| key.resource != "events");
        objects.map(|(key, _)| format!("{} {}", key.resource, key.name)).collect()
    }

    /// The events for people, or any other objects of one plural in any group.
    pub(crate) fn objects_of(&self, resource: &str) -> Vec<Arc<Value>> {
        let state = self.api.state();
        let all = state.store.everything().filter(|(key, _)| key.resource == resource);
        all.map(|(_, object)| Arc::clone(object)).collect()
    }

    /// The manifest as it is stored.
    pub(crate) fn manifest(&self) -> Arc<Value> {
        self.api.get(&manifest_key()).unwrap()
    }

    /// An object.
    pub(crate) fn object(&self, group: &str, resource: &str, name: &str) -> Arc<Value> {
        let key = Key::new(group, resource, NAMESPACE, name);
        self.api.get(&key).unwrap_or_else(|| panic!("{resource} {name} is not there"))
    }

    /// Who leads.
    pub(crate) fn leader(&self) -> String {
        let nature = self.nature.lock().unwrap();
        nature.patroni.leader(NAMESPACE, "demo").unwrap_or_default().to_owned()
    }

    /// A setting, in every member that is there.
    pub(crate) fn in_force(&self, setting: &str) -> Vec<String> {
        let pods = self.pods();
        let nature = self.nature.lock().unwrap();
        pods.iter().filter_map(|pod| nature.patroni.in_force(NAMESPACE, pod, setting)).collect()
    }

    /// How many calls of operators changed something.
    pub(crate) fn writes(&self) -> usize {
        let state = self.api.state();
        state.journal.iter().filter(|call| call.changed && call.key.resource != "events").count()
    }
}

/// What a listener needs.
#[derive(Clone)]
struct Parts {
    api: FakeApi,
    nature: Arc<Mutex<Nature>>,
    servers: Arc<Mutex<Servers>>,
    config: watch::Sender<Arc<OperatorConfig>>,
    recreated: Arc<Mutex<Vec<(Timestamp, String)>>>,
    points: Option<Points>,
}

impl Parts {
    /// Takes note of deleted pods.
    fn note(&self, call: &Call) {
        if call.verb == Verb::Delete && call.key.resource == "pods" && call.changed {
            self.recreated.lock().unwrap().push((call.at, format!("recreate {}", call.key.name)));
        }
    }

    /// Keeps a copy, unless nothing has happened since the last one.
    fn point(&self, label: &str, when: When) {
        let Some(points) = &self.points else { return };
        let saved = save(self, &format!("{when:?} {label}").to_lowercase());
        let mut points = points.lock().unwrap();
        if points.last().is_none_or(|last| !last.is_same(&saved)) {
            points.push(saved);
        }
    }
}

impl Saved {
    /// An object, if it was there.
    pub(crate) fn get(&self, key: &Key) -> Option<&Arc<Value>> {
        self.store.get(key)
    }

    fn is_same(&self, other: &Self) -> bool {
        self.store.version() == other.store.version()
            && self.nature.patroni.changes() == other.nature.patroni.changes()
            && self.servers.statements.len() == other.servers.statements.len()
    }
}

fn save(parts: &Parts, label: &str) -> Saved {
    let nature = parts.nature.lock().unwrap().clone();
    let store = {
        let mut store = parts.api.state().store.clone();
        store.forget();
        store
    };
    Saved {
        label: label.to_owned(),
        at: clock::now(),
        store,
        nature,
        servers: parts.servers.lock().unwrap().clone(),
        config: parts.config.borrow().clone(),
        acts: parts.recreated.lock().unwrap().clone(),
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
fn scope(config: &OperatorConfig) -> Scope {
    let kubernetes = &config.kubernetes;
    Scope {
        namespace: None,
        cluster_labels: kubernetes.cluster_labels.clone(),
        cluster_name_label: kubernetes.cluster_name_label.clone(),
        role_binding: kubernetes.pod_service_account_name.clone(),
        service_account: kubernetes.pod_service_account_name.clone(),
        infrastructure: Default::default(),
        teams: false,
        rights: Default::default(),
    }
}
