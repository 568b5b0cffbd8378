//! Takes a cluster down, in an order in which nothing is written again behind our back.
//!
//! StatefulSet and pods → claims and Secrets as configured → budgets → Services → what Patroni wrote, last, because a
//! living primary would write it again → the finalizer. Each look deletes what is still there; nothing is remembered.
//! Objects are found by the names that a cluster of this name can have, never by label alone.

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Endpoints, PersistentVolumeClaim, Secret, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, DeleteParams};
use kube::runtime::controller::Action;
use kube::runtime::reflector::Store;
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use shared::api::{FINALIZER, Postgresql};
use shared::cluster::{Cluster, References};
use shared::labels::{LabelMap, Labels};
use shared::names::{self, MemberRole};

use crate::context::Context;
use crate::events::Reason;

use super::{Error, finalizer, place};

/// When to look again while pods end; their events come earlier.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// A cluster that is to go.
struct Takedown<'a> {
    manifest: &'a Postgresql,
    namespace: String,
    name: String,
    selector: LabelMap,
    ctx: &'a Context,
}

/// One look at a cluster that is to go.
pub(super) async fn cluster(manifest: &Postgresql, ctx: &Context) -> Result<Action, Error> {
    if !manifest.finalizers().iter().any(|name| name == FINALIZER) {
        return Ok(Action::await_change());
    }
    let config = ctx.config();
    let name = manifest.name_any();
    let selector = Labels::new(&name, &manifest.spec.team_id, None, &config).selector();
    let namespace = manifest.namespace().unwrap_or_default();
    let takedown = Takedown { manifest, namespace, name, selector, ctx };
    if !takedown.members_are_gone().await? {
        return Ok(Action::requeue(LOOK_AGAIN));
    }
    if config.kubernetes.enable_persistent_volume_claim_deletion {
        takedown.remove_claims().await?;
    }
    if config.kubernetes.enable_secrets_deletion {
        takedown.remove_secrets().await?;
    }
    takedown.remove_objects(&config.kubernetes.pdb_name_format).await?;
    finalizer::remove(manifest, ctx).await?;
    ctx.metrics.cluster_gone(&place(manifest));
    tracing::info!("cluster deleted");
    Ok(Action::await_change())
}

impl Takedown<'_> {
    /// Deletes the StatefulSet; whether it and its pods are gone.
    async fn members_are_gone(&self) -> Result<bool, Error> {
        let stores = &self.ctx.stores;
        let sets = self.labelled(&stores.stateful_sets);
        if sets.contains(&self.name) {
            let note = "the operator has begun to take the cluster down";
            self.ctx.events.normal(&self.manifest.object_ref(&()), Reason::Delete, note).await;
            self.remove::<StatefulSet>(&self.name).await?;
        }
        let is_member = |pod: &String| names::ordinal(&self.name, pod).is_some();
        Ok(!sets.contains(&self.name) && !self.labelled(&stores.pods).iter().any(is_member))
    }

    async fn remove_claims(&self) -> Result<(), Error> {
        let prefix = format!("{}-", names::DATA_VOLUME);
        for claim in self.labelled(&self.ctx.stores.volume_claims) {
            let member = claim.strip_prefix(&prefix).unwrap_or_default();
            if names::ordinal(&self.name, member).is_some() {
                self.remove::<PersistentVolumeClaim>(&claim).await?;
            }
        }
        Ok(())
    }

    /// The Secrets of the roles that the manifest, as it was last, asks for.
    async fn remove_secrets(&self) -> Result<(), Error> {
        let resolved = Cluster::resolve(self.manifest, &self.ctx.config(), &References::unread());
        let Ok(cluster) = resolved else { return Ok(()) };
        let present = self.labelled(&self.ctx.stores.secrets);
        for role in &cluster.roles().roles {
            let name = cluster.secret_name(role.name.as_str());
            if present.contains(&name) {
                self.remove::<Secret>(&name).await?;
            }
        }
        Ok(())
    }

    /// Budgets, Services, and last what Patroni wrote.
    async fn remove_objects(&self, primary_budget: &str) -> Result<(), Error> {
        for name in [names::primary_budget(primary_budget, &self.name), names::critical_budget(&self.name)] {
            self.remove::<PodDisruptionBudget>(&name).await?;
        }
        for role in MemberRole::ALL {
            self.remove::<Service>(&names::service(&self.name, role)).await?;
            self.remove::<Endpoints>(&names::service(&self.name, role)).await?;
        }
        for name in names::patroni_objects(&self.name) {
            self.remove::<ConfigMap>(&name).await?;
            self.remove::<Endpoints>(&name).await?;
            self.remove::<Service>(&name).await?;
        }
        Ok(())
    }

    /// The names of this cluster's objects in a store.
    fn labelled<K>(&self, store: &Store<K>) -> Vec<String>
    where
        K: Resource<DynamicType = ()> + Clone + 'static,
    {
        let belongs = |object: &K| {
            object.meta().namespace.as_deref() == Some(self.namespace.as_str())
                && self.selector.iter().all(|(key, value)| object.labels().get(key) == Some(value))
        };
        store.state().iter().filter(|object| belongs(object)).map(|object| object.name_any()).collect()
    }

    /// Deletes an object; one that is gone already is no error.
    async fn remove<K>(&self, name: &str) -> Result<(), Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.ctx.client.clone(), &self.namespace);
        match api.delete(name, &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            result => result.map(drop).map_err(Error::kubernetes(format!("delete {} {name}", K::kind(&())))),
        }
    }
}
