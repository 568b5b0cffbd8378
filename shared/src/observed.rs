//! What the operator saw, as plain data: the input of every decision about the next step.
//!
//! Filled by the operator from its stores and from Patroni, never from memory. Nothing here is a wish.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::Value;

use crate::patroni::{AppliedKeys, Members};
use crate::plan::pod_template::Fingerprint;
use crate::version::PostgresVersion;

/// The world around one cluster.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The members' pods, by ordinal.
    pub pods: Vec<ObservedPod>,
    /// What the StatefulSet's controller says.
    pub stateful_set: Option<ObservedStatefulSet>,
    /// What Patroni says.
    pub patroni: Option<PatroniView>,
    /// Nodes that must not be used any more.
    pub draining_nodes: BTreeSet<String>,
    /// Members there that no other node could take: because of their volumes, or because there is no other node.
    pub stranded: BTreeSet<String>,
    /// Volumes that are not yet as large as their claims ask for, each with both sizes.
    pub growing_volumes: Vec<String>,
    /// What the members' claims ask for, where that is more than the manifest says.
    pub larger_volumes: Option<String>,
    /// How it stands with major versions.
    pub upgrade: UpgradeView,
    /// As many other clusters are being updated as may be at once: an update of this one has to wait.
    pub fleet_is_busy: bool,
    /// When the last step was taken, and which.
    pub last_step: Option<(String, Timestamp)>,
    /// Whether objects of event streams are there; `None` where there never were any.
    pub event_streams: Option<bool>,
    /// The keys of Patroni's configuration that we have set before.
    pub applied_keys: AppliedKeys,
}

/// A pod, named so that acting on it cannot hit another one of the same name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodIdentity {
    /// The pod's name; also Patroni's name of the member.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its UID: a pod that came back under the same name has another one.
    pub uid: String,
}

/// A pod of the cluster.
#[derive(Clone, Debug, Default)]
pub struct ObservedPod {
    /// Which one.
    pub identity: PodIdentity,
    /// Its ordinal in the StatefulSet.
    pub ordinal: i32,
    /// All its containers run (whether or not they are ready).
    pub running: bool,
    /// Kubernetes calls it ready.
    pub ready: bool,
    /// What keeps it from running, in Kubernetes' word: `ImagePullBackOff`, `Unschedulable`, …
    pub trouble: Option<String>,
    /// It is on its way out.
    pub terminating: bool,
    /// Patroni has given it a role.
    pub labelled: bool,
    /// Someone has asked for it to be recreated.
    pub marked: bool,
    /// What it was made from; empty for a pod that another operator made, until it is recognised.
    pub fingerprint: Fingerprint,
    /// What is there of a pod without a fingerprint.
    pub stranger: Option<Box<Stranger>>,
    /// Its node.
    pub node: Option<String>,
    /// Its address.
    pub address: Option<String>,
    /// When it was created.
    pub created: Option<Timestamp>,
}

/// A pod that another operator made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stranger {
    /// Its labels and its specification, as they are now.
    pub template: PodTemplateSpec,
    /// The revision of the StatefulSet that it was made from.
    pub revision: Option<String>,
}

/// The StatefulSet's own account of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedStatefulSet {
    /// The generation of its specification.
    pub generation: i64,
    /// The generation its controller has acted upon.
    pub observed_generation: i64,
    /// How many pods it is told to have.
    pub replicas: i32,
}

impl ObservedStatefulSet {
    /// Whether the controller has seen the latest template: until then a new pod would be an old one.
    pub fn is_current(&self) -> bool {
        self.observed_generation >= self.generation
    }
}

/// What there is to see of major upgrades.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpgradeView {
    /// The major version that the primary runs, as it says itself.
    pub running_major: Option<u8>,
    /// This operator is at it.
    pub in_progress: bool,
    /// One was begun, by whomever, and its end was not noted.
    pub begun: Option<BegunUpgrade>,
    /// When the last one failed.
    pub failed: Option<String>,
}

/// An upgrade that was begun, and what its pod knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BegunUpgrade {
    /// What stands on the manifest.
    pub attempt: Attempt,
    /// What has become of its script.
    pub script: Script,
}

/// An attempt at a major upgrade, as it is noted on the manifest before it begins: `17 2026-01-01T00:00:00Z demo-0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The version.
    pub to: PostgresVersion,
    /// Since when.
    pub since: Timestamp,
    /// The pod in which the script runs.
    pub pod: String,
}

impl Attempt {
    /// Reads a note. One that is none counts for nothing; a pod's name is checked, because it goes into a command.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let attempt = Self {
            to: words.next()?.parse().ok()?,
            since: words.next()?.parse().ok()?,
            pod: words.next()?.to_owned(),
        };
        let of_names = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'-' | b'.');
        (words.next().is_none() && attempt.pod.bytes().all(of_names)).then_some(attempt)
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.to, self.since, self.pod)
    }
}

/// What has become of an upgrade's script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Script {
    /// It runs, or is about to.
    Running,
    /// It ran, and is over.
    Over {
        /// The last line that it wrote; empty where that is not known.
        last_line: String,
    },
    /// It was never run, and will not be: whoever asked has seen to that.
    NeverRun,
    /// Its pod is not there or does not run, so nobody can be asked. Neither can it run.
    NoPod,
    /// Its pod does not answer.
    Unknown {
        /// Why.
        why: String,
    },
}

/// Patroni's account of the cluster, read from one of its members.
#[derive(Clone, Debug)]
pub struct PatroniView {
    /// The members it knows.
    pub members: Members,
    /// Its dynamic configuration.
    pub config: Value,
}

impl Observed {
    /// The pod of that name.
    pub fn pod(&self, name: &str) -> Option<&ObservedPod> {
        self.pods.iter().find(|pod| pod.identity.name == name)
    }

    /// The name of the member that leads, as Patroni says.
    pub fn leader(&self) -> Option<&str> {
        self.patroni.as_ref()?.members.leader().map(|member| member.name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_note_of_an_attempt_is_read_as_it_was_written() {
        let text = "17 2026-01-01T00:00:00Z demo-0";
        assert_eq!(Attempt::parse(text).unwrap().to_string(), text);
    }

    #[test]
    fn a_note_that_is_none_counts_for_nothing() {
        for text in [
            "",
            "17",
            "17 2026-01-01T00:00:00Z",
            "9 2026-01-01T00:00:00Z demo-0",
            "17 today demo-0",
            "17 2026-01-01T00:00:00Z demo-0 x",
        ] {
            assert_eq!(Attempt::parse(text), None, "{text}");
        }
        assert_eq!(Attempt::parse("17 2026-01-01T00:00:00Z demo-0';reboot"), None);
    }
}
