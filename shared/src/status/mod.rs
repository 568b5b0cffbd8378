//! What the status of a cluster says: one word, `observedGeneration` and conditions, decided together.
//!
//! Argo CD reads the word, Flux the conditions, people both; so they are written in one piece and never contradict each
//! other. `Running` never stands beside an unresolved error of the current generation.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::api::{LastStep, PostgresqlStatus, StatusWord};
use crate::cluster::Cluster;
use crate::labels;
use crate::roles::Skipped;
use crate::rollout::{Step, WaitReason, after};

mod pace;

pub use pace::{Periods, may_wait, pause, quiet_until};

/// How long the operator goes on before it calls something that does not progress failed.
pub const PROGRESS_DEADLINE: Duration = Duration::from_secs(600);

/// The longest message of a condition.
const MAX_MESSAGE: usize = 1024;

/// What a reconcile found out.
#[derive(Clone, Debug)]
pub struct Findings<'a> {
    /// The generation of the manifest it worked on.
    pub generation: i64,
    /// The step it came to.
    pub step: &'a Step,
    /// What failed on the way, each a sentence without secret values.
    pub problems: &'a [String],
    /// What is worth knowing though nothing is wrong, each a sentence without secret values.
    pub remarks: &'a [String],
    /// The step it took, if any.
    pub taken: Option<LastStep>,
    /// Now.
    pub now: Timestamp,
}

/// The status of a cluster that could be resolved.
pub fn of_cluster(old: &PostgresqlStatus, cluster: &Cluster, found: &Findings<'_>) -> PostgresqlStatus {
    let mut situation = situation(old, found);
    if situation.word == StatusWord::Running {
        situation.message.push_str(&without(cluster));
        found.remarks.iter().for_each(|remark| situation.message.extend(["; ", remark]));
    }
    PostgresqlStatus {
        postgres_cluster_status: Some(situation.word),
        observed_generation: Some(found.generation),
        number_of_instances: Some(cluster.members()),
        label_selector: Some(labels::selector_text(&cluster.labels().selector())),
        conditions: Some(conditions(old, &situation, found.generation, found.now)),
        last_step: found.taken.clone().or_else(|| old.last_step.clone()),
    }
}

/// The status at the moment at which a new generation is seen: a word for work, and conditions that say the same. Were
/// they as before, Flux would call the new generation done.
pub fn begun(old: &PostgresqlStatus, cluster: &Cluster, generation: i64, now: Timestamp) -> PostgresqlStatus {
    let situation = Situation {
        word: word_for_work(old),
        ready: "Unknown",
        reason: "NewGeneration",
        message: "the operator has begun to work on this generation".to_owned(),
        progress: Progress::Reconciling,
    };
    PostgresqlStatus {
        postgres_cluster_status: Some(situation.word),
        observed_generation: Some(generation),
        number_of_instances: Some(cluster.members()),
        label_selector: Some(labels::selector_text(&cluster.labels().selector())),
        conditions: Some(conditions(old, &situation, generation, now)),
        last_step: old.last_step.clone(),
    }
}

/// `Creating` until it has run once, `Updating` after that.
fn word_for_work(old: &PostgresqlStatus) -> StatusWord {
    match old.postgres_cluster_status {
        None | Some(StatusWord::Creating | StatusWord::CreateFailed) => StatusWord::Creating,
        Some(
            StatusWord::Updating
            | StatusWord::Running
            | StatusWord::UpdateFailed
            | StatusWord::SyncFailed
            | StatusWord::Invalid,
        ) => StatusWord::Updating,
    }
}

