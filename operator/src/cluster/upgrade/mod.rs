//! Runs the image's upgrade script in the primary, and notes on the manifest what became of it.
//!
//! The script takes minutes or hours, so it runs beside the looks; while it does, they touch nothing. It outlives the
//! operator that began it: everything that a successor has to know stands on the manifest before the script starts, and
//! in a record beside the data, which [`script`] keeps.
//!
//! ```text
//!  due ──► note on the manifest ──► labels ──► script ──► labels ──► the end, noted
//!                │ whoever finds the note and is not at it asks the pod
//!                ├── it runs            wait
//!                ├── it was never run   see to it that it will not be; take the note away: due again
//!                └── it is over         the version that the primary runs says how it ended
//! ```

mod job;
mod note;
mod script;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Resource, ResourceExt};
use serde_json::json;
use shared::annotations::{UPGRADE_BEGUN, UPGRADE_FAILED, UPGRADED};
use shared::api::Postgresql;
use shared::cluster::Cluster;
use shared::observed::{Attempt, BegunUpgrade, Observed, ObservedPod, PodIdentity, Script, UpgradeView};
use shared::rollout::{self, Aftermath};
use shared::version::PostgresVersion;

use crate::context::Context;
use crate::events::Reason;
use crate::exec::Target;
use crate::patroni::Address;

use super::stores::ClusterRef;
use super::{Error, told};

use job::Job;
use note::Still;

/// How long a note may be there before its script runs: the labels come between them. An upgrade so young is not asked
/// about, because asking for one that has not begun prevents it.
const YOUNG: Duration = Duration::from_secs(30);
/// The longest that a question to a container may take.
const QUESTION: Duration = Duration::from_secs(30);
/// The database's container.
const CONTAINER: &str = "postgres";

/// The clusters that this process upgrades. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Upgrades(Arc<Mutex<HashSet<ClusterRef>>>);

impl Upgrades {
    fn has(&self, cluster: &ClusterRef) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(cluster)
    }

    fn begin(&self, cluster: &ClusterRef) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(cluster.clone())
    }

    fn end(&self, cluster: &ClusterRef) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(cluster);
    }
}

/// What there is to see of upgrades. The primary is asked for its version, if somebody leads; and before that the pod of an
/// upgrade that another operator began: a script that is over has changed the version before it ended.
pub(super) async fn look(
    manifest: &Postgresql,
    pods: &[ObservedPod],
    leader: Option<Address>,
    ctx: &Context,
) -> UpgradeView {
    let in_progress = ctx.upgrades.has(&place(manifest));
    let begun = match manifest.annotations().get(UPGRADE_BEGUN).and_then(|text| Attempt::parse(text)) {
        Some(attempt) if in_progress => Some(BegunUpgrade { attempt, script: Script::Running }),
        Some(attempt) => Some(BegunUpgrade { script: ask(&attempt, pods, ctx).await, attempt }),
        None => None,
    };
    let status = match leader {
        Some(at) => ctx.patroni.status(&at).await.ok(),
        None => None,
    };
    let version = status.filter(|status| status.role.leads()).and_then(|status| status.server_version);
    UpgradeView {
        running_major: version.and_then(|version| u8::try_from(version / 10_000).ok()),
        in_progress,
        begun,
        failed: manifest.annotations().get(UPGRADE_FAILED).cloned(),
    }
}

/// Asks the pod of an upgrade that this process is not at what has become of its script.
async fn ask(attempt: &Attempt, pods: &[ObservedPod], ctx: &Context) -> Script {
    let age = Duration::try_from(ctx.now().duration_since(attempt.since));
    if age.is_ok_and(|age| age < YOUNG) {
        return Script::Running;
    }
    let runs = |pod: &&ObservedPod| pod.running && !pod.terminating;
    let Some(pod) = pods.iter().filter(runs).find(|pod| pod.identity.name == attempt.pod) else {
        return Script::NoPod;
    };
    let answer = ctx.exec.run(&container_of(&pod.identity), &script::question(attempt), QUESTION).await;
    let answer = answer.map_err(|error| told(&error)).and_then(|output| script::answer(&output));
    tracing::info!(%attempt, ?answer, "asked a pod for a major upgrade that another operator began");
    answer.unwrap_or_else(|why| Script::Unknown { why })
}

