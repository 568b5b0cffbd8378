//! Applications behind the connection pooler.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Secret, Service};
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;
use tests::stage::{Cluster, SETTLED, SOON, Stage, Stop, Told, until};

const POOLER: &str = include_str!("../../fixtures/e2e/pooler.yaml");

pub(crate) async fn an_application_logs_in_through_the_pooler_and_survives_a_switchover(
    stage: &Stage,
) -> Told {
    let cluster = stage.settled(POOLER, 2).await?;
    let through_pooler = cluster.session("shop_owner", "shop").await?.at("acid-shop-pooler");
    through_pooler.until_sql("CREATE TABLE IF NOT EXISTS sold (n int)").await?;
    through_pooler.until_sql("INSERT INTO sold VALUES (1)").await?;
    let direct = cluster.session("shop_owner", "shop").await?;
    direct.until_sql_is("SELECT count(*) FROM sold", "1").await?;

    let replica = match cluster.primary().await?.as_str() {
        "acid-shop-0" => "acid-shop-1",
        _ => "acid-shop-0",
    };
    let begun = std::time::Instant::now();
    cluster.switch_over_to(replica).await?;
    through_pooler.until_sql("INSERT INTO sold VALUES (2)").await?;
    stage.tell(format!("writes through the pooler again after {:.1} s", begun.elapsed().as_secs_f32()));
    let after = direct.until_sql("SELECT count(*) >= 2 FROM sold").await?;
    assert_eq!(after, "t");
    Ok(())
}

pub(crate) async fn poolers_are_switched_on_changed_repaired_and_switched_off(stage: &Stage) -> Told {
    let cluster = stage.settled(include_str!("../../fixtures/e2e/two-members.yaml"), 2).await?;
    let watcher = cluster.watch().await?;
    let deployments = stage.api::<Deployment>();
    assert_eq!(poolers(stage).await?, [""; 0]);

    cluster
        .change(json!({"spec": {"enableConnectionPooler": true, "enableReplicaConnectionPooler": true}}))
        .await?;
    until_poolers_are(stage, &["acid-shop-pooler 2", "acid-shop-pooler-repl 2"]).await?;
    let reading = cluster.session("shop_owner", "shop").await?.at("acid-shop-pooler-repl");
    reading.until_sql_is("SELECT pg_is_in_recovery()", "t").await?;
    let writing = cluster.session("shop_owner", "shop").await?.at("acid-shop-pooler");
    writing.until_sql_is("SELECT pg_is_in_recovery()", "f").await?;
    nobody_shares_a_selector(stage, &cluster).await?;

    let section = json!({"numberOfInstances": 1, "mode": "session"});
    cluster
        .change(json!({"spec": {"enableReplicaConnectionPooler": false, "connectionPooler": section}}))
        .await?;
    until_poolers_are(stage, &["acid-shop-pooler 1"]).await?;
    until_mode_is(stage, "session").await?;

    // What somebody changes or takes away by hand.
    let by_hand = Patch::Merge(json!({"spec": {"replicas": 3}}));
    deployments.patch("acid-shop-pooler", &PatchParams::default(), &by_hand).await?;
    until_poolers_are(stage, &["acid-shop-pooler 1"]).await?;
    deployments.delete("acid-shop-pooler", &DeleteParams::default()).await?;
    until_poolers_are(stage, &["acid-shop-pooler 1"]).await?;
    writing.until_sql("CREATE TABLE through_the_new_one ()").await?;

    cluster.change(json!({"spec": {"enableConnectionPooler": false, "connectionPooler": null}})).await?;
    until_poolers_are(stage, &[]).await?;
    until("nothing of the poolers is left", SOON, async || match left(stage).await?.as_slice() {
        [] => Ok(()),
        left => Stop::failed(left.join(", ")),
    })
    .await?;
    cluster.until_running().await?;
    assert_eq!(watcher.recreated(), Vec::<String>::new(), "no database pod was touched");
    Ok(())
}

/// The poolers whose pods are all ready, and how many these are.
async fn poolers(stage: &Stage) -> Told<Vec<String>> {
    let deployments = stage.api::<Deployment>().list(&ListParams::default()).await?;
    let ready = |deployment: &Deployment| {
        let status = deployment.status.clone().unwrap_or_default();
        let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas);
        let settled =
            status.observed_generation == deployment.metadata.generation && status.replicas == wanted;
        (settled && status.ready_replicas == wanted)
            .then(|| format!("{} {}", deployment.name_any(), wanted.unwrap_or(1)))
    };
    Ok(deployments.iter().filter_map(ready).collect())
}

async fn until_poolers_are(stage: &Stage, expected: &[&str]) -> Told {
    until(&format!("the poolers are {expected:?}"), SETTLED, async || match poolers(stage).await? {
        poolers if poolers == expected => Ok(()),
        poolers => Stop::failed(format!("{poolers:?}")),
    })
    .await
}

async fn until_mode_is(stage: &Stage, mode: &str) -> Told {
    until(&format!("the pooler's mode is {mode}"), SETTLED, async || {
        let pods = stage
            .api::<Pod>()
            .list(&ListParams::default().labels("connection-pooler=acid-shop-pooler"))
            .await?;
        let [pod] = pods.items.as_slice() else { return Stop::failed(format!("{} pods", pods.items.len())) };
        match stage
            .in_pod(&pod.name_any(), &["sh", "-c", "echo $CONNECTION_POOLER_MODE"].map(str::to_owned))
            .await?
        {
            set if set.trim() == mode => Ok(()),
            set => Stop::failed(set),
        }
    })
    .await
}

/// Each Service leads to database pods or to pooler pods, and the budgets count only the former.
async fn nobody_shares_a_selector(stage: &Stage, cluster: &Cluster<'_>) -> Told {
    let databases: Vec<String> = cluster.pods().await?.iter().map(ResourceExt::name_any).collect();
    assert_eq!(databases, ["acid-shop-0", "acid-shop-1"], "the cluster's selector");
    for service in stage.api::<Service>().list(&ListParams::default()).await? {
        let Some(selector) = service.spec.as_ref().and_then(|spec| spec.selector.clone()) else { continue };
        let selector: Vec<String> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let pods = stage.api::<Pod>().list(&ListParams::default().labels(&selector.join(","))).await?;
        let of_pooler = pods.iter().filter(|pod| pod.labels().contains_key("connection-pooler")).count();
        assert!(of_pooler == 0 || of_pooler == pods.items.len(), "{} leads to both", service.name_any());
    }
    Ok(())
}

/// By name: everything that has to do with poolers.
async fn left(stage: &Stage) -> Told<Vec<String>> {
    let all = ListParams::default();
    let mut names: Vec<String> =
        stage.api::<Deployment>().list(&all).await?.iter().map(ResourceExt::name_any).collect();
    names.extend(stage.api::<Service>().list(&all).await?.iter().map(ResourceExt::name_any));
    names.extend(stage.api::<Secret>().list(&all).await?.iter().map(ResourceExt::name_any));
    names.extend(stage.api::<Pod>().list(&all).await?.iter().map(ResourceExt::name_any));
    names.retain(|name| name.contains("pooler"));
    Ok(names)
}
