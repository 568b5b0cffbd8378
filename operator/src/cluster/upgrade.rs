//! Runs the image's upgrade script in the primary, and notes on the manifest what became of it.
//!
//! The script takes minutes or hours, so it runs beside the looks; while it does, they touch nothing. Everything that a
//! successor has to know stands on the manifest before the script starts.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use kube::api::{Api, Patch, PatchParams};
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};
use shared::annotations::{UPGRADE_BEGUN, UPGRADE_FAILED, UPGRADED};
use shared::api::Postgresql;
use shared::cluster::Cluster;
use shared::labels::CRITICAL_OPERATION;
use shared::observed::{Observed, PodIdentity, UpgradeView};
use shared::rollout::{self, Aftermath};
use shared::version::PostgresVersion;

use crate::context::Context;
use crate::events::Reason;
use crate::exec::{Output, Target};
use crate::patroni::Address;

use super::stores::ClusterRef;
use super::{Error, told};

/// The longest that a script may take.
const DEADLINE: Duration = Duration::from_hours(12);
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

/// What there is to see of upgrades. The primary is asked for its version, if somebody leads.
pub(super) async fn look(manifest: &Postgresql, leader: Option<Address>, ctx: &Context) -> UpgradeView {
    let status = match leader {
        Some(at) => ctx.patroni.status(&at).await.ok(),
        None => None,
    };
    let version = status.filter(|status| status.role.leads()).and_then(|status| status.server_version);
    UpgradeView {
        running_major: version.and_then(|version| u8::try_from(version / 10_000).ok()),
        in_progress: ctx.upgrades.has(&place(manifest)),
        begun: manifest.annotations().contains_key(UPGRADE_BEGUN),
        failed: manifest.annotations().get(UPGRADE_FAILED).cloned(),
    }
}

fn place(manifest: &Postgresql) -> ClusterRef {
    ClusterRef::new(&manifest.name_any()).within(&manifest.namespace().unwrap_or_default())
}

/// Marks the manifest and starts the script.
pub(super) async fn begin(
    manifest: &Postgresql,
    primary: &PodIdentity,
    to: PostgresVersion,
    seen: &Observed,
    ctx: &Context,
) -> Result<(), Error> {
    annotate(manifest, json!({ UPGRADE_BEGUN: format!("{to} {}", ctx.now()) }), ctx).await?;
    let cluster = place(manifest);
    if !ctx.upgrades.begin(&cluster) {
        return Ok(());
    }
    let pods = seen.pods.iter().map(|pod| pod.identity.clone()).collect();
    let job = Job { manifest: manifest.clone(), primary: primary.clone(), pods, to, ctx: ctx.clone() };
    tokio::spawn(async move {
        job.run().await;
        job.ctx.upgrades.end(&cluster);
    });
    Ok(())
}

/// Notes what became of an upgrade whose process is gone, if there was one.
pub(super) async fn settle(
    manifest: &Postgresql,
    cluster: &Cluster,
    seen: &Observed,
    ctx: &Context,
) -> Result<(), Error> {
    let Some(aftermath) = rollout::aftermath(cluster, &seen.upgrade) else { return Ok(()) };
    let now = ctx.now().to_string();
    tracing::info!(?aftermath, "noting what became of a major upgrade");
    let notes = match aftermath {
        Aftermath::Succeeded => json!({ UPGRADE_BEGUN: null, UPGRADE_FAILED: null, UPGRADED: now }),
        Aftermath::Interrupted => json!({ UPGRADE_BEGUN: null, UPGRADE_FAILED: now }),
        Aftermath::Forgiven => json!({ UPGRADE_FAILED: null }),
    };
    let pods: Vec<PodIdentity> = seen.pods.iter().map(|pod| pod.identity.clone()).collect();
    mark_critical(&pods, false, ctx).await?;
    annotate(manifest, notes, ctx).await
}

