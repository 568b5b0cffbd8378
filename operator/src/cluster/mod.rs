//! One cluster: look, apply what is harmless, take one step, provision, report. The table of contents of the operator.
//!
//! A reconcile never loops, sleeps or waits for a pod. It is killed anywhere without harm: whatever it has not done is
//! seen again at the next look.

mod adopt;
mod apply;
mod credentials;
mod delete;
pub mod departed;
mod disks;
mod error;
mod finalizer;
mod logins;
mod nodes;
mod observe;
mod pod_annotations;
mod proofs;
mod provision;
mod rehearsal;
mod report;
mod role_sources;
mod step;
pub mod stores;
mod streams;
pub mod takeover;
mod upgrade;
mod user_lists;
mod volumes;

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use kube::runtime::controller::Action;
use shared::api::{LastStep, Postgresql, PostgresqlStatus};
use shared::build::{Resources, build};
use shared::cluster::Cluster;
use shared::observed::Observed;
use shared::plan;
use shared::rollout::{self, Applied, Step, WaitReason};

use crate::context::Context;

use apply::Written;
pub use disks::KnownDisks;
pub use error::{Error, told};
use observe::Seen;
pub use proofs::Proofs;
use provision::Provisioned;
use stores::{ClusterRef, Manifest};
pub use upgrade::Upgrades;

/// What stands alone and failed, and what is worth knowing, to be told in the status; and the step that was taken.
#[derive(Debug, Default)]
struct Outcome {
    /// The status as it stands.
    told: PostgresqlStatus,
    problems: Vec<String>,
    remarks: Vec<String>,
    taken: Option<LastStep>,
    /// The categories of the problems, for the figures.
    categories: Vec<&'static str>,
    /// Whether a role waits for a Secret that this look has made.
    secrets_awaited: bool,
}

impl Outcome {
    /// Keeps the problem of a stage that stands alone: a failing role must not hold up a rolling update. Whether there
    /// was none.
    fn record(&mut self, result: Result<(), Error>) -> bool {
        let Err(error) = result else { return true };
        tracing::warn!(error = told(&error), "a stage failed");
        self.problems.push(told(&error));
        self.categories.push(error.category());
        false
    }

    /// Keeps what was left out. What there is now to go on with.
    fn written(&mut self, Written { applied, left_out }: Written) -> Applied {
        self.refused(left_out);
        applied
    }

