//! The rules, in order; first match wins.
//!
//! ```text
//!  0 an upgrade is under way                        wait: nothing may be touched
//!  1 the StatefulSet's controller lags behind       wait: a new pod would be an old one
//!  2 an outdated pod that does not run              recreate it: only that can help it
//!  3 a pod is missing, starting or ending           wait; past its time: go on, but not past 7
//!  4 Patroni's configuration differs                patch it
//!  5 it was patched a moment ago                    wait until Patroni has read it
//!  6 a member does not stream yet                   wait; past its time: go on, but not past 7
//!  7 members wait for a restart                     restart one
//!    (a member is stuck)                            wait: nothing disruptive until it is well
//!  8 an outdated replica                            recreate it
//!  9 the primary is outdated, drained or surplus    switch over; alone: recreate
//!    (an outdated pod would find no node again)     wait: a person has to help
//! 10 the major version is older than wanted         upgrade it, once every member streams
//! 11 something of 7 to 10 was held back             wait for the maintenance window, or for its turn
//! 12 volumes grow                                   wait for the storage driver
//! ```
//!
//! On a node that has to be left, 9 does what brings the primary away: hand over; alone: recreate it; where all replicas
//! are on such nodes, too: recreate one, to hand over to it then. A member that would find no other node stays.
//!
//! Held back is what an update asks for: 7, 8, 10, and 9 for an outdated primary, each by its own kind (`Disruption`). A
//! drained node, a member that is to go and a pod that somebody marked do not wait for windows: the node will not, and
//! the others are what a person asks for now.

use std::time::Duration;

use crate::config::Disruption;
use crate::observed::ObservedPod;
use crate::patroni::{self, Member};

use super::{Look, Step, WaitReason, after, upgrade};

