//! Pods on our nodes: each runs as soon as it has a node, is ready at once, says its role, and ends when asked to.
//!
//! Three writes make a pod what it is: its status, its role, and (of the leader) Patroni's own objects. All addresses are
//! loopback addresses, on which [`patroni`](super::patroni) answers.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Endpoints, Pod};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};

use super::Outcome;
use super::members::{Members, Place};
use super::patroni::{self, Member};
use super::timeline::Timeline;
use crate::simulation::patroni::first_configuration;

/// How many pods are written about at once.
const AT_ONCE: usize = 64;
const CLUSTER: &str = "cluster-name";
const ROLE: &str = "spilo-role";
const LEADER: &str = "master";

/// All pods.
pub(super) struct Kubelet {
    client: Client,
    network: [u8; 2],
    given: usize,
    members: Members,
    ready: Timeline,
    slots: Arc<Semaphore>,
    running: HashMap<String, Option<AbortHandle>>,
    servers: JoinSet<()>,
}

impl Kubelet {
    /// Runs pods in the background, with addresses of this network, and tells how many became ready and when.
    pub(super) fn start(
        client: &Client,
        network: &str,
        ready: Timeline,
        tasks: &mut JoinSet<()>,
    ) -> Outcome<()> {
        let network = self::network(network)?;
        let mut kubelet = Self {
            client: client.clone(),
            network,
            given: 0,
            members: Members::default(),
            ready,
            slots: Arc::new(Semaphore::new(AT_ONCE)),
            running: HashMap::new(),
            servers: JoinSet::new(),
        };
        tasks.spawn(async move {
            let pods: Api<Pod> = Api::all(kubelet.client.clone());
            let ours = watcher::Config::default().fields("spec.nodeName!=");
            let mut changes = std::pin::pin!(watcher(pods, ours).default_backoff());
            while let Some(change) = changes.next().await {
                match change {
                    Ok(watcher::Event::Apply(pod) | watcher::Event::InitApply(pod)) => {
                        kubelet.take(pod).await
                    }
                    Ok(watcher::Event::Delete(pod)) => kubelet.forget(&pod),
                    Ok(watcher::Event::Init | watcher::Event::InitDone) => {}
                    Err(error) => tracing::warn!(%error, "the watch on pods was interrupted"),
                }
            }
        });
        Ok(())
    }

    async fn take(&mut self, pod: Pod) {
        let uid = pod.uid().unwrap_or_default();
        if pod.metadata.deletion_timestamp.is_some() {
            self.forget(&pod);
            let (client, slots) = (self.client.clone(), Arc::clone(&self.slots));
            tokio::spawn(async move { end(&client, &slots, &pod).await });
            return;
        }
        if self.running.contains_key(&uid) {
            return;
        }
        let before = pod.status.as_ref().and_then(|status| status.pod_ip.as_ref()?.parse().ok());
        let Some(address) = before.or_else(|| self.new_address()) else {
            tracing::warn!("there are no more addresses");
            return;
        };
        let member = place(&pod).map(|place| Member {
            members: self.members.clone(),
            place,
            client: self.client.clone(),
        });
        let server = match &member {
            Some(member) if before.is_none() || answers(&pod) => {
                patroni::serve(member.clone(), address, &mut self.servers).await
            }
            Some(_) | None => Ok(tokio::spawn(std::future::ready(())).abort_handle()),
        };
        if let Err(error) = &server {
            tracing::warn!(%error, %address, "cannot listen");
        }
        self.running.insert(uid, server.ok());
        if before.is_some() {
            resume(&pod, address, member);
            self.ready.one_more();
            return;
        }
        let (client, slots, ready) = (self.client.clone(), Arc::clone(&self.slots), self.ready.clone());
        tokio::spawn(async move {
            let _slot = slots.acquire().await;
            match begin(&client, &pod, address, member).await {
                Ok(()) => ready.one_more(),
                Err(kube::Error::Api(status)) if status.is_not_found() => {} // it is gone again
                Err(error) => tracing::warn!(%error, pod = pod.name_any(), "could not start"),
            }
        });
    }

    fn forget(&mut self, pod: &Pod) {
        if let Some(Some(server)) = self.running.remove(&pod.uid().unwrap_or_default()) {
            server.abort();
        }
        if let Some(place) = place(pod) {
            self.members.leave(&place, &pod.name_any());
        }
    }

    /// An address that nobody had before.
    fn new_address(&mut self) -> Option<Ipv4Addr> {
        self.given += 1;
        address(self.network, self.given - 1)
    }
}

/// The first two numbers of a loopback network.
pub(super) fn network(text: &str) -> Outcome<[u8; 2]> {
    let numbers = text.split_once('.').and_then(|(first, second)| {
        Some([first.parse().ok().filter(|first| *first == 127)?, second.parse().ok()?])
    });
    numbers.ok_or_else(|| format!("{text} is no loopback network such as 127.90").into())
}

