//! A prepared database: who may do what in it.

use tests::stage::{Session, Stage, Told};

const PREPARED: &str = include_str!("../../fixtures/e2e/prepared.yaml");

pub(crate) async fn in_a_prepared_database_owners_make_writers_write_and_readers_read(stage: &Stage) -> Told {
    stage.with_client().await?;
    let cluster = stage.apply(PREPARED).await?;
    cluster.until_running().await?;
    let user = async |name: &str| cluster.session(name, "shop").await;
    let (owner, writer, reader) =
        (user("shop_owner_user").await?, user("shop_writer_user").await?, user("shop_reader_user").await?);
    owner.until_sql("CREATE TABLE orders.sold (n int, what text)").await?;
    writer.until_sql("INSERT INTO orders.sold VALUES (1, 'tea')").await?;
    assert_eq!(reader.until_sql("SELECT what FROM orders.sold").await?, "tea");
    is_refused(&reader, "INSERT INTO orders.sold VALUES (2, 'milk')").await;
    is_refused(&reader, "CREATE TABLE orders.mine (n int)").await;
    is_refused(&writer, "DROP TABLE orders.sold").await;
    is_refused(&user("shop_orders_reader_user").await?, "DELETE FROM orders.sold").await;
    let similarity = reader.until_sql("SELECT public.similarity('tea', 'tea')").await?;
    assert_eq!(similarity, "1", "the extension is there");
    // The search path leads to the schema.
    assert_eq!(writer.until_sql("SELECT count(*) FROM sold").await?, "1");
    Ok(())
}

async fn is_refused(session: &Session<'_>, statement: &str) {
    let answer = session.sql(statement).await;
    assert!(answer.is_err(), "{statement} was allowed: {:?}", answer.ok());
}
