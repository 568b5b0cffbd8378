//! What somebody took away comes back, soon.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Secret, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::json;
use tests::stage::{Stage, Stop, Told, until};

/// What the operator has for it.
const WITHIN: Duration = Duration::from_secs(5);

pub(crate) async fn what_somebody_takes_away_comes_back_within_five_seconds(stage: &Stage) -> Told {
    let cluster = stage.settled(include_str!("../../fixtures/e2e/two-members.yaml"), 2).await?;
    let watcher = cluster.watch().await?;

    comes_back::<Service>(stage, "acid-shop-repl").await?;
    comes_back::<PodDisruptionBudget>(stage, "postgres-acid-shop-pdb").await?;
    comes_back::<PodDisruptionBudget>(stage, "postgres-acid-shop-critical-op-pdb").await?;
    labels_come_back(stage, &cluster.secret("shop_owner")).await?;
    comes_back::<Service>(stage, "acid-shop").await?;

    // With its Service, Kubernetes also deletes the Endpoints in which Patroni keeps who leads.
    cluster.session("shop_owner", "shop").await?.until_sql("CREATE TABLE still_writable ()").await?;
    cluster.until_members_are(2).await?;
    assert_eq!(watcher.recreated(), Vec::<String>::new(), "no pod was touched");
    Ok(())
}

async fn comes_back<K>(stage: &Stage, name: &str) -> Told
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
{
    let api: Api<K> = stage.api();
    let before = api.get(name).await?;
    let begun = Instant::now();
    api.delete(name, &DeleteParams::default()).await?;
    let what = format!("{} {name} is back", K::kind(&()));
    let after = until(&what, WITHIN, async || match api.get(name).await? {
        after if after.uid() != before.uid() => Ok(after),
        _ => Stop::failed("the deleted one is still there"),
    })
    .await?;
    assert_eq!(after.labels(), before.labels());
    stage.tell(format!("{what} after {:.1} s", begun.elapsed().as_secs_f32()));
    Ok(())
}

async fn labels_come_back(stage: &Stage, name: &str) -> Told {
    let api: Api<Secret> = stage.api();
    let before = api.get(name).await?;
    for label in ["cluster-name", "team"] {
        let begun = Instant::now();
        let without = Patch::Merge(json!({"metadata": {"labels": {label: null}}}));
        api.patch(name, &PatchParams::default(), &without).await?;
        let what = format!("label {label} of Secret {name} is back");
        let after = until(&what, WITHIN, async || match api.get(name).await? {
            after if after.labels() == before.labels() => Ok(after),
            after => Stop::failed(format!("{:?}", after.labels())),
        })
        .await?;
        assert_eq!(after.data, before.data, "the password stays");
        stage.tell(format!("{what} after {:.1} s", begun.elapsed().as_secs_f32()));
    }
    Ok(())
}
