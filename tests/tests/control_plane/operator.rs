//! The operator itself, look by look, with the real API server. Patroni and PostgreSQL are simulated: they do what they
//! are told. Nothing runs here, so pods are written as a kubelet would leave them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt, ready};
use http::{Method, Request, Response};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, Patch, PatchParams};
use kube::core::DeserializeGuard;
use kube::{Client, ResourceExt};
use operator::cluster::stores::{Scope, Stores};
use operator::context::Context;
use operator::database::{Database, DatabaseError, Endpoint, Failure};
use operator::events::Events;
use operator::exec::PodExec;
use operator::metrics::Metrics;
use operator::patroni::{BoxError, HttpPort, Patroni};
use operator::rights::Rights;
use operator::team::{self, Teams};
use serde_json::{Value, json};
use shared::api::Postgresql;
use shared::config::OperatorConfig;
use shared::names;
use shared::roles::contents::Existing;
use shared::roles::{Catalog, Statement};
use tokio::sync::watch;
use tower::util::BoxCloneSyncService;

/// How often to look until something has come about. The stores learn of each write a moment later.
const LOOKS: usize = 100;

/// An operator for one cluster.
pub(crate) struct Operator {
    client: Client,
    namespace: String,
    name: String,
    ctx: Arc<Context>,
}

impl Operator {
    /// Starts one that watches the namespace. Its cluster has this many members, the first of which leads.
    pub(crate) async fn start(
        client: &Client,
        config: OperatorConfig,
        namespace: &str,
        name: &str,
        members: i32,
    ) -> Self {
        Self::with_rights(client, (client, Rights::default()), config, (namespace, name), members).await
    }

    /// The same with a client that may do less.
    pub(crate) async fn with_rights(
        client: &Client,
        (own, rights): (&Client, Rights),
        config: OperatorConfig,
        (namespace, name): (&str, &str),
        members: i32,
    ) -> Self {
        let account = config.kubernetes.pod_service_account_name.clone();
        let scope = Scope {
            namespace: Some(namespace.to_owned()),
            cluster_labels: config.kubernetes.cluster_labels.clone(),
            cluster_name_label: config.kubernetes.cluster_name_label.clone(),
            service_account: account.clone(),
            role_binding: account,
            infrastructure: Default::default(),
            teams: false,
            rights: rights.clone(),
        };
        let (stores, _) = Stores::start(own, &scope);
        stores.wait_until_ready().await.unwrap();
        let metrics = Metrics::default();
        let ctx = Context {
            client: own.clone(),
            stores,
            patroni: Patroni::new(patroni(name, members), metrics.clone()),
            teams: Teams::new(team::connect(team::authorities()).unwrap(), metrics.clone()),
            database: Arc::new(Willing),
            proofs: Default::default(),
            disks: Arc::new(operator::disks::NotBuilt),
            known_disks: Default::default(),
            activity: Default::default(),
            watched: None,
            exec: Arc::new(PodExec::new(own.clone())),
            upgrades: Default::default(),
            rolling: Default::default(),
            events: Events::new(own.clone(), None).under(&rights),
            metrics,
            config: watch::channel(Arc::new(config)).1,
            controller_id: None,
            mandate: Default::default(),
            namespace: namespace.to_owned(),
            clock: Timestamp::now,
        };
        Self { client: client.clone(), namespace: namespace.into(), name: name.into(), ctx: Arc::new(ctx) }
    }

