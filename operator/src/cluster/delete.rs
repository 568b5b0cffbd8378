//! Takes a cluster down, in an order in which nothing is written again behind our back.
//!
//! Event streams → CronJob → StatefulSet and pods → claims and Secrets as configured → poolers → budgets → the replicas'
//! Service → what Patroni wrote, which a living primary would write again → the primary's Service → the finalizer. Each
//! look deletes what is still there; nothing is remembered. Objects are found by the names that a cluster of this name can
//! have, and only those go that carry its labels: never by label alone, and never by name alone.

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{
    ConfigMap, Endpoints, ObjectReference, PersistentVolumeClaim, Secret, Service,
};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, DeleteParams, Preconditions};
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::json;
use shared::admission;
use shared::annotations::CLUSTER;
use shared::api::{FINALIZER, FabricEventStream, Postgresql};
use shared::cluster::{Cluster, References};
use shared::field::FieldErrors;
use shared::labels::{APPLICATION, LOGICAL_BACKUP, LabelMap, Labels, POOLER, carries};
use shared::names::{self, MemberRole};

use crate::context::Context;
use crate::events::Reason;

use super::stores::{Clue, Store};
use super::{Error, finalizer, place, streams};

/// When to look again while pods end; their events come earlier.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// A cluster that is to go.
pub(super) struct Takedown<'a> {
    about: ObjectReference,
    namespace: String,
    name: String,
    selector: LabelMap,
    /// Its manifest asked for event streams.
    streams: bool,
    ctx: &'a Context,
}

/// One look at a cluster that is to go.
pub(super) async fn cluster(manifest: &Postgresql, ctx: &Context) -> Result<Action, Error> {
    if !manifest.finalizers().iter().any(|name| name == FINALIZER) {
        return Ok(Action::await_change());
    }
    if let Err(errors) = unprotected(&manifest.metadata, ctx) {
        // The API server has let the deletion through: without the webhook. Our finalizer holds it until a person decides.
        let note = format!("the cluster is protected from deletion and stays: {errors}");
        ctx.events.warning(&manifest.object_ref(&()), Reason::Delete, note).await;
        return Ok(Action::await_change());
    }
    // What may only be read by name is in no store until it was asked for.
    if let Ok(cluster) = Cluster::resolve(manifest, &ctx.config(), &References::unread()) {
        ctx.stores.ask_for(&cluster, &ctx.client).await;
    }
    let asked = manifest.spec.streams.as_ref().is_some_and(|streams| !streams.is_empty());
    let takedown = Takedown { streams: asked, ..Takedown::of(manifest, ctx) };
    if !takedown.go_on().await? {
        return Ok(Action::requeue(LOOK_AGAIN));
    }
    ctx.stores.departed.release(manifest);
    finalizer::remove(manifest, ctx).await?;
    ctx.stores.forget(&manifest.uid().unwrap_or_default());
    ctx.metrics.cluster_gone(&place(manifest));
    ctx.activity.gone(&place(manifest));
    ctx.proofs.forget(&place(manifest));
    tracing::info!("cluster deleted");
    Ok(Action::await_change())
}

/// Whether the annotations that the configuration asks for permit the deletion. The webhook has asked the same; but it can
/// be away, and a deletion that has begun cannot be taken back.
pub(super) fn unprotected(metadata: &ObjectMeta, ctx: &Context) -> Result<(), FieldErrors> {
    let manifest = json!({ "metadata": metadata });
    let today = ctx.now().to_zoned(jiff::tz::TimeZone::UTC).date();
    admission::review_deletion(&manifest, &ctx.config(), today).map(drop)
}

impl<'a> Takedown<'a> {
    /// The cluster of a manifest, of which no more is needed than what it is called.
    pub(super) fn of<K: Resource<DynamicType = ()>>(manifest: &K, ctx: &'a Context) -> Self {
        let (name, namespace) = (manifest.name_any(), manifest.namespace().unwrap_or_default());
        let selector = Labels::new(&name, "", None, &ctx.config()).selector();
        Self { about: manifest.object_ref(&()), namespace, name, selector, streams: false, ctx }
    }

    /// Deletes what may go now; whether nothing is left.
    pub(super) async fn go_on(&self) -> Result<bool, Error> {
        let config = self.ctx.config();
        self.remove_streams().await?;
        self.remove_backup(&config.logical_backup.job_prefix).await?;
        if !self.members_are_gone().await? {
            return Ok(false);
        }
        if config.kubernetes.enable_persistent_volume_claim_deletion {
            self.remove_claims().await?;
        }
        if config.kubernetes.enable_secrets_deletion {
            self.remove_secrets(&config.kubernetes.secret_name_template).await?;
        }
        self.remove_poolers().await?;
        self.remove_objects(&config.kubernetes.pdb_name_format).await?;
        Ok(true)
    }

