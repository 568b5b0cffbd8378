//! From nothing to SQL.

use std::time::Instant;

use tests::stage::{SOON, Stage, Stop, Told, until};

pub(crate) async fn a_new_cluster_of_two_answers_sql_and_streams(stage: &Stage) -> Told {
    stage.with_client().await?;
    let begun = Instant::now();
    let cluster = stage.apply(include_str!("../../fixtures/e2e/two-members.yaml")).await?;
    let watcher = cluster.watch().await?;

    let owner = cluster.session("shop_owner", "shop").await?;
    owner.until_sql("SELECT 1").await?;
    stage.tell(format!("{:.1} s from apply to the first SQL", begun.elapsed().as_secs_f32()));
    cluster.until_running().await?;
    cluster.until_members_are(2).await?;
    stage.tell(format!("{:.1} s from apply to Running", begun.elapsed().as_secs_f32()));

    let connection =
        "SELECT current_user, current_database(), ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    assert_eq!(owner.sql(connection).await?, "shop_owner|shop|t");
    let owned = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'shop'";
    assert_eq!(owner.sql(owned).await?, "shop_owner");
    assert_eq!(
        cluster.session("shop_reader", "postgres").await?.sql("SELECT current_user").await?,
        "shop_reader"
    );

    let superuser = cluster.session("postgres", "postgres").await?;
    until("one replica streams", SOON, async || {
        match superuser
            .sql("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'")
            .await?
            .as_str()
        {
            "1" => Ok(()),
            count => Stop::failed(format!("{count} do")),
        }
    })
    .await?;
    owner.sql("CREATE TABLE orders AS SELECT 42 AS number").await?;
    let replica = cluster.session("shop_owner", "shop").await?.at(format!("{}-repl", cluster.name()));
    replica.until_sql_is("SELECT number, pg_is_in_recovery() FROM orders", "42|t").await?;

    assert_eq!(watcher.recreated(), Vec::<String>::new(), "no pod is made twice");
    assert_eq!(watcher.primaries().len(), 1, "one primary from the beginning");
    stage.tell(format!("status: {}", watcher.words().join(", ")));
    Ok(())
}