/// One address after the other. The last number is neither 0 nor 255.
pub(super) fn address([first, second]: [u8; 2], number: usize) -> Option<Ipv4Addr> {
    let (third, last) = (number / 254, number % 254 + 1);
    Some(Ipv4Addr::new(first, second, u8::try_from(third).ok()?, u8::try_from(last).ok()?))
}

/// The cluster of a pod in which Patroni runs.
fn place(pod: &Pod) -> Option<Place> {
    let labels = pod.labels();
    let cluster =
        labels.get(CLUSTER).filter(|_| labels.get("application").is_some_and(|of| of == "spilo"))?;
    Some((pod.namespace().unwrap_or_default(), cluster.clone()))
}

fn pods(client: &Client, pod: &Pod) -> Api<Pod> {
    Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default())
}

/// Whether this member of a copied cluster answers: the operator asks the first one that has a role, and each that
/// listens takes an open file, of which few systems allow as many as there may be copies.
fn answers(pod: &Pod) -> bool {
    pod.name_any().ends_with("-0")
}

/// A pod has run before: its member is in its cluster, in the role that it has.
fn resume(pod: &Pod, address: Ipv4Addr, member: Option<Member>) {
    let Some(Member { members, place, .. }) = member else { return };
    members.join(&place, &pod.name_any(), address, first_configuration(&json!(pod)));
    if pod.labels().get(ROLE).is_some_and(|role| role == LEADER) {
        members.lead(&place, &pod.name_any());
    }
}

/// A pod runs, and its member joins its cluster.
async fn begin(client: &Client, pod: &Pod, address: Ipv4Addr, member: Option<Member>) -> kube::Result<()> {
    let (pods, name) = (pods(client, pod), pod.name_any());
    let status = Patch::Merge(running(pod, address));
    pods.patch_status(&name, &PatchParams::default(), &status).await?;
    let Some(Member { members, place, .. }) = member else { return Ok(()) };
    let configuration = first_configuration(&json!(pod));
    let leads = members.join(&place, &name, address, configuration);
    label(client, &place, &name, leads).await?;
    if leads {
        publish(client, &place, pod, &members).await?;
    }
    Ok(())
}

/// A pod that was asked to end has ended.
async fn end(client: &Client, slots: &Semaphore, pod: &Pod) {
    let _slot = slots.acquire().await;
    let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    match pods(client, pod).delete(&pod.name_any(), &at_once).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => {}
        Err(error) => tracing::warn!(%error, pod = pod.name_any(), "could not end"),
        Ok(_) => {}
    }
}

fn running(pod: &Pod, address: Ipv4Addr) -> Value {
    let now = Timestamp::now();
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers).map(|container| {
        json!({"name": container.name, "image": container.image, "imageID": "", "ready": true, "started": true,
            "restartCount": 0, "state": {"running": {"startedAt": now}}})
    });
    let conditions = ["Initialized", "ContainersReady", "Ready", "PodScheduled"]
        .map(|kind| json!({"type": kind, "status": "True", "lastTransitionTime": now}));
    json!({"status": {
        "phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "hostIP": "127.0.0.1",
        "startTime": now, "containerStatuses": containers.collect::<Vec<_>>(), "conditions": conditions,
    }})
}

/// The role, where Patroni writes it.
pub(super) async fn label(client: &Client, place: &Place, pod: &str, leads: bool) -> kube::Result<()> {
    let role = if leads { LEADER } else { "replica" };
    let state = if leads { "running" } else { "streaming" };
    let status = json!({"role": role, "state": state, "version": "4"}).to_string();
    let said = json!({"metadata": {"labels": {ROLE: role}, "annotations": {"status": status}}});
    let pods: Api<Pod> = Api::namespaced(client.clone(), &place.0);
    pods.patch(pod, &PatchParams::default(), &Patch::Merge(said)).await.map(drop)
}

/// The objects in which Patroni keeps its state: who leads, and the configuration.
async fn publish(client: &Client, place: &Place, leader: &Pod, members: &Members) -> kube::Result<()> {
    let endpoints: Api<Endpoints> = Api::namespaced(client.clone(), &place.0);
    let leads =
        json!({"metadata": {"annotations": {"leader": leader.name_any(), "transitions": "0", "ttl": "30"}}});
    let led = endpoints.patch(&place.1, &PatchParams::default(), &Patch::Merge(leads)).await;
    match led {
        Err(kube::Error::Api(status)) if status.is_not_found() => {} // Patroni keeps its state in ConfigMaps
        led => drop(led?),
    }
    let mut labels = leader.labels().clone();
    labels.retain(|name, _| ["application", CLUSTER].contains(&name.as_str()));
    let configuration = members.configuration(place, None).to_string();
    let object = json!({
        "metadata": {"name": format!("{}-config", place.1), "labels": labels,
            "annotations": {"config": configuration, "initialize": "7000000000000000000"}},
    });
    let object = serde_json::from_value(object).map_err(kube::Error::SerdeError)?;
    match endpoints.create(&PostParams::default(), &object).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        made => made.map(drop),
    }
}
