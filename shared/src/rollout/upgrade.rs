//! When a cluster moves to another major version, and what became of the last attempt.
//!
//! An upgrade outlives the look that begins it, and perhaps the operator. So a note on the manifest says that one was
//! begun, and in which pod. Where the operator that wrote it is gone, the pod is asked: while the script still runs
//! nothing may be touched; one that never ran is begun anew; one that is over has succeeded if the primary runs the
//! version. A failed attempt is not repeated until a person takes its mark away or puts the version back: what made it
//! fail is in the database, and each attempt costs an outage.

use std::time::Duration;

use jiff::Timestamp;

use crate::cluster::Cluster;
use crate::observed::{Attempt, BegunUpgrade, Script, UpgradeView};
use crate::patroni::Lag;
use crate::version::PostgresVersion;

use super::{Look, Step, WaitReason, after};

/// A replica that is further behind keeps an upgrade from beginning (upstream's limit), in bytes.
const MAXIMUM_LAG: u64 = 16 * 1024 * 1024;

/// The longest that a script may take. Until then a pod that does not answer counts as one in which it runs.
pub const LONGEST_UPGRADE: Duration = Duration::from_hours(12);

/// What is to be noted of an upgrade that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Aftermath {
    /// The primary runs the new version.
    Succeeded {
        /// The version.
        to: PostgresVersion,
    },
    /// The operator that began it is gone, the script is over, and the primary runs the old version.
    Interrupted {
        /// The version that was asked for.
        to: PostgresVersion,
        /// What is known about the end of the script.
        why: String,
    },
    /// The operator that began it was gone before the script ran. It is begun anew.
    NeverRun,
    /// It failed, and the primary runs what the manifest asks for: the version was put back, or it came to an end after
    /// all.
    Forgiven,
}

/// Whether an upgrade is under way, by whomever, or may be as far as anybody can tell.
pub(super) fn is_under_way(seen: &UpgradeView, now: Timestamp) -> bool {
    let by_another = |begun: &BegunUpgrade| match begun.script {
        Script::Running => true,
        Script::Unknown { .. } => !is_past(begun, now),
        Script::Over { .. } | Script::NeverRun | Script::NoPod => false,
    };
    seen.in_progress || seen.begun.as_ref().is_some_and(by_another)
}

/// Whether an upgrade has had more than its time.
fn is_past(begun: &BegunUpgrade, now: Timestamp) -> bool {
    now > after(begun.attempt.since, LONGEST_UPGRADE)
}

/// What is to be noted, if anything.
pub fn aftermath(cluster: &Cluster, seen: &UpgradeView, now: Timestamp) -> Option<Aftermath> {
    if is_under_way(seen, now) {
        return None;
    }
    let Some(begun) = &seen.begun else {
        let arrived = seen.running_major? >= cluster.postgres.version.major();
        return (arrived && seen.failed.is_some()).then_some(Aftermath::Forgiven);
    };
    if begun.script == Script::NeverRun {
        return Some(Aftermath::NeverRun);
    }
    let to = begun.attempt.to;
    if seen.running_major? >= to.major() {
        return Some(Aftermath::Succeeded { to });
    }
    let why = match &begun.script {
        Script::Over { last_line } if last_line.is_empty() => "it has ended and left no log".to_owned(),
        Script::Over { last_line } => last_line.clone(),
        Script::NoPod | Script::Unknown { .. } if is_past(begun, now) => unheard_of(begun)?,
        Script::NoPod | Script::Unknown { .. } | Script::Running | Script::NeverRun => return None,
    };
    Some(Aftermath::Interrupted { to, why })
}

/// What a person should know: an upgrade that failed, or one that nobody can tell anything about.
pub fn trouble(cluster: &Cluster, seen: &UpgradeView, now: Timestamp) -> Option<String> {
    if let Some(begun) = seen.begun.as_ref().filter(|_| !seen.in_progress) {
        let Attempt { to, since, .. } = &begun.attempt;
        let why = unheard_of(begun).or_else(|| late(begun, now))?;
        return Some(format!("the upgrade to PostgreSQL {to}, begun {since}: {why}"));
    }
    let failed = seen.failed.as_ref().filter(|_| is_behind(cluster, seen))?;
    Some(format!(
        "the upgrade to PostgreSQL {} failed ({failed}); put the version back, or remove the annotation {} to try again",
        cluster.postgres.version,
        crate::annotations::UPGRADE_FAILED,
    ))
}

/// Why it is not known what has become of an upgrade.
fn unheard_of(begun: &BegunUpgrade) -> Option<String> {
    let pod = &begun.attempt.pod;
    match &begun.script {
        Script::Running | Script::NeverRun => None,
        Script::Over { last_line } => Some(format!(
            "its script has ended, and no primary says which version it runs; it wrote last: {last_line}"
        )),
        Script::NoPod => Some(format!("pod {pod}, in which it was begun, does not run")),
        Script::Unknown { why } => Some(format!("whether it still runs in pod {pod} is not known: {why}")),
    }
}

/// A script that takes longer than any should.
fn late(begun: &BegunUpgrade, now: Timestamp) -> Option<String> {
    let (pod, hours) = (&begun.attempt.pod, LONGEST_UPGRADE.as_secs() / 3600);
    is_past(begun, now).then(|| {
        format!("it has been running for more than {hours} hours; see last_upgrade.log in pod {pod}")
    })
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
        is_behind(self.cluster, seen) && seen.failed.is_none() && seen.begun.is_none()
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
