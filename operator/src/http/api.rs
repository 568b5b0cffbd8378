//! The REST API of upstream's operator: the same paths and the same JSON, for Zalando's UI and for monitoring.
//!
//! Answers come from the stores and from [`Activity`](crate::activity::Activity), never from a request to a cluster.
//! Surprising: what may be a secret is hidden in every answer, tokens or not; and what is not there is 404 where upstream
//! says 500, with the same body.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use http::{Method, StatusCode};
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde_json::{Value, json};
use shared::api::Postgresql;
use shared::cluster::{Cluster, References};
use shared::names::{self, MemberRole};
use shared::redaction::without_secrets;

use crate::cluster::stores::{Changes, ClusterRef, Store};
use crate::cluster::told;
use crate::context::Context;

use super::access;
use super::question::{Place, Question};

/// What answers. Until the stores are filled there is nothing to answer from.
#[derive(Clone, Default)]
pub struct RestApi {
    ready: Arc<RwLock<Option<Arc<Ready>>>>,
    /// Whether everybody may read everything that is no secret, as with upstream.
    open: bool,
}

struct Ready {
    ctx: Context,
    waiting: Changes,
}

/// A page that is not there.
struct NotFound(&'static str);

impl RestApi {
    /// An API that has nothing to answer from yet. `open`: without asking who asks.
    pub fn new(open: bool) -> Self {
        Self { ready: Arc::default(), open }
    }

    /// From now on it answers.
    pub fn start(&self, ctx: Context, waiting: Changes) {
        // What comes later counts: the stores are started anew when the configuration asks for other watches.
        *self.ready.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(Ready { ctx, waiting }));
    }
}

/// The paths and their answers.
pub fn routes(api: RestApi) -> Router {
    Router::new().fallback(answer).with_state(api)
}

fn refused(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({ "error": error }))).into_response()
}

async fn answer(State(api): State<RestApi>, request: Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return refused(StatusCode::METHOD_NOT_ALLOWED, "this API can only be read");
    }
    let Some(question) = Question::of(request.uri().path()) else {
        return refused(StatusCode::NOT_FOUND, "page not found");
    };
    let Some(ready) = api.ready.read().unwrap_or_else(PoisonError::into_inner).clone() else {
        let reason = "the configuration and the stores are not read yet";
        return refused(StatusCode::SERVICE_UNAVAILABLE, reason);
    };
    if !api.open
        && let Err(denied) = access::check(&question.access(), request.headers(), &ready.ctx).await
    {
        return refused(denied.status(), &told(&denied));
    }
    match ready.answer(&question) {
        Ok(value) => Json(without_secrets(value)).into_response(),
        Err(NotFound(what)) => refused(StatusCode::NOT_FOUND, what),
    }
}

impl Ready {
    fn answer(&self, question: &Question) -> Result<Value, NotFound> {
        let activity = &self.ctx.activity;
        Ok(match question {
            Question::Status => self.status(),
            Question::Ready => json!("OK"),
            Question::Configuration => self.configuration(),
            Question::Teams => json!(self.teams()),
            Question::Team(team) => {
                let names = self.teams().remove(team);
                json!(names.ok_or(NotFound("could not find clusters for the team"))?)
            }
            Question::Cluster(place) => self.cluster(place)?,
            Question::Logs(place) => {
                self.manifest(place)?;
                json!(activity.lines_of(&place.to_string()).unwrap_or_default())
            }
            Question::History(place) => {
                self.manifest(place)?;
                json!(activity.changes_of(&place.to_string()).unwrap_or_default())
            }
            Question::Databases => json!(self.databases()),
            Question::WorkerLogs(worker) => json!(activity.lines_of_worker(self.worker(*worker)?)),
            Question::Queue(Some(worker)) => self.queue(self.worker(*worker)?),
            Question::Queue(None) => self.of_all(|worker| self.queue(worker)),
            Question::Work(Some(worker)) => self.work(self.worker(*worker)?),
            Question::Work(None) => self.of_all(|worker| self.work(worker)),
        })
    }

    fn workers(&self) -> usize {
        usize::try_from(self.ctx.config().general.workers).unwrap_or(usize::MAX).max(1)
    }

    fn worker(&self, number: usize) -> Result<usize, NotFound> {
        Some(number).filter(|number| *number < self.workers()).ok_or(NotFound("could not find worker"))
    }

    fn of_all(&self, answer: impl Fn(usize) -> Value) -> Value {
        let all: BTreeMap<usize, Value> =
            (0..self.workers()).map(|worker| (worker, answer(worker))).collect();
        json!(all)
    }

    /// The manifests that can be read, one after the other.
    fn manifests(&self) -> impl Iterator<Item = Postgresql> {
        self.ctx.stores.manifests.all().filter_map(|manifest| Arc::unwrap_or_clone(manifest).0.ok())
    }

    fn manifest(&self, place: &Place) -> Result<Postgresql, NotFound> {
        let found = self.ctx.stores.manifests.get(&ObjectRef::new(&place.name).within(&place.namespace));
        found.and_then(|found| Arc::unwrap_or_clone(found).0.ok()).ok_or(NotFound("could not find cluster"))
    }

