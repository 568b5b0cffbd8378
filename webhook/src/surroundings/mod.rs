//! What stands around manifests in Kubernetes, kept by watches: what `shared::admission::surroundings` decides by.
//!
//! Nothing is ever asked on the way of a request. A watch that may not be, or cannot be, costs the warnings it would
//! have fed and nothing else: readiness does not wait for any of this, a metric and one line of the log say so. The
//! surprise: Secrets are watched only when asked for (`--watch-secrets`), because Kubernetes knows no right to see the
//! names of Secrets without their data.
//!
//! ```text
//!   watch per kind ─► what decisions need of an object ─► shelf: namespace ─► name ─► thing
//!                                                           └─ a review takes the maps of its namespace (an Arc each)
//! ```

mod fleet;
mod follow;
mod shelf;
mod take;

use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, LimitRangeItem, Namespace, Secret};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, PartialObjectMeta};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use shared::admission::configuration::Fleet;
use shared::admission::policy::Policy;
use shared::admission::surroundings::{Level, Quota, StorageClass, StoredManifest, Surroundings};
use shared::api::PostgresTeam;

use crate::metrics::Metrics;
use crate::validate::{POSTGRESQL, TEAM};
use fleet::Stored;
pub use shelf::Shelf;

/// The name under which things are kept that stand in no namespace.
const NOWHERE: &str = "";

/// Everything that is known, by kind.
#[derive(Default)]
pub struct World {
    /// What this webhook was told to refuse.
    pub policy: Policy,
    /// The manifests.
    pub clusters: Shelf<StoredManifest>,
    /// The `PostgresTeam`s, as far as they can be read.
    pub teams: Shelf<PostgresTeam>,
    /// The StorageClasses.
    pub storage_classes: Shelf<StorageClass>,
    /// The PriorityClasses.
    pub priority_classes: Shelf<()>,
    /// What Pod Security enforces, by namespace.
    pub namespaces: Shelf<Level>,
    /// The ResourceQuotas.
    pub quotas: Shelf<Quota>,
    /// The LimitRanges.
    pub limit_ranges: Shelf<Vec<LimitRangeItem>>,
    /// The names of Secrets.
    pub secrets: Shelf<()>,
    /// The names of ConfigMaps.
    pub config_maps: Shelf<()>,
}

impl World {
    /// What stands around a manifest of `namespace`.
    pub fn around(&self, namespace: &str) -> Surroundings {
        Surroundings {
            storage_classes: self.storage_classes.of(NOWHERE),
            priority_classes: self.priority_classes.of(NOWHERE),
            pod_security: self.namespaces.of(NOWHERE).and_then(|all| all.get(namespace).copied()),
            quotas: self.quotas.of(namespace),
            limit_ranges: self.limit_ranges.of(namespace),
            secrets: self.secrets.of(namespace),
            config_maps: self.config_maps.of(namespace),
            clusters: self.clusters.of(namespace),
            now: None,
        }
    }

    /// All manifests that can be read; `None` when they are not known.
    pub fn manifests(&self) -> Option<Box<dyn Fleet>> {
        Some(Box::new(Stored::of(self.clusters.all()?)))
    }

    /// The `PostgresTeam`s of all namespaces, since what they say adds up; none when they are not known.
    pub fn teams(&self) -> Vec<PostgresTeam> {
        let all = self.teams.all().unwrap_or_default();
        all.iter().flat_map(|(_, named)| named.values().cloned()).collect()
    }

    /// Watches everything within reach for as long as the process lives.
    pub fn watch(self: &Arc<Self>, client: &Client, reach: &Reach, metrics: &Arc<Metrics>) {
        let all = Start { world: self, metrics };
        all.keep(
            "postgresqls",
            reach.ours(client, POSTGRESQL, "postgresqls"),
            |world| &world.clusters,
            take::manifest,
        );
        all.keep(
            "postgresteams",
            reach.ours(client, TEAM, "postgresteams"),
            |world| &world.teams,
            take::team,
        );
        all.keep(
            "storageclasses",
            Api::all(client.clone()),
            |world| &world.storage_classes,
            take::storage_class,
        );
        all.keep("resourcequotas", reach.api(client), |world| &world.quotas, take::quota);
        all.keep("limitranges", reach.api(client), |world| &world.limit_ranges, take::limit_range);
        all.keep(
            "priorityclasses",
            Api::<PartialObjectMeta<PriorityClass>>::all(client.clone()),
            |world| &world.priority_classes,
            take::name,
        );
        all.keep(
            "namespaces",
            Api::<PartialObjectMeta<Namespace>>::all(client.clone()),
            |world| &world.namespaces,
            take::level,
        );
        all.keep("configmaps", reach.names::<ConfigMap>(client), |world| &world.config_maps, take::name);
        if reach.secrets {
            all.keep("secrets", reach.names::<Secret>(client), |world| &world.secrets, take::name);
        }
    }
}

/// How far to look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// The only namespace whose objects are watched; all where there is none.
    pub namespace: Option<String>,
    /// Whether the names of Secrets are watched.
    pub secrets: bool,
}

impl Reach {
    /// The objects of a kind.
    fn api<K>(&self, client: &Client) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        match &self.namespace {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        }
    }

    /// All objects of a kind of our own, untyped: one that cannot be decoded must not hide the others.
    fn ours(&self, client: &Client, kind: &str, plural: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("acid.zalan.do", "v1", kind);
        let kind = ApiResource::from_gvk_with_plural(&kind, plural);
        match &self.namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &kind),
            None => Api::all_with(client.clone(), &kind),
        }
    }

    /// The metadata of all objects of a kind.
    fn names<K>(&self, client: &Client) -> Api<PartialObjectMeta<K>>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        self.api(client)
    }
}

/// What every watch is started with.
struct Start<'a> {
    world: &'a Arc<World>,
    metrics: &'a Arc<Metrics>,
}

impl Start<'_> {
    /// Keeps what `take` makes of each object of a kind.
    fn keep<K, T>(&self, kind: &'static str, api: Api<K>, shelf: fn(&World) -> &Shelf<T>, take: fn(&K) -> T)
    where
        K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
        T: Clone + Send + Sync + 'static,
    {
        let (world, metrics) = (Arc::clone(self.world), Arc::clone(self.metrics));
        tokio::spawn(async move { follow::follow(kind, api, shelf(&world), take, &metrics).await });
    }
}
