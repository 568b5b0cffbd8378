//! Carries out one step. Every act names what was seen, so that an act on a stale look is refused instead of done twice.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, Preconditions};
use shared::api::{LastStep, Postgresql};
use shared::observed::{Observed, PodIdentity};
use shared::rollout::Step;

use crate::context::Context;
use crate::patroni::PatroniError;

use super::observe::{Seen, address_of};
use super::{Error, place, upgrade};

/// Takes the step. What it was and when, if anything was done.
pub(super) async fn take(
    step: &Step,
    manifest: &Postgresql,
    seen: &Seen,
    ctx: &Context,
) -> Result<Option<LastStep>, Error> {
    if !step.is_act() {
        return Ok(None);
    }
    act(step, manifest, &seen.observed, ctx).await?;
    tracing::info!(%step, why = why(step), "step taken");
    ctx.metrics.stepped(&place(manifest), step);
    Ok(Some(LastStep { what: step.to_string(), at: ctx.now().to_string() }))
}

/// For the log: the fields for which a pod is recreated, the keys that are patched.
fn why(step: &Step) -> String {
    match step {
        Step::Recreate { why, .. } => why.join(", "),
        Step::PatchConfig(patch) => patch.to_string(),
        Step::Restart { .. }
        | Step::Switchover { .. }
        | Step::Upgrade { .. }
        | Step::Wait { .. }
        | Step::Settled => String::new(),
    }
}

async fn act(step: &Step, manifest: &Postgresql, seen: &Observed, ctx: &Context) -> Result<(), Error> {
    let asked = match step {
        Step::Wait { .. } | Step::Settled => return Ok(()),
        Step::Recreate { pod, .. } => return recreate(pod, ctx).await,
        Step::Upgrade { primary, to } => return upgrade::begin(manifest, primary, *to, seen, ctx).await,
        Step::PatchConfig(patch) => patch_config(patch, seen, ctx).await,
        Step::Restart { member } => restart(member, seen, ctx).await,
        Step::Switchover { from, to } => switch_over(from, to, seen, ctx).await,
    };
    asked.map_err(|source| Error::Patroni { act: step.to_string(), source })
}

// A member without an address has just gone away: nothing is asked, and the next look sees it.

async fn patch_config(patch: &serde_json::Value, seen: &Observed, ctx: &Context) -> Result<(), PatroniError> {
    let Some(at) = seen.leader().and_then(|leader| address_of(seen, leader)) else { return Ok(()) };
    ctx.patroni.patch_config(&at, patch).await.map(drop)
}

async fn restart(member: &str, seen: &Observed, ctx: &Context) -> Result<(), PatroniError> {
    let Some(at) = address_of(seen, member) else { return Ok(()) };
    ctx.patroni.restart(&at).await
}

async fn switch_over(from: &str, to: &str, seen: &Observed, ctx: &Context) -> Result<(), PatroniError> {
    let Some(at) = address_of(seen, from) else { return Ok(()) };
    ctx.patroni.switchover(&at, from, to).await
}

/// Deletes the pod that was seen. One that has gone, or came back as another, is left alone.
async fn recreate(pod: &PodIdentity, ctx: &Context) -> Result<(), Error> {
    let pods: Api<Pod> = Api::namespaced(ctx.client.clone(), &pod.namespace);
    let preconditions = Some(Preconditions { uid: Some(pod.uid.clone()), resource_version: None });
    match pods.delete(&pod.name, &DeleteParams { preconditions, ..DeleteParams::default() }).await {
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        result => result.map(drop).map_err(Error::kubernetes(format!("recreate {}", pod.name))),
    }
}
