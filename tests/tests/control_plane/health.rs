//! What Argo CD and Flux make of every status that the operator can write: the same, and never a contradiction.
//!
//! Argo CD's shipped health check reads the one word, kstatus the generation and the conditions (`tests/argocd/health`).
//! Healthy for the one must be Current for the other, and so on, or a pipeline goes on where another one stops. Flux's
//! expressions are those of the example.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;

use jiff::{SignedDuration, Timestamp};
use kube::Client;
use serde_json::{Value, json};
use shared::api::{LastStep, Postgresql, PostgresqlStatus, StatusWord};
use shared::cluster::{Cluster, References};
use shared::config::OperatorConfig;
use shared::observed::PodIdentity;
use shared::rollout::{Step, WaitReason};
use shared::status::{self, Findings, PROGRESS_DEADLINE};
use shared::version::PostgresVersion;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// The generation that the statuses speak of.
const GENERATION: i64 = 7;

pub(crate) async fn argo_cd_and_flux_agree_on_every_status(_: Client) {
    let statuses = statuses();
    let words: BTreeSet<&str> =
        statuses.iter().filter_map(|(_, status)| status["PostgresClusterStatus"].as_str()).collect();
    // The one word of upstream's that this operator does not write.
    let all = StatusWord::ALL.iter().map(|word| word.as_str()).filter(|word| *word != "SyncFailed");
    assert_eq!(words, all.collect(), "every word is reached");
    let objects: Vec<Value> = statuses.iter().map(|(_, status)| object(GENERATION, status)).collect();
    let mut wrong = Vec::new();
    for ((name, status), said) in statuses.iter().zip(judged(&objects).await) {
        let expected = match status["PostgresClusterStatus"].as_str() {
            Some("Running") => ("Healthy", "Current"),
            Some("Creating" | "Updating") => ("Progressing", "InProgress"),
            _ => ("Degraded", "Failed"),
        };
        if said != json!({"argo": expected.0, "kstatus": expected.1, "flux": expected.1}) {
            wrong.push(format!("{name}: {said}, not {expected:?}: {status}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), statuses.len(), wrong.join("\n"));
    // A generation that nobody has looked at yet is not done, whatever the status says of the one before.
    let newer: Vec<Value> = statuses.iter().map(|(_, status)| object(GENERATION + 1, status)).collect();
    for ((name, _), said) in statuses.iter().zip(judged(&newer).await) {
        assert_eq!((&said["kstatus"], &said["flux"]), (&json!("InProgress"), &json!("InProgress")), "{name}");
    }
    // Before the operator has seen a manifest, kstatus alone would call it done. With the expressions Flux waits.
    let said = judged(&[object(1, &Value::Null)]).await;
    assert_eq!(said, [json!({"argo": "Progressing", "kstatus": "Current", "flux": "Unknown"})]);
    println!("       {} statuses, {} words", statuses.len(), words.len());
}

fn object(generation: i64, status: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "acid.zalan.do/v1", "kind": "postgresql",
        "metadata": {"name": "acid-demo", "namespace": "default", "generation": generation},
    });
    if !status.is_null() {
        object["status"] = status.clone();
    }
    object
}

/// What both say of each object.
async fn judged(objects: &[Value]) -> Vec<Value> {
    let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("argocd/build");
    let built = Command::new(build).arg("health").stderr(Stdio::inherit()).output().await.unwrap();
    assert!(built.status.success(), "the health checks could not be built; what was said stands above");
    let program = String::from_utf8(built.stdout).unwrap();
    let mut process = Command::new(program.trim())
        .arg(expressions())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut questions = process.stdin.take().unwrap();
    let lines: String = objects.iter().map(|object| format!("{object}\n")).collect();
    let asked = tokio::spawn(async move { questions.write_all(lines.as_bytes()).await });
    let output = process.wait_with_output().await.unwrap();
    asked.await.unwrap().unwrap();
    let answers: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), objects.len());
    answers
}