type Rule = fn(&Look<'_>) -> Option<Step>;

/// The rules, in order.
pub(super) const RULES: &[Rule] = &[
    upgrade_is_under_way,
    stateful_set_is_current,
    broken_outdated_pod,
    pods_are_up,
    nobody_is_wanted,
    patroni_answers,
    configuration,
    configuration_is_read,
    members_stream,
    pending_restart,
    nobody_is_stuck,
    outdated_replica,
    primary_moves,
    nobody_is_stranded,
    upgrade_is_due,
    held_back,
    volumes_grow,
];

/// How long to wait for an event before looking again anyway.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// Why a pod is recreated whose node is to be left.
const DRAINED: &str = "its node is drained";
/// The same where no event will come: Patroni's view changes without one.
pub(super) const POLL: Duration = Duration::from_secs(2);

fn upgrade_is_under_way(look: &Look<'_>) -> Option<Step> {
    let under_way = upgrade::is_under_way(&look.seen.upgrade, look.now);
    under_way.then(|| look.wait(WaitReason::Upgrading, LOOK_AGAIN))
}

fn stateful_set_is_current(look: &Look<'_>) -> Option<Step> {
    let current = look.applied.stateful_set.as_ref().is_some_and(|set| set.is_current());
    (!current).then(|| look.wait(WaitReason::StatefulSetController, LOOK_AGAIN))
}

fn broken_outdated_pod(look: &Look<'_>) -> Option<Step> {
    let broken = look.expected().flatten().filter(|pod| !pod.running && !pod.terminating);
    let outdated = broken.map(|pod| (pod, look.outdated(pod))).filter(|(_, why)| !why.is_empty());
    let (pod, why) = outdated.min_by_key(|(pod, _)| look.leads(pod))?;
    Some(Step::Recreate { pod: pod.identity.clone(), why })
}

fn pods_are_up(look: &Look<'_>) -> Option<Step> {
    if let Some(pod) = look.seen.pods.iter().find(|pod| pod.terminating) {
        return Some(look.wait(WaitReason::PodTerminating(pod.identity.name.clone()), LOOK_AGAIN));
    }
    for (ordinal, pod) in look.expected().enumerate() {
        let waits_for = match pod {
            None => format!("{}-{ordinal}", look.cluster.identity.name),
            Some(pod) if !look.is_up(pod) && !look.is_overdue(pod) => Look::named(pod),
            Some(_) => continue,
        };
        // With ordered pods a stuck one keeps the next from being made: that is its fault, not the missing one's.
        let Some(stuck) = look.stuck().filter(|_| pod.is_none()) else {
            return Some(look.wait(WaitReason::PodStarting(waits_for), LOOK_AGAIN));
        };
        return Some(look.wait(WaitReason::PodStuck(Look::named(stuck)), LOOK_AGAIN));
    }
    None
}

/// A cluster of no members is as it should be once its pods are gone.
fn nobody_is_wanted(look: &Look<'_>) -> Option<Step> {
    (look.cluster.members == 0).then_some(Step::Settled)
}

fn patroni_answers(look: &Look<'_>) -> Option<Step> {
    look.seen.patroni.is_none().then(|| match look.stuck() {
        Some(pod) => look.wait(WaitReason::PodStuck(Look::named(pod)), LOOK_AGAIN),
        None => look.wait(WaitReason::PatroniUnreachable, POLL),
    })
}

fn configuration(look: &Look<'_>) -> Option<Step> {
    let view = look.seen.patroni.as_ref()?;
    let initialised = view.config.as_object().is_some_and(|config| !config.is_empty());
    patroni::patch(look.dynamic?, &view.config, &look.seen.applied_keys)
        .filter(|_| initialised)
        .map(Step::PatchConfig)
}

fn configuration_is_read(look: &Look<'_>) -> Option<Step> {
    taken_moments_ago(look, &Step::PatchConfig(serde_json::Value::Null), 1)
}

fn members_stream(look: &Look<'_>) -> Option<Step> {
    let view = look.seen.patroni.as_ref()?;
    let Some(_) = view.members.leader() else {
        return Some(look.wait(WaitReason::NoLeader, POLL));
    };
    let behind = look.expected().flatten().find(|pod| !look.follows(pod) && !look.is_overdue(pod))?;
    Some(look.wait(WaitReason::NotStreaming(behind.identity.name.clone()), POLL))
}

fn pending_restart(look: &Look<'_>) -> Option<Step> {
    if look.held_back_by(Disruption::Restart).is_some() {
        return None;
    }
    let members = &look.seen.patroni.as_ref()?.members;
    let leader = members.leader().filter(|leader| waits(look, leader));
    let ready = members.replicas().find(|member| waits(look, member) && !member.waits_for_primary());
    let member = ready.or(leader).or_else(|| members.replicas().find(|member| waits(look, member)))?;
    let restart = Step::Restart { member: member.name.clone() };
    // A member tells that it has been restarted only in Patroni's next loop.
    let wait = somebody_may_not_have_told(look).or_else(|| taken_moments_ago(look, &restart, 1));
    Some(wait.unwrap_or(restart))
}

/// The wait for members that may yet tell that they wait for a restart. Each reads the configuration in one of its loops
/// and tells what came of it in the next; the member that was asked to change it is a loop ahead of all others, and that
/// is the primary: whoever does not wait restarts it out of turn.
fn somebody_may_not_have_told(look: &Look<'_>) -> Option<Step> {
    let members = &look.seen.patroni.as_ref()?.members;
    let silent = members.members.iter().any(|member| !member.pending_restart);
    taken_moments_ago(look, &Step::PatchConfig(serde_json::Value::Null), 2).filter(|_| silent)
}

/// The wait until Patroni has had so many loops, if `step` was the last one taken and they have not come since.
fn taken_moments_ago(look: &Look<'_>, step: &Step, loops: u64) -> Option<Step> {
    let (last, at) = look.seen.last_step.as_ref()?;
    let config = &look.seen.patroni.as_ref()?.config;
    let loop_wait = config.get("loop_wait").and_then(|seconds| seconds.as_u64()).unwrap_or(10);
    let read = after(*at, Duration::from_secs(loop_wait.saturating_mul(loops).saturating_add(2)));
    let moments_ago = *last == step.to_string() && look.now < read;
    moments_ago.then_some(Step::Wait { reason: WaitReason::ConfigLoop, until: read })
}

/// Whether a member waits for a restart that recreating its pod would not bring anyway.
fn waits(look: &Look<'_>, member: &Member) -> bool {
    let pod = look.seen.pod(&member.name);
    member.pending_restart && pod.is_some_and(|pod| look.is_up(pod) && look.outdated(pod).is_empty())
}

fn nobody_is_stuck(look: &Look<'_>) -> Option<Step> {
    let stuck = look.stuck()?;
    Some(look.wait(WaitReason::PodStuck(Look::named(stuck)), LOOK_AGAIN))
}

fn outdated_replica(look: &Look<'_>) -> Option<Step> {
    let mut replicas = look.expected().flatten().filter(|pod| !look.leads(pod));
    replicas.find_map(|pod| recreate(look, pod))
}

fn recreate(look: &Look<'_>, pod: &ObservedPod) -> Option<Step> {
    let why = look.outdated_now(pod);
    (!why.is_empty() && !look.is_stranded(pod)).then(|| Step::Recreate { pod: pod.identity.clone(), why })
}

fn primary_moves(look: &Look<'_>) -> Option<Step> {
    let primary = look.seen.pod(look.seen.leader()?)?;
    let surplus = primary.ordinal >= look.cluster.members;
    let (drained, outdated) = (look.is_drained(primary), !look.outdated_now(primary).is_empty());
    if !(surplus || drained || outdated) {
        return None;
    }
    if let Some(to) = look.candidate() {
        return Some(Step::Switchover { from: primary.identity.name.clone(), to: to.to_owned() });
    }
    if drained && let Some(step) = leave(look, primary) {
        return Some(step);
    }
    let alone = look.seen.pods.len() == 1;
    if alone && outdated {
        return recreate(look, primary);
    }
    (!alone).then(|| look.wait(WaitReason::NoCandidate, POLL))
}

/// What a primary does on a node that has to be left, with nobody to hand over to: where it is alone it goes itself,
/// because its disruption budget would block the eviction for ever; where all are on such nodes (a whole pool of them is
/// emptied one by one) a replica goes ahead.
fn leave(look: &Look<'_>, primary: &ObservedPod) -> Option<Step> {
    let mut others = look.expected().flatten().filter(|pod| !look.leads(pod)).peekable();
    let goes = if others.peek().is_none() {
        Some(primary).filter(|pod| !look.is_stranded(pod))
    } else {
        let others: Vec<_> = others.collect();
        if !others.iter().all(|pod| look.is_drained(pod)) {
            return None;
        }
        others.into_iter().find(|pod| look.is_up(pod) && !look.is_stranded(pod))
    };
    Some(match goes {
        Some(pod) => Step::Recreate { pod: pod.identity.clone(), why: vec![DRAINED] },
        None if look.outdated_now(primary).is_empty() => {
            look.wait(WaitReason::Stays(placed(primary)), LOOK_AGAIN)
        }
        None => look.wait(WaitReason::Stranded(placed(primary)), LOOK_AGAIN),
    })
}

/// A pod's name, and where it is.
fn placed(pod: &ObservedPod) -> String {
    format!("{} on node {}", pod.identity.name, pod.node.as_deref().unwrap_or_default())
}

/// An update that cannot go on: a pod made anew would find no node.
fn nobody_is_stranded(look: &Look<'_>) -> Option<Step> {
    let mut expected = look.expected().flatten();
    let pod = expected.find(|pod| look.is_stranded(pod) && !look.outdated_now(pod).is_empty())?;
    Some(look.wait(WaitReason::Stranded(placed(pod)), LOOK_AGAIN))
}

fn upgrade_is_due(look: &Look<'_>) -> Option<Step> {
    let due = look.upgrade_is_due() && look.held_back_by(Disruption::MajorUpgrade).is_none();
    due.then(|| look.upgrade()).flatten()
}

fn held_back(look: &Look<'_>) -> Option<Step> {
    let outdated = look.expected().flatten().filter(|pod| !look.outdated(pod).is_empty());
    let outdated = outdated.map(|pod| look.recreation_of(pod));
    let members = look.seen.patroni.iter().flat_map(|view| &view.members.members);
    let pending = members.filter(|member| waits(look, member)).map(|_| Disruption::Restart);
    let upgrade = look.upgrade_is_due().then_some(Disruption::MajorUpgrade);
    let reason = outdated.chain(pending).chain(upgrade).find_map(|step| look.held_back_by(step))?;
    let opening = look.cluster.policy.windows.next_opening(look.now).filter(|_| reason != WaitReason::Turn);
    Some(match opening {
        Some(until) => Step::Wait { reason, until },
        None => look.wait(reason, LOOK_AGAIN),
    })
}

fn volumes_grow(look: &Look<'_>) -> Option<Step> {
    let growing = &look.seen.growing_volumes;
    (!growing.is_empty()).then(|| look.wait(WaitReason::Volumes(growing.join(", ")), LOOK_AGAIN))
}