/// The status of a manifest that cannot be acted upon. `fields` are paths, never values: a status has many readers.
pub fn of_invalid(old: &PostgresqlStatus, generation: i64, fields: &str, now: Timestamp) -> PostgresqlStatus {
    let situation = Situation {
        word: StatusWord::Invalid,
        ready: "False",
        reason: "InvalidSpec",
        message: format!("the manifest is invalid: {fields}"),
        progress: Progress::Stalled,
    };
    PostgresqlStatus {
        postgres_cluster_status: Some(situation.word),
        observed_generation: Some(generation),
        conditions: Some(conditions(old, &situation, generation, now)),
        ..old.clone()
    }
}

/// What a cluster that runs goes without: users whose names others keep. Upstream only logs them.
fn without(cluster: &Cluster) -> String {
    let reserved =
        cluster.roles().skipped.iter().filter(|skipped| matches!(skipped, Skipped::ReservedUser(_)));
    reserved.map(|skipped| format!("; {skipped}")).collect()
}

/// Whether anything is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Idle,
    Reconciling,
    Stalled,
}

struct Situation {
    word: StatusWord,
    ready: &'static str,
    reason: &'static str,
    message: String,
    progress: Progress,
}

fn situation(old: &PostgresqlStatus, found: &Findings<'_>) -> Situation {
    let working = word_for_work(old);
    let failed =
        if working == StatusWord::Creating { StatusWord::CreateFailed } else { StatusWord::UpdateFailed };
    let problem = found.problems.first();
    let quiet = match found.step {
        Step::Settled => Some(("Reconciled", "the cluster is as its manifest says".to_owned())),
        Step::Wait { reason, .. } if reason.is_rest() => Some((reason.as_str(), reason.to_string())),
        _ => None,
    };
    if let (Some((reason, message)), None) = (quiet, problem) {
        let word = StatusWord::Running;
        return Situation { word, ready: "True", reason, message, progress: Progress::Idle };
    }
    let (reason, message) = match (found.step, problem) {
        (_, Some(_)) => (PROBLEM, found.problems.join("; ")),
        (Step::Wait { reason, .. }, None) => (reason.as_str(), reason.to_string()),
        (step, None) => (step.kind(), step.to_string()),
    };
    let stuck =
        matches!(found.step, Step::Wait { reason: WaitReason::PodStuck(_) | WaitReason::Refused(_), .. });
    if stuck || (is_hindered(found) && is_overdue(old, found)) {
        return Situation { word: failed, ready: "False", reason, message, progress: Progress::Stalled };
    }
    let ready = if is_hindered(found) { "False" } else { "Unknown" };
    Situation { word: working, ready, reason, message, progress: Progress::Reconciling }
}

/// Whether something stands in the way, other than steps that take their time.
fn is_hindered(found: &Findings<'_>) -> bool {
    let waits = match found.step {
        Step::Wait { reason, .. } => match reason {
            WaitReason::Objects
            | WaitReason::PatroniUnreachable
            | WaitReason::NoLeader
            | WaitReason::NoCandidate
            | WaitReason::Stranded(_)
            | WaitReason::Refused(_)
            | WaitReason::PodStuck(_)
            | WaitReason::PodStarting(_) => true,
            WaitReason::StatefulSetController
            | WaitReason::PodTerminating(_)
            | WaitReason::NotStreaming(_)
            | WaitReason::ConfigLoop
            | WaitReason::Window(_)
            | WaitReason::Stays(_)
            | WaitReason::Turn
            | WaitReason::Upgrading
            | WaitReason::Volumes(_) => false,
        },
        Step::PatchConfig(_)
        | Step::Restart { .. }
        | Step::Recreate { .. }
        | Step::Switchover { .. }
        | Step::Upgrade { .. }
        | Step::Settled => false,
    };
    waits || !found.problems.is_empty()
}