fn place(manifest: &Postgresql) -> ClusterRef {
    ClusterRef::new(&manifest.name_any()).within(&manifest.namespace().unwrap_or_default())
}

fn container_of(pod: &PodIdentity) -> Target {
    Target { namespace: pod.namespace.clone(), pod: pod.name.clone(), container: CONTAINER.to_owned() }
}

/// Notes the attempt on the manifest and starts the script.
pub(super) async fn begin(
    manifest: &Postgresql,
    primary: &PodIdentity,
    to: PostgresVersion,
    seen: &Observed,
    ctx: &Context,
) -> Result<(), Error> {
    let cluster = place(manifest);
    if !ctx.upgrades.begin(&cluster) {
        return Ok(());
    }
    let attempt = Attempt { to, since: ctx.now(), pod: primary.name.clone() };
    let notes = json!({ UPGRADE_BEGUN: attempt.to_string() });
    match note::write(manifest, Still::Due, &notes, ctx).await {
        Ok(true) => {}
        Ok(false) => {
            ctx.upgrades.end(&cluster);
            return Err(Error::NotDue);
        }
        Err(error) => {
            ctx.upgrades.end(&cluster);
            return Err(error);
        }
    }
    let pods = seen.pods.iter().map(|pod| pod.identity.clone()).collect();
    let job = Job { manifest: manifest.clone(), attempt, primary: primary.clone(), pods, ctx: ctx.clone() };
    tokio::spawn(async move {
        job.run().await;
        job.ctx.upgrades.end(&cluster);
    });
    Ok(())
}

/// Notes what became of an upgrade whose operator is gone, if there was one; what there is to see of upgrades then.
pub(super) async fn settle(
    manifest: &Postgresql,
    cluster: &Cluster,
    seen: &Observed,
    ctx: &Context,
) -> Result<UpgradeView, Error> {
    let mut view = seen.upgrade.clone();
    let now = ctx.now();
    let Some(aftermath) = rollout::aftermath(cluster, &view, now) else { return Ok(view) };
    tracing::info!(?aftermath, "noting what became of a major upgrade");
    let still = view.begun.as_ref().map_or(Still::Failed, |begun| Still::Begun(&begun.attempt));
    if matches!(still, Still::Begun(_)) {
        let pods: Vec<PodIdentity> = seen.pods.iter().map(|pod| pod.identity.clone()).collect();
        note::mark_critical(&pods, false, ctx).await?;
    }
    let notes = match aftermath {
        Aftermath::Succeeded { .. } => success(now),
        Aftermath::Interrupted { .. } => failure(now),
        Aftermath::NeverRun => json!({ UPGRADE_BEGUN: null }),
        Aftermath::Forgiven => json!({ UPGRADE_FAILED: null }),
    };
    if note::write(manifest, still, &notes, ctx).await? {
        tell(&manifest.object_ref(&()), &aftermath, ctx).await;
    }
    view.failed = matches!(aftermath, Aftermath::Interrupted { .. }).then(|| now.to_string());
    view.begun = None;
    Ok(view)
}

/// The event of an end that this process did not see coming.
async fn tell(about: &ObjectReference, aftermath: &Aftermath, ctx: &Context) {
    let (events, reason) = (&ctx.events, Reason::MajorVersionUpgrade);
    match aftermath {
        Aftermath::Succeeded { to } => events.normal(about, reason, upgraded(*to)).await,
        Aftermath::Interrupted { to, why } => events.warning(about, reason, failed(*to, why)).await,
        Aftermath::NeverRun | Aftermath::Forgiven => {}
    }
}

fn success(now: Timestamp) -> serde_json::Value {
    json!({ UPGRADE_BEGUN: null, UPGRADE_FAILED: null, UPGRADED: now.to_string() })
}

fn failure(now: Timestamp) -> serde_json::Value {
    json!({ UPGRADE_BEGUN: null, UPGRADE_FAILED: now.to_string() })
}

fn upgraded(to: PostgresVersion) -> String {
    format!("upgraded to PostgreSQL {to}")
}

fn failed(to: PostgresVersion, why: &str) -> String {
    format!("the upgrade to PostgreSQL {to} failed: {why}")
}
