//! The single disruptive act a reconcile may take, and why it may have to wait instead.

use std::fmt;

use jiff::Timestamp;
use serde_json::Value;

use crate::observed::PodIdentity;
use crate::plan::Disturbance;
use crate::version::PostgresVersion;

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Send this merge patch to Patroni's store.
    PatchConfig(Value),
    /// Restart PostgreSQL in a member, in place.
    Restart {
        /// The member.
        member: String,
    },
    /// Delete a pod; its StatefulSet makes it again from the current template.
    Recreate {
        /// The pod that was seen.
        pod: PodIdentity,
        /// The fields in which it is outdated.
        why: Vec<&'static str>,
    },
    /// Hand the primary's role over.
    Switchover {
        /// The leader that was seen; Patroni refuses if another one leads by now.
        from: String,
        /// The member to promote.
        to: String,
    },
    /// Upgrade the data directory to another major version, by the image's own script.
    Upgrade {
        /// The primary that was seen: the script runs there.
        primary: PodIdentity,
        /// The version.
        to: PostgresVersion,
    },
    /// Nothing now.
    Wait {
        /// What for.
        reason: WaitReason,
        /// When to look again if nothing happens before.
        until: Timestamp,
    },
    /// Nothing is left to do.
    Settled,
}

/// What the operator waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// The objects could not be written; what kept them is told beside it.
    Objects,
    /// The StatefulSet's controller has not seen the latest template: a new pod would be an old one.
    StatefulSetController,
    /// A pod is on its way out.
    PodTerminating(String),
    /// A pod is missing or starting.
    PodStarting(String),
    /// A pod has not come up within its time. Only a person, or a new manifest, can help it.
    PodStuck(String),
    /// No member answers on Patroni's port.
    PatroniUnreachable,
    /// No member leads.
    NoLeader,
    /// A member does not follow the leader yet.
    NotStreaming(String),
    /// Patroni has not read its new configuration yet.
    ConfigLoop,
    /// No replica may be promoted.
    NoCandidate,
    /// The primary is on a node that is to be left, and no other node could take it. It serves, so it stays.
    Stays(String),
    /// A pod has to be recreated, is on a node that is to be left, and no other node could take it.
    Stranded(String),
    /// The API server would refuse the pod that comes after the one to be recreated, in its own words.
    Refused(String),
    /// An update that can wait waits for one of these maintenance windows.
    Window(String),
    /// As many clusters are being updated as may be at once.
    Turn,
    /// The data directory is being upgraded; until that is over nothing is touched.
    Upgrading,
    /// The storage driver makes volumes larger.
    Volumes(String),
}

impl WaitReason {
    /// Whether it may last for days while nothing is under way and nothing is wrong with the cluster.
    pub fn is_rest(&self) -> bool {
        matches!(self, Self::Window(_) | Self::Stays(_))
    }

    /// Whether Kubernetes tells of its end, so that looking again meanwhile is only a precaution. Patroni tells of nothing.
    pub fn ends_with_an_event(&self) -> bool {
        matches!(
            self,
            Self::StatefulSetController | Self::PodTerminating(_) | Self::PodStarting(_) | Self::PodStuck(_)
        )
    }