/// What the example tells Flux.
fn expressions() -> String {
    let example: Value =
        serde_saphyr::from_str(include_str!("../../../docs/examples/gitops-flux.yaml")).unwrap();
    example["spec"]["healthCheckExprs"][0].to_string()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

/// Everything that a look can come to.
fn steps() -> Vec<Step> {
    let pod = || PodIdentity { name: "acid-demo-0".to_owned(), ..PodIdentity::default() };
    let name = || "acid-demo-0".to_owned();
    let reasons = [
        WaitReason::Objects,
        WaitReason::StatefulSetController,
        WaitReason::PodTerminating(name()),
        WaitReason::PodStarting(name()),
        WaitReason::PodStuck(name()),
        WaitReason::PatroniUnreachable,
        WaitReason::NoLeader,
        WaitReason::NotStreaming(name()),
        WaitReason::ConfigLoop,
        WaitReason::NoCandidate,
        WaitReason::Stays(name()),
        WaitReason::Stranded(name()),
        WaitReason::Refused("exceeded quota".to_owned()),
        WaitReason::Window("Sat:02:00-04:00".to_owned()),
        WaitReason::Turn,
        WaitReason::Upgrading,
        WaitReason::Volumes(name()),
    ];
    let mut steps: Vec<Step> = reasons.map(|reason| Step::Wait { reason, until: at(1) }).into();
    steps.extend([
        Step::Settled,
        Step::PatchConfig(json!({})),
        Step::Restart { member: name() },
        Step::Recreate { pod: pod(), why: vec!["image"] },
        Step::Switchover { from: name(), to: "acid-demo-1".to_owned() },
        Step::Upgrade { primary: pod(), to: PostgresVersion::NEWEST },
    ]);
    steps
}

/// Every status that the operator writes, with what it came from: from nothing, after each status of the first round,
/// soon and long after it.
fn statuses() -> Vec<(String, Value)> {
    let manifest: Postgresql = serde_json::from_value(json!({
        "apiVersion": "acid.zalan.do/v1", "kind": "postgresql", "metadata": {"name": "acid-demo", "namespace": "default"},
        "spec": {"teamId": "acid", "numberOfInstances": 2, "volume": {"size": "1Gi"}, "postgresql": {"version": "17"}},
    }))
    .unwrap();
    let cluster = Cluster::resolve(&manifest, &OperatorConfig::default(), &References::unread()).unwrap();
    let none = PostgresqlStatus::default();
    let mut first = after("nothing", &none, &cluster, at(0));
    first.push((
        "an earlier generation".to_owned(),
        PostgresqlStatus {
            observed_generation: Some(GENERATION - 1),
            ..after("nothing", &none, &cluster, at(0)).remove(0).1
        },
    ));
    let overdue = SignedDuration::try_from(PROGRESS_DEADLINE).unwrap() + SignedDuration::from_secs(60);
    let mut all = first.clone();
    for (name, old) in &first {
        all.extend(after(&format!("{name}, soon"), old, &cluster, at(5)));
        all.extend(after(&format!("{name}, late"), old, &cluster, at(0) + overdue));
    }
    all.retain(|(_, status)| status.observed_generation == Some(GENERATION));
    all.into_iter().map(|(name, status)| (name, json!(status))).collect()
}

/// Every status that can follow another one.
fn after(
    name: &str,
    old: &PostgresqlStatus,
    cluster: &Cluster,
    now: Timestamp,
) -> Vec<(String, PostgresqlStatus)> {
    let mut all = vec![
        (format!("{name}: begun"), status::begun(old, cluster, GENERATION, now)),
        (format!("{name}: invalid"), status::of_invalid(old, GENERATION, "spec.volume.size", now)),
    ];
    for step in steps() {
        for problems in [Vec::new(), vec!["could not apply the StatefulSet".to_owned()]] {
            let taken = step.is_act().then(|| LastStep { what: step.to_string(), at: now.to_string() });
            let findings = Findings {
                generation: GENERATION,
                step: &step,
                problems: &problems,
                remarks: &[],
                taken,
                now,
            };
            let new = status::of_cluster(old, cluster, &findings);
            all.push((format!("{name}: {step}, {} problems", problems.len()), new));
        }
    }
    all
}
