//! A settled cluster costs nothing: the operator asks the API server for nothing, and writes nothing. `E2E_IDLE_SECONDS`
//! says for how long that is watched (60; `make soak`: 600).

use std::time::Duration;

use kube::api::ObjectMeta;
use tests::stage::{AuditLog, Request, Stage, Told};

use crate::number;

/// What the last changes may still cause.
const RIPPLES: Duration = Duration::from_secs(20);

pub(crate) async fn a_settled_cluster_causes_no_request(stage: &Stage) -> Told {
    AuditLog::from_now()?;
    let cluster = stage.apply(include_str!("../../fixtures/e2e/two-members.yaml")).await?;
    cluster.until_running().await?;
    cluster.until_members_are(2).await?;
    tokio::time::sleep(RIPPLES).await;

    let version = |metadata: ObjectMeta| metadata.resource_version;
    let before = version(cluster.manifest().await?.metadata);
    let log = AuditLog::from_now()?;
    let idle = duration();
    stage.tell(format!("watching the audit log for {} s", idle.as_secs()));
    tokio::time::sleep(idle).await;

    let requests = log.requests_of(&stage.operator().account())?;
    let (ours, others): (Vec<&Request>, Vec<&Request>) =
        requests.iter().filter(|request| !is_allowed(request)).partition(|request| concerns(request, stage));
    let renewals = requests.iter().filter(|request| is_lease(request)).count();
    stage.tell(format!(
        "{renewals} requests for the lease, {} watches begun anew, {} requests about other people's clusters",
        requests.len() - renewals - ours.len() - others.len(),
        others.len(),
    ));
    assert!(
        !requests.is_empty(),
        "the audit log does not know the operator: is it the log of this API server?"
    );
    let ours: Vec<String> = ours.iter().map(ToString::to_string).collect();
    assert_eq!(ours, Vec::<String>::new());
    assert_eq!(version(cluster.manifest().await?.metadata), before, "the manifest was written");
    Ok(())
}

fn duration() -> Duration {
    Duration::from_secs(number("E2E_IDLE_SECONDS", 60).into())
}

/// To renew the lease, and to begin a watch again where it left off.
fn is_allowed(request: &Request) -> bool {
    request.verb == "watch" || is_lease(request)
}

fn is_lease(request: &Request) -> bool {
    request.uri.starts_with("/apis/coordination.k8s.io/")
}

/// Others may be at work on the same Kubernetes; what the operator does for them is not this story's matter.
fn concerns(request: &Request, stage: &Stage) -> bool {
    let namespace = request.uri.split_once("/namespaces/").map(|(_, rest)| rest);
    namespace.is_none_or(|rest| rest.split(['/', '?']).next() == Some(stage.namespace()))
}
