//! Writes the objects that differ, each by server-side apply, in two waves: first what pods need to start, then what
//! makes pods. Stops no pod.
//!
//! Only what `plan::between` names is written, so a settled cluster costs nothing. A StatefulSet whose immutable fields
//! differ is deleted from under its pods, which stay; the next look makes it anew and it takes them over.

use std::collections::BTreeSet;
use std::fmt::Debug;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{Endpoints, Secret, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Resource;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy};
use serde::Serialize;
use serde::de::DeserializeOwned;
use shared::api::FabricEventStream;
use shared::build::Resources;
use shared::plan::{Difference, Effect, Kind, ObjectName, Orphan, ownership};
use shared::rollout::Applied;

use crate::context::Context;

use super::observe::{Seen, stateful_set_as_seen};
use super::{Error, adopt, credentials, user_lists};

/// The name under which the operator owns fields.
pub(super) const FIELD_MANAGER: &str = ownership::MANAGER;

/// How many objects of one cluster are written at once. More would let one cluster's objects hold up other clusters'.
const AT_ONCE: usize = 8;

/// What came of it.
pub(super) struct Written {
    /// What the API server answered about the StatefulSet: the base of the next step.
    pub(super) applied: Applied,
    /// Users' Secrets that could not be written. They cost their users the login, and nobody else anything.
    pub(super) left_out: Vec<Error>,
}

/// Writes what differs. One object that is refused keeps no other from being written.
///
/// # Errors
/// All refusals, where there is one without which the pods or the Services are not as wanted.
pub(super) async fn objects(
    differences: &[Difference],
    desired: &Resources,
    seen: &Seen,
    ctx: &Context,
) -> Result<Written, Vec<Error>> {
    let mut applied = Applied { stateful_set: seen.observed.stateful_set.clone() };
    let strangers = adopt::strangers(differences, seen);
    let (mut refused, mut left_out) = (Vec::new(), Vec::new());
    let may_be_written = differences.iter().filter(|difference| {
        let may = may_write(difference, ctx);
        if !may {
            tracing::debug!(object = %difference.object, "differs, and may not be written");
        }
        may
    });
    let (of_pods, for_pods): (Vec<_>, Vec<_>) =
        may_be_written.partition(|difference| makes_pods(difference.object.kind));
    for wave in [for_pods, of_pods] {
        let one = |difference| written(difference, &strangers, desired, seen, ctx).boxed();
        let wave: Vec<BoxFuture<'_, _>> = wave.into_iter().map(one).collect();
        let results: Vec<(&Difference, Result<_, Error>)> =
            stream::iter(wave).buffered(AT_ONCE).collect().await;
        for (difference, result) in results {
            match result {
                Ok(Some(now)) => applied = now,
                Ok(None) => {}
                Err(error) if is_one_users_alone(&difference.object, desired) => left_out.push(error),
                Err(error) => refused.push(error),
            }
        }
    }
    if refused.is_empty() {
        return Ok(Written { applied, left_out });
    }
    refused.append(&mut left_out);
    Err(refused)
}

/// Whether the objects of a kind make pods, which need those of the other kinds.
fn makes_pods(kind: Kind) -> bool {
    match kind {
        Kind::StatefulSet | Kind::Deployment | Kind::CronJob | Kind::FabricEventStream => true,
        Kind::ServiceAccount
        | Kind::RoleBinding
        | Kind::Service
        | Kind::Endpoints
        | Kind::Secret
        | Kind::PodDisruptionBudget => false,
    }
}

/// Writes one object, which becomes ours before where somebody else made it. What the API server answered, of a
/// StatefulSet.
async fn written<'a>(
    difference: &'a Difference,
    strangers: &BTreeSet<ObjectName>,
    desired: &Resources,
    seen: &Seen,
    ctx: &Context,
) -> (&'a Difference, Result<Option<Applied>, Error>) {
    let field = difference.field.as_deref().unwrap_or("(missing)");
    tracing::info!(object = %difference.object, field, "applying");
    let result = async {
        if strangers.contains(&difference.object) {
            adopt::object(&difference.object, ctx).await?;
        }
        object(difference, desired, seen, ctx).await
    };
    (difference, result.await)
}

/// Whether an object is a Secret that no pod of the cluster reads.
fn is_one_users_alone(object: &ObjectName, desired: &Resources) -> bool {
    let databases = desired.stateful_set.iter().filter_map(|set| Some(&set.spec.as_ref()?.template));
    let poolers = desired
        .poolers
        .iter()
        .filter_map(|pooler| Some(&pooler.deployment.as_ref()?.spec.as_ref()?.template));
    let pods = databases.chain(poolers).filter_map(|pod| pod.spec.as_ref());
    let variables = pods.flat_map(|pod| &pod.containers).flat_map(|container| container.env.iter().flatten());
    let mut read = variables.filter_map(|variable| variable.value_from.as_ref()?.secret_key_ref.as_ref());
    let of_a_role = |name: &str| {
        desired.credentials.iter().any(|credential| credential.metadata.name.as_deref() == Some(name))
    };
    object.kind == Kind::Secret && of_a_role(&object.name) && !read.any(|secret| secret.name == object.name)
}

