//! Takes a cluster down, in an order in which nothing is written again behind our back.
//!
//! Event streams → CronJob → StatefulSet and pods → claims and Secrets as configured → poolers → budgets → Services → what Patroni wrote, last, because a
//! living primary would write it again → the finalizer. Each look deletes what is still there; nothing is remembered.
//! Objects are found by the names that a cluster of this name can have, never by label alone.

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{ConfigMap, Endpoints, PersistentVolumeClaim, Secret, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, DeleteParams};
use kube::runtime::controller::Action;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use shared::api::{FINALIZER, FabricEventStream, Postgresql};
use shared::cluster::{Cluster, References};
use shared::labels::{APPLICATION, LOGICAL_BACKUP, LabelMap, Labels, POOLER};
use shared::names::{self, MemberRole};

use crate::context::Context;
use crate::events::Reason;

use super::{Error, credentials, finalizer, place, streams};

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
    takedown.remove_streams().await?;
    takedown.remove_backup(&config.logical_backup.job_prefix).await?;
    if !takedown.members_are_gone().await? {
        return Ok(Action::requeue(LOOK_AGAIN));
    }
    if config.kubernetes.enable_persistent_volume_claim_deletion {
        takedown.remove_claims().await?;
    }
    if config.kubernetes.enable_secrets_deletion {
        takedown.remove_secrets().await?;
    }
    takedown.remove_poolers().await?;
    takedown.remove_objects(&config.kubernetes.pdb_name_format).await?;
    finalizer::remove(manifest, ctx).await?;
    ctx.metrics.cluster_gone(&place(manifest));
    ctx.activity.gone(&place(manifest));
    ctx.proofs.forget(&place(manifest));
    tracing::info!("cluster deleted");
    Ok(Action::await_change())
}

impl Takedown<'_> {
    /// The event streams, where the manifest or the StatefulSet says that there may be any.
    async fn remove_streams(&self) -> Result<(), Error> {
        let set = self.ctx.stores.stateful_sets.get(&ObjectRef::new(&self.name).within(&self.namespace));
        let asked = self.manifest.spec.streams.as_ref().is_some_and(|streams| !streams.is_empty());
        if !asked && streams::remembered(set.as_deref()) != Some(true) {
            return Ok(());
        }
        let found = streams::list(&self.namespace, &self.selector, self.ctx).await?;
        let prefix = format!("{}-", self.name);
        for name in
            found.iter().flatten().map(|stream| stream.name_any()).filter(|name| name.starts_with(&prefix))
        {
            self.remove::<FabricEventStream>(&name).await?;
        }
        Ok(())
    }

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

    /// The CronJob; its Jobs and their pods go with it. Cut to 52 letters, two clusters' can have one name: only one
    /// with our label is ours.
    async fn remove_backup(&self, prefix: &str) -> Result<(), Error> {
        let name = names::logical_backup(prefix, &self.name);
        if self.labelled_as(&self.ctx.stores.cron_jobs, LOGICAL_BACKUP).contains(&name) {
            self.remove::<CronJob>(&name).await?;
        }
        Ok(())
    }

    /// The poolers, pods first. A Service `a-pooler` can also be that of a cluster so called: only one with our label
    /// is ours.
    async fn remove_poolers(&self) -> Result<(), Error> {
        let stores = &self.ctx.stores;
        for pooler in MemberRole::ALL.map(|role| names::pooler(&self.name, role)) {
            if self.labelled_as(&stores.deployments, POOLER).contains(&pooler) {
                self.remove::<Deployment>(&pooler).await?;
            }
            if self.labelled_as(&stores.services, POOLER).contains(&pooler) {
                self.remove::<Service>(&pooler).await?;
            }
            let list = names::user_list(&pooler);
            if self.labelled_as(&stores.secrets, POOLER).contains(&list) {
                self.remove::<Secret>(&list).await?;
            }
        }
        Ok(())
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
        let mut present = self.labelled(&self.ctx.stores.secrets);
        present.extend(self.labelled_as(&self.ctx.stores.secrets, POOLER));
        for role in &cluster.roles().roles {
            let name = cluster.secret_name(role.name.as_str());
            let namespace = cluster.secret_namespace(role);
            if namespace != self.namespace {
                self.remove_secret_elsewhere(namespace, &name, &cluster).await?;
            } else if present.contains(&name) {
                self.remove::<Secret>(&name).await?;
            }
        }
        Ok(())
    }

    /// A Secret in another namespace, if it says that it is this cluster's.
    async fn remove_secret_elsewhere(
        &self,
        namespace: &str,
        name: &str,
        cluster: &Cluster,
    ) -> Result<(), Error> {
        let found = self.ctx.stores.secrets.get(&ObjectRef::new(name).within(namespace));
        if !found.is_some_and(|secret| credentials::belongs(&secret, cluster)) {
            return Ok(());
        }
        let secrets: Api<Secret> = Api::namespaced(self.ctx.client.clone(), namespace);
        match secrets.delete(name, &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            result => {
                result.map(drop).map_err(Error::kubernetes(format!("delete Secret {namespace}/{name}")))
            }
        }
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
        self.selected(store, &self.selector)
    }

    /// The same of its poolers or its backups.
    fn labelled_as<K>(&self, store: &Store<K>, application: &str) -> Vec<String>
    where
        K: Resource<DynamicType = ()> + Clone + 'static,
    {
        let mut selector = self.selector.clone();
        selector.insert(APPLICATION.to_owned(), application.to_owned());
        self.selected(store, &selector)
    }

    fn selected<K>(&self, store: &Store<K>, selector: &LabelMap) -> Vec<String>
    where
        K: Resource<DynamicType = ()> + Clone + 'static,
    {
        let belongs = |object: &K| {
            object.meta().namespace.as_deref() == Some(self.namespace.as_str())
                && selector.iter().all(|(key, value)| object.labels().get(key) == Some(value))
        };
        store.state().iter().filter(|object| belongs(object)).map(|object| object.name_any()).collect()
    }

    /// Deletes an object; one that is gone already is no error.
    async fn remove<K>(&self, name: &str) -> Result<(), Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.ctx.client.clone(), &self.namespace);
        match api.delete(name, &DeleteParams::background()).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            result => result.map(drop).map_err(Error::kubernetes(format!("delete {} {name}", K::kind(&())))),
        }
    }
}