/// Whether the same generation has been worked on for longer than the deadline, with no step since. What was called
/// failed stays so until there is a step: else it would be called so for one look in ten minutes.
fn is_overdue(old: &PostgresqlStatus, found: &Findings<'_>) -> bool {
    let conditions = old.conditions.iter().flatten();
    let here = conditions.filter(|condition| condition.observed_generation == Some(found.generation));
    let since = |type_: &str| {
        let mut of_type = here.clone().filter(|condition| condition.type_ == type_);
        of_type.next().map(|condition| condition.last_transition_time.0)
    };
    let last_step = old.last_step.as_ref().and_then(|step| step.at.parse::<Timestamp>().ok());
    if let Some(stalled) = since(STALLED) {
        return last_step.is_none_or(|at| at <= stalled);
    }
    since(RECONCILING)
        .map(|since| last_step.map_or(since, |at| at.max(since)))
        .is_some_and(|since| found.now > after(since, PROGRESS_DEADLINE))
}

/// The reason where something failed, whatever it was.
const PROBLEM: &str = "ReconcileError";
const READY: &str = "Ready";
const RECONCILING: &str = "Reconciling";
const STALLED: &str = "Stalled";

/// `Ready` always; `Reconciling` and `Stalled` only while they are true, as Flux expects.
fn conditions(
    old: &PostgresqlStatus,
    situation: &Situation,
    generation: i64,
    now: Timestamp,
) -> Vec<Condition> {
    let progress = match situation.progress {
        Progress::Idle => None,
        Progress::Reconciling => Some(RECONCILING),
        Progress::Stalled => Some(STALLED),
    };
    let condition = |type_: &str, status: &str| {
        let before = old.conditions.iter().flatten().find(|c| c.type_ == type_ && c.status == status);
        let same_work = before.filter(|c| type_ == READY || c.observed_generation == Some(generation));
        Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: situation.reason.to_owned(),
            message: bounded(&situation.message),
            observed_generation: Some(generation),
            last_transition_time: same_work.map_or(Time(now), |c| c.last_transition_time.clone()),
        }
    };
    std::iter::once(condition(READY, situation.ready))
        .chain(progress.map(|type_| condition(type_, "True")))
        .collect()
}

