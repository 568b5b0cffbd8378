//! Tells what a reconcile came to: status, events, figures, and when to look again.
//!
//! The status is decided in `shared::status`; here it is written, when it changed and then once.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};
use shared::api::{Postgresql, PostgresqlStatus, StatusWord};
use shared::cluster::Cluster;
use shared::field::{FieldErrors, FieldPath};
use shared::rollout::Step;
use shared::schema;
use shared::status::{self, Findings, Periods};

use crate::context::Context;
use crate::events::Reason;

use super::stores::Manifest;
use super::{Error, Outcome, place, told};

/// A change was seen: says so at once, because Argo CD looks at the status two seconds after its sync. The status that
/// is told now.
pub(super) async fn begun(
    manifest: &Postgresql,
    cluster: &Cluster,
    ctx: &Context,
) -> Result<PostgresqlStatus, Error> {
    let old = manifest.status.clone().unwrap_or_default();
    let generation = manifest.metadata.generation;
    if old.observed_generation == generation && old.postgres_cluster_status.is_some() {
        return Ok(old);
    }
    let new = status::begun(&old, cluster, generation.unwrap_or_default(), ctx.now());
    let first_word = async {
        if old.postgres_cluster_status.is_none() {
            let note = "the operator has begun to make the cluster";
            ctx.events.normal(&manifest.object_ref(&()), Reason::Create, note).await;
        }
    };
    let changed = without_step(new.clone());
    let ((), written) = futures::join!(first_word, write(manifest, &old, &changed, ctx));
    written?;
    ctx.metrics.observed(&place(manifest));
    Ok(new)
}

/// The end of a reconcile that could be carried through.
pub(super) async fn status(
    manifest: &Postgresql,
    cluster: &Cluster,
    step: &Step,
    outcome: &Outcome,
    ctx: &Context,
) -> Result<Action, Error> {
    let told = &outcome.told;
    let generation = manifest.metadata.generation.unwrap_or_default();
    let taken = outcome.taken.clone();
    let findings = Findings {
        generation,
        step,
        problems: &outcome.problems,
        remarks: &outcome.remarks,
        taken,
        now: ctx.now(),
    };
    let new = status::of_cluster(told, cluster, &findings);
    let uid = manifest.uid().unwrap_or_default();
    let rests = ctx.stores.rests_until(&uid, ctx.now());
    let held_back = rests.filter(|_| new != *told && status::may_wait(told, &new));
    if new != *told && held_back.is_none() {
        let changed = if outcome.taken.is_some() { new.clone() } else { without_step(new.clone()) };
        write(manifest, told, &changed, ctx).await?;
        tell(manifest, &new, step, outcome, ctx).await;
    } else if held_back.is_none() && ctx.stores.holds_part_of(manifest) {
        write(manifest, told, &new, ctx).await?; // changes nothing, or the definition is ours by now
    }
    if let Some(word) = new.postgres_cluster_status {
        ctx.metrics.cluster_is(&place(manifest), word);
    }
    outcome.categories.iter().for_each(|category| ctx.metrics.failed(category));
    if matches!(step, Step::Settled) && outcome.problems.is_empty() {
        ctx.metrics.converged(&place(manifest));
    }
    let periods = Periods::of(&ctx.config().general, &uid, outcome.secrets_awaited);
    let pause = status::pause(&new, &findings, periods);
    let until_told = held_back.and_then(|until| Duration::try_from(until.duration_since(ctx.now())).ok());
    Ok(Action::requeue(until_told.map_or(pause, |until_told| pause.min(until_told))))
}

/// A status that leaves the last step as it stands: only whoever took a step writes one, so that another operator with an
/// older view does not take back what the waits of the rollout rest on.
fn without_step(status: PostgresqlStatus) -> PostgresqlStatus {
    PostgresqlStatus { last_step: None, ..status }
}

/// The events of a reconcile: the act, and the passage to another word.
async fn tell(manifest: &Postgresql, new: &PostgresqlStatus, step: &Step, outcome: &Outcome, ctx: &Context) {
    let about: ObjectReference = manifest.object_ref(&());
    if outcome.taken.is_some() {
        let reason =
            if matches!(step, Step::Switchover { .. }) { Reason::Switchover } else { Reason::Update };
        ctx.events.normal(&about, reason, step.to_string()).await;
    }
    let before = manifest.status.as_ref().and_then(|status| status.postgres_cluster_status);
    if before == new.postgres_cluster_status {
        return;
    }
    let message = message_of(new);
    tracing::info!(status = ?new.postgres_cluster_status, message, "status");
    match new.postgres_cluster_status {
        Some(StatusWord::Running) => ctx.events.normal(&about, Reason::Sync, message).await,
        Some(StatusWord::CreateFailed | StatusWord::UpdateFailed | StatusWord::SyncFailed) => {
            ctx.events.warning(&about, Reason::Sync, message).await;
        }
        Some(StatusWord::Creating | StatusWord::Updating | StatusWord::Invalid) | None => {}
    }
}

