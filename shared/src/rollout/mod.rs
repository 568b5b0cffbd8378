//! The one step that comes next: the heart of the operator, and it is pure.
//!
//! Asked once per reconcile, after everything harmless has been applied. [`RULES`] are tried in order and the first
//! that has something to say decides; what remains to be done is never stored, it is seen again at the next look.
//! Every step names exactly what was seen (a pod's UID, the leader's name), so a stale look ends in a conflict and
//! not in a second deletion.

mod adopt;
mod candidate;
mod nodes;
pub mod rehearsal;
mod rules;
mod shelter;
mod step;
mod upgrade;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::StatefulSetSpec;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

pub use adopt::recognise;
pub use nodes::leaving;
pub use shelter::finds_shelter;
pub use step::{Step, WaitReason};
pub use upgrade::{Aftermath, LONGEST_UPGRADE, aftermath, trouble};

use crate::annotations::{EVENT_STREAMS, FINGERPRINT, PATRONI_KEYS};
use crate::build::Resources;
use crate::cluster::Cluster;
use crate::config::Disruption;
use crate::names;
use crate::observed::{Observed, ObservedPod, ObservedStatefulSet};
use crate::patroni::{self, AppliedKeys, DynamicConfig};
use crate::plan::pod_template::{Fingerprint, IMAGE, differences};

use rules::RULES;

/// Why a pod is recreated that nothing is wrong with.
const MARKED: &str = "marked";

/// What the API server answered when the objects were applied. Only `apply` can make one from an answer, so a step is
/// never taken on wishes.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// The StatefulSet after it was applied.
    pub stateful_set: Option<ObservedStatefulSet>,
}

/// The next step towards `desired`, given what was applied and seen.
pub fn next(
    cluster: &Cluster,
    desired: &Resources,
    applied: &Applied,
    seen: &Observed,
    now: Timestamp,
) -> Step {
    let look = Look::new(cluster, desired, applied, seen, now);
    RULES.iter().find_map(|rule| rule(&look)).unwrap_or(Step::Settled)
}

/// How many pods the StatefulSet should have right now. More than wanted while a member that would go still leads:
/// it has to hand over first. As many as there are while a major upgrade is under way: its script counts them.
pub fn replicas_now(cluster: &Cluster, seen: &Observed) -> i32 {
    let wanted = cluster.members;
    let current = seen.stateful_set.as_ref().map_or(wanted, |set| set.replicas);
    if seen.upgrade.in_progress || seen.upgrade.begun.is_some() {
        return current;
    }
    let leader = seen.leader().and_then(|name| names::ordinal(&cluster.identity.name, name));
    let leader_would_go = wanted > 0 && leader.is_some_and(|ordinal| ordinal >= wanted && ordinal < current);
    if leader_would_go { current } else { wanted }
}

/// Why a pod has to be recreated to become what is desired; empty when it does not have to be.
pub fn outdated(cluster: &Cluster, desired: &Resources, pod: &ObservedPod) -> Vec<&'static str> {
    let (applied, seen) = (Applied::default(), Observed::default());
    Look::new(cluster, desired, &applied, &seen, Timestamp::UNIX_EPOCH).outdated(pod)
}

/// Adds to the StatefulSet what depends on the moment: how many pods now, which keys of Patroni's store are ours, and
/// whether there are event streams' objects to look after.
pub fn for_now(mut desired: Resources, cluster: &Cluster, seen: &Observed) -> Resources {
    let keys = keys_to_remember(desired.patroni.as_ref(), seen);
    let streams = if desired.event_streams.is_empty() { seen.event_streams } else { Some(true) };
    if let Some(set) = &mut desired.stateful_set {
        if let Some(spec) = &mut set.spec {
            spec.replicas = Some(replicas_now(cluster, seen));
            if let Some(size) = &seen.larger_volumes {
                keep_volumes_as_large(spec, size);
            }
        }
        let annotations = set.metadata.annotations.get_or_insert_default();
        annotations.insert(PATRONI_KEYS.to_owned(), keys.to_text());
        annotations.extend(streams.map(|there| (EVENT_STREAMS.to_owned(), there.to_string())));
    }
    desired
}

/// New members get volumes as large as the ones that are there: a volume cannot shrink, and members take turns.
fn keep_volumes_as_large(spec: &mut StatefulSetSpec, size: &str) {
    let claims = spec.volume_claim_templates.iter_mut().flatten();
    let requests = claims.filter_map(|claim| claim.spec.as_mut()?.resources.as_mut()?.requests.as_mut());
    requests.for_each(|requests| drop(requests.insert("storage".to_owned(), Quantity(size.to_owned()))));
}

/// The keys that we want set, and those that we once set and that still have to go.
fn keys_to_remember(desired: Option<&DynamicConfig>, seen: &Observed) -> AppliedKeys {
    let wanted = desired.map(DynamicConfig::keys).unwrap_or_default();
    let outstanding = match (desired, &seen.patroni) {
        (Some(desired), Some(view)) => patroni::patch(desired, &view.config, &seen.applied_keys).is_some(),
        _ => true,
    };
    if outstanding { wanted.join(&seen.applied_keys) } else { wanted }
}

