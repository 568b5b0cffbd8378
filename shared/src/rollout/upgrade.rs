//! When a cluster moves to another major version, and what became of the last attempt.
//!
//! An upgrade outlives the look that begins it, and perhaps the operator. So a mark on the manifest says that one was
//! begun; a mark without a process belongs to an operator that is gone, and the version that the primary runs tells how
//! it ended. A failed attempt is not repeated until a person takes its mark away or puts the version back: what made it
//! fail is in the database, and each attempt costs an outage.

use crate::cluster::Cluster;
use crate::observed::UpgradeView;
use crate::patroni::Lag;

use super::{Look, Step, WaitReason};

/// A replica that is further behind keeps an upgrade from beginning (upstream's limit), in bytes.
const MAXIMUM_LAG: u64 = 16 * 1024 * 1024;

/// What is to be noted of an upgrade that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aftermath {
    /// The primary runs the new version.
    Succeeded,
    /// The operator that began it is gone, and the primary runs the old version.
    Interrupted,
    /// It failed, and the primary runs what the manifest asks for: the version was put back, or it came to an end after
    /// all.
    Forgiven,
}

/// What is to be noted, if anything.
pub fn aftermath(cluster: &Cluster, seen: &UpgradeView) -> Option<Aftermath> {
    let arrived = seen.running_major? >= cluster.postgres.version.major();
    match (seen.begun, seen.failed.is_some()) {
        _ if seen.in_progress => None,
        (true, _) if arrived => Some(Aftermath::Succeeded),
        (true, _) => Some(Aftermath::Interrupted),
        (false, true) if arrived => Some(Aftermath::Forgiven),
        (false, _) => None,
    }
}

/// What a person should know: an upgrade that failed, or one that nobody will do.
pub fn trouble(cluster: &Cluster, seen: &UpgradeView) -> Option<String> {
    let failed = seen.failed.as_ref().filter(|_| is_behind(cluster, seen))?;
    Some(format!(
        "the upgrade to PostgreSQL {} failed ({failed}); put the version back, or remove the annotation {} to try again",
        cluster.postgres.version,
        crate::annotations::UPGRADE_FAILED,
    ))
}

/// Whether the primary runs an older version than the manifest asks for, and the operator may change that.
fn is_behind(cluster: &Cluster, seen: &UpgradeView) -> bool {
    let older = seen.running_major.is_some_and(|running| running < cluster.postgres.version.major());
    older && cluster.policy.upgrades && !cluster.is_standby()
}

impl Look<'_> {
    /// Whether an upgrade is to be begun, as soon as it may.
    pub(super) fn upgrade_is_due(&self) -> bool {
        let seen = &self.seen.upgrade;
        is_behind(self.cluster, seen) && seen.failed.is_none() && !seen.begun
    }

    /// The upgrade, once every member is well.
    pub(super) fn upgrade(&self) -> Option<Step> {
        let primary = self.seen.pod(self.seen.leader()?)?;
        let view = self.seen.patroni.as_ref()?;
        let behind = view.members.replicas().find(|member| {
            !member.is_streaming() || !matches!(member.lag(), Lag::Bytes(bytes) if bytes <= MAXIMUM_LAG)
        });
        if let Some(behind) = behind {
            return Some(self.wait(WaitReason::NotStreaming(behind.name.clone()), super::rules::POLL));
        }
        Some(Step::Upgrade { primary: primary.identity.clone(), to: self.cluster.postgres.version })
    }
}