/// Merges annotations into the manifest; `null` takes one away.
async fn annotate(manifest: &Postgresql, annotations: Value, ctx: &Context) -> Result<(), Error> {
    let api: Api<Postgresql> = Api::namespaced(ctx.client.clone(), &manifest.namespace().unwrap_or_default());
    let patch = json!({"metadata": {"uid": manifest.metadata.uid, "annotations": annotations}});
    let patched =
        api.patch_metadata(&manifest.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await;
    patched.map(drop).map_err(Error::kubernetes("note a major upgrade on the manifest"))
}

/// Puts the pods under the second disruption budget, or takes them out.
async fn mark_critical(pods: &[PodIdentity], critical: bool, ctx: &Context) -> Result<(), Error> {
    for pod in pods {
        let api: Api<Pod> = Api::namespaced(ctx.client.clone(), &pod.namespace);
        let value = if critical { json!("true") } else { Value::Null };
        let patch = json!({"metadata": {"labels": {CRITICAL_OPERATION: value}}});
        match api.patch_metadata(&pod.name, &PatchParams::default(), &Patch::Merge(&patch)).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            result => drop(result.map_err(Error::kubernetes(format!("label {}", pod.name)))?),
        }
    }
    Ok(())
}

/// One upgrade.
struct Job {
    manifest: Postgresql,
    primary: PodIdentity,
    pods: Vec<PodIdentity>,
    to: PostgresVersion,
    ctx: Context,
}

impl Job {
    /// From the first label to the last note. What goes wrong on the way is the note.
    #[tracing::instrument(skip_all, fields(cluster = %place(&self.manifest), to = %self.to))]
    async fn run(&self) {
        let (ctx, about): (_, ObjectReference) = (&self.ctx, self.manifest.object_ref(&()));
        let (reason, to) = (Reason::MajorVersionUpgrade, self.to);
        ctx.events.normal(&about, reason, format!("starting the upgrade to PostgreSQL {to}")).await;
        let result = self.upgrade().await;
        let now = ctx.now().to_string();
        let notes = match &result {
            Ok(()) => {
                tracing::info!("upgraded");
                ctx.events.normal(&about, reason, format!("upgraded to PostgreSQL {to}")).await;
                json!({ UPGRADE_BEGUN: null, UPGRADE_FAILED: null, UPGRADED: now })
            }
            Err(why) => {
                tracing::error!(why, "the upgrade failed");
                let note = format!("the upgrade to PostgreSQL {to} failed: {why}");
                ctx.events.warning(&about, reason, note).await;
                json!({ UPGRADE_BEGUN: null, UPGRADE_FAILED: now })
            }
        };
        for result in
            [mark_critical(&self.pods, false, ctx).await, annotate(&self.manifest, notes, ctx).await]
        {
            if let Err(error) = result {
                tracing::warn!(
                    error = told(&error),
                    "could not note the end of the upgrade; the next look does"
                );
            }
        }
    }

    async fn upgrade(&self) -> Result<(), String> {
        let ctx = &self.ctx;
        mark_critical(&self.pods, true, ctx).await.map_err(|error| told(&error))?;
        let at = Target {
            namespace: self.primary.namespace.clone(),
            pod: self.primary.name.clone(),
            container: CONTAINER.to_owned(),
        };
        let user = ctx.exec.run(&at, &words(&["/usr/bin/id", "-u"]), QUESTION).await;
        let user = user.map_err(|error| told(&error))?;
        let members = self.pods.len();
        let script = format!(
            "set -o pipefail && /usr/bin/python3 /scripts/inplace_upgrade.py {members} 2>&1 | tee last_upgrade.log"
        );
        let command = match user.stdout.trim() {
            "0" => words(&["/bin/su", "postgres", "-c", &script]),
            _ => words(&["/bin/bash", "-c", &script]),
        };
        let Output { status, stdout, .. } =
            ctx.exec.run(&at, &command, DEADLINE).await.map_err(|error| told(&error))?;
        tracing::info!(status, output = stdout, "the upgrade script has ended");
        let last_line =
            stdout.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it wrote nothing");
        if status == 0 { Ok(()) } else { Err(format!("the script ended with {status}: {last_line}")) }
    }
}

fn words(command: &[&str]) -> Vec<String> {
    command.iter().map(|word| (*word).to_owned()).collect()
}
