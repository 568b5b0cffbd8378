//! Patroni in the pods: who leads, who streams, which settings wait for a restart, and its objects in Kubernetes.
//!
//! A model of Patroni's loop, not of its code. Two of its habits decide whether an operator works: every member looks at
//! the store once per loop and tells others what it found *one loop later*, so its `pending_restart` is up to two loops
//! late, and after a restart it goes on telling it for one more; and a replica never runs with a lower
//! `max_connections` than its primary, so a restart before the primary's changes nothing.

mod http;
mod kubernetes;
mod member;
mod settings;
mod upgrade;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::fake_api::{Key, Store};

use super::clock::after;

pub use http::{Listener, Port, port};
pub use kubernetes::first_configuration;
pub use member::Member;
pub use upgrade::{Known, Plan};

/// Which Patroni is simulated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// Says `running` of a replica that streams, and does not say which settings wait for a restart.
    Three,
    /// Says `streaming`, and why a restart is pending.
    #[default]
    Four,
}

/// An act that somebody asked Patroni for, and that it carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// When.
    pub at: Timestamp,
    /// The cluster.
    pub cluster: String,
    /// What, for example `restart demo-1`.
    pub what: String,
}

/// All clusters.
#[derive(Clone, Debug, Default)]
pub struct Patroni {
    /// Which Patroni it is.
    pub version: Version,
    /// Seconds from the start of a container to a Postgres that runs.
    pub boot: u64,
    /// Seconds that a restart or a switchover takes.
    pub pause: u64,
    /// Members that nobody reaches on Patroni's port, although they work.
    pub silent: BTreeSet<String>,
    /// What was asked for and done.
    pub acts: Vec<Act>,
    /// What the upgrade script does.
    pub plan: Plan,
    /// Which calls that may change something were made, whatever came of them, and of whom.
    pub asked: Vec<String>,
    clusters: BTreeMap<(String, String), Cluster>,
    changes: u64,
}

/// One cluster, by namespace and name.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    name: String,
    initialised: bool,
    config: Value,
    config_version: u64,
    leader: Option<String>,
    leaderless_since: Option<Timestamp>,
    timeline: u64,
    members: BTreeMap<String, Member>,
    /// The major version of the data.
    major: u64,
    upgrade: Option<upgrade::Running>,
    /// What upgrades left on the members' volumes.
    records: BTreeMap<String, upgrade::Record>,
}

/// Seconds between two loops of a member, where the configuration does not say.
const LOOP: u64 = 10;
/// Seconds without a leader after which a replica takes over.
const ELECTION: u64 = 2;

impl Patroni {
    /// Whether the Postgres in the pod of this UID is up.
    pub fn is_up(&self, pod: &str) -> bool {
        self.members().any(|member| member.pod == pod && member.up_at.is_none())
    }

    /// Counts what changed other than in Kubernetes.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// A setting as the Postgres of a member runs with it.
    pub fn in_force(&self, namespace: &str, member: &str, setting: &str) -> Option<String> {
        let clusters = self.clusters.iter().filter(|((place, _), _)| place == namespace);
        let found = clusters.flat_map(|(_, cluster)| cluster.members.get(member)).next();
        found.and_then(|member| member.in_force.get(setting).cloned())
    }

    /// Who leads a cluster.
    pub fn leader(&self, namespace: &str, cluster: &str) -> Option<&str> {
        self.clusters.get(&(namespace.to_owned(), cluster.to_owned()))?.leader.as_deref()
    }

    /// The dynamic configuration of a cluster.
    pub fn config(&self, namespace: &str, cluster: &str) -> Value {
        let found = self.clusters.get(&(namespace.to_owned(), cluster.to_owned()));
        found.map(|cluster| cluster.config.clone()).unwrap_or_default()
    }

    fn members(&self) -> impl Iterator<Item = &Member> {
        self.clusters.values().flat_map(|cluster| cluster.members.values())
    }

    pub(super) fn tick(&mut self, store: &mut Store, now: Timestamp) {
        let (boot, election) = (self.boot.max(2), ELECTION);
        for (place, pods) in kubernetes::pods_by_cluster(store) {
            let cluster = self.clusters.entry(place.clone()).or_default();
            cluster.name.clone_from(&place.1);
            cluster.follow_pods(&pods, boot, now);
        }
        for (place, cluster) in &mut self.clusters {
            if !kubernetes::has_pods(store, place) {
                cluster.everybody_went(now);
            }
            // Whoever has no volume left begins anew.
            let claim = Key::new("", "persistentvolumeclaims", &place.0, &format!("pgdata-{}-0", place.1));
            if cluster.members.is_empty() && store.get(&claim).is_none() {
                *cluster = Cluster::default();
                continue;
            }
            if cluster.end_upgrade(now) {
                self.changes += 1;
            }
            cluster.elect(store, &place.0, election, now);
            cluster.work(now);
            kubernetes::publish(store, place, cluster, self.version, now);
        }
        self.clusters.retain(|_, cluster| !cluster.name.is_empty());
    }
}

