//! One upgrade, from the first label to the last note, beside the looks at its cluster.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource;
use shared::api::Postgresql;
use shared::observed::{Attempt, PodIdentity};
use shared::rollout::LONGEST_UPGRADE;

use crate::context::Context;
use crate::events::Reason;

use super::note::{self, Still};
use super::script::{self, End};
use super::{Error, container_of, failed, failure, place, success, told, upgraded};

/// The pauses between tries to note the end.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(15), Duration::from_secs(30)];

/// One upgrade.
pub(super) struct Job {
    pub(super) manifest: Postgresql,
    pub(super) attempt: Attempt,
    pub(super) primary: PodIdentity,
    pub(super) pods: Vec<PodIdentity>,
    pub(super) ctx: Context,
}

impl Job {
    /// What goes wrong on the way is the note. Of an end that was not seen there is none: the next look asks the pod.
    #[tracing::instrument(skip_all, fields(cluster = %place(&self.manifest), to = %self.attempt.to))]
    pub(super) async fn run(&self) {
        let (ctx, about): (_, ObjectReference) = (&self.ctx, self.manifest.object_ref(&()));
        let (reason, to) = (Reason::MajorVersionUpgrade, self.attempt.to);
        ctx.events.normal(&about, reason, format!("starting the upgrade to PostgreSQL {to}")).await;
        let end = match self.upgrade().await {
            Ok(end) => end,
            Err(why) => End::Unseen(why),
        };
        let notes = match &end {
            End::Well => success(ctx.now()),
            End::Badly(_) => failure(ctx.now()),
            End::Unseen(why) => {
                tracing::warn!(why, "the end of the upgrade was not seen; the next look asks for it");
                return;
            }
        };
        tracing::info!(?end, "the upgrade has ended");
        match self.note(&notes).await {
            Ok(false) => return,
            Ok(true) => {}
            Err(error) => {
                let error = told(&error);
                return tracing::warn!(error, "could not note the end of the upgrade; the next look does");
            }
        }
        match end {
            End::Well => ctx.events.normal(&about, reason, upgraded(to)).await,
            End::Badly(why) => ctx.events.warning(&about, reason, failed(to, &why)).await,
            End::Unseen(_) => {}
        }
    }

    /// The labels, and the script.
    async fn upgrade(&self) -> Result<End, String> {
        let ctx = &self.ctx;
        note::mark_critical(&self.pods, true, ctx).await.map_err(|error| told(&error))?;
        let (at, command) = (container_of(&self.primary), script::run(&self.attempt, self.pods.len()));
        let output = ctx.exec.run(&at, &command, LONGEST_UPGRADE).await.map_err(|error| told(&error))?;
        tracing::info!(status = output.status, output = output.stdout, "the upgrade script has ended");
        Ok(script::end(&output))
    }

    /// Notes the end, and tries again for a while: how a script ended is known here only. The labels go first, because
    /// nobody looks for them once the note is there. Whether nobody else was faster.
    async fn note(&self, notes: &serde_json::Value) -> Result<bool, Error> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let noted = async {
                note::mark_critical(&self.pods, false, &self.ctx).await?;
                note::write(&self.manifest, Still::Begun(&self.attempt), notes, &self.ctx).await
            };
            match (noted.await, pauses.next()) {
                (Err(_), Some(pause)) => tokio::time::sleep(pause).await,
                (result, _) => return result,
            }
        }
    }
}
