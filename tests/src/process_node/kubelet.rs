//! Which pods are ours: one watch, one worker for each pod.
//!
//! A fact a newcomer would not guess: a pod that was deleted by force may be back under the same name, with the same
//! data, before its processes have ended. Its new worker waits for the old one.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::addresses::Addresses;
use super::args::Args;
use super::events::Events;
use super::installation::Installation;
use super::node;
use super::pod::Worker;
use super::process::{Owner, end_all_in};
use super::programs::Programs;
use super::token::Server;

/// The field manager of everything written here.
pub const FIELD_MANAGER: &str = "process-node";

/// Why a process node cannot work.
#[derive(Debug, thiserror::Error)]
pub enum KubeletError {
    /// No API server is known.
    #[error("could not find a Kubernetes cluster to talk to")]
    Connect(#[source] kube::Error),
    /// The kubeconfig cannot be passed on to pods.
    #[error("the kubeconfig names no server with an embedded authority: pods could not be given one")]
    Kubeconfig,
    /// The network has no loopback addresses.
    #[error("{0} is no loopback network: say its first two numbers, as in 127.64")]
    Network(String),
    /// A node cannot be made.
    #[error(transparent)]
    Register(#[from] node::RegisterError),
    /// A folder cannot be made.
    #[error("could not make the folders of the state")]
    Folders(#[source] std::io::Error),
}

/// What all workers share.
pub struct Context {
    /// The way to the API server.
    pub client: Client,
    /// As told.
    pub args: Args,
    /// Who has which address.
    pub addresses: Mutex<Addresses>,
    /// PostgreSQL and Patroni.
    pub installation: Installation,
    /// Our own programs.
    pub programs: Programs,
    /// For people.
    pub events: Events,
    /// What pods' kubeconfigs say.
    pub server: Server,
    /// Whom the processes belong to.
    pub owner: Option<Owner>,
    /// Becomes true when everything has to end.
    pub stopping: watch::Receiver<bool>,
}

struct Entry {
    uid: String,
    pod: watch::Sender<Option<Arc<Pod>>>,
    task: JoinHandle<()>,
}

/// Registers the nodes and runs their pods until told to stop; then ends all processes.
///
/// # Errors
/// When it cannot begin.
pub async fn run(args: Args, stopping: watch::Receiver<bool>) -> Result<(), KubeletError> {
    let client = Client::try_default().await.map_err(KubeletError::Connect)?;
    let addresses =
        Addresses::of(&args.network).ok_or_else(|| KubeletError::Network(args.network.clone()))?;
    for folder in ["pods", "log", "sockets"] {
        std::fs::create_dir_all(args.state.join(folder)).map_err(KubeletError::Folders)?;
    }
    // What an earlier process node that was killed has left.
    end_all_in(&[args.state.join("pods"), args.state.join("volumes")]).await;
    for name in &args.node {
        node::register(&client, name).await?;
        tokio::spawn(node::keep_alive(client.clone(), name.clone()));
    }
    let installation = Installation::find();
    info!(nodes = ?args.node, ?installation, "ready");
    let ctx = Context {
        addresses: Mutex::new(addresses),
        installation,
        programs: Programs::new(&args),
        events: Events::new(client.clone()),
        server: Server::from_own_kubeconfig().ok_or(KubeletError::Kubeconfig)?,
        owner: Owner::of_databases(),
        stopping,
        client,
        args,
    };
    follow(Arc::new(ctx)).await;
    Ok(())
}

async fn follow(ctx: Arc<Context>) {
    let pods: Api<Pod> = Api::all(ctx.client.clone());
    let mut changes = pin!(watcher(pods, watcher::Config::default()).default_backoff());
    let mut stopping = ctx.stopping.clone();
    let mut workers = Workers { ctx: Arc::clone(&ctx), entries: BTreeMap::new(), listed: Vec::new() };
    loop {
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => break,
            change = changes.next() => match change {
                Some(Ok(change)) => workers.take(change),
                Some(Err(error)) => warn!(%error, "the watch on pods was interrupted"),
                None => break,
            },
        }
    }
    info!(pods = workers.entries.len(), "stopping");
    for entry in workers.entries.into_values() {
        let _ = entry.task.await;
    }
}

struct Workers {
    ctx: Arc<Context>,
    entries: BTreeMap<String, Entry>,
    listed: Vec<String>,
}

impl Workers {
    fn take(&mut self, change: watcher::Event<Pod>) {
        match change {
            watcher::Event::Init => self.listed.clear(),
            watcher::Event::InitApply(pod) => {
                self.listed.extend(pod.uid());
                self.apply(pod);
            }
            watcher::Event::InitDone => {
                let gone = self.entries.values().filter(|entry| !self.listed.contains(&entry.uid));
                gone.for_each(|entry| drop(entry.pod.send_replace(None)));
            }
            watcher::Event::Apply(pod) => self.apply(pod),
            watcher::Event::Delete(pod) => {
                let entry =
                    self.entries.get(&key(&pod)).filter(|entry| Some(&entry.uid) == pod.uid().as_ref());
                if let Some(entry) = entry {
                    entry.pod.send_replace(None);
                }
            }
        }
        self.entries.retain(|_, entry| !entry.task.is_finished());
    }

    fn apply(&mut self, pod: Pod) {
        let (key, uid) = (key(&pod), pod.uid().unwrap_or_default());
        if let Some(entry) = self.entries.get(&key).filter(|entry| entry.uid == uid) {
            entry.pod.send_replace(Some(Arc::new(pod)));
            return;
        }
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref());
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        let ours = node.is_some_and(|node| self.ctx.args.node.contains(node));
        let ended =
            matches!(phase, Some("Succeeded" | "Failed")) && pod.metadata.deletion_timestamp.is_none();
        if !ours || ended {
            return;
        }
        let predecessor = self.entries.remove(&key).map(|entry| {
            entry.pod.send_replace(None);
            entry.task
        });
        let (sender, receiver) = watch::channel(Some(Arc::new(pod)));
        let worker = Worker::new(Arc::clone(&self.ctx), receiver);
        let task = tokio::spawn(async move {
            if let Some(predecessor) = predecessor {
                let _ = predecessor.await;
            }
            if let Some(worker) = worker {
                worker.run().await;
            }
        });
        self.entries.insert(key, Entry { uid, pod: sender, task });
    }
}

fn key(pod: &Pod) -> String {
    format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any())
}
