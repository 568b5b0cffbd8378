//! A major upgrade by the image's script: what it leaves on the volume, how long Postgres is down, how it ends.
//!
//! The script goes on when nobody listens to it any more, and ends with its pod. What stands on a volume outlives both.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::fake_api::Store;
use crate::simulation::clock::after;

use super::{Act, Cluster, Patroni, kubernetes};

/// What the script does when it is run.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Seconds that it takes, if not a minute.
    pub takes: Option<u64>,
    /// What it writes last when it fails, before it has touched anything.
    pub fails: Option<String>,
}

/// A script that runs.
#[derive(Clone, Debug)]
pub(super) struct Running {
    pod: String,
    member: String,
    to: u64,
    until: Timestamp,
    fails: Option<String>,
}

/// The record on the volume of a member, and how each attempt ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    attempts: BTreeSet<String>,
    ended: Option<(i32, String)>,
}

/// What is known in a pod about an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// Its script runs.
    Running,
    /// It is over: exit status and last line.
    Over(i32, String),
    /// It was not run, and now never will be.
    Never,
}

/// Seconds that a script takes where nothing is said.
const TAKES: u64 = 60;

impl Patroni {
    /// Runs the script for an attempt in a pod. Where it refuses: why.
    pub fn upgrade(
        &mut self,
        store: &Store,
        (namespace, pod): (&str, &str),
        attempt: &str,
        now: Timestamp,
    ) -> Result<(), &'static str> {
        let plan = self.plan.clone();
        let found = self
            .clusters
            .iter_mut()
            .find(|(place, cluster)| place.0 == namespace && cluster.members.contains_key(pod));
        let Some((place, cluster)) = found else { return Err("no such pod") };
        let to = kubernetes::version(store, namespace, pod);
        cluster.begin((pod, attempt), to, &plan, now)?;
        let cluster = place.1.clone();
        self.changes += 1;
        self.acts.push(Act { at: now, cluster, what: format!("upgrade to {to}") });
        Ok(())
    }

    /// What is known in a pod about an attempt. To ask about one that was not run prevents it, if `bury` says so.
    pub fn ask(&mut self, namespace: &str, pod: &str, attempt: &str, bury: bool) -> Option<Known> {
        let mut clusters = self.clusters.iter_mut().filter(|(place, _)| place.0 == namespace);
        let (_, cluster) = clusters.find(|(_, cluster)| cluster.members.contains_key(pod))?;
        if cluster.upgrade.as_ref().is_some_and(|running| running.member == pod) {
            return Some(Known::Running);
        }
        let record = cluster.records.entry(pod.to_owned()).or_default();
        if record.attempts.contains(attempt) {
            let (status, line) = record.ended.clone().unwrap_or((137, String::new()));
            return Some(Known::Over(status, line));
        }
        if bury {
            record.attempts.insert(attempt.to_owned());
        }
        Some(Known::Never)
    }

    /// The major version of a cluster's data.
    pub fn major(&self, namespace: &str, cluster: &str) -> Option<u64> {
        Some(self.clusters.get(&(namespace.to_owned(), cluster.to_owned()))?.major)
    }
}

impl Cluster {
    fn begin(
        &mut self,
        (name, attempt): (&str, &str),
        to: u64,
        plan: &Plan,
        now: Timestamp,
    ) -> Result<(), &'static str> {
        if self.upgrade.is_some() {
            return Err("another major upgrade is under way here");
        }
        let record = self.records.entry(name.to_owned()).or_default();
        if !record.attempts.insert(attempt.to_owned()) {
            return Err("it was run or given up before");
        }
        record.ended = None;
        let Some(member) = self.members.get(name) else { return Err("no such pod") };
        let takes = plan.takes.unwrap_or(TAKES);
        let (pod, member, until) = (member.pod.clone(), name.to_owned(), after(now, takes));
        self.upgrade = Some(Running { pod, member, to, until, fails: plan.fails.clone() });
        if plan.fails.is_none() {
            self.members.values_mut().for_each(|member| member.restart(takes, now));
        }
        Ok(())
    }

    /// The script comes to its end. Whether it did.
    pub(super) fn end_upgrade(&mut self, now: Timestamp) -> bool {
        let is_there = |running: &Running| self.members.values().any(|member| member.pod == running.pod);
        let Some(running) = self.upgrade.take_if(|running| !is_there(running) || running.until <= now) else {
            return false;
        };
        let cut_short = running.until > now;
        let end = match (cut_short, running.fails) {
            (true, _) => (137, String::new()),
            (false, Some(line)) => (1, line),
            (false, None) => {
                self.major = running.to;
                (0, format!("upgraded to {}", running.to))
            }
        };
        self.records.entry(running.member).or_default().ended = Some(end);
        true
    }
}
