//! A team with one namespace, which enforces Pod Security `restricted`: the overlay `namespaced`, with restricted pods.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use tests::stage::{AuditLog, Beside, Stage, Stop, Told, from_yaml};

const MANIFEST: &str = include_str!("../../fixtures/e2e/team.yaml");
const RESTRICTED: &str = "
  - target: {kind: OperatorConfiguration, name: postgres-operator}
    patch: |
      - {op: add, path: /configuration/kubernetes/enable_restricted_pods, value: true}
";

pub(crate) async fn in_a_teams_own_namespace_pods_run_without_root_and_nothing_is_refused(
    stage: &Stage,
) -> Told {
    let log = AuditLog::from_now();
    stage.with_client().await?; // it runs as root, so it comes before the door is closed
    let namespaces: Api<Namespace> = Api::all(stage.client());
    let enforced =
        json!({ "metadata": { "labels": { "pod-security.kubernetes.io/enforce": "restricted" } } });
    namespaces.patch(stage.namespace(), &PatchParams::default(), &Patch::Merge(&enforced)).await?;
    let team = stage.install_beside("deploy/overlays/namespaced", "team", RESTRICTED).await?;

    let manifest = MANIFEST.replace("controller: team", &format!("controller: {}", team.name()));
    let foreign = elsewhere(stage, &team, &manifest).await?;
    let cluster = stage.apply(&manifest).await?;
    let took = cluster.until_running().await?;
    cluster.until_members_are(2).await?;
    stage.tell(format!("{:.1} s until Running", took.as_secs_f32()));
    let who = "stat -c %u:%g /proc/1; stat -c '%u:%g %a' /home/postgres/pgdata/pgroot/data; sed -n 's/^Cap[PE].*\\t//p; s/^NoNewPrivs:\\t//p' /proc/1/status";
    let seen = stage.in_container("acid-shop-0", "postgres", who).await?;
    let expected = ["101:103", "101:103 700", "0000000000000000", "0000000000000000", "1"];
    assert_eq!(
        seen.lines().collect::<Vec<_>>(),
        expected,
        "neither root, nor a capability, nor a way to either"
    );

    let owner = cluster.session("shop_owner", "shop").await?;
    owner.until_sql("CREATE TABLE orders AS SELECT 42 AS number").await?;
    cluster.switch_over_to("acid-shop-1").await?;
    owner.until_sql_is("SELECT number, pg_is_in_recovery() FROM orders", "42|f").await?;
    owner.until_sql("INSERT INTO orders VALUES (43)").await?;
    cluster.until_members_are(2).await?;

    // What is not in its namespace is none of its business.
    let status = foreign.get(cluster.name()).await?.data.get("status").cloned().unwrap_or_default();
    assert_eq!(status, Value::Null, "a manifest elsewhere was touched");
    let sets: Api<StatefulSet> = Api::namespaced(stage.client(), team.name());
    assert_eq!(sets.list(&ListParams::default()).await?.items, [], "a cluster was made elsewhere");

    let asked = log?.asked_from(team.name())?;
    let refused: Vec<String> = asked.iter().filter(|one| one.refused).map(|one| format!("{one:?}")).collect();
    stage.tell(format!("{} requests of its accounts, {} refused", asked.len(), refused.len()));
    if asked.len() < 50 {
        return Stop::failed("that is too few: the audit log is another cluster's");
    }
    assert_eq!(refused, [""; 0]);
    Ok(())
}

/// The same manifest in a namespace that is not served: the one of the services.
async fn elsewhere(stage: &Stage, team: &Beside<'_>, manifest: &str) -> Told<Api<DynamicObject>> {
    let manifest = from_yaml(manifest)?;
    let foreign = stage.manifests_in(team.name());
    foreign.patch("acid-shop", &PatchParams::apply("e2e"), &Patch::Apply(&manifest)).await?;
    Ok(foreign)
}