/// Everything a rule may look at, with the questions that several rules ask.
pub(crate) struct Look<'a> {
    cluster: &'a Cluster,
    applied: &'a Applied,
    seen: &'a Observed,
    now: Timestamp,
    template: Fingerprint,
    dynamic: Option<&'a DynamicConfig>,
}

impl<'a> Look<'a> {
    fn new(
        cluster: &'a Cluster,
        desired: &'a Resources,
        applied: &'a Applied,
        seen: &'a Observed,
        now: Timestamp,
    ) -> Self {
        let spec = desired.stateful_set.as_ref().and_then(|set| set.spec.as_ref());
        let template = spec.map(|spec| &spec.template);
        let annotations = template.and_then(|template| template.metadata.as_ref()?.annotations.as_ref());
        let fingerprint = annotations.and_then(|all| all.get(FINGERPRINT));
        Self {
            cluster,
            applied,
            seen,
            now,
            template: fingerprint.map(|text| Fingerprint::parse(text)).unwrap_or_default(),
            dynamic: desired.patroni.as_ref(),
        }
    }

    /// Why a pod has to be recreated; empty when it does not.
    fn outdated(&self, pod: &ObservedPod) -> Vec<&'static str> {
        let mut reasons = differences(&pod.fingerprint, &self.template);
        if self.cluster.policy.lazy_image_upgrade {
            reasons.retain(|reason| *reason != IMAGE);
        }
        if pod.marked {
            reasons.push(MARKED);
        }
        reasons
    }

    /// What a step of an update has to wait for, if anything.
    fn held_back_by(&self, step: Disruption) -> Option<WaitReason> {
        if let Some(windows) = self.cluster.policy.waits_for(step, Some(self.now)) {
            return Some(WaitReason::Window(windows.to_string()));
        }
        self.seen.fleet_is_busy.then_some(WaitReason::Turn)
    }

    /// Why a pod has to be recreated now: nothing that can wait and has to, but always what a person asks for.
    fn outdated_now(&self, pod: &ObservedPod) -> Vec<&'static str> {
        let held_back = self.held_back_by(self.recreation_of(pod)).is_some();
        if pod.marked || !held_back { self.outdated(pod) } else { Vec::new() }
    }

    /// What it takes to recreate a pod.
    fn recreation_of(&self, pod: &ObservedPod) -> Disruption {
        if self.leads(pod) { Disruption::Switchover } else { Disruption::RecreateReplica }
    }

    /// Whether a pod is on a node that has to be left.
    fn is_drained(&self, pod: &ObservedPod) -> bool {
        pod.node.as_ref().is_some_and(|node| self.seen.draining_nodes.contains(node))
    }

    /// Whether a pod, once deleted, would find no node any more.
    fn is_stranded(&self, pod: &ObservedPod) -> bool {
        self.seen.stranded.contains(&pod.identity.name)
    }

    /// Whether a pod leads, as Patroni says.
    fn leads(&self, pod: &ObservedPod) -> bool {
        self.seen.leader() == Some(pod.identity.name.as_str())
    }

    /// Whether a pod runs, is ready and has a role.
    fn is_up(&self, pod: &ObservedPod) -> bool {
        pod.running && pod.ready && pod.labelled && !pod.terminating
    }

    /// The pods that should be there, by ordinal; `None` for one that is missing.
    fn expected(&self) -> impl Iterator<Item = Option<&'a ObservedPod>> {
        let (name, seen) = (&self.cluster.identity.name, self.seen);
        (0..self.cluster.members).map(move |ordinal| seen.pod(&names::member(name, ordinal)))
    }

    /// Whether a pod has had its time to come up.
    fn is_overdue(&self, pod: &ObservedPod) -> bool {
        pod.created.is_some_and(|created| self.now > after(created, self.cluster.policy.pod_start_timeout))
    }

    /// A member that has had its time to come up and has not: the rollout stops here.
    fn stuck(&self) -> Option<&'a ObservedPod> {
        self.expected().flatten().find(|pod| self.is_overdue(pod) && !(self.is_up(pod) && self.follows(pod)))
    }

    /// Whether Patroni counts a pod as a member that is what it should be.
    fn follows(&self, pod: &ObservedPod) -> bool {
        let patroni = self.seen.patroni.as_ref();
        patroni
            .and_then(|view| view.members.get(&pod.identity.name))
            .is_some_and(crate::patroni::Member::is_healthy)
    }

    /// A pod's name, and what keeps it from running.
    fn named(pod: &ObservedPod) -> String {
        match &pod.trouble {
            Some(trouble) => format!("{} ({trouble})", pod.identity.name),
            None => pod.identity.name.clone(),
        }
    }

    /// Wait, and look again after `pause` if nothing happens before.
    fn wait(&self, reason: WaitReason, pause: Duration) -> Step {
        Step::Wait { reason, until: after(self.now, pause) }
    }
}

/// `moment` + `pause`; the moment itself where that is beyond what can be counted.
pub(crate) fn after(moment: Timestamp, pause: Duration) -> Timestamp {
    let pause = SignedDuration::try_from(pause).unwrap_or(SignedDuration::ZERO);
    moment.checked_add(pause).unwrap_or(moment)
}

#[cfg(test)]
mod tests;