    fn status(&self) -> Value {
        let sizes: BTreeMap<usize, usize> =
            (0..self.workers()).map(|worker| (worker, self.waiting_for(worker).len())).collect();
        json!({
            "LastSyncTime": self.ctx.activity.last_look().map_or(0, |at| at.as_second()),
            "Clusters": self.ctx.stores.manifests.len(),
            "WorkerQueueSize": sizes,
        })
    }

    /// The configuration under our names for its keys, and under upstream's what its UI reads.
    fn configuration(&self) -> Value {
        let config = self.ctx.config();
        let mut operator = json!(*config);
        if let Some(map) = operator.as_object_mut() {
            map.insert("WatchedNamespace".to_owned(), json!(self.ctx.watched.clone().unwrap_or_default()));
            map.insert("Workers".to_owned(), json!(config.general.workers));
        }
        json!({
            "controller": {"Namespace": self.ctx.namespace, "NoDatabaseAccess": !config.debug.enable_database_access,
                "NoTeamsAPI": !config.teams_api.enable_teams_api},
            "operator": operator,
        })
    }

    /// Upstream groups by the team in lower case.
    fn teams(&self) -> BTreeMap<String, Vec<String>> {
        let mut teams: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for manifest in self.manifests() {
            teams.entry(manifest.spec.team_id.to_lowercase()).or_default().push(manifest.name_any());
        }
        teams.values_mut().for_each(|names| names.sort());
        teams
    }

    fn databases(&self) -> BTreeMap<String, Vec<String>> {
        let mut databases: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for manifest in self.manifests() {
            let names = manifest.spec.databases.iter().flatten().map(|(name, _)| name.clone());
            databases.entry(manifest.name_any()).or_default().extend(names);
        }
        databases
    }

    /// The clusters that wait. There is one queue; each cluster is shown with one worker, always the same.
    fn waiting_for(&self, worker: usize) -> Vec<ClusterRef> {
        let mine = |cluster: &ClusterRef| {
            let mut hasher = DefaultHasher::new();
            cluster.hash(&mut hasher);
            let workers = u64::try_from(self.workers()).unwrap_or(1);
            usize::try_from(hasher.finish() % workers) == Ok(worker)
        };
        self.waiting.waiting().into_iter().filter(mine).collect()
    }

    fn queue(&self, worker: usize) -> Value {
        let keys: Vec<String> = self
            .waiting_for(worker)
            .iter()
            .map(|cluster| format!("{}/{}", cluster.namespace.as_deref().unwrap_or_default(), cluster.name))
            .collect();
        let now = self.ctx.now();
        let events: Vec<Value> =
            keys.iter().map(|key| json!({"EventTime": now, "EventType": "SYNC", "Name": key})).collect();
        json!({ "Keys": keys, "List": events })
    }

    fn work(&self, worker: usize) -> Value {
        let Some(look) = self.ctx.activity.look_of(worker) else { return json!("idle") };
        let (namespace, name) = look.cluster.split_once('/').unwrap_or(("", &look.cluster));
        json!({
            "CurrentCluster": {"Namespace": namespace, "Name": name},
            "CurrentProcess": {"Name": "reconcile", "StartTime": look.since},
        })
    }

    fn cluster(&self, place: &Place) -> Result<Value, NotFound> {
        let manifest = self.manifest(place)?;
        let stores = &self.ctx.stores;
        let [primary, replica] =
            [MemberRole::Primary, MemberRole::Replica].map(|role| names::service(&place.name, role));
        let resolved = Cluster::resolve(&manifest, &self.ctx.config(), &References::unread()).ok();
        let budget = |which: usize| {
            let names = resolved.as_ref().map(Cluster::budget_names);
            names.and_then(|names| object(&stores.disruption_budgets, place, names.get(which)?))
        };
        let looking = self.ctx.activity.worker_of(&place.to_string());
        let (worker, since) = looking.unzip();
        let status = manifest.status.clone().unwrap_or_default();
        let ready = status.conditions.iter().flatten().find(|condition| condition.type_ == "Ready");
        let wrong = ready.filter(|condition| condition.status != "True");
        Ok(json!({
            "Team": manifest.spec.team_id,
            "Cluster": place.name,
            "Namespace": place.namespace,
            "MasterService": object(&stores.services, place, &primary),
            "ReplicaService": object(&stores.services, place, &replica),
            "MasterEndpoint": object(&stores.endpoints, place, &primary),
            "ReplicaEndpoint": object(&stores.endpoints, place, &replica),
            "StatefulSet": object(&stores.stateful_sets, place, &place.name),
            "PrimaryPodDisruptionBudget": budget(0),
            "CriticalOpPodDisruptionBudget": budget(1),
            "CurrentProcess": {"Name": since.map_or("", |_| "reconcile"), "StartTime": since},
            "Worker": worker.unwrap_or_default(),
            "Status": status,
            "Spec": manifest.spec,
            "Error": wrong.map(|condition| condition.message.clone()).unwrap_or_default(),
        }))
    }
}

/// An object of a store; nothing where it is not there.
fn object<K>(store: &Store<K>, place: &Place, name: &str) -> Option<Value>
where
    K: Resource<DynamicType = ()> + Clone + Serialize + 'static,
{
    let found = store.get(&ObjectRef::new(name).within(&place.namespace))?;
    serde_json::to_value(&*found).ok()
}
