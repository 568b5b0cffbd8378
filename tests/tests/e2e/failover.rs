//! The primary's pod goes: Patroni promotes a replica, and the operator leaves it at that.

use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use tests::stage::{SETTLED, Stage, Stop, Told, Writer, until};

use crate::rolling_update::timeline;

pub(crate) async fn after_the_primary_pod_is_deleted_a_replica_leads_and_the_roles_are_right(
    stage: &Stage,
) -> Told {
    let cluster = stage.settled(include_str!("../../fixtures/e2e/two-members.yaml"), 2).await?;
    let superuser = cluster.session("postgres", "postgres").await?;
    let old_timeline = timeline(&superuser).await?;
    let old_primary = cluster.primary().await?;
    let watcher = cluster.watch().await?;
    let writer = Writer::begin(cluster.session("shop_owner", "shop").await?).await?;

    stage.api::<Pod>().delete(&old_primary, &DeleteParams::default()).await?;
    let new_primary =
        until("another pod is the primary", SETTLED, async || match cluster.primary().await? {
            primary if primary != old_primary => Ok(primary),
            _ => Stop::failed("the old one still is"),
        })
        .await?;
    writer.until_written_again().await?;
    cluster.until_members_are(2).await?;
    cluster.until_running().await?;
    let written = writer.stop().await?;
    stage.tell(format!("{written:?}, status: {}", watcher.words().join(", ")));

    assert_eq!(cluster.primary().await?, new_primary, "it stays the primary");
    assert_eq!(watcher.recreated(), std::slice::from_ref(&old_primary), "only the deleted pod came anew");
    assert_eq!(watcher.primaries(), [old_primary, new_primary]);
    assert_eq!(timeline(&superuser).await?, old_timeline + 1, "one promotion");
    let replica = cluster.session("postgres", "postgres").await?.at(format!("{}-repl", cluster.name()));
    replica.until_sql_is("SELECT pg_is_in_recovery()", "t").await?;
    Ok(())
}
