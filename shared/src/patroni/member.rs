//! The members of a cluster as Patroni reports them, and what may be concluded from that.
//!
//! `rollout` asks who leads, who streams, how far behind a replica is and whose restart is due. Every text that Patroni
//! may grow in a later version is kept as `Other`: an unknown word is not an error, it is merely not what we wait for.
//! A newcomer would not guess that Patroni says `master` up to 3.x and `primary` from 4.0 on in one call
//! (`GET /patroni`), and `leader` in the other (`GET /cluster`).

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::settings;

/// What `GET /cluster` reports.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Members {
    /// Everyone who registered, sorted by name.
    #[serde(default)]
    pub members: Vec<Member>,
    /// Whether somebody paused Patroni: it does not fail over then, and we should not interfere.
    #[serde(default)]
    pub pause: bool,
}

/// One Postgres instance, as `GET /cluster` reports it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Member {
    /// The name, which is the pod's name.
    pub name: String,
    /// What it is in the cluster.
    pub role: MemberRole,
    /// What its Postgres is doing.
    #[serde(default)]
    pub state: MemberState,
    /// The address of its Postgres and of its Patroni. Absent until it registered with one.
    #[serde(default)]
    pub host: Option<String>,
    /// Its timeline; it grows with every promotion.
    #[serde(default)]
    pub timeline: Option<u64>,
    /// Bytes it has still to replay. Absent for whoever leads.
    #[serde(default)]
    pub lag: Option<Lag>,
    /// Whether changed settings wait for a restart.
    #[serde(default)]
    pub pending_restart: bool,
    /// Which settings those are. Patroni says so from 3.3 on.
    #[serde(default)]
    pub pending_restart_reason: BTreeMap<String, PendingChange>,
}

/// What `GET /patroni` of one member reports about itself.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct MemberStatus {
    /// What its Postgres is doing.
    #[serde(default)]
    pub state: MemberState,
    /// What it believes to be.
    pub role: MemberRole,
    /// The version of the running server, for example 170011. Absent while it does not run.
    #[serde(default)]
    pub server_version: Option<u32>,
    /// Its timeline.
    #[serde(default)]
    pub timeline: Option<u64>,
    /// Whether changed settings wait for a restart.
    #[serde(default)]
    pub pending_restart: bool,
    /// Which settings those are. Patroni says so from 3.3 on.
    #[serde(default)]
    pub pending_restart_reason: BTreeMap<String, PendingChange>,
    /// Whether nobody holds the leader lock.
    #[serde(default)]
    pub cluster_unlocked: bool,
}

/// A setting that waits for a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct PendingChange {
    /// The value in force.
    #[serde(default, deserialize_with = "any_text")]
    pub old_value: Option<String>,
    /// The value that a restart brings.
    #[serde(default, deserialize_with = "any_text")]
    pub new_value: Option<String>,
}

/// What a member is in its cluster.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum MemberRole {
    /// Takes writes.
    Leader,
    /// Leads a cluster that follows another cluster.
    StandbyLeader,
    /// Holds the leader lock, but its promotion has not ended yet.
    Promoted,
    /// Follows.
    Replica,
    /// Follows, and a commit waits for it.
    SyncStandby,
    /// Follows, and is one of those a commit may wait for.
    QuorumStandby,
    /// A word we do not know.
    Other(String),
}

/// What the Postgres of a member is doing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum MemberState {
    /// It runs. A replica that says so does not stream.
    Running,
    /// A replica that receives from its primary.
    Streaming,
    /// A replica that replays from the archive.
    InArchiveRecovery,
    /// It starts.
    Starting,
    /// It restarts.
    Restarting,
    /// It stops.
    Stopping,
    /// It does not run.
    Stopped,
    /// A replica that is still being copied from its primary.
    CreatingReplica,
    /// A word we do not know; empty when Patroni said nothing.
    Other(String),
}

/// How far a replica is behind, in bytes. Ordered: unknown is worse than any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lag {
    /// So many bytes.
    Bytes(u64),
    /// Patroni could not tell.
    Unknown,
}

impl From<String> for MemberRole {
    fn from(text: String) -> Self {
        match text.as_str() {
            "leader" | "primary" | "master" => Self::Leader,
            "standby_leader" => Self::StandbyLeader,
            "promoted" => Self::Promoted,
            "replica" => Self::Replica,
            "sync_standby" => Self::SyncStandby,
            "quorum_standby" => Self::QuorumStandby,
            _ => Self::Other(text),
        }
    }
}

impl From<String> for MemberState {
    fn from(text: String) -> Self {
        match text.as_str() {
            "running" => Self::Running,
            "streaming" => Self::Streaming,
            "in archive recovery" => Self::InArchiveRecovery,
            "starting" => Self::Starting,
            "restarting" => Self::Restarting,
            "stopping" => Self::Stopping,
            "stopped" => Self::Stopped,
            "creating replica" => Self::CreatingReplica,
            _ => Self::Other(text),
        }
    }
}

impl Default for MemberState {
    fn default() -> Self {
        Self::Other(String::new())
    }
}

impl<'de> Deserialize<'de> for Lag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        Ok(value.as_u64().map_or(Self::Unknown, Self::Bytes))
    }
}

/// A text, whatever the JSON type in which it was written.
fn any_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::Null => None,
        serde_json::Value::String(text) => Some(text),
        other => Some(other.to_string()),
    })
}

impl Members {
    /// Whoever holds the leader lock, promoted to the end or not.
    pub fn leader(&self) -> Option<&Member> {
        self.members.iter().find(|member| member.role.leads())
    }

