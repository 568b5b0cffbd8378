//! A deleted cluster leaves what the configuration says and nothing else, and its name is free again.

use std::fmt::Debug;
use std::time::Instant;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Endpoints, PersistentVolumeClaim, Pod, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::ListParams;
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tests::stage::{SETTLED, Stage, Stop, Told, until};

const MANIFEST: &str = include_str!("../../fixtures/e2e/two-members.yaml");

pub(crate) async fn a_deleted_cluster_leaves_what_it_should_and_its_name_is_free(stage: &Stage) -> Told {
    let cluster = stage.settled(MANIFEST, 2).await?;
    let owner = cluster.session("shop_owner", "shop").await?;
    owner.sql("CREATE TABLE orders ()").await?;
    let identity = "SELECT system_identifier FROM pg_control_system()";
    let old_identity = cluster.session("postgres", "postgres").await?.sql(identity).await?;
    assert!(!left::<StatefulSet>(stage).await?.is_empty(), "the search finds what is there");

    let begun = Instant::now();
    cluster.delete().await?;
    cluster.until_gone().await?;
    stage.tell(format!("the manifest was gone after {:.1} s", begun.elapsed().as_secs_f32()));
    let kept = kept_by_configuration(stage).await?;
    until("nothing else is left", SETTLED, async || match everything_left(stage).await? {
        left if left.iter().all(|object| kept.iter().any(|kind| object.starts_with(kind))) => Ok(()),
        left => Stop::failed(left.join(", ")),
    })
    .await?;
    stage.tell(format!("and everything else after {:.1} s", begun.elapsed().as_secs_f32()));
    if !kept.is_empty() {
        stage.tell(format!("kept as configured: {}", everything_left(stage).await?.join(", ")));
        return Ok(());
    }

    let cluster = stage.apply(MANIFEST).await?;
    cluster.until_running().await?;
    cluster.until_members_are(2).await?;
    let owner = cluster.session("shop_owner", "shop").await?;
    assert_eq!(owner.sql("SELECT to_regclass('orders') IS NULL").await?, "t", "it starts from nothing");
    assert_ne!(cluster.session("postgres", "postgres").await?.sql(identity).await?, old_identity);
    Ok(())
}

/// The kinds that the operator is told to keep. Without a word it keeps neither.
async fn kept_by_configuration(stage: &Stage) -> Told<Vec<&'static str>> {
    let kubernetes = stage.operator().setting("kubernetes").await?;
    let mut kept = Vec::new();
    for (kind, setting) in [
        ("PersistentVolumeClaim", "enable_persistent_volume_claim_deletion"),
        ("Secret", "enable_secrets_deletion"),
    ] {
        if kubernetes[setting] == false {
            kept.push(kind);
        }
    }
    Ok(kept)
}

async fn everything_left(stage: &Stage) -> Told<Vec<String>> {
    let mut all = left::<StatefulSet>(stage).await?;
    all.extend(left::<Pod>(stage).await?);
    all.extend(left::<Service>(stage).await?);
    all.extend(left::<Endpoints>(stage).await?);
    all.extend(left::<EndpointSlice>(stage).await?);
    all.extend(left::<PodDisruptionBudget>(stage).await?);
    all.extend(left::<Secret>(stage).await?);
    all.extend(left::<ConfigMap>(stage).await?);
    all.extend(left::<PersistentVolumeClaim>(stage).await?);
    Ok(all)
}

/// By name and not by label: what lost its label must not stay either.
async fn left<K>(stage: &Stage) -> Told<Vec<String>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
{
    let objects = stage.api::<K>().list(&ListParams::default()).await?;
    let names = objects.iter().map(ResourceExt::name_any).filter(|name| name.contains("acid-shop"));
    Ok(names.map(|name| format!("{} {name}", K::kind(&()))).collect())
}
