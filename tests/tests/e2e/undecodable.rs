//! One manifest that cannot even be read: it is told so, and nobody else notices.

use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use serde_json::json;
use tests::stage::{Cluster, SOON, Stage, Told, until};

/// What would be written again and again is written within this time.
const RIPPLES: Duration = Duration::from_secs(5);

pub(crate) async fn a_manifest_that_cannot_be_read_is_invalid_and_the_others_go_on(stage: &Stage) -> Told {
    stage.with_client().await?;
    let healthy = stage.apply(include_str!("../../fixtures/e2e/one-member.yaml")).await?;
    healthy.until_running().await?;

    let loophole = stage.loophole("users").await?;
    let manifest = include_str!("../../fixtures/e2e/undecodable.yaml");
    let odd = until("the odd manifest is stored", SOON, async || stage.apply(manifest).await).await?;
    // Once it is closed the API server may take no status of such a manifest any more.
    odd.until_status_is("Invalid").await?;
    loophole.close().await?;

    let told = odd.status().await?["conditions"].to_string();
    stage.tell(format!("its conditions: {told}"));
    assert!(!told.contains("nobody-special"), "the status repeats the value");
    assert!(stage.api::<StatefulSet>().get_opt("acid-odd").await?.is_none(), "nothing is made of it");
    gains_a_user(&healthy, "before_restart").await?;

    tokio::time::sleep(RIPPLES).await;
    let written = odd.manifest().await?.metadata.resource_version;
    stage.operator().kill().await?;
    stage.operator().until_ready().await?;
    gains_a_user(&healthy, "after_restart").await?;

    tokio::time::sleep(RIPPLES).await;
    assert_eq!(odd.manifest().await?.metadata.resource_version, written, "its status is written again");

    odd.change(json!({"spec": {"users": {"somebody": ["createdb"]}}})).await?;
    odd.until_running().await?;
    Ok(())
}

/// A change to a cluster is carried out.
async fn gains_a_user(cluster: &Cluster<'_>, user: &str) -> Told {
    cluster.change(json!({"spec": {"users": {user: []}}})).await?;
    cluster.session(user, "postgres").await?.until_sql_is("SELECT current_user", user).await?;
    cluster.until_running().await?;
    Ok(())
}
