//! Updates that do not go on: an image that cannot start, and a window that is not open.

use serde_json::json;
use tests::stage::{SETTLED, Stage, Stop, Told, Writer, other_image, until};

const TWO: &str = include_str!("../../fixtures/e2e/two-members.yaml");

pub(crate) async fn an_image_that_cannot_start_stops_at_the_replica_and_reverting_heals(
    stage: &Stage,
) -> Told {
    let cluster = stage.settled(TWO, 2).await?;
    let primary = cluster.primary().await?;
    let watcher = cluster.watch().await?;
    let writer = Writer::begin(cluster.session("shop_owner", "shop").await?).await?;

    cluster.change(json!({"spec": {"dockerImage": "registry.invalid/no-such-image:1"}})).await?;
    let replica = watcher.until_first_recreation().await?;
    assert_ne!(replica, primary);
    until("the status names the pod that cannot start", SETTLED, async || {
        let ready = cluster.status().await?["conditions"][0].clone();
        let message = ready["message"].as_str().unwrap_or_default().to_owned();
        assert_ne!(ready["status"], "True", "it is not well: {ready}");
        if message.contains(&replica) { Ok(()) } else { Stop::failed(message) }
    })
    .await?;
    assert_eq!(cluster.primary().await?, primary, "the primary is untouched");
    writer.until_written_again().await?;

    cluster.change(json!({"spec": {"dockerImage": null}})).await?;
    cluster.until_members_are(2).await?;
    cluster.until_running().await?;
    let written = writer.stop().await?;
    stage.tell(format!("recreated {:?}, {written:?}", watcher.recreated()));
    assert!(watcher.recreated().iter().all(|pod| *pod == replica), "only the replica, out and back");
    assert_eq!(watcher.primaries(), [primary], "nobody was promoted");
    assert_eq!(written.lost, Vec::<u64>::new());
    Ok(())
}

pub(crate) async fn an_update_waits_for_its_maintenance_window(stage: &Stage) -> Told {
    let cluster = stage.settled(TWO, 2).await?;
    let watcher = cluster.watch().await?;
    // A window that is never near: half a day from now, for one minute.
    let far = jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_hours(12))?;
    let hour = far.to_zoned(jiff::tz::TimeZone::UTC).hour();
    let window = format!("{hour:02}:00-{hour:02}:01");
    cluster.change(json!({"spec": {"maintenanceWindows": [window], "dockerImage": other_image()}})).await?;
    until("the status says what the update waits for", SETTLED, async || {
        let status = cluster.status().await?;
        let ready = status["conditions"][0].clone();
        match ready["reason"].as_str() {
            Some("WaitingForMaintenanceWindow") => {
                assert_eq!(status["PostgresClusterStatus"], "Running");
                stage.tell(ready["message"].as_str().unwrap_or_default());
                Ok(())
            }
            other => Stop::failed(format!("{other:?}")),
        }
    })
    .await?;
    assert_eq!(watcher.recreated(), Vec::<String>::new(), "nobody is touched outside the window");
    cluster.change(json!({"spec": {"maintenanceWindows": null}})).await?;
    cluster.until_image_is(&other_image()).await?;
    cluster.until_running().await?;
    assert_eq!(watcher.recreated().len(), 2);
    Ok(())
}
