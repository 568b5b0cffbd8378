//! Our operator under the rights of upstream's own installation, which is left as it is: what is missing is known at the
//! start, and clusters are looked after all the same.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Event, Pod, Secret};
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, ResourceExt};
use operator::leader::LEASE;
use operator::rights::{Places, Rights};
use serde_json::{Value, json};

use crate::admission::{acting_as, apply};
use crate::manifests::{make_namespace, manifests};
use crate::operator::Operator;
use crate::takeover::upstreams_cluster;

const RIGHTS: &str = include_str!("../../fixtures/drop-in/rights.yaml");
const SHIPPED: &str = include_str!("../../../deploy/base/operator/rbac.yaml");
const ACCOUNT: &str = "system:serviceaccount:default:zalando-postgres-operator";

pub(crate) async fn with_the_rights_of_upstreams_role_its_clusters_are_looked_after_and_no_pod_restarts(
    client: Client,
) {
    for right in serde_saphyr::from_multiple::<Value>(RIGHTS).unwrap() {
        apply(&client, &right).await;
    }
    let restricted = acting_as(&client, ACCOUNT);
    let rights = until_granted(&restricted, "default").await;
    let told = rights.told().unwrap();
    for (what, is_missing) in [
        ("leases.coordination.k8s.io (create, get, list, update, watch): there is no election", true),
        ("secrets (list, watch)", true),
        ("poddisruptionbudgets.policy (list, patch, watch)", true),
        ("statefulsets.apps (watch)", true),
        ("events.events.k8s.io (create, patch)", true),
        ("postgresqls.acid.zalan.do", false),
        ("nodes", false),
    ] {
        assert_eq!(told.contains(what), is_missing, "{what}: {told}");
    }

    let case = upstreams_cluster(&client, "drop-in", |_| {}).await;
    let name = case.cluster.identity().name.clone();
    let pods: Api<Pod> = Api::namespaced(client.clone(), "drop-in");
    let uids = async || -> Vec<Option<String>> {
        pods.list(&Default::default()).await.unwrap().iter().map(ResourceExt::uid).collect()
    };
    let before = uids().await;
    let members = case.cluster.members();
    let ours = (&restricted, rights);
    let operator =
        Operator::with_rights(&client, ours, case.config.clone(), ("drop-in", &name), members).await;
    let status = async || {
        let manifest = manifests(&client, "drop-in").get(&name).await.unwrap();
        manifest.data["status"]["PostgresClusterStatus"].as_str().unwrap_or_default().to_owned()
    };
    operator.look_until("the cluster runs", async || status().await == "Running").await;
    assert_eq!(uids().await, before, "a pod was recreated");

    let change = json!({ "spec": { "users": { "another": [] } } });
    manifests(&client, "drop-in").patch(&name, &PatchParams::default(), &Patch::Merge(change)).await.unwrap();
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "drop-in");
    let secret = format!("another.{name}.credentials.postgresql.acid.zalan.do");
    operator
        .look_until("a new user has its Secret", async || secrets.get_opt(&secret).await.unwrap().is_some())
        .await;
    operator.look_until("the cluster runs", async || status().await == "Running").await;
    assert_eq!(uids().await, before, "a pod was recreated");

    let events: Api<Event> = Api::namespaced(client.clone(), "drop-in");
    let events = events.list(&Default::default()).await.unwrap();
    assert!(
        events.iter().any(|event| event.reason.as_deref() == Some("Sync")),
        "events are told in their old form"
    );
}

/// Also of the lease, which the role grants by its name only: without it nobody would ask for it, and two would act.
pub(crate) async fn with_the_shipped_rights_nothing_is_missing(client: Client) {
    make_namespace(&client, "postgres-operator").await;
    for right in serde_saphyr::from_multiple::<Value>(SHIPPED).unwrap() {
        apply(&client, &right).await;
    }
    let account = "system:serviceaccount:postgres-operator:postgres-operator";
    let ours = acting_as(&client, account);
    let begun = Instant::now();
    let mut told = until_granted(&ours, "postgres-operator").await.told();
    // The API server learns of each role by itself.
    while told.is_some() && begun.elapsed() < Duration::from_secs(10) {
        told = until_granted(&ours, "postgres-operator").await.told();
    }
    assert_eq!(told, None);
}

/// What may be done, once the API server knows the role.
async fn until_granted(client: &Client, own: &str) -> Rights {
    loop {
        let rights = Rights::ask(client, Places { served: None, own, lease: LEASE }).await;
        if rights.allow("acid.zalan.do", "postgresqls", "patch") {
            return rights;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