    /// The reason as a condition's `reason`: one CamelCase word of a fixed set.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Objects => "ObjectsNotApplied",
            Self::StatefulSetController => "WaitingForStatefulSet",
            Self::PodTerminating(_) => "PodTerminating",
            Self::PodStarting(_) => "PodStarting",
            Self::PodStuck(_) => "PodStuck",
            Self::PatroniUnreachable => "PatroniUnreachable",
            Self::NoLeader => "NoPrimary",
            Self::NotStreaming(_) => "MemberNotStreaming",
            Self::ConfigLoop => "WaitingForPatroni",
            Self::NoCandidate => "NoSwitchoverCandidate",
            Self::Stays(_) => "NoNodeToGoTo",
            Self::Stranded(_) => "PodStranded",
            Self::Refused(_) => "PodRefused",
            Self::Window(_) => "WaitingForMaintenanceWindow",
            Self::Turn => "WaitingForTurn",
            Self::Volumes(_) => "VolumesGrowing",
            Self::Upgrading => "MajorUpgrade",
        }
    }
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Objects => f.write_str("the objects could not be written"),
            Self::StatefulSetController => f.write_str("waiting for the StatefulSet's controller"),
            Self::PodTerminating(pod) => write!(f, "waiting for pod {pod} to end"),
            Self::PodStarting(pod) => write!(f, "waiting for pod {pod} to start"),
            Self::PodStuck(pod) => write!(f, "pod {pod} has not come up in time; the rollout stops here"),
            Self::PatroniUnreachable => f.write_str("no member answers on Patroni's port"),
            Self::NoLeader => f.write_str("no member leads"),
            Self::NotStreaming(member) => write!(f, "waiting for {member} to stream from the primary"),
            Self::ConfigLoop => f.write_str("waiting for Patroni to read its configuration"),
            Self::NoCandidate => f.write_str("no replica is fit to be promoted"),
            Self::Stays(pod) => write!(
                f,
                "the primary {pod} serves and stays, although the node is to be left: no other node could take it, or \
                 none where its volume is; end the drain, add a node or add a member"
            ),
            Self::Stranded(pod) => write!(
                f,
                "pod {pod} has to be recreated and is not, because the node is to be left and no other could take it, \
                 or none where its volume is; end the drain or add a node"
            ),
            Self::Refused(why) => {
                write!(f, "no pod is recreated, because the API server would refuse the new one: {why}")
            }
            Self::Window(windows) => write!(f, "an update waits for the maintenance window {windows}"),
            Self::Upgrading => f.write_str("the data directory is being upgraded to another major version"),
            Self::Volumes(volumes) => write!(f, "waiting for volumes to grow: {volumes}"),
            Self::Turn => f.write_str("as many clusters are being updated as max_rolling_clusters allows"),
        }
    }
}

impl Step {
    /// The kinds of steps that are acts.
    pub const ACTS: [&'static str; 5] = ["PatchConfig", "Restart", "Recreate", "Switchover", "Upgrade"];

    /// What PostgreSQL notices of it.
    pub fn disturbance(&self) -> Disturbance {
        match self {
            Self::PatchConfig(_) => Disturbance::Reload,
            Self::Restart { .. } => Disturbance::Restart,
            Self::Recreate { .. } => Disturbance::RollingUpdate,
            Self::Upgrade { .. } => Disturbance::MajorUpgrade,
            Self::Switchover { .. } | Self::Wait { .. } | Self::Settled => Disturbance::Nothing,
        }
    }

    /// The kind of step, in one CamelCase word: a condition's `reason`, a metric's label.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::PatchConfig(_) => "PatchConfig",
            Self::Restart { .. } => "Restart",
            Self::Recreate { .. } => "Recreate",
            Self::Switchover { .. } => "Switchover",
            Self::Upgrade { .. } => "Upgrade",
            Self::Wait { .. } => "Wait",
            Self::Settled => "Settled",
        }
    }

    /// Whether roles and databases may be changed beside it. After an act the world is another one, and the primary
    /// perhaps, too; and what is written while a data directory is being upgraded may not be in the new one.
    pub fn permits_sql(&self) -> bool {
        !self.is_act() && !matches!(self, Self::Wait { reason: WaitReason::Upgrading, .. })
    }

    /// Whether something is done, rather than waited for.
    pub fn is_act(&self) -> bool {
        !matches!(self, Self::Wait { .. } | Self::Settled)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PatchConfig(_) => f.write_str("patch configuration"),
            Self::Restart { member } => write!(f, "restart {member}"),
            Self::Recreate { pod, .. } => write!(f, "recreate {}", pod.name),
            Self::Switchover { from, to } => write!(f, "switchover {from} to {to}"),
            Self::Upgrade { to, .. } => write!(f, "upgrade to PostgreSQL {to}"),
            Self::Wait { reason, .. } => reason.fmt(f),
            Self::Settled => f.write_str("settled"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_act_is_of_a_kind_that_is_listed_and_nothing_else_is() {
        let pod = PodIdentity::default();
        let name = String::new;
        let steps = [
            Step::PatchConfig(json!({})),
            Step::Restart { member: name() },
            Step::Recreate { pod: pod.clone(), why: Vec::new() },
            Step::Switchover { from: name(), to: name() },
            Step::Upgrade { primary: pod, to: PostgresVersion::NEWEST },
            Step::Settled,
        ];
        let acts: Vec<&str> = steps.iter().filter(|step| step.is_act()).map(Step::kind).collect();
        assert_eq!(acts, Step::ACTS);
    }
}