/// Writes one object. What the API server answered, of a StatefulSet.
async fn object(
    difference: &Difference,
    desired: &Resources,
    seen: &Seen,
    ctx: &Context,
) -> Result<Option<Applied>, Error> {
    match difference.object.kind {
        Kind::ServiceAccount => drop(apply::<ServiceAccount>(difference, ctx).await?),
        Kind::RoleBinding => drop(apply::<RoleBinding>(difference, ctx).await?),
        Kind::Service => drop(apply::<Service>(difference, ctx).await?),
        Kind::Endpoints => drop(apply::<Endpoints>(difference, ctx).await?),
        Kind::PodDisruptionBudget => drop(apply::<PodDisruptionBudget>(difference, ctx).await?),
        Kind::Deployment => drop(apply::<Deployment>(difference, ctx).await?),
        Kind::CronJob => drop(apply::<CronJob>(difference, ctx).await?),
        Kind::FabricEventStream => drop(apply::<FabricEventStream>(difference, ctx).await?),
        Kind::Secret if user_lists::is_one(difference, desired) => {
            user_lists::keep(difference, desired, seen, ctx).await?;
        }
        Kind::Secret => credentials::keep(difference, desired, seen, ctx).await?,
        Kind::StatefulSet if difference.effect == Effect::ReplaceStatefulSet => {
            orphan(difference, seen, ctx).await?;
            return Ok(Some(Applied { stateful_set: None }));
        }
        Kind::StatefulSet => {
            let answered = apply::<StatefulSet>(difference, ctx).await?;
            let answer = stateful_set_as_seen(&answered);
            ctx.stores.wrote_set(answered);
            return Ok(Some(Applied { stateful_set: Some(answer) }));
        }
    }
    Ok(None)
}

/// Whether the rights suffice: to patch what is there, to patch or to create what is not. That they do not was told at the
/// start; a cluster is not held up by what nobody allows.
fn may_write(difference: &Difference, ctx: &Context) -> bool {
    match difference.object.kind {
        Kind::ServiceAccount => may::<ServiceAccount>(difference, ctx),
        Kind::RoleBinding => may::<RoleBinding>(difference, ctx),
        Kind::Service => may::<Service>(difference, ctx),
        Kind::Endpoints => may::<Endpoints>(difference, ctx),
        Kind::Secret => may::<Secret>(difference, ctx),
        Kind::PodDisruptionBudget => may::<PodDisruptionBudget>(difference, ctx),
        Kind::StatefulSet => may::<StatefulSet>(difference, ctx),
        Kind::Deployment => may::<Deployment>(difference, ctx),
        Kind::CronJob => may::<CronJob>(difference, ctx),
        Kind::FabricEventStream => may::<FabricEventStream>(difference, ctx),
    }
}

fn may<K: Resource<DynamicType = ()>>(difference: &Difference, ctx: &Context) -> bool {
    let (rights, is_there) = (ctx.stores.rights(), difference.field.is_some());
    rights.allow_for::<K>("patch") || (!is_there && rights.allow_for::<K>("create"))
}

/// Server-side apply of one object.
async fn apply<K>(difference: &Difference, ctx: &Context) -> Result<K, Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Serialize,
{
    let object = &difference.object;
    let api: Api<K> = Api::namespaced(ctx.client.clone(), &object.namespace);
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let failed = || Error::kubernetes(format!("apply {object}"));
    if !ctx.stores.rights().allow_for::<K>("patch") {
        let wanted = serde_json::from_value(difference.desired.clone()).map_err(kube::Error::SerdeError);
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        return api.create(&params, &wanted.map_err(failed())?).await.map_err(failed());
    }
    let patch = Patch::Apply(&difference.desired);
    let applied = api.patch(&object.name, &params, &patch).await.map_err(failed())?;
    let entries = applied.meta().managed_fields.as_deref().unwrap_or_default();
    if ownership::taken_over(entries, object.kind).is_none() {
        return Ok(applied);
    }
    // Upstream's operator has been back since.
    adopt::object(object, ctx).await?;
    api.patch(&object.name, &params, &patch).await.map_err(failed())
}

/// Deletes the StatefulSet that was seen and leaves its pods.
async fn orphan(difference: &Difference, seen: &Seen, ctx: &Context) -> Result<(), Error> {
    let object = &difference.object;
    let api: Api<StatefulSet> = Api::namespaced(ctx.client.clone(), &object.namespace);
    let uid = seen.resources.stateful_set.as_ref().and_then(|set| set.metadata.uid.clone());
    let params = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Orphan),
        preconditions: Some(Preconditions { uid, resource_version: None }),
        ..DeleteParams::default()
    };
    match api.delete(&object.name, &params).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        result => result.map(drop).map_err(Error::kubernetes(format!("replace {object}"))),
    }
}

/// Deletes what is no longer wanted: exactly the objects that were seen.
pub(super) async fn remove_orphans(orphans: &[Orphan], ctx: &Context) -> Result<(), Error> {
    for orphan in orphans {
        match orphan.object.kind {
            Kind::Deployment => remove::<Deployment>(orphan, ctx).await?,
            Kind::CronJob => remove::<CronJob>(orphan, ctx).await?,
            Kind::Service => remove::<Service>(orphan, ctx).await?,
            Kind::Secret => remove::<Secret>(orphan, ctx).await?,
            Kind::FabricEventStream => remove::<FabricEventStream>(orphan, ctx).await?,
            // Of these kinds there are no orphans while a cluster stays.
            Kind::ServiceAccount
            | Kind::RoleBinding
            | Kind::Endpoints
            | Kind::PodDisruptionBudget
            | Kind::StatefulSet => {}
        }
    }
    Ok(())
}

/// Deletes one object and what it made; one that has gone, or came back as another, is left alone.
async fn remove<K>(orphan: &Orphan, ctx: &Context) -> Result<(), Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
{
    let object = &orphan.object;
    tracing::info!(%object, "deleting what is no longer wanted");
    let api: Api<K> = Api::namespaced(ctx.client.clone(), &object.namespace);
    let params = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Background),
        preconditions: Some(Preconditions { uid: orphan.uid.clone(), resource_version: None }),
        ..DeleteParams::default()
    };
    match api.delete(&object.name, &params).await {
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        result => result.map(drop).map_err(Error::kubernetes(format!("delete {object}"))),
    }
}
