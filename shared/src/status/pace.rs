//! How long a cluster is left alone, and how seldom an unfinished one is told of. The operator asks after each look.
//!
//! Nothing is remembered for it: the conditions say since when there has been work, and whatever takes long is told and
//! looked at the seldomer the longer it takes.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use jiff::Timestamp;

use crate::api::PostgresqlStatus;
use crate::api::configuration_groups::General;
use crate::rollout::{Step, after};

use super::{Findings, PROBLEM, READY, RECONCILING};

/// How long after a write what may wait is not written, at least and at most.
const WRITE_PERIOD: (Duration, Duration) = (Duration::from_secs(10), Duration::from_mins(1));

/// After an act, whose effect may come without an event.
const SOON: Duration = Duration::from_secs(1);

/// After a look that made a Secret for a role.
const AFTER_SECRET: Duration = Duration::from_secs(5);

/// After a problem, at first.
const AFTER_PROBLEM: Duration = Duration::from_secs(5);

/// While an event is waited for, at most.
const PRECAUTION: Duration = Duration::from_mins(1);

/// The lengths of time that are one cluster's own.
#[derive(Clone, Copy, Debug)]
pub struct Periods {
    /// Until it is looked at again when it is as it should be.
    resync: Duration,
    /// The longest pause while something fails.
    repair: Duration,
}

impl Periods {
    /// As configured, for the cluster of this UID. Where Secrets may not be watched, no event tells that the one is there
    /// which a role waits for: `awaits_secrets` says so.
    pub fn of(general: &General, uid: &str, awaits_secrets: bool) -> Self {
        let resync = if awaits_secrets { AFTER_SECRET } else { spread(uid, general.resync_period) };
        Self { resync, repair: general.repair_period }
    }
}

/// The period, less up to a tenth by a hash of the UID, so that a fleet's periodic looks are spread.
fn spread(uid: &str, period: Duration) -> Duration {
    let mut hasher = DefaultHasher::new();
    uid.hash(&mut hasher);
    let share = u32::try_from(hasher.finish() % 100).unwrap_or_default();
    period.saturating_sub(period / 1000 * share)
}

/// The pause until the next look if nothing happens before. `status` is the one that these findings came to.
pub fn pause(status: &PostgresqlStatus, found: &Findings<'_>, periods: Periods) -> Duration {
    if !found.problems.is_empty() {
        return half_of_the_work(status, found.now, AFTER_PROBLEM, periods.repair);
    }
    match found.step {
        // A period of a millisecond would be nothing but looks.
        Step::Settled => periods.resync.max(SOON),
        Step::Wait { reason, until } => {
            let pause = Duration::try_from(until.duration_since(found.now)).unwrap_or(SOON).max(SOON);
            // Of a thousand clusters that wait for their pods each would be looked at every ten seconds for nothing.
            if reason.ends_with_an_event() {
                half_of_the_work(status, found.now, pause, PRECAUTION)
            } else {
                pause
            }
        }
        Step::PatchConfig(_)
        | Step::Restart { .. }
        | Step::Recreate { .. }
        | Step::Switchover { .. }
        | Step::Upgrade { .. } => SOON,
    }
}

/// Until when, after a status was written, what [may wait](may_wait) is not: for as long again as the work has taken, so
/// that a slow one costs a status at each doubling. A machine on which a thousand clusters are made at once is the last one
/// that should write more of them.
pub fn quiet_until(status: &PostgresqlStatus, written: Timestamp) -> Timestamp {
    let (shortest, longest) = WRITE_PERIOD;
    after(written, worked_for(status, written).clamp(shortest, longest))
}

/// Whether what is new in a status is no more than what the operator waits for, or the words in which a problem is told.
///
/// A new cluster waits for its StatefulSet, for each pod and for a leader. Were each wait written, statuses would be a
/// third of all requests; and every reader makes the same of them: the work goes on. What tools and people decide by is
/// written at once: the word, the generation, that there is a problem or none, the last step.
pub fn may_wait(told: &PostgresqlStatus, new: &PostgresqlStatus) -> bool {
    let told_by = |status: &PostgresqlStatus| -> Vec<(String, bool, bool)> {
        let conditions = status.conditions.iter().flatten();
        let decisive = conditions.map(|c| (c.type_.clone(), c.status == "True", c.reason == PROBLEM));
        decisive.collect()
    };
    let apart_from_conditions =
        |status: &PostgresqlStatus| PostgresqlStatus { conditions: None, ..status.clone() };
    let works = |status: &PostgresqlStatus| {
        status.conditions.iter().flatten().any(|condition| condition.type_ == RECONCILING)
    };
    works(told) && told_by(told) == told_by(new) && apart_from_conditions(told) == apart_from_conditions(new)
}

/// Half of the time for which there has been work, or no way on; not less than `shortest` nor more than `longest`.
fn half_of_the_work(
    status: &PostgresqlStatus,
    now: Timestamp,
    shortest: Duration,
    longest: Duration,
) -> Duration {
    (worked_for(status, now) / 2).min(longest).max(shortest)
}

