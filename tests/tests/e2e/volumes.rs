//! Larger volumes, without touching a pod.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{Api, ListParams};
use serde_json::json;
use tests::stage::{SETTLED, Stage, Stop, Told, until};

const TWO: &str = include_str!("../../fixtures/e2e/two-members.yaml");

pub(crate) async fn volumes_grow_and_no_pod_is_touched(stage: &Stage) -> Told {
    let cluster = stage.settled(TWO, 2).await?;
    let watcher = cluster.watch().await?;
    cluster.change(json!({"spec": {"volume": {"size": "2Gi"}}})).await?;
    let claims: Api<PersistentVolumeClaim> = stage.api();
    until("every volume has 2Gi", SETTLED, async || {
        let found = claims.list(&ListParams::default().labels(&cluster.selector())).await?.items;
        let capacities = found.iter().map(|claim| {
            let capacity = claim.status.as_ref().and_then(|status| status.capacity.as_ref());
            capacity
                .and_then(|capacity| capacity.get("storage"))
                .map(|size| size.0.clone())
                .unwrap_or_default()
        });
        let capacities: Vec<String> = capacities.collect();
        if capacities == ["2Gi", "2Gi"] { Ok(()) } else { Stop::failed(format!("{capacities:?}")) }
    })
    .await?;
    cluster.until_running().await?;
    stage.tell(format!("status: {}", watcher.words().join(", ")));

    // The third member's volume has the new size, too.
    cluster.change(json!({"spec": {"numberOfInstances": 3}})).await?;
    cluster.until_members_are(3).await?;
    let third = claims.get("pgdata-acid-shop-2").await?;
    let asked = third.spec.and_then(|spec| spec.resources).and_then(|resources| resources.requests);
    assert_eq!(asked.unwrap_or_default()["storage"].0, "2Gi");
    assert_eq!(watcher.recreated(), Vec::<String>::new(), "nobody was touched");
    Ok(())
}

pub(crate) async fn the_volume_of_a_removed_member_goes_or_stays_as_configured(stage: &Stage) -> Told {
    stage.with_own_operator().await?;
    let cluster = stage.settled(TWO, 2).await?;
    let claims = stage.api::<PersistentVolumeClaim>();
    for (policy, stays) in [("retain", true), ("delete", false)] {
        let policy = json!({"when_deleted": "retain", "when_scaled": policy});
        stage.configure("kubernetes", json!({"persistent_volume_claim_retention_policy": policy})).await?;
        cluster.change(json!({"spec": {"numberOfInstances": 1}})).await?;
        cluster.until_members_are(1).await?;
        cluster.until_running().await?;
        let removed = "pgdata-acid-shop-1";
        if stays {
            assert!(claims.get_opt(removed).await?.is_some(), "its volume stays");
        } else {
            until("its volume is gone", SETTLED, async || match claims.get_opt(removed).await? {
                None => Ok(()),
                Some(claim) => Stop::failed(format!("{:?}", claim.metadata.deletion_timestamp)),
            })
            .await?;
        }
        cluster.change(json!({"spec": {"numberOfInstances": 2}})).await?;
        cluster.until_members_are(2).await?;
        cluster.until_running().await?;
    }
    assert!(claims.get_opt("pgdata-acid-shop-0").await?.is_some(), "the primary's volume is not touched");
    Ok(())
}