    /// Looks at the cluster until something has come about.
    pub(crate) async fn look_until(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        let manifests: Api<Postgresql> = Api::namespaced(self.client.clone(), &self.namespace);
        let mut last = String::new();
        for _ in 0..LOOKS {
            let manifest = manifests.get(&self.name).await.unwrap();
            last = json!(manifest.status).to_string();
            let looked =
                operator::cluster::reconcile(Arc::new(DeserializeGuard(Ok(manifest))), self.ctx.clone());
            if let Err(error) = looked.await {
                last = operator::cluster::told(&error);
            }
            if is_so().await {
                return;
            }
            self.acknowledge().await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("in {LOOKS} looks it has not come about that {what}: {last}");
    }

    /// What the StatefulSet's controller would say: it has seen what was written last.
    async fn acknowledge(&self) {
        let sets: Api<StatefulSet> = Api::namespaced(self.client.clone(), &self.namespace);
        let Some(set) = sets.get_opt(&self.name).await.unwrap() else { return };
        let seen = set.status.as_ref().and_then(|status| status.observed_generation);
        if seen != set.metadata.generation {
            let replicas = set.spec.as_ref().and_then(|spec| spec.replicas);
            let status = json!({ "observedGeneration": set.metadata.generation, "replicas": replicas });
            patch_status(&sets, &set.name_any(), &status).await;
        }
    }
}

/// Writes a status, as a controller or a kubelet would.
pub(crate) async fn patch_status<K>(api: &Api<K>, name: &str, status: &Value)
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let patch = Patch::Merge(json!({ "status": status }));
    api.patch_status(name, &PatchParams::default(), &patch).await.unwrap();
}

/// Makes a pod look as if it ran.
pub(crate) async fn run(pods: &Api<Pod>, name: &str) {
    let status = json!({
        "phase": "Running", "podIP": "127.0.0.1",
        "conditions": [{ "type": "Ready", "status": "True" }],
        "containerStatuses": [{
            "name": "postgres", "image": "spilo", "imageID": "", "ready": true, "restartCount": 0,
            "state": { "running": {} },
        }],
    });
    patch_status(pods, name, &status).await;
}

/// An empty server that refuses nothing.
struct Willing;

impl Database for Willing {
    fn catalog<'a>(&'a self, _: &'a Endpoint) -> BoxFuture<'a, Result<Catalog, DatabaseError>> {
        ready(Ok(Catalog::default())).boxed()
    }

    fn contents<'a>(&'a self, _: &'a Endpoint) -> BoxFuture<'a, Result<Existing, DatabaseError>> {
        ready(Ok(Existing::default())).boxed()
    }

    fn run<'a>(
        &'a self,
        _: &'a Endpoint,
        _: &'a [Statement],
    ) -> BoxFuture<'a, Result<Vec<Failure>, DatabaseError>> {
        ready(Ok(Vec::new())).boxed()
    }
}

/// A Patroni that says of every member that it is well, and keeps what it is told.
fn patroni(cluster: &str, members: i32) -> HttpPort {
    let list: Vec<Value> = (0..members)
        .map(|ordinal| match ordinal {
            0 => json!({"name": names::member(cluster, 0), "role": "leader", "state": "running", "timeline": 1}),
            _ => json!({"name": names::member(cluster, ordinal), "role": "replica", "state": "streaming", "timeline": 1, "lag": 0}),
        })
        .collect();
    let members = json!({ "members": list });
    let config = Arc::new(Mutex::new(json!({ "loop_wait": 0, "postgresql": { "parameters": {} } })));
    BoxCloneSyncService::new(tower::service_fn(move |request: Request<Bytes>| {
        let (members, config) = (members.clone(), config.clone());
        async move {
            let answer = match (request.method(), request.uri().path()) {
                (&Method::GET, "/cluster") => members,
                (&Method::PATCH, "/config") => {
                    let mut config = config.lock().unwrap();
                    merge(&mut config, serde_json::from_slice(request.body())?);
                    config.clone()
                }
                _ => config.lock().unwrap().clone(),
            };
            Ok::<_, BoxError>(Response::new(Bytes::from(answer.to_string())))
        }
    }))
}

/// As Patroni patches: a null removes.
fn merge(config: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *config = patch;
        return;
    };
    if !config.is_object() {
        *config = json!({});
    }
    let fields = config.as_object_mut().unwrap();
    for (key, value) in patch {
        if value.is_null() {
            fields.remove(&key);
        } else {
            merge(fields.entry(key).or_insert(Value::Null), value);
        }
    }
}