fn bounded(message: &str) -> String {
    message.chars().take(MAX_MESSAGE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Postgresql;
    use crate::cluster::References;
    use crate::config::OperatorConfig;

    pub(super) fn cluster() -> Cluster {
        let manifest: Postgresql = serde_json::from_value(serde_json::json!({
            "apiVersion": "acid.zalan.do/v1", "kind": "postgresql",
            "metadata": {"name": "demo", "namespace": "default", "uid": "42"},
            "spec": {"teamId": "acid", "numberOfInstances": 2, "volume": {"size": "1Gi"},
                     "postgresql": {"version": "17"}},
        }))
        .unwrap();
        Cluster::resolve(&manifest, &OperatorConfig::default(), &References::unread()).unwrap()
    }

    pub(super) fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    pub(super) fn next(
        old: &PostgresqlStatus,
        generation: i64,
        step: &Step,
        problems: &[String],
        now: &str,
    ) -> PostgresqlStatus {
        of_cluster(
            old,
            &cluster(),
            &Findings { generation, step, problems, remarks: &[], taken: None, now: at(now) },
        )
    }

    pub(super) fn waiting(reason: WaitReason) -> Step {
        Step::Wait { reason, until: at("2026-01-01T00:00:10Z") }
    }

    fn shows(status: &PostgresqlStatus) -> String {
        let conditions =
            status.conditions.iter().flatten().map(|c| format!("{}={}/{}", c.type_, c.status, c.reason));
        format!("{} {}", status.postgres_cluster_status.unwrap(), conditions.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_user_whose_name_is_reserved_is_told_and_nothing_fails() {
        let mut cluster = cluster();
        cluster.roles.skipped.push(Skipped::ReservedUser("postgres".parse().unwrap()));
        let found = Findings {
            generation: 1,
            step: &Step::Settled,
            problems: &[],
            remarks: &["role app has CREATEDB that it is not given".to_owned()],
            taken: None,
            now: at("2026-01-01T00:00:00Z"),
        };
        let status = of_cluster(&PostgresqlStatus::default(), &cluster, &found);
        assert_eq!(shows(&status), "Running Ready=True/Reconciled");
        let message = &status.conditions.unwrap()[0].message;
        let expected =
            "; user postgres is left out, its name is reserved; role app has CREATEDB that it is not given";
        assert!(message.ends_with(expected), "{message}");
    }

    #[test]
    fn a_new_cluster_is_creating_until_it_settles() {
        let starting = waiting(WaitReason::PodStarting("demo-0".into()));
        let first = next(&PostgresqlStatus::default(), 1, &starting, &[], "2026-01-01T00:00:00Z");
        assert_eq!(shows(&first), "Creating Ready=False/PodStarting Reconciling=True/PodStarting");
        let done = next(&first, 1, &Step::Settled, &[], "2026-01-01T00:01:00Z");
        assert_eq!(shows(&done), "Running Ready=True/Reconciled");
        assert_eq!(done.label_selector.as_deref(), Some("application=spilo,cluster-name=demo"));
        let changed = next(&done, 2, &starting, &[], "2026-01-01T00:02:00Z");
        assert!(shows(&changed).starts_with("Updating"), "{}", shows(&changed));
    }

    #[test]
    fn a_new_generation_is_under_way_for_every_reader_at_once() {
        let done = next(&PostgresqlStatus::default(), 1, &Step::Settled, &[], "2026-01-01T00:00:00Z");
        let begun = begun(&done, &cluster(), 2, at("2026-01-01T00:02:00Z"));
        assert_eq!(shows(&begun), "Updating Ready=Unknown/NewGeneration Reconciling=True/NewGeneration");
        assert_eq!(begun.observed_generation, Some(2));
        assert!(begun.conditions.iter().flatten().all(|condition| condition.observed_generation == Some(2)));
    }

    #[test]
    fn nothing_changes_when_nothing_changed() {
        let done = next(&PostgresqlStatus::default(), 1, &Step::Settled, &[], "2026-01-01T00:00:00Z");
        assert_eq!(next(&done, 1, &Step::Settled, &[], "2026-01-01T09:00:00Z"), done);
    }

    #[test]
    fn running_never_stands_beside_an_error() {
        let problems = ["could not create role x".to_owned()];
        let done = next(&PostgresqlStatus::default(), 1, &Step::Settled, &[], "2026-01-01T00:00:00Z");
        let failing = next(&done, 1, &Step::Settled, &problems, "2026-01-01T00:00:30Z");
        assert_eq!(shows(&failing), "Updating Ready=False/ReconcileError Reconciling=True/ReconcileError");
        let later = next(&failing, 1, &Step::Settled, &problems, "2026-01-01T00:11:00Z");
        assert_eq!(shows(&later), "UpdateFailed Ready=False/ReconcileError Stalled=True/ReconcileError");
        let and_then = next(&later, 1, &Step::Settled, &problems, "2026-01-01T00:12:00Z");
        assert_eq!(and_then, later, "failed stays failed while nothing is done");
    }

    #[test]
    fn a_stuck_pod_is_told_at_once() {
        let done = next(&PostgresqlStatus::default(), 1, &Step::Settled, &[], "2026-01-01T00:00:00Z");
        let stuck =
            next(&done, 2, &waiting(WaitReason::PodStuck("demo-1".into())), &[], "2026-01-01T00:00:30Z");
        assert_eq!(shows(&stuck), "UpdateFailed Ready=False/PodStuck Stalled=True/PodStuck");
    }

    #[test]
    fn an_invalid_manifest_is_stalled() {
        let status =
            of_invalid(&PostgresqlStatus::default(), 3, "spec.volume.size", at("2026-01-01T00:00:00Z"));
        assert_eq!(shows(&status), "Invalid Ready=False/InvalidSpec Stalled=True/InvalidSpec");
    }
}
