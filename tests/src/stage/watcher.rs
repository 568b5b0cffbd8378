//! Watches a cluster while something is done to it, and answers afterwards what happened to it.
//!
//! A watch tells every change of a label or a readiness in order, so nothing is missed between two looks.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::DynamicObject;
use kube::runtime::watcher::{self, Event};
use kube::{Api, ResourceExt};
use serde_json::Value;
use tokio::task::JoinHandle;

use super::cluster::{is_ready, role};
use super::manifest::manifests;
use super::{SOON, Stage, Stop, Told, until};

/// What was seen of a pod at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Sighting {
    pod: String,
    uid: String,
    is_primary: bool,
    is_ready: bool,
    is_gone: bool,
}

/// A pod that came in the place of another of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recreation {
    /// The name of both.
    pub pod: String,
    /// The UID of the new one.
    pub uid: String,
}

#[derive(Default)]
struct Seen {
    pods: Vec<Sighting>,
    words: Vec<String>,
    is_begun: bool,
}

/// The record of a cluster since the watch began.
pub struct Watcher {
    seen: Arc<Mutex<Seen>>,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Watcher {
    pub(super) async fn begin(stage: &Stage, name: &str, selector: &str) -> Told<Self> {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let pods = stage.api::<Pod>();
        let manifests = Api::namespaced_with(stage.client.clone(), stage.namespace(), &manifests());
        let tasks = [
            tokio::spawn(follow_pods(pods, selector.to_owned(), Arc::clone(&seen))),
            tokio::spawn(follow_status(manifests, name.to_owned(), Arc::clone(&seen))),
        ];
        let watcher = Self { seen, tasks };
        until("the watch has begun", SOON, async || match watcher.read(|seen| seen.is_begun) {
            true => Ok(()),
            false => Stop::failed("not yet"),
        })
        .await?;
        Ok(watcher)
    }

    fn read<T>(&self, read: impl FnOnce(&Seen) -> T) -> T {
        read(&self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The pods that were replaced, in order.
    pub fn recreations(&self) -> Vec<Recreation> {
        self.read(|seen| recreations(&seen.pods))
    }

    /// The names of the pods that were replaced, in order.
    pub fn recreated(&self) -> Vec<String> {
        self.recreations().into_iter().map(|recreation| recreation.pod).collect()
    }

    /// The pods that were the primary, in order.
    pub fn primaries(&self) -> Vec<String> {
        self.read(|seen| primaries(&seen.pods))
    }

    /// The most pods that were being replaced at the same time.
    pub fn most_down_at_once(&self) -> usize {
        self.read(|seen| most_down_at_once(&seen.pods))
    }

    /// The words of the status, in order.
    pub fn words(&self) -> Vec<String> {
        self.read(|seen| seen.words.clone())
    }

    /// Waits until the first pod was replaced.
    ///
    /// # Errors
    /// When none is.
    pub async fn until_first_recreation(&self) -> Told<String> {
        until("the first pod was recreated", super::SETTLED, async || {
            self.recreated().first().cloned().ok_or_else(|| Stop::Failed("none was".to_owned()))
        })
        .await
    }
}

async fn follow_pods(pods: Api<Pod>, selector: String, seen: Arc<Mutex<Seen>>) {
    let mut events = pin!(watcher::watcher(pods, watcher::Config::default().labels(&selector)));
    while let Some(event) = events.next().await {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Ok(Event::InitApply(pod) | Event::Apply(pod)) => seen.pods.push(sighting(&pod, false)),
            Ok(Event::Delete(pod)) => seen.pods.push(sighting(&pod, true)),
            Ok(Event::InitDone) => seen.is_begun = true,
            Ok(Event::Init) | Err(_) => {}
        }
    }
}

fn sighting(pod: &Pod, is_gone: bool) -> Sighting {
    Sighting {
        pod: pod.name_any(),
        uid: pod.uid().unwrap_or_default(),
        is_primary: role(pod) == Some("master") && !is_gone,
        is_ready: is_ready(pod) && !is_gone,
        is_gone: is_gone || pod.metadata.deletion_timestamp.is_some(),
    }
}

async fn follow_status(manifests: Api<DynamicObject>, name: String, seen: Arc<Mutex<Seen>>) {
    let mut events = pin!(watcher::watch_object(manifests, &name));
    while let Some(event) = events.next().await {
        let Ok(Some(manifest)) = event else { continue };
        let word = manifest.data.pointer("/status/PostgresClusterStatus").and_then(Value::as_str);
        let word = word.unwrap_or("(none)").to_owned();
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.words.last() != Some(&word) {
            seen.words.push(word);
        }
    }
}

fn recreations(pods: &[Sighting]) -> Vec<Recreation> {
    let mut known: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut recreations = Vec::new();
    for Sighting { pod, uid, .. } in pods {
        let uids = known.entry(pod).or_default();
        let is_first = uids.is_empty();
        if uids.insert(uid) && !is_first {
            recreations.push(Recreation { pod: pod.clone(), uid: uid.clone() });
        }
    }
    recreations
}

fn primaries(pods: &[Sighting]) -> Vec<String> {
    let mut primaries: Vec<String> = Vec::new();
    for sighting in pods.iter().filter(|sighting| sighting.is_primary && !sighting.is_gone) {
        if primaries.last() != Some(&sighting.pod) {
            primaries.push(sighting.pod.clone());
        }
    }
    primaries
}

/// A pod is down from its deletion until its successor is ready. A readiness that comes and goes does not count: it
/// does when Postgres changes its role.
fn most_down_at_once(pods: &[Sighting]) -> usize {
    let mut down: BTreeSet<&str> = BTreeSet::new();
    let mut most = 0;
    for sighting in pods {
        if sighting.is_gone {
            down.insert(&sighting.pod);
        } else if sighting.is_ready {
            down.remove(sighting.pod.as_str());
        }
        most = most.max(down.len());
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods(text: &[&str]) -> Vec<Sighting> {
        let sighting = |line: &&str| {
            let mut words = line.split(' ');
            let pod = words.next().unwrap_or_default().to_owned();
            let uid = words.next().unwrap_or_default().to_owned();
            let rest: Vec<&str> = words.collect();
            let has = |word: &str| rest.contains(&word);
            Sighting { pod, uid, is_primary: has("primary"), is_ready: has("ready"), is_gone: has("gone") }
        };
        text.iter().map(sighting).collect()
    }

    #[test]
    fn a_rolling_update_of_two_is_two_recreations_and_one_switchover() {
        let seen = pods(&[
            "a-0 1 primary ready",
            "a-1 2 ready",
            "a-1 2 gone",
            "a-1 3",
            "a-1 3 ready",
            "a-1 3 primary ready",
            "a-0 1 ready",
            "a-0 1 gone",
            "a-0 4 ready",
        ]);
        let names: Vec<String> = recreations(&seen).into_iter().map(|recreation| recreation.pod).collect();
        assert_eq!(names, ["a-1", "a-0"]);
        assert_eq!(primaries(&seen), ["a-0", "a-1"]);
        assert_eq!(most_down_at_once(&seen), 1);
    }

    #[test]
    fn two_pods_that_are_replaced_together_are_two_down() {
        let seen = pods(&["a-0 1 ready", "a-1 2 ready", "a-1 2 gone", "a-0 1 gone", "a-1 3 ready"]);
        assert_eq!(most_down_at_once(&seen), 2);
    }
}
