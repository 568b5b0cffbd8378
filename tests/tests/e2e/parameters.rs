//! Settings of PostgreSQL: what is reloaded, what restarts, and in which order.

use serde_json::json;
use tests::stage::{Cluster, SETTLED, Session, Stage, Stop, Told, Writer, until};

const TWO: &str = include_str!("../../fixtures/e2e/two-members.yaml");

pub(crate) async fn a_setting_that_needs_no_restart_restarts_nobody(stage: &Stage) -> Told {
    let members = Members::prepare(stage).await?;
    let before = members.started().await?;
    members.set("log_min_duration_statement", "1234").await?;
    for session in &members.sessions {
        session
            .until_sql_is("SELECT setting FROM pg_settings WHERE name = 'log_min_duration_statement'", "1234")
            .await?;
    }
    members.cluster.until_running().await?;
    assert_eq!(members.started().await?, before, "nobody was restarted");
    Ok(())
}

pub(crate) async fn a_setting_that_grows_restarts_the_replica_first_and_one_that_shrinks_the_primary(
    stage: &Stage,
) -> Told {
    let members = Members::prepare(stage).await?;
    let watcher = members.cluster.watch().await?;
    for (value, first, second) in [("150", REPLICA, PRIMARY), ("120", PRIMARY, REPLICA)] {
        let before = members.started().await?;
        let writer = Writer::begin(members.cluster.session("shop_owner", "shop").await?).await?;
        members.set("max_connections", value).await?;
        for session in &members.sessions {
            let what = format!("max_connections is {value}");
            until(&what, SETTLED, async || match session.sql("SHOW max_connections").await? {
                now if now == value => Ok(()),
                other => Stop::failed(other),
            })
            .await?;
        }
        members.cluster.until_running().await?;
        writer.until_written_again().await?;
        let written = writer.stop().await?;
        let after = members.started().await?;
        stage.tell(format!("max_connections {value}: {written:?}"));
        stage.tell(format!("started (primary, replica) before {before:?}, after {after:?}"));
        assert!(after[first] > before[first] && after[second] > before[second], "both were restarted");
        assert!(after[first] < after[second], "in the order in which standbys can follow");
        assert_eq!(written.lost, Vec::<u64>::new(), "no acknowledged row is missing");
    }
    assert_eq!(watcher.recreated(), Vec::<String>::new(), "no pod was made anew");
    assert_eq!(watcher.primaries().len(), 1, "nobody was promoted: {:?}", watcher.primaries());
    Ok(())
}

const PRIMARY: usize = 0;
const REPLICA: usize = 1;

/// A cluster of two, with a session in each member: the primary first.
struct Members<'a> {
    cluster: Cluster<'a>,
    sessions: [Session<'a>; 2],
}

impl<'a> Members<'a> {
    async fn prepare(stage: &'a Stage) -> Told<Self> {
        let cluster = stage.settled(TWO, 2).await?;
        let primary = cluster.session("postgres", "postgres").await?;
        let replica = cluster.session("postgres", "postgres").await?.at(format!("{}-repl", cluster.name()));
        Ok(Self { cluster, sessions: [primary, replica] })
    }

    async fn set(&self, name: &str, value: &str) -> Told {
        self.cluster.change(json!({"spec": {"postgresql": {"parameters": {name: value}}}})).await
    }

    /// When PostgreSQL was started in each, in seconds.
    async fn started(&self) -> Told<[f64; 2]> {
        let mut started = [0.0; 2];
        for (started, session) in started.iter_mut().zip(&self.sessions) {
            let answer = session.until_sql("SELECT extract(epoch FROM pg_postmaster_start_time())").await?;
            *started = answer.parse()?;
        }
        Ok(started)
    }
}
