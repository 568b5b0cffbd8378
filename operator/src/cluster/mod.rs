//! One cluster: look, apply what is harmless, take one step, provision, report. The table of contents of the operator.
//!
//! A reconcile never loops, sleeps or waits for a pod. It is killed anywhere without harm: whatever it has not done is
//! seen again at the next look.

mod apply;
mod credentials;
mod delete;
mod error;
mod finalizer;
mod observe;
mod provision;
mod report;
mod step;
pub mod stores;
mod user_lists;

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use kube::runtime::controller::Action;
use shared::api::{LastStep, Postgresql};
use shared::build::build;
use shared::cluster::Cluster;
use shared::plan;
use shared::rollout::{self, Step, WaitReason};

use crate::context::Context;

pub use error::{Error, told};
use stores::Manifest;

/// What stands alone and failed, to be told in the status, and the step that was taken.
#[derive(Debug, Default)]
struct Outcome {
    problems: Vec<String>,
    taken: Option<LastStep>,
}

impl Outcome {
    /// Keeps the problem of a stage that stands alone: a failing role must not hold up a rolling update.
    fn record(&mut self, result: Result<(), Error>) {
        if let Err(error) = result {
            tracing::warn!(error = told(&error), "a stage failed");
            self.problems.push(told(&error));
        }
    }
}

/// Brings one cluster one step nearer to its manifest.
///
/// # Errors
/// What keeps the whole cluster from being looked after; it is tried again.
#[tracing::instrument(skip_all, fields(cluster = %place(&*manifest)))]
pub async fn reconcile(manifest: Arc<Manifest>, ctx: Arc<Context>) -> Result<Action, Error> {
    let begun = std::time::Instant::now();
    let action = match &manifest.0 {
        Ok(readable) if !is_ours(readable, &ctx) => Ok(Action::await_change()),
        Ok(readable) if readable.metadata.deletion_timestamp.is_some() => {
            delete::cluster(readable, &ctx).await
        }
        Ok(readable) => keep(readable, &ctx).await,
        Err(_) => report::undecodable(&manifest, &ctx).await,
    }?;
    ctx.metrics.reconciled("ok", begun.elapsed());
    Ok(action)
}

/// Where several operators share a Kubernetes, an annotation says whose a cluster is.
fn is_ours(manifest: &Postgresql, ctx: &Context) -> bool {
    manifest.annotations().get(shared::annotations::CONTROLLER) == ctx.controller_id.as_ref()
}

/// `namespace/name`, as logs and figures name a cluster.
fn place<K: kube::Resource>(manifest: &K) -> String {
    format!("{}/{}", manifest.namespace().unwrap_or_default(), manifest.name_any())
}

/// The life of a cluster that is to stay.
async fn keep(manifest: &Postgresql, ctx: &Context) -> Result<Action, Error> {
    if ctx.stores.is_behind(manifest) {
        return Ok(Action::requeue(CATCH_UP));
    }
    let config = ctx.config();
    let references = observe::references(manifest, &config, ctx).await?;
    let cluster = match Cluster::resolve(manifest, &config, &references) {
        Ok(cluster) => cluster,
        Err(errors) => return report::invalid(manifest, &errors, ctx).await,
    };
    finalizer::keep(manifest, &cluster, ctx).await?;
    report::begun(manifest, ctx).await?;
    let seen = observe::world(manifest, &cluster, ctx).await;
    let mut desired = rollout::for_now(build(&cluster), &cluster, &seen.observed);
    let mut outcome = Outcome::default();
    // Without the publication that they read from (issue 7), the streams' objects would only fail.
    if !std::mem::take(&mut desired.event_streams).is_empty() {
        outcome.record(Err(Error::NotYet("spec.streams: event streams are not made yet")));
    }
    let differences = plan::between(&seen.resources, &desired);

    let applied = match apply::objects(&differences, &desired, &seen, ctx).await {
        Ok(applied) => applied,
        Err(refused) => {
            refused.into_iter().for_each(|error| outcome.record(Err(error)));
            let next = Step::Wait { reason: WaitReason::Objects, until: ctx.now() };
            return report::status(manifest, &cluster, &next, &outcome, ctx).await;
        }
    };
    outcome.record(user_lists::refresh(&cluster, &desired, &seen, ctx).await);
    let orphans = plan::orphans(&cluster, &seen.resources, &desired);
    outcome.record(apply::remove_orphans(&orphans, ctx).await);
    let next = rollout::next(&cluster, &desired, &applied, &seen.observed, ctx.now());
    match step::take(&next, &seen, ctx).await {
        Ok(taken) => outcome.taken = taken,
        Err(error) => outcome.record(Err(error)),
    }
    if !next.is_act() {
        // After an act the world is another one, and the primary perhaps, too: the next look provisions.
        outcome.record(provision::database(&cluster, &seen, ctx).await);
    }
    report::status(manifest, &cluster, &next, &outcome, ctx).await
}

/// When to try again after an error: soon. The controller's queue keeps one entry per cluster.
pub fn error_policy(_: Arc<Manifest>, error: &Error, ctx: Arc<Context>) -> Action {
    ctx.metrics.reconciled(error.category(), Duration::ZERO);
    tracing::warn!(error = told(error), "reconcile failed");
    Action::requeue(RETRY)
}

/// The pause until a store has caught up with what we wrote ourselves.
const CATCH_UP: Duration = Duration::from_millis(250);

/// The pause after a failed reconcile.
const RETRY: Duration = Duration::from_secs(5);