fn message_of(status: &PostgresqlStatus) -> String {
    status.conditions.iter().flatten().next().map(|ready| ready.message.clone()).unwrap_or_default()
}

/// A manifest that got past admission and cannot be acted upon. Nothing is done until it changes.
pub(super) async fn invalid(
    manifest: &Postgresql,
    errors: &FieldErrors,
    ctx: &Context,
) -> Result<Action, Error> {
    let fields: Vec<&str> = errors.paths().map(FieldPath::as_str).collect();
    let old = manifest.status.clone().unwrap_or_default();
    let generation = manifest.metadata.generation.unwrap_or_default();
    let new = status::of_invalid(&old, generation, &fields.join(", "), ctx.now());
    refuse(manifest, manifest.object_ref(&()), &old, new, ctx).await
}

/// A manifest that cannot even be read: it was stored under another CRD. The schema's check finds every field that is
/// not what it should be; for that the manifest is read once more, raw.
pub(super) async fn undecodable(manifest: &Manifest, ctx: &Context) -> Result<Action, Error> {
    let found = raw(manifest, ctx).get_opt(&manifest.name_any()).await;
    let raw =
        serde_json::to_value(found.map_err(Error::kubernetes("read the manifest"))?).unwrap_or_default();
    let fields: Vec<String> = schema::check(&raw).paths().map(ToString::to_string).collect();
    let told = if fields.is_empty() { "it cannot be read".to_owned() } else { fields.join(", ") };
    let generation = manifest.meta().generation.unwrap_or_default();
    let old =
        raw.get("status").and_then(|status| serde_json::from_value(status.clone()).ok()).unwrap_or_default();
    let new = status::of_invalid(&old, generation, &told, ctx.now());
    refuse(manifest, manifest.object_ref(&()), &old, new, ctx).await
}

async fn refuse<K: Resource<DynamicType = ()>>(
    manifest: &K,
    about: ObjectReference,
    old: &PostgresqlStatus,
    new: PostgresqlStatus,
    ctx: &Context,
) -> Result<Action, Error> {
    ctx.metrics.cluster_is(&place(manifest), StatusWord::Invalid);
    if *old == new {
        return Ok(Action::await_change());
    }
    let next = match write(manifest, old, &without_step(new.clone()), ctx).await {
        Ok(()) => Action::await_change(),
        // Of a manifest that it would not store today the API server may not take a status either, until the manifest or its
        // definition changes. The event tells all the same.
        Err(error) if error.is_refusal() => {
            tracing::warn!(error = told(&error), "an invalid manifest cannot be told so in its status");
            Action::requeue(ctx.config().general.repair_period)
        }
        Err(error) => return Err(error),
    };
    ctx.events.warning(&about, Reason::Invalid, message_of(&new)).await;
    Ok(next)
}

/// Word, generation and conditions in one patch. A merge patch, not an apply: it also works where upstream's CRD is
/// installed, which knows the word only. The answer is not read into our types: the manifest may be one that does not
/// fit them, and the client would log it whole. A manifest that is gone needs no status.
async fn write<K: Resource<DynamicType = ()>>(
    manifest: &K,
    before: &PostgresqlStatus,
    status: &PostgresqlStatus,
    ctx: &Context,
) -> Result<(), Error> {
    let patch = json!({ "status": status });
    let merge = Patch::Merge(&patch);
    match raw(manifest, ctx).patch_status(&manifest.name_any(), &PatchParams::default(), &merge).await {
        Err(kube::Error::Api(error)) if error.is_not_found() => Ok(()),
        Err(source) => Err(Error::kubernetes("write the status")(source)),
        Ok(written) => {
            ctx.stores.wrote(&written);
            let (uid, kept) = (written.uid().unwrap_or_default(), written.data.get("status"));
            ctx.stores.told(&uid, status, ctx.now());
            let (nothing, part) = (Value::Null, patch.get("status"));
            if ctx.stores.dropped(&uid, before, part.unwrap_or(&nothing), kept.unwrap_or(&nothing)) {
                tracing::warn!("{DROPPED}");
                ctx.events.warning(&manifest.object_ref(&()), Reason::Sync, DROPPED).await;
            }
            Ok(())
        }
    }
}

/// Told once in the life of an operator.
const DROPPED: &str = "the installed definition of postgresqls.acid.zalan.do keeps of the status only what it declares: \
    no conditions, no observedGeneration; install the definition that comes with this operator";

/// Manifests as they are stored, whatever is in them.
fn raw<K: Resource<DynamicType = ()>>(manifest: &K, ctx: &Context) -> Api<DynamicObject> {
    let namespace = manifest.meta().namespace.as_deref().unwrap_or_default();
    Api::namespaced_with(ctx.client.clone(), namespace, &ApiResource::erase::<Postgresql>(&()))
}
