//! Applications behind the connection pooler.

use tests::stage::{Stage, Told};

const POOLER: &str = include_str!("../../fixtures/e2e/pooler.yaml");

pub(crate) async fn an_application_logs_in_through_the_pooler_and_survives_a_switchover(
    stage: &Stage,
) -> Told {
    let cluster = stage.settled(POOLER, 2).await?;
    let through_pooler = cluster.session("shop_owner", "shop").await?.at("acid-shop-pooler");
    through_pooler.until_sql("CREATE TABLE IF NOT EXISTS sold (n int)").await?;
    through_pooler.until_sql("INSERT INTO sold VALUES (1)").await?;
    let direct = cluster.session("shop_owner", "shop").await?;
    direct.until_sql_is("SELECT count(*) FROM sold", "1").await?;

    let replica = match cluster.primary().await?.as_str() {
        "acid-shop-0" => "acid-shop-1",
        _ => "acid-shop-0",
    };
    let begun = std::time::Instant::now();
    cluster.switch_over_to(replica).await?;
    through_pooler.until_sql("INSERT INTO sold VALUES (2)").await?;
    stage.tell(format!("writes through the pooler again after {:.1} s", begun.elapsed().as_secs_f32()));
    let after = direct.until_sql("SELECT count(*) >= 2 FROM sold").await?;
    assert_eq!(after, "t");
    Ok(())
}
