//! Another major version, in place.

use kube::ResourceExt;
use serde_json::json;
use tests::stage::{SETTLED, Stage, Stop, Told, until};

const OLD: &str = include_str!("../../fixtures/e2e/version-15.yaml");

pub(crate) async fn a_cluster_moves_from_version_15_to_17_with_its_data(stage: &Stage) -> Told {
    let cluster = stage.settled(OLD, 2).await?;
    let owner = cluster.session("shop_owner", "shop").await?;
    assert!(owner.until_sql("SHOW server_version").await?.starts_with("15."));
    owner.until_sql("CREATE TABLE kept AS SELECT n FROM generate_series(1, 1000) n").await?;
    let watcher = cluster.watch().await?;

    let begun = std::time::Instant::now();
    cluster.change(json!({"spec": {"postgresql": {"version": "17"}}})).await?;
    let superuser = cluster.session("postgres", "postgres").await?;
    for session in [&superuser, &cluster.session("postgres", "postgres").await?.at("acid-shop-repl")] {
        until("PostgreSQL 17 answers", SETTLED, async || match session.sql("SHOW server_version").await? {
            version if version.starts_with("17.") => Ok(()),
            version => Stop::failed(version),
        })
        .await?;
    }
    cluster.until_members_are(2).await?;
    cluster.until_running().await?;
    stage.tell(format!(
        "upgraded in {:.1} s; recreated {:?}",
        begun.elapsed().as_secs_f32(),
        watcher.recreated()
    ));
    assert_eq!(owner.until_sql("SELECT count(*), sum(n) FROM kept").await?, "1000|500500");
    owner.until_sql("INSERT INTO kept VALUES (0)").await?;
    let manifest = cluster.manifest().await?;
    assert!(
        manifest.annotations().contains_key("last-major-upgrade-success"),
        "{:?}",
        manifest.annotations()
    );
    assert!(!manifest.annotations().contains_key("last-major-upgrade-failure"));
    for pod in cluster.pods().await? {
        assert!(!pod.labels().contains_key("critical-operation"), "the second budget holds nobody any more");
    }
    Ok(())
}
