//! The operator's configuration while it runs: a wrong one is told and changes nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::api::events::v1::Event;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use operator::config::{Current, Source, follow};
use operator::events::Events;
use operator::leader::LEASE;
use operator::metrics::Metrics;
use serde_json::{Value, json};
use shared::api::OperatorConfiguration;
use shared::config::{Environment, OperatorConfig};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::leaders::Service;
use crate::manifests::make_namespace;

const PATIENCE: Duration = Duration::from_secs(30);

/// An operator, as far as it follows its configuration.
struct Follower {
    client: Client,
    namespace: &'static str,
    config: watch::Receiver<Option<Arc<OperatorConfig>>>,
    metrics: Metrics,
    task: JoinHandle<()>,
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Follower {
    fn start(client: &Client, namespace: &'static str, source: Source) -> Self {
        let (sender, config) = watch::channel(None);
        let metrics = Metrics::default();
        let current = Current { sender, metrics: metrics.clone(), events: Events::new(client.clone(), None) };
        let task = tokio::spawn(follow(client.clone(), source, Environment::default(), current));
        Self { client: client.clone(), namespace, config, metrics, task }
    }

    /// Workers in the configuration in force.
    fn workers(&self) -> Option<u32> {
        self.config.borrow().as_ref().map(|config| config.general.workers)
    }

    async fn until(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        let begun = Instant::now();
        while !is_so().await {
            assert!(begun.elapsed() < PATIENCE, "it has not come about that {what}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn says_valid(&self, valid: u8) -> bool {
        self.metrics.text().contains(&format!("postgres_operator_configuration_invalid {}", 1 - valid))
    }

    /// The notes of events about the configuration.
    async fn notes(&self) -> String {
        let events: Api<Event> = Api::namespaced(self.client.clone(), self.namespace);
        let events = events.list(&Default::default()).await.unwrap();
        events.iter().filter_map(|event| event.note.clone()).collect::<Vec<_>>().join("\n")
    }

    /// Whether an event says that this field is wrong and what comes of it. A ConfigMap's fields are `data[…]`.
    async fn told(&self, field: &str, outcome: &str) -> bool {
        self.notes().await.lines().any(|note| note.contains(field) && note.contains(outcome))
    }

    /// The same story for both forms: nothing, wrong, right, wrong again, right again.
    async fn lives_through(&self, write: impl AsyncFn(u32, &str)) {
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(self.workers().is_none() && self.says_valid(0), "it waits for one");
        write(3, "Not A Name").await;
        self.until("the wrong one is told", async || {
            self.told("watched_namespace", "waiting for a valid one").await
        })
        .await;
        assert!(self.workers().is_none() && self.says_valid(0));
        write(4, "*").await;
        self.until("the first valid one is in force", async || self.workers() == Some(4)).await;
        self.until("it is told", async || self.notes().await.contains("is valid and in force")).await;
        assert!(self.says_valid(1));
        write(5, "Not A Name").await;
        self.until("a later wrong one is told", async || {
            self.told("watched_namespace", "the last valid one stays in force").await
        })
        .await;
        assert!(self.workers() == Some(4) && self.says_valid(0), "the good one stays");
        write(6, "*").await;
        self.until("the next one is in force", async || self.workers() == Some(6)).await;
        assert!(!self.task.is_finished());
    }
}

fn objects(client: &Client, namespace: &str) -> Api<DynamicObject> {
    let mut resource = ApiResource::erase::<OperatorConfiguration>(&());
    resource.kind = "OperatorConfiguration".to_owned();
    Api::namespaced_with(client.clone(), namespace, &resource)
}

async fn write_object(client: &Client, namespace: &str, configuration: Value) {
    let object = json!({
        "apiVersion": "acid.zalan.do/v1", "kind": "OperatorConfiguration", "metadata": { "name": "operator" },
        "configuration": configuration,
    });
    let params = PatchParams::apply("admin").force();
    objects(client, namespace).patch("operator", &params, &Patch::Apply(&object)).await.unwrap();
}

pub(crate) async fn a_wrong_operator_configuration_is_told_and_the_last_valid_one_stays(client: Client) {
    let namespace = "configuration-object";
    make_namespace(&client, namespace).await;
    let source = Source::Object(namespace.to_owned(), "operator".to_owned());
    let follower = Follower::start(&client, namespace, source);
    follower
        .lives_through(async |workers, watched| {
            let kubernetes = json!({ "watched_namespace": watched });
            write_object(&client, namespace, json!({ "workers": workers, "kubernetes": kubernetes })).await;
        })
        .await;
}

pub(crate) async fn a_wrong_config_map_is_told_and_the_last_valid_one_stays(client: Client) {
    let namespace = "configuration-map";
    make_namespace(&client, namespace).await;
    let source = Source::ConfigMap(namespace.to_owned(), "operator".to_owned());
    let follower = Follower::start(&client, namespace, source);
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    follower
        .lives_through(async |workers, watched| {
            let map = json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "operator" },
                "data": { "workers": workers.to_string(), "watched_namespace": watched },
            });
            let params = PatchParams::apply("admin").force();
            maps.patch("operator", &params, &Patch::Apply(&map)).await.unwrap();
        })
        .await;
}

/// The operator goes on under the same lease when it has to watch other Secrets: whoever reads of one learns of it.
pub(crate) async fn other_infrastructure_roles_and_teams_are_watched_without_a_restart(client: Client) {
    let namespace = "configuration-roles";
    make_namespace(&client, namespace).await;
    let source = |roles: Option<&str>| {
        let kubernetes = json!({ "watched_namespace": namespace, "infrastructure_roles_secret_name": roles.unwrap_or_default() });
        json!({ "kubernetes": kubernetes, "teams_api": { "enable_postgres_team_crd": roles.is_some() } })
    };
    write_object(&client, namespace, source(None)).await;
    let service = Service::start(&client, namespace, "one", &["--configuration-object", "operator"]);
    let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let acquired = async || leases.get_opt(LEASE).await.unwrap().and_then(|lease| lease.spec?.acquire_time);
    let begun = Instant::now();
    while acquired().await.is_none() {
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let before = acquired().await;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "roles" } });
    secrets.patch("roles", &PatchParams::apply("admin"), &Patch::Apply(&secret)).await.unwrap();
    write_object(&client, namespace, source(Some("roles"))).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(!service.has_ended(), "it goes on");
    assert_eq!(acquired().await, before, "under the same lease");
    service.stop().await;
}