    /// The event streams, where the manifest or the StatefulSet says that there may be any.
    async fn remove_streams(&self) -> Result<(), Error> {
        let set = self.ctx.stores.stateful_sets.get(&ObjectRef::new(&self.name).within(&self.namespace));
        if !self.streams && streams::remembered(set.as_deref()) != Some(true) {
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
            self.ctx.events.normal(&self.about, Reason::Delete, note).await;
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

    /// The Secrets that are named as those of its roles, of roles it has had before among them. One in another namespace
    /// says by annotation whose it is.
    async fn remove_secrets(&self, template: &str) -> Result<(), Error> {
        let secrets = &self.ctx.stores.secrets;
        let mut present = self.labelled(secrets);
        present.extend(self.labelled_as(secrets, POOLER));
        for name in present.iter().filter(|name| names::is_secret_of(name, template, &self.name)) {
            self.remove::<Secret>(name).await?;
        }
        let home = format!("{}/{}", self.namespace, self.name);
        let mut elsewhere = secrets.found_by(Clue::cluster(&self.name));
        elsewhere.retain(|secret| {
            secret.annotations().get(CLUSTER) == Some(&home)
                && secret.namespace().as_deref() != Some(self.namespace.as_str())
                && carries(secret.metadata.labels.as_ref(), &self.selector)
        });
        for secret in elsewhere {
            let namespace = secret.namespace().unwrap_or_default();
            let api: Api<Secret> = Api::namespaced(self.ctx.client.clone(), &namespace);
            gone(api.delete(&secret.name_any(), &exactly(secret.uid())).await)
                .map_err(Error::kubernetes(format!("delete Secret {namespace}/{}", secret.name_any())))?;
        }
        Ok(())
    }

    /// Budgets, Services, and what Patroni wrote. The primary's Service is the last: where there is no finalizer, it bears
    /// the mark that there is something left to do.
    async fn remove_objects(&self, primary_budget: &str) -> Result<(), Error> {
        for name in [names::primary_budget(primary_budget, &self.name), names::critical_budget(&self.name)] {
            self.remove_own::<PodDisruptionBudget>(&name).await?;
        }
        let [primary, replica] =
            [MemberRole::Primary, MemberRole::Replica].map(|role| names::service(&self.name, role));
        self.remove_own::<Service>(&replica).await?;
        self.remove_own::<Endpoints>(&replica).await?;
        for name in names::patroni_objects(&self.name) {
            self.remove_own::<ConfigMap>(&name).await?;
            self.remove_own::<Endpoints>(&name).await?;
            self.remove_own::<Service>(&name).await?;
        }
        self.remove_own::<Endpoints>(&primary).await?;
        self.remove_own::<Service>(&primary).await
    }

    /// Deletes an object of this name if it carries the cluster's labels now: `a-config` can be a cluster of its own. It is
    /// asked for afresh, because Patroni may have written it a moment ago.
    async fn remove_own<K>(&self, name: &str) -> Result<(), Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.ctx.client.clone(), &self.namespace);
        let failed = || Error::kubernetes(format!("delete {} {name}", K::kind(&())));
        let found = api.get_metadata_opt(name).await.map_err(failed())?;
        match found.filter(|found| carries(found.metadata.labels.as_ref(), &self.selector)) {
            Some(found) => gone(api.delete(name, &exactly(found.uid())).await).map_err(failed()),
            None => Ok(()),
        }
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
        let found = store.found_by(Clue::cluster(&self.name));
        found.iter().filter(|object| belongs(object)).map(|object| object.name_any()).collect()
    }

    /// Deletes an object; one that is gone already is no error.
    async fn remove<K>(&self, name: &str) -> Result<(), Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.ctx.client.clone(), &self.namespace);
        let deleted = api.delete(name, &DeleteParams::background()).await;
        gone(deleted).map_err(Error::kubernetes(format!("delete {} {name}", K::kind(&()))))
    }
}

/// The deletion of this very object and of what it made.
fn exactly(uid: Option<String>) -> DeleteParams {
    let preconditions = Some(Preconditions { uid, resource_version: None });
    DeleteParams { preconditions, ..DeleteParams::background() }
}

/// What is gone already is no error. What has come back as another one is: it is looked at again.
fn gone<T>(deleted: kube::Result<T>) -> kube::Result<()> {
    match deleted {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        result => result.map(drop),
    }
}