    /// Keeps the problems of objects that could not be written.
    fn refused(&mut self, errors: Vec<Error>) {
        for error in errors {
            self.record(Err(error));
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
    // Looked at by whoever has its shard, or by us when we have it.
    let Some(_look) = ctx.mandate.begin(&ClusterRef::from_obj(&*manifest)) else {
        return Ok(Action::await_change());
    };
    let _looking = ctx.metrics.looks(&place(&*manifest));
    let result = look(&manifest, &ctx).await;
    ctx.metrics.reconciled(result.as_ref().err().map(Error::category), begun.elapsed());
    result
}

async fn look(manifest: &Manifest, ctx: &Context) -> Result<Action, Error> {
    let (cluster, config) = (place(manifest), ctx.config());
    let _looking = ctx.activity.begin(cluster.clone(), &config, ctx.now());
    match &manifest.0 {
        _ if ctx.stores.departed.has(&ClusterRef::from_obj(manifest)) => {
            Ok(Action::requeue(RETRY)) // and at once when the one before it is gone
        }
        Ok(readable) if !is_ours(readable, ctx) => Ok(Action::await_change()),
        Ok(readable) if readable.metadata.deletion_timestamp.is_some() => {
            ctx.rolling.leave(&ClusterRef::from_obj(manifest));
            ctx.known_disks.forget(&ClusterRef::from_obj(manifest));
            delete::cluster(readable, ctx).await
        }
        Ok(readable) => {
            let told = ctx.activity.sees(&cluster, readable, &config, ctx.now());
            told.iter().for_each(|told| ctx.metrics.foresaw(&cluster, *told));
            keep(readable, ctx).await
        }
        Err(_) => report::undecodable(manifest, ctx).await,
    }
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
    let manifest = &*ctx.stores.completed(manifest);
    let config = ctx.config();
    let mut references = observe::references(manifest, &config, ctx).await?;
    let unread = role_sources::fill_in(&mut references, manifest, &config, ctx).await;
    let cluster = match Cluster::resolve(manifest, &config, &references) {
        Ok(cluster) => cluster,
        Err(errors) => return report::invalid(manifest, &errors, ctx).await,
    };
    let told = begin(manifest, &cluster, ctx).await?;
    ctx.stores.ask_for(&cluster, &ctx.client).await;
    let mut seen = observe::world(manifest, &cluster, &references, ctx).await;
    let mut outcome = Outcome { told, problems: unread, ..Outcome::default() };
    let streams_known = outcome.record(streams::look(&cluster, &mut seen, ctx).await);
    let mut desired = rollout::for_now(build(&cluster), &cluster, &seen.observed);
    streams::keep_names(&mut desired, &seen);
    let recognised = rollout::recognise(&mut seen.observed, seen.resources.stateful_set.as_ref(), &desired);
    let (differences, streams) = streams::parted(plan::between(&seen.resources, &desired));

    let written = async {
        adopt::pods(&recognised, ctx).await.map_err(|error| vec![error])?;
        pod_annotations::refresh(&cluster, &desired, &seen, ctx).await.map_err(|error| vec![error])?;
        apply::objects(&differences, &desired, &seen, ctx).await
    };
    let applied = match written.await {
        Ok(written) => outcome.written(written),
        Err(refused) => {
            outcome.refused(refused);
            let next = Step::Wait { reason: WaitReason::Objects, until: ctx.now() };
            return report::status(manifest, &cluster, &next, &outcome, ctx).await;
        }
    };
    outcome.record(user_lists::refresh(&cluster, &desired, &seen, ctx).await);
    follow_upgrade(manifest, &cluster, &mut seen, &mut outcome, ctx).await;
    look_after_storage(&cluster, &mut seen, &mut outcome, ctx).await;
    outcome.record(apply::remove_orphans(&plan::orphans(&cluster, &seen.resources, &desired), ctx).await);
    let next = next_step(&cluster, &desired, &applied, &mut seen, ctx).await.unwrap_or_else(|error| {
        outcome.record(Err(error));
        Step::Wait { reason: WaitReason::Objects, until: ctx.now() }
    });
    if next.is_act() && !ctx.mandate.stands(&reference(&cluster)) {
        return Ok(Action::await_change()); // it took so long that another may act by now
    }
    let taken = step::take(&next, manifest, &seen, ctx).await.map(|taken| outcome.taken = taken);
    outcome.record(taken);
    if next.permits_sql() {
        match provision::database(&cluster, &seen, ctx).await {
            Ok(Provisioned::Everything { beyond, awaited }) => {
                (outcome.remarks, outcome.secrets_awaited) = (beyond, awaited);
                let streams = if streams_known { streams.as_slice() } else { &[] };
                outcome.refused(streams::run(streams, &cluster, &desired, &seen, ctx).await);
            }
            provisioned => drop(outcome.record(provisioned.map(drop))),
        }
    }
    report::status(manifest, &cluster, &next, &outcome, ctx).await
}

/// Sees to the finalizer, and says that the work has begun: neither waits for the other. The status that stands then.
async fn begin(manifest: &Postgresql, cluster: &Cluster, ctx: &Context) -> Result<PostgresqlStatus, Error> {
    let (kept, told) =
        futures::join!(finalizer::keep(manifest, cluster, ctx), report::begun(manifest, cluster, ctx));
    kept.and(told)
}

/// Learns how far a major upgrade has come, and says what is wrong with it.
async fn follow_upgrade(
    manifest: &Postgresql,
    cluster: &Cluster,
    seen: &mut Seen,
    outcome: &mut Outcome,
    ctx: &Context,
) {
    let settled = upgrade::settle(manifest, cluster, &seen.observed, ctx).await;
    outcome.record(settled.map(|view| seen.observed.upgrade = view));
    outcome.problems.extend(rollout::trouble(cluster, &seen.observed.upgrade, ctx.now()));
}

/// Makes disks and claims what the manifest says.
async fn look_after_storage(cluster: &Cluster, seen: &mut Seen, outcome: &mut Outcome, ctx: &Context) {
    // Before claims grow: the driver's change of a disk would be the one that EC2 takes in six hours.
    let disks = disks::tend(cluster, &seen.observed, ctx).await;
    outcome.problems.extend(disks.problems);
    seen.observed.growing_volumes.extend(disks.waiting);
    outcome.record(volumes::grow(cluster, &seen.volumes_to_grow, ctx).await);
}

/// The next step, once it is this cluster's turn, and only if what it deletes would come back.
async fn next_step(
    cluster: &Cluster,
    desired: &Resources,
    applied: &Applied,
    seen: &mut Seen,
    ctx: &Context,
) -> Result<Step, Error> {
    let wanted = next_in_turn(cluster, desired, applied, &mut seen.observed, ctx);
    let next = rehearsal::of(wanted, desired, seen, ctx).await?;
    if matches!(next, Step::Wait { reason: WaitReason::Refused(_), .. }) {
        ctx.rolling.leave(&reference(cluster)); // others need not wait for somebody to help this one
    }
    Ok(next)
}

/// The cluster, as the controller knows it.
fn reference(cluster: &Cluster) -> ClusterRef {
    let identity = cluster.identity();
    ClusterRef::new(&identity.name).within(&identity.namespace)
}

/// The next step; one that an update asks for needs a place among the clusters that may be updated at once.
///
/// Whether a step needs one is not a second list: it does when a busy fleet would make it another step.
fn next_in_turn(
    cluster: &Cluster,
    desired: &Resources,
    applied: &Applied,
    seen: &mut Observed,
    ctx: &Context,
) -> Step {
    let (now, this) = (ctx.now(), reference(cluster));
    let wanted = rollout::next(cluster, desired, applied, seen, now);
    seen.fleet_is_busy = true;
    let held_back = rollout::next(cluster, desired, applied, seen, now);
    seen.fleet_is_busy = false;
    if wanted == held_back {
        let rests = WaitReason::is_rest;
        if matches!(&wanted, Step::Settled) || matches!(&wanted, Step::Wait { reason, .. } if rests(reason)) {
            ctx.rolling.leave(&this);
        }
        return wanted;
    }
    let limit = Some(ctx.config().general.max_rolling_clusters).filter(|limit| *limit > 0);
    let limit = limit.map(|limit| ctx.mandate.share_of(limit));
    if ctx.rolling.take(&this, limit, now) { wanted } else { held_back }
}

/// When to try again after an error: soon. The controller's queue keeps one entry per cluster.
pub fn error_policy<K>(_: Arc<K>, error: &Error, _: Arc<Context>) -> Action {
    tracing::warn!(error = told(error), "reconcile failed");
    Action::requeue(RETRY)
}

/// The pause until a store has caught up with what we wrote ourselves.
const CATCH_UP: Duration = Duration::from_millis(250);

/// The pause after a failed reconcile.
const RETRY: Duration = Duration::from_secs(5);