/// For how long there has been work, or no way on.
fn worked_for(status: &PostgresqlStatus, now: Timestamp) -> Duration {
    let since = status.conditions.iter().flatten().filter(|condition| condition.type_ != READY);
    let elapsed = since.map(|condition| now.duration_since(condition.last_transition_time.0)).max();
    elapsed.and_then(|elapsed| Duration::try_from(elapsed).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::LastStep;
    use crate::rollout::WaitReason;
    use crate::status::begun;
    use crate::status::tests::{at, cluster, next, waiting};

    const PERIODS: Periods = Periods { resync: Duration::from_mins(30), repair: Duration::from_mins(5) };

    #[test]
    fn the_looks_at_a_fleet_are_spread_over_a_tenth_of_the_period() {
        let general = General { resync_period: Duration::from_secs(1000), ..General::default() };
        let resync = |uid: &str, awaits_secrets| Periods::of(&general, uid, awaits_secrets).resync.as_secs();
        let all: Vec<u64> = (0..100).map(|number: u8| resync(&number.to_string(), false)).collect();
        assert!(all.iter().all(|seconds| (901..=1000).contains(seconds)), "{all:?}");
        assert!(
            all.iter().any(|seconds| *seconds < 920) && all.iter().any(|seconds| *seconds > 980),
            "{all:?}"
        );
        assert_eq!(resync("1", false), resync("1", false), "a cluster keeps its place");
        assert_eq!(resync("1", true), 5);
    }

    fn pause_of(status: &PostgresqlStatus, step: &Step, problems: &[String], now: &str) -> u64 {
        let found = Findings { generation: 1, step, problems, remarks: &[], taken: None, now: at(now) };
        pause(status, &found, PERIODS).as_secs()
    }

    #[test]
    fn the_longer_it_fails_the_longer_the_pause() {
        let problems = ["no".to_owned()];
        let failing =
            next(&PostgresqlStatus::default(), 1, &Step::Settled, &problems, "2026-01-01T00:00:00Z");
        let pause = |now| pause_of(&failing, &Step::Settled, &problems, now);
        assert_eq!(pause("2026-01-01T00:00:04Z"), 5);
        assert_eq!(pause("2026-01-01T00:01:00Z"), 30);
        assert_eq!(pause("2026-01-01T09:00:00Z"), 300);
    }

    #[test]
    fn the_longer_an_event_is_waited_for_the_seldomer_it_is_looked_for() {
        let begun = begun(&PostgresqlStatus::default(), &cluster(), 1, at("2026-01-01T00:00:00Z"));
        let pause = |reason: WaitReason, now: &str| {
            let step = Step::Wait { reason, until: after(at(now), Duration::from_secs(10)) };
            pause_of(&begun, &step, &[], now)
        };
        let a_pod = || WaitReason::PodStarting("demo-0".into());
        assert_eq!(pause(a_pod(), "2026-01-01T00:00:01Z"), 10, "what the rollout says");
        assert_eq!(pause(a_pod(), "2026-01-01T00:01:00Z"), 30);
        assert_eq!(pause(a_pod(), "2026-01-01T09:00:00Z"), 60, "an event may be missed");
        let patroni = || WaitReason::PatroniUnreachable;
        assert_eq!(pause(patroni(), "2026-01-01T09:00:00Z"), 10, "Patroni sends no events");
    }

    #[test]
    fn a_settled_cluster_is_left_alone_and_an_act_is_looked_after_at_once() {
        let now = "2026-01-01T00:00:00Z";
        let status = next(&PostgresqlStatus::default(), 1, &Step::Settled, &[], now);
        assert_eq!(pause_of(&status, &Step::Settled, &[], now), 1800);
        let restart = Step::Restart { member: "demo-0".into() };
        assert_eq!(pause_of(&status, &restart, &[], now), 1);
        let overdue = waiting(WaitReason::PatroniUnreachable);
        assert_eq!(pause_of(&status, &overdue, &[], "2026-01-01T09:00:00Z"), 1, "never a loop");
    }

    #[test]
    fn one_wait_after_another_may_wait_and_whatever_somebody_decides_by_may_not() {
        let (early, late) = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z");
        let begun = begun(&PostgresqlStatus::default(), &cluster(), 1, at(early));
        let then = |generation, step: &Step, problems: &[String]| {
            may_wait(&begun, &next(&begun, generation, step, problems, late))
        };
        let starting = waiting(WaitReason::PodStarting("demo-0".into()));
        assert!(then(1, &waiting(WaitReason::StatefulSetController), &[]));
        assert!(then(1, &starting, &[]));
        assert!(!then(1, &Step::Settled, &[]), "it runs");
        assert!(!then(2, &starting, &[]), "another generation");
        assert!(!then(1, &starting, &["no".to_owned()]), "a problem");
        assert!(!then(1, &waiting(WaitReason::PodStuck("demo-0".into())), &[]), "it failed");
        let failing = |problem: &str| next(&begun, 1, &starting, &[problem.to_owned()], late);
        assert!(may_wait(&failing("no"), &failing("no, said twice")));
        let restarted = LastStep { what: "restart demo-0".to_owned(), at: late.to_owned() };
        let stepped = PostgresqlStatus { last_step: Some(restarted), ..begun.clone() };
        assert!(!may_wait(&begun, &stepped), "a step");
        let runs = next(&begun, 1, &Step::Settled, &[], late);
        let rests = waiting(WaitReason::Window("Mon:01:00-02:00".to_owned()));
        assert!(!may_wait(&runs, &next(&runs, 1, &rests, &[], late)), "what it rests on");
    }

    #[test]
    fn the_longer_a_wait_takes_the_seldomer_it_is_told() {
        let begun = begun(&PostgresqlStatus::default(), &cluster(), 1, at("2026-01-01T00:00:00Z"));
        let quiet = |written| quiet_until(&begun, at(written)).to_string();
        assert_eq!(quiet("2026-01-01T00:00:00Z"), "2026-01-01T00:00:10Z");
        assert_eq!(quiet("2026-01-01T00:00:30Z"), "2026-01-01T00:01:00Z");
        assert_eq!(quiet("2026-01-01T09:00:00Z"), "2026-01-01T09:01:00Z");
        let done = next(&begun, 1, &Step::Settled, &[], "2026-01-01T09:00:00Z");
        assert_eq!(quiet_until(&done, at("2026-01-01T09:00:00Z")).to_string(), "2026-01-01T09:00:10Z");
    }
}