    /// The member of this name.
    pub fn get(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }

    /// Everyone who follows.
    pub fn replicas(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| !member.role.leads())
    }
}

impl MemberRole {
    /// Whether this member holds the leader lock.
    pub fn leads(&self) -> bool {
        match self {
            Self::Leader | Self::StandbyLeader | Self::Promoted => true,
            Self::Replica | Self::SyncStandby | Self::QuorumStandby | Self::Other(_) => false,
        }
    }

    /// Whether a commit waits, or may wait, for this member.
    pub fn is_synchronous(&self) -> bool {
        matches!(self, Self::SyncStandby | Self::QuorumStandby)
    }
}

impl MemberState {
    /// Whether Postgres is up, streaming or not.
    pub fn is_up(&self) -> bool {
        matches!(self, Self::Running | Self::Streaming | Self::InArchiveRecovery)
    }
}

impl Member {
    /// Whether this replica receives from its primary right now.
    ///
    /// Patroni before 3.1 says `running` of every replica; one that reports a lag counts as streaming then, too.
    pub fn is_streaming(&self) -> bool {
        match self.state {
            MemberState::Streaming => true,
            MemberState::Running => matches!(self.lag, Some(Lag::Bytes(_))),
            MemberState::InArchiveRecovery
            | MemberState::Starting
            | MemberState::Restarting
            | MemberState::Stopping
            | MemberState::Stopped
            | MemberState::CreatingReplica
            | MemberState::Other(_) => false,
        }
    }

    /// Whether this member is what it should be: a leader that runs, or a replica that receives.
    pub fn is_healthy(&self) -> bool {
        if self.role.leads() { self.state.is_up() } else { self.is_streaming() }
    }

    /// How far this member is behind; unknown when Patroni does not say.
    pub fn lag(&self) -> Lag {
        self.lag.unwrap_or(Lag::Unknown)
    }

    /// Whether restarting this replica now would change nothing, because all that waits are standby-bound settings
    /// that shrink: they follow the primary, and it has to be restarted first.
    pub fn waits_for_primary(&self) -> bool {
        !self.role.leads() && self.pending_restart && self.only_shrinks()
    }

    /// Whether every setting that waits is standby-bound and shrinks.
    fn only_shrinks(&self) -> bool {
        !self.pending_restart_reason.is_empty()
            && self.pending_restart_reason.iter().all(|(name, change)| change.shrinks(name))
    }
}

impl PendingChange {
    /// Whether this lowers a setting that a replica may not have lower than its primary.
    pub fn shrinks(&self, name: &str) -> bool {
        let number = |text: &Option<String>| text.as_deref().and_then(|text| text.trim().parse::<i64>().ok());
        settings::is_standby_bound(name)
            && matches!((number(&self.old_value), number(&self.new_value)), (Some(old), Some(new)) if new < old)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(json: serde_json::Value) -> Member {
        serde_json::from_value(json).unwrap()
    }

    fn pending(role: &str, changes: &[(&str, &str, &str)]) -> Member {
        let reasons: serde_json::Map<_, _> = changes
            .iter()
            .map(|(name, old, new)| {
                ((*name).to_owned(), serde_json::json!({"old_value": old, "new_value": new}))
            })
            .collect();
        member(serde_json::json!({
            "name": "demo-1", "role": role, "state": "streaming", "lag": 0,
            "pending_restart": true, "pending_restart_reason": reasons,
        }))
    }

    #[test]
    fn unknown_words_are_kept_and_mean_nothing_good() {
        let odd =
            member(serde_json::json!({"name": "demo-1", "role": "witness", "state": "dreaming", "lag": -1}));
        assert_eq!(odd.role, MemberRole::Other("witness".to_owned()));
        assert_eq!(odd.state, MemberState::Other("dreaming".to_owned()));
        assert_eq!(odd.lag(), Lag::Unknown);
        assert!(!odd.is_healthy() && !odd.role.leads());
    }

    #[test]
    fn an_unknown_lag_is_worse_than_any_number() {
        assert!(Lag::Unknown > Lag::Bytes(u64::MAX));
        assert!(Lag::Bytes(1) > Lag::Bytes(0));
    }

    #[test]
    fn a_replica_streams_or_does_not() {
        for (state, lag, expected) in [
            ("streaming", serde_json::json!(0), true),
            ("running", serde_json::json!(0), true),
            ("running", serde_json::json!("unknown"), false),
            ("in archive recovery", serde_json::json!(0), false),
            ("starting", serde_json::json!("unknown"), false),
            ("creating replica", serde_json::json!("unknown"), false),
        ] {
            let replica =
                serde_json::json!({"name": "demo-1", "role": "replica", "state": state, "lag": lag});
            assert_eq!(member(replica).is_streaming(), expected, "{state}");
        }
    }

    #[test]
    fn a_replica_waits_for_its_primary_only_when_all_that_waits_shrinks() {
        let shrinks = ("max_connections", "100", "50");
        assert!(pending("replica", &[shrinks]).waits_for_primary());
        assert!(!pending("leader", &[shrinks]).waits_for_primary());
        assert!(!pending("replica", &[("max_connections", "50", "100")]).waits_for_primary());
        assert!(!pending("replica", &[shrinks, ("wal_level", "replica", "logical")]).waits_for_primary());
        assert!(!pending("replica", &[("wal_buffers", "4", "2")]).waits_for_primary());
        assert!(!pending("replica", &[]).waits_for_primary());
    }
}
