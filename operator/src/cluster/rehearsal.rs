//! Asks the API server whether it would accept the pod that comes after the one that is about to be deleted.
//!
//! A pod that is deleted comes back only if its template is accepted: by the API server's own checks, by Pod Security, by
//! quotas and limits, by other people's webhooks. None of them looks closely at a StatefulSet. So the pod is created as a
//! dry run, under the name of the one that is there: the answer "exists already" is the last of all checks, and means
//! that every other one has passed. Upstream deletes first and then learns of the refusal.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, PostParams};
use kube::core::Status;
use kube::runtime::reflector::ObjectRef;
use shared::build::Resources;
use shared::observed::PodIdentity;
use shared::rollout::{Step, WaitReason, rehearsal};

use crate::context::Context;

use super::observe::Seen;
use super::{Error, told};

/// How long a refusal stands before it is asked again.
const ASK_AGAIN: std::time::Duration = std::time::Duration::from_secs(60);

/// The step, if what it deletes would come back; else the wait for somebody to help.
///
/// # Errors
/// The API server could not be asked: nothing is deleted meanwhile.
pub(super) async fn of(step: Step, desired: &Resources, seen: &Seen, ctx: &Context) -> Result<Step, Error> {
    let Step::Recreate { pod, .. } = &step else { return Ok(step) };
    let Some(successor) = rehearsal::successor(desired, seen.resources.stateful_set.as_ref(), pod) else {
        return Ok(step);
    };
    let Err(refusal) = ask(pod, &successor, ctx).await? else { return Ok(step) };
    let before = ctx.stores.pods.get(&ObjectRef::new(&pod.name).within(&pod.namespace));
    if before.is_some_and(|before| rehearsal::is_of_the_old_pods_own_quota(&refusal, &before)) {
        return Ok(step);
    }
    tracing::warn!(pod = pod.name, refusal, "a new pod would be refused");
    let until = rehearsal::again_at(ctx.now(), ASK_AGAIN);
    Ok(Step::Wait { reason: WaitReason::Refused(refusal), until })
}

/// Whether the pod would be accepted; if not, the API server's words.
async fn ask(pod: &PodIdentity, successor: &Pod, ctx: &Context) -> Result<Result<(), String>, Error> {
    let pods: Api<Pod> = Api::namespaced(ctx.client.clone(), &pod.namespace);
    let params = PostParams { dry_run: true, ..PostParams::default() };
    match pods.create(&params, successor).await {
        Ok(_) => Ok(Ok(())),
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(Ok(())),
        Err(kube::Error::Api(status)) if cannot_be_asked(&status) => {
            tracing::warn!(pod = successor.name_any(), message = status.message, "no dry run is possible");
            Ok(Ok(()))
        }
        Err(kube::Error::Api(status)) if is_refusal(&status) => Ok(Err(status.message.clone())),
        Err(error) => {
            tracing::debug!(error = told(&error), "the dry run failed");
            Err(Error::kubernetes(format!("ask whether pod {} would be accepted", pod.name))(error))
        }
    }
}

/// Whether the answer is about the question and not about the pod: the right to ask is missing, or a webhook that knows no
/// dry runs is in the way. Then everything is as it was before there was this question.
fn cannot_be_asked(status: &Status) -> bool {
    let no_right = status.code == 403 && status.message.contains("cannot create resource \"pods\"");
    no_right || status.message.contains("does not support dry run")
}

/// Whether somebody has decided; the rest is worth another try.
fn is_refusal(status: &Status) -> bool {
    matches!(status.code, 400..=499) && !matches!(status.code, 401 | 404 | 408 | 409 | 429)
}
