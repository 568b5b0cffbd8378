//! Clusters that follow another one, until they are promoted.

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ObjectMeta, PostParams};
use serde_json::json;
use tests::stage::{Cluster, SETTLED, SOON, Stage, Stop, Told, until};

const SOURCE: &str = include_str!("../../fixtures/e2e/archived.yaml");
const OF_A_HOST: &str = include_str!("../../fixtures/e2e/standby-of-a-host.yaml");
const OF_AN_ARCHIVE: &str = include_str!("../../fixtures/e2e/standby-of-an-archive.yaml");

pub(crate) async fn standbys_follow_a_host_or_an_archive_and_are_promoted(stage: &Stage) -> Told {
    stage.with_object_store().await?;
    let source = stage.settled(SOURCE, 1).await?;
    let owner = source.session("shop_owner", "shop").await?;
    owner.until_sql("CREATE TABLE sold AS SELECT 1 AS n").await?;
    source.until_backed_up().await?;
    for name in ["acid-follower", "acid-reader"] {
        take_passwords(stage, &source, name).await?;
    }
    let follower = stage.apply(OF_A_HOST).await?;
    let reader = stage.apply(OF_AN_ARCHIVE).await?;
    for standby in [&follower, &reader] {
        standby.until_running().await?;
    }
    owner.until_sql("INSERT INTO sold VALUES (2)").await?;
    source.until_archived().await?;
    // Roles are the source's, and so are their passwords.
    for standby in [&follower, &reader] {
        let owner = source.session("shop_owner", "shop").await?.at(standby.name());
        owner.until_sql_is("SELECT count(*), pg_is_in_recovery() FROM sold", "2|t").await?;
        let refusal = format!("{} refuses a write", standby.name());
        until(&refusal, SOON, async || match owner.sql("INSERT INTO sold VALUES (0)").await {
            Err(Stop::Failed(why)) if why.contains("read-only transaction") => Ok(()),
            Err(other) => Err(other),
            Ok(_) => Stop::failed("it was taken"),
        })
        .await?;
    }

    let begun = std::time::Instant::now();
    for standby in [&follower, &reader] {
        let user = json!({"spec": {"standby": null, "users": {"shop_clerk": []}}});
        standby.change(user).await?;
    }
    for standby in [&follower, &reader] {
        is_promoted(&source, standby).await?;
        stage.tell(format!("{} promoted after {:.1} s", standby.name(), begun.elapsed().as_secs_f32()));
        let again = standby.change(json!({"spec": {"standby": {"standby_host": "acid-shop"}}})).await;
        let Err(Stop::Failed(why)) = again else { return Stop::failed("it follows again") };
        assert!(why.contains("spec.standby") && why.contains("cannot be added to a cluster"), "{why}");
    }
    assert_eq!(owner.until_sql("SELECT count(*) FROM sold").await?, "2", "the source goes its own way");
    Ok(())
}

/// It takes writes, and its roles are those of its manifest from now on.
async fn is_promoted(source: &Cluster<'_>, standby: &Cluster<'_>) -> Told {
    let name = standby.name();
    standby.until_running().await?;
    let superuser = standby.session("postgres", "shop").await?;
    until(&format!("{name} takes writes"), SETTLED, async || {
        superuser.sql("INSERT INTO sold VALUES (3)").await
    })
    .await?;
    assert_eq!(
        superuser.until_sql("SELECT count(*) FROM sold WHERE n < 3").await?,
        "2",
        "{name} has lost rows"
    );
    let clerk = standby.session("shop_clerk", "shop").await?;
    until(&format!("{name} has its new user"), SOON, async || clerk.sql("SELECT 1").await).await?;
    // Nobody has taken the source's users away.
    let owner = source.session("shop_owner", "shop").await?.at(name);
    owner.until_sql("SELECT count(*) FROM sold").await?;
    Ok(())
}

/// What a person does before: a standby has the source's passwords, so its Secrets are made with them. The operator puts
/// its labels on.
async fn take_passwords(stage: &Stage, source: &Cluster<'_>, standby: &str) -> Told {
    let secrets: Api<Secret> = stage.api();
    for user in ["postgres", "standby"] {
        let found = secrets.get(&source.secret(user)).await?;
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(source.secret(user).replace(source.name(), standby)),
                ..ObjectMeta::default()
            },
            data: found.data,
            ..Secret::default()
        };
        secrets.create(&PostParams::default(), &secret).await?;
    }
    Ok(())
}
