//! A new cluster that begins with another one's data: as they are now, or as they were at a moment.

use tests::stage::{Stage, Told};

const SOURCE: &str = include_str!("../../fixtures/e2e/archived.yaml");
const COPY: &str = include_str!("../../fixtures/e2e/clone.yaml");
const THEN: &str = include_str!("../../fixtures/e2e/clone-to-a-moment.yaml");
/// The moment in the fixture.
const TIMESTAMP: &str = "2026-01-31T12:30:00+00:00";

/// A moment after every commit so far, as a manifest wants it.
const NOW: &str =
    r#"SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')"#;

pub(crate) async fn a_clone_has_the_data_of_now_or_of_a_moment(stage: &Stage) -> Told {
    stage.with_object_store().await?;
    let source = stage.settled(SOURCE, 1).await?;
    let owner = source.session("shop_owner", "shop").await?;
    source.until_backed_up().await?;
    owner.until_sql("CREATE TABLE sold AS SELECT 'before' AS what").await?;
    let moment = owner.until_sql(NOW).await?;
    owner.until_sql("INSERT INTO sold VALUES ('after')").await?;
    source.until_archived().await?;

    let begun = std::time::Instant::now();
    let copy = stage.apply(COPY).await?;
    let then = stage.apply(&THEN.replace(TIMESTAMP, &moment)).await?;
    for (clone, expected) in [(&copy, "after,before"), (&then, "before")] {
        clone.until_running().await?;
        stage.tell(format!("{} after {:.1} s", clone.name(), begun.elapsed().as_secs_f32()));
        // The password is that of the clone's own Secret, not the one that came with the data.
        let owner = clone.session("shop_owner", "shop").await?;
        let sold = owner.until_sql("SELECT string_agg(what, ',' ORDER BY what) FROM sold").await?;
        assert_eq!(sold, expected, "{}", clone.name());
        owner.until_sql("INSERT INTO sold VALUES ('by the clone')").await?;
    }
    assert_eq!(
        owner.until_sql("SELECT count(*) FROM sold").await?,
        "2",
        "the source knows nothing of its clones"
    );
    let writes = "SELECT pg_walfile_name(pg_current_wal_lsn())";
    let timeline = then.session("postgres", "postgres").await?.until_sql(writes).await?;
    assert!(timeline.starts_with("00000002"), "it left the source's history at the moment: {timeline}");
    Ok(())
}