impl Cluster {
    /// Members come with their pods and go when the pods are asked to end.
    fn follow_pods(&mut self, pods: &[kubernetes::RunningPod], boot: u64, now: Timestamp) {
        let stays = |member: &Member| pods.iter().any(|pod| pod.uid == member.pod);
        let gone: Vec<String> =
            self.members.iter().filter(|(_, member)| !stays(member)).map(|(name, _)| name.clone()).collect();
        for name in gone {
            self.members.remove(&name);
            self.lose(&name, now);
        }
        for pod in pods {
            let up = after(now, boot);
            self.members.entry(pod.name.clone()).or_insert_with(|| Member::new(pod, up));
        }
    }

    fn everybody_went(&mut self, now: Timestamp) {
        self.members.clear();
        if let Some(leader) = self.leader.clone() {
            self.lose(&leader, now);
        }
    }

    fn lose(&mut self, name: &str, now: Timestamp) {
        if self.leader.as_deref() == Some(name) {
            self.leader = None;
            self.leaderless_since = Some(now);
        }
    }

    /// Somebody takes the lock that nobody holds: the first ever, one that streamed, or the only one there is.
    fn elect(&mut self, store: &Store, namespace: &str, election: u64, now: Timestamp) {
        if self.leader.is_some() {
            return;
        }
        if self.leaderless_since.is_some_and(|since| now < after(since, election)) {
            return;
        }
        let streamed = |member: &&Member| member.may_lead || !self.initialised;
        let ready = self.members.values().filter(|member| member.is_up(now));
        // Where nobody streamed all have equal data, once all are there.
        let equal = self.members.values().all(|member| member.is_up(now) && !member.may_lead);
        let candidate = ready.clone().find(streamed).or_else(|| ready.clone().next().filter(|_| equal));
        let Some(candidate) = candidate.map(|member| member.name.clone()) else { return };
        if !self.initialised {
            self.initialised = true;
            self.config = kubernetes::bootstrap(store, namespace, &candidate);
            self.config_version = 1;
            self.major = kubernetes::version(store, namespace, &candidate);
        }
        self.lead(&candidate);
    }

    fn lead(&mut self, name: &str) {
        self.leader = Some(name.to_owned());
        self.leaderless_since = None;
        self.timeline += 1;
        if let Some(member) = self.members.get_mut(name) {
            member.may_lead = true;
        }
    }

    fn loop_wait(&self) -> u64 {
        self.config["loop_wait"].as_u64().unwrap_or(LOOP)
    }

    /// What the primary runs with.
    fn primary_settings(&self) -> BTreeMap<String, String> {
        let leader = self.leader.as_ref().and_then(|leader| self.members.get(leader));
        leader.map(|leader| leader.in_force.clone()).unwrap_or_default()
    }

    /// Every member's Postgres comes up, streams, and has its loop.
    fn work(&mut self, now: Timestamp) {
        let primary = self.primary_settings();
        let leader_is_up = self
            .leader
            .as_ref()
            .and_then(|name| self.members.get(name))
            .is_some_and(|leader| leader.is_up(now));
        let (config, version, pause) = (self.config.clone(), self.config_version, self.loop_wait());
        let wanted = settings::of(&config);
        for member in self.members.values_mut() {
            let leads = self.leader.as_deref() == Some(member.name.as_str());
            let bound = if leads { BTreeMap::new() } else { primary.clone() };
            member.come_up(&wanted, &bound, now);
            member.stream(leads, leader_is_up, now);
            member.have_a_loop(&wanted, version, pause, now);
        }
    }

    fn member_view(&self, member: &Member, version: Version, now: Timestamp) -> Value {
        let leads = self.leader.as_deref() == Some(member.name.as_str());
        let synchronous = self.config["synchronous_mode"] == true;
        let role = match (leads, synchronous && member.may_lead) {
            (true, _) => "leader",
            (false, true) => "sync_standby",
            (false, false) => "replica",
        };
        let mut view = json!({
            "name": member.name, "role": role, "state": member.state(leads, version, now), "host": member.address,
            "port": 5432, "api_url": format!("http://{}:8008/patroni", member.address), "timeline": self.timeline,
        });
        if !leads {
            view["lag"] = if member.streams { json!(0) } else { json!("unknown") };
        }
        if !member.told.is_empty() {
            view["pending_restart"] = json!(true);
            if version == Version::Four {
                view["pending_restart_reason"] = json!(member.told);
            }
        }
        view
    }
}
