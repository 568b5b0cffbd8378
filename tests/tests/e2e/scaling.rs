//! More members, and fewer.

use std::time::Instant;

use serde_json::json;
use tests::stage::{SETTLED, SOON, Stage, Stop, Told, Writer, until};

pub(crate) async fn a_cluster_grows_to_three_members_and_shrinks_to_two(stage: &Stage) -> Told {
    let cluster = stage.settled(include_str!("../../fixtures/e2e/two-members.yaml"), 2).await?;
    let watcher = cluster.watch().await?;
    let superuser = cluster.session("postgres", "postgres").await?;

    for (members, streaming) in [(3, "2"), (2, "1")] {
        let begun = Instant::now();
        cluster.change(json!({"spec": {"numberOfInstances": members}})).await?;
        cluster.until_members_are(members).await?;
        cluster.until_running().await?;
        until(&format!("{streaming} replicas stream"), SOON, async || {
            match superuser.sql("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'").await? {
                count if count == streaming => Ok(()),
                count => Stop::failed(format!("{count} do")),
            }
        })
        .await?;
        assert_eq!(cluster.status().await?["numberOfInstances"], members);
        stage.tell(format!("{members} members after {:.1} s", begun.elapsed().as_secs_f32()));
    }
    assert_eq!(watcher.recreated(), Vec::<String>::new(), "nobody else was touched");
    assert_eq!(watcher.primaries().len(), 1, "the primary stayed: {:?}", watcher.primaries());
    Ok(())
}

pub(crate) async fn a_cluster_shrinks_to_nothing_and_comes_back_with_its_data(stage: &Stage) -> Told {
    let cluster = stage.settled(include_str!("../../fixtures/e2e/two-members.yaml"), 2).await?;
    let owner = cluster.session("shop_owner", "shop").await?;
    let watcher = cluster.watch().await?;
    let writer = Writer::begin(cluster.session("shop_owner", "shop").await?).await?;
    cluster.change(json!({"spec": {"numberOfInstances": 1}})).await?;
    cluster.until_members_are(1).await?;
    cluster.until_running().await?;
    writer.until_written_again().await?;
    let written = writer.stop().await?;
    stage.tell(format!("down to one: {written:?}"));
    assert_eq!(written.lost, Vec::<u64>::new(), "no acknowledged row is missing");
    assert_eq!(watcher.primaries().len(), 1, "the primary stayed: {:?}", watcher.primaries());
    let rows = owner.until_sql("SELECT count(*) FROM written").await?;

    for members in [0, 2] {
        let begun = Instant::now();
        cluster.change(json!({"spec": {"numberOfInstances": members}})).await?;
        until(&format!("there are {members} pods"), SETTLED, async || match cluster.pods().await?.len() {
            count if count == members => Ok(()),
            count => Stop::failed(format!("{count}")),
        })
        .await?;
        cluster.until_running().await?;
        stage.tell(format!("{members} members after {:.1} s", begun.elapsed().as_secs_f32()));
    }
    cluster.until_members_are(2).await?;
    assert_eq!(owner.until_sql("SELECT count(*) FROM written").await?, rows, "with its data");
    owner.until_sql("INSERT INTO written VALUES (-1)").await?;
    Ok(())
}

pub(crate) async fn a_primary_that_has_to_go_hands_over_first(stage: &Stage) -> Told {
    let cluster = stage.settled(include_str!("../../fixtures/e2e/three-members.yaml"), 3).await?;
    cluster.switch_over_to("acid-shop-2").await?;
    cluster.until_members_are(3).await?;
    let watcher = cluster.watch().await?;
    let writer = Writer::begin(cluster.session("shop_owner", "shop").await?).await?;

    cluster.change(json!({"spec": {"numberOfInstances": 2}})).await?;
    cluster.until_members_are(2).await?;
    cluster.until_running().await?;
    writer.until_written_again().await?;
    let written = writer.stop().await?;
    stage.tell(format!("primaries {:?}, {written:?}", watcher.primaries()));
    assert_eq!(watcher.primaries().len(), 2, "it handed over once: {:?}", watcher.primaries());
    assert_eq!(watcher.recreated(), Vec::<String>::new(), "nobody else was touched");
    assert_eq!(written.lost, Vec::<u64>::new(), "no acknowledged row is missing");
    Ok(())
}
