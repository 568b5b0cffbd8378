//! Another image: every pod is made anew, one by one, replicas first, and nobody loses a row.

use std::time::Duration;

use serde_json::json;
use tests::stage::{Cluster, Session, Stage, Told, Watcher, Writer, other_image};

const TWO: &str = include_str!("../../fixtures/e2e/two-members.yaml");
const THREE: &str = include_str!("../../fixtures/e2e/three-members.yaml");

pub(crate) async fn an_image_in_the_manifest_rolls_the_members_one_by_one(stage: &Stage) -> Told {
    let rolling = Rolling::prepare(stage, THREE, 3).await?;
    rolling.cluster.change(json!({"spec": {"dockerImage": other_image()}})).await?;
    let (cluster, outage) = rolling.ends_well().await?;
    let floor = bare_switchover(&cluster).await?;
    stage.tell(format!(
        "longest pause: {:.2} s in the rolling update, {:.2} s in a bare switchover: {:.1} times as long",
        outage.as_secs_f32(),
        floor.as_secs_f32(),
        outage.as_secs_f32() / floor.as_secs_f32(),
    ));
    Ok(())
}

pub(crate) async fn an_image_in_the_configuration_rolls_the_members_without_an_operator_restart(
    stage: &Stage,
) -> Told {
    stage.with_own_operator().await?;
    let operator = stage.operator();
    let rolling = Rolling::prepare(stage, TWO, 2).await?;
    let process = operator.process().await?;
    operator.set("docker_image", &json!(other_image())).await?;
    rolling.ends_well().await?;
    assert_eq!(operator.process().await?, process, "the operator was started anew");
    Ok(())
}

pub(crate) async fn an_operator_killed_in_the_middle_of_a_rolling_update_ends_it_the_same(
    stage: &Stage,
) -> Told {
    stage.with_own_operator().await?;
    let rolling = Rolling::prepare(stage, THREE, 3).await?;
    rolling.cluster.change(json!({"spec": {"dockerImage": other_image()}})).await?;
    let first = rolling.watcher.until_first_recreation().await?;
    let (before, _) = stage.operator().process().await?;
    stage.operator().kill().await?;
    let recreated = rolling.watcher.recreated();
    assert!(recreated.len() < 3, "the rolling update was over before the operator was killed: {recreated:?}");
    stage.tell(format!("killed the operator after it had recreated {first}"));
    stage.operator().until_ready().await?;
    rolling.ends_well().await?;
    assert_ne!(stage.operator().process().await?.0, before, "it is another operator");
    Ok(())
}

/// A cluster that is about to roll, with a client that writes all the time.
struct Rolling<'a> {
    stage: &'a Stage,
    cluster: Cluster<'a>,
    members: usize,
    superuser: Session<'a>,
    old_primary: String,
    old_timeline: u32,
    watcher: Watcher,
    writer: Writer<'a>,
}

impl<'a> Rolling<'a> {
    async fn prepare(stage: &'a Stage, manifest: &str, members: usize) -> Told<Self> {
        let cluster = stage.settled(manifest, members).await?;
        let superuser = cluster.session("postgres", "postgres").await?;
        let old_timeline = timeline(&superuser).await?;
        let old_primary = cluster.primary().await?;
        let watcher = cluster.watch().await?;
        let writer = Writer::begin(cluster.session("shop_owner", "shop").await?).await?;
        Ok(Self { stage, cluster, members, superuser, old_primary, old_timeline, watcher, writer })
    }

    /// Each pod was recreated once and the old primary last; there was one switchover; no acknowledged row is missing.
    /// The cluster, and the longest time without an acknowledged write.
    async fn ends_well(self) -> Told<(Cluster<'a>, Duration)> {
        let begun = std::time::Instant::now();
        let Self { stage, cluster, members, superuser, old_primary, old_timeline, watcher, writer } = self;
        cluster.until_image_is(&other_image()).await?;
        cluster.until_running().await?;
        cluster.until_members_are(members).await?;
        stage.tell(format!("rolled in {:.1} s", begun.elapsed().as_secs_f32()));
        writer.until_written_again().await?;
        let written = writer.stop().await?;
        stage.tell(format!("{written:?}"));
        stage.tell(format!("recreated {:?}, primaries {:?}", watcher.recreated(), watcher.primaries()));
        stage.tell(format!("status: {}", watcher.words().join(", ")));

        let mut recreated = watcher.recreated();
        assert_eq!(recreated.last(), Some(&old_primary), "the old primary is the last: {recreated:?}");
        recreated.sort();
        let all: Vec<String> = (0..members).map(|ordinal| format!("{}-{ordinal}", cluster.name())).collect();
        assert_eq!(recreated, all, "each pod once");
        assert_eq!(watcher.most_down_at_once(), 1, "one at a time");
        let primaries = watcher.primaries();
        assert_eq!(primaries.len(), 2, "one switchover: {primaries:?}");
        assert_eq!(primaries[0], old_primary);
        assert_eq!(timeline(&superuser).await?, old_timeline + 1, "one promotion");
        assert_eq!(written.lost, Vec::<u64>::new(), "no acknowledged row is missing");
        Ok((cluster, written.longest_pause))
    }
}

/// How long nothing can be written when a person asks Patroni to switch over and nothing else happens.
async fn bare_switchover(cluster: &Cluster<'_>) -> Told<Duration> {
    let old = cluster.primary().await?;
    let candidate = if old.ends_with("-0") { 1 } else { 0 };
    let writer = Writer::begin(cluster.session("shop_owner", "shop").await?).await?;
    cluster.switch_over_to(&format!("{}-{candidate}", cluster.name())).await?;
    writer.until_written_again().await?;
    Ok(writer.stop().await?.longest_pause)
}

/// Postgres counts promotions: each begins a timeline.
pub(crate) async fn timeline(superuser: &Session<'_>) -> Told<u32> {
    let file = superuser.until_sql("SELECT pg_walfile_name(pg_current_wal_lsn())").await?;
    Ok(u32::from_str_radix(&file[..8], 16)?)
}
