//! One pod's life, from its arrival on the node to its removal.
//!
//! ```text
//!  waiting ─► running ─► exited ─► running ...      (restart policy)
//!     │          │          └────► ended            (jobs)
//!     └──────────┴─► deleted: the process ends, then the object;  stopping: the process ends, the object stays
//! ```

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, ResourceExt as _};
use serde_json::json;
use tokio::sync::watch;
use tracing::{info, warn};

use super::kubelet::Context;
use super::prepare::{Prepared, folder_of, prepare, sockets_of};
use super::probe::Question;
use super::process::{self, Launch, Running};
use super::status::{Report, State};

/// A pod may ask for an address by this annotation, where others have to find it without an API server.
pub const FIXED_ADDRESS: &str = "process-node/address";

const LOOK_AGAIN: Duration = Duration::from_millis(500);
const PROBE_EVERY: Duration = Duration::from_secs(1);
const RESTART_AFTER: Duration = Duration::from_secs(1);
/// As many bad answers as a kubelet wants by default before a pod is not ready any more.
const MOST_BAD_ANSWERS: u32 = 3;
const GRACE_WHEN_GONE: Duration = Duration::from_secs(1);
const GRACE_WHEN_STOPPING: Duration = Duration::from_secs(30);

/// Why a pod does not run yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// One word.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

impl Waiting {
    /// With both.
    pub fn of(reason: &'static str, message: String) -> Self {
        Self { reason, message }
    }

    /// The API server did not answer as it should.
    pub fn api(error: kube::Error) -> Self {
        Self::of("CreateContainerError", error.to_string())
    }

    /// The file system did not.
    pub fn disk(path: &Path) -> impl Fn(std::io::Error) -> Self {
        move |error| Self::of("CreateContainerError", format!("{}: {error}", path.display()))
    }
}

/// How a pod's time on the node ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Somebody deletes it and gives it that time.
    Deleted(Duration),
    /// The object is gone already.
    Gone,
    /// The node stops; the pod stays bound to it.
    Stopping,
    /// Its process has done what it was for.
    Finished,
}

impl End {
    fn grace(self) -> Duration {
        match self {
            Self::Deleted(grace) => grace,
            Self::Gone | Self::Finished => GRACE_WHEN_GONE,
            Self::Stopping => GRACE_WHEN_STOPPING,
        }
    }
}

/// Looks after one pod.
pub struct Worker {
    ctx: Arc<Context>,
    changes: watch::Receiver<Option<Arc<Pod>>>,
    pod: Arc<Pod>,
    report: Report,
    written: bool,
    folders: Vec<PathBuf>,
    stopping: watch::Receiver<bool>,
}

impl Worker {
    /// For a pod of which the receiver brings every change; `None` when no address is left.
    pub fn new(ctx: Arc<Context>, changes: watch::Receiver<Option<Arc<Pod>>>) -> Option<Self> {
        let pod = changes.borrow().clone()?;
        let status = pod.status.as_ref();
        let before = status.and_then(|status| status.pod_ip.clone());
        let wish = before.as_ref().or(pod.annotations().get(FIXED_ADDRESS));
        let wish = wish.and_then(|address| address.parse::<Ipv4Addr>().ok());
        let address = ctx.addresses.lock().ok()?.assign(&key(&pod), wish)?.to_string();
        let earlier = status.and_then(|status| status.container_statuses.as_ref());
        let restarts = earlier.into_iter().flatten().map(|one| one.restart_count + 1).max().unwrap_or(0);
        let now = Timestamp::now();
        let report = Report {
            address,
            started: status.and_then(|status| status.start_time.as_ref()).map_or(now, |time| time.0),
            real: None,
            program: String::new(),
            state: State::Waiting { reason: "ContainerCreating".to_owned(), message: String::new() },
            ready: false,
            changed: now,
            restarts,
        };
        let stopping = ctx.stopping.clone();
        Some(Self { ctx, changes, pod, report, written: false, folders: Vec::new(), stopping })
    }

    /// To the end.
    pub async fn run(mut self) {
        let end = self.live().await;
        process::end_all_in(&self.folders).await;
        if end == End::Stopping {
            return;
        }
        for folder in [folder_of(&self.ctx, &self.pod), sockets_of(&self.ctx, &self.pod)] {
            let _ = std::fs::remove_dir_all(folder);
        }
        if let End::Deleted(_) = end {
            self.remove().await;
        }
        // The members of a StatefulSet come back under their names.
        let comes_back = self.pod.owner_references().iter().any(|owner| owner.kind == "StatefulSet");
        if let (false, Ok(mut addresses)) = (comes_back, self.ctx.addresses.lock()) {
            addresses.release(&key(&self.pod));
        }
        info!(pod = key(&self.pod), ?end, "over");
    }

    async fn live(&mut self) -> End {
        if let Some(end) = self.told() {
            return end;
        }
        let prepared = loop {
            match prepare(&self.ctx, &self.pod, &self.report.address).await {
                Ok(prepared) => break prepared,
                Err(Waiting { reason, message }) => self.waits(reason, message).await,
            }
            if let Some(end) = self.rest(LOOK_AGAIN).await {
                return end;
            }
        };
        self.announce(&prepared).await;
        self.folders = prepared.folders;
        self.report.real = prepared.real;
        self.report.program = prepared.program;
        match prepared.launch {
            Some(launch) => self.keep_running(&launch, prepared.question.as_ref()).await,
            None => self.pretend().await,
        }
    }

    /// What is to be known about a pod that is not quite what it was asked to be.
    async fn announce(&self, prepared: &Prepared) {
        for (reason, note) in &prepared.notes {
            self.ctx.events.warning(&self.pod, reason, note).await;
        }
        if !prepared.annotations.is_empty() {
            let patch = json!({"metadata": {"uid": self.pod.uid(), "annotations": prepared.annotations}});
            let (patch, parameters) = (Patch::Merge(patch), PatchParams::default());
            if let Err(error) = self.pods().patch(&self.pod.name_any(), &parameters, &patch).await {
                warn!(%error, pod = key(&self.pod), "could not annotate the pod");
            }
        }
    }

    /// A pod without any process: it runs, or has run, because we say so.
    async fn pretend(&mut self) -> End {
        if self.restart_policy() != "Always" {
            return self.ended(0).await;
        }
        self.runs(None, true).await;
        loop {
            if let Some(end) = self.told() {
                return end;
            }
            Self::change(&mut self.changes, &mut self.stopping).await;
        }
    }

    async fn keep_running(&mut self, launch: &Launch, question: Option<&Question>) -> End {
        loop {
            match process::start(launch, self.ctx.owner) {
                Ok(mut running) => {
                    self.runs(Some(running.id()), question.is_none()).await;
                    let (exited, end) = self.watch_over(&mut running, question).await;
                    if let Some(end) = end {
                        return end;
                    }
                    let code = exited.and_then(|status| status.code()).unwrap_or(255);
                    if self.restart_policy() == "Never" || (self.restart_policy() == "OnFailure" && code == 0)
                    {
                        return self.ended(code).await;
                    }
                    self.report.restarts += 1;
                    self.waits(
                        "Restarting",
                        format!("the process ended with {code}; its output: {}", launch.log.display()),
                    )
                    .await;
                }
                Err(error) => self.waits("StartError", error.to_string()).await,
            }
            if let Some(end) =
                self.rest(RESTART_AFTER * self.report.restarts.clamp(1, 10).unsigned_abs()).await
            {
                return end;
            }
        }
    }

    /// Until the process ends by itself, or has been ended because we were told to.
    async fn watch_over(
        &mut self,
        running: &mut Running,
        question: Option<&Question>,
    ) -> (Option<ExitStatus>, Option<End>) {
        let mut bad = 0;
        loop {
            if let Some(end) = self.told() {
                running.end(end.grace()).await;
                return (None, Some(end));
            }
            tokio::select! {
                status = running.wait() => return (status.ok(), None),
                () = Self::change(&mut self.changes, &mut self.stopping) => {}
                () = tokio::time::sleep(PROBE_EVERY), if question.is_some() => {
                    if let Some(question) = question {
                        let good = question.ask(&self.report.address).await;
                        bad = if good { 0 } else { bad + 1 };
                        self.is_ready(good || (self.report.ready && bad < MOST_BAD_ANSWERS)).await;
                    }
                }
            }
        }
    }

    fn restart_policy(&self) -> &str {
        let policy = self.pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref());
        policy.unwrap_or("Always")
    }

    /// Whether this is the end.
    fn told(&mut self) -> Option<End> {
        if *self.stopping.borrow() {
            return Some(End::Stopping);
        }
        let Some(pod) = self.changes.borrow_and_update().clone() else { return Some(End::Gone) };
        self.pod = pod;
        self.pod.metadata.deletion_timestamp.as_ref()?;
        let seconds = self.pod.metadata.deletion_grace_period_seconds.unwrap_or(0);
        Some(End::Deleted(Duration::from_secs(seconds.try_into().unwrap_or(0))))
    }

    /// Lets time pass, but for the end. Other changes do not count: most of them are the status that we write.
    async fn rest(&mut self, time: Duration) -> Option<End> {
        let later = tokio::time::Instant::now() + time;
        loop {
            if let Some(end) = self.told() {
                return Some(end);
            }
            let change = Self::change(&mut self.changes, &mut self.stopping);
            if tokio::time::timeout_at(later, change).await.is_err() {
                return None;
            }
        }
    }

    async fn change(changes: &mut watch::Receiver<Option<Arc<Pod>>>, stopping: &mut watch::Receiver<bool>) {
        tokio::select! {
            _ = changes.changed() => {}
            _ = stopping.changed() => {}
        }
    }

    async fn waits(&mut self, reason: &str, message: String) {
        let state = State::Waiting { reason: reason.to_owned(), message };
        if self.report.state != state {
            info!(pod = key(&self.pod), ?state, "waiting");
        }
        self.tell(state, false).await;
    }

    async fn runs(&mut self, process: Option<i32>, ready: bool) {
        info!(pod = key(&self.pod), process, address = self.report.address, "running");
        self.tell(State::Running { since: Timestamp::now(), process }, ready).await;
    }

    async fn ended(&mut self, code: i32) -> End {
        self.tell(State::Ended { code, at: Timestamp::now() }, false).await;
        End::Finished
    }

    async fn is_ready(&mut self, ready: bool) {
        let state = self.report.state.clone();
        self.tell(state, ready).await;
    }

    /// Writes the status where it says something new.
    async fn tell(&mut self, state: State, ready: bool) {
        let mut report = Report { state, ready, ..self.report.clone() };
        if self.written && report == self.report {
            return;
        }
        if report.ready != self.report.ready {
            report.changed = Timestamp::now();
        }
        let patch = Patch::Strategic(report.patch(&self.pod));
        let answer = self.pods().patch_status(&self.pod.name_any(), &PatchParams::default(), &patch).await;
        if let Err(error) = &answer {
            warn!(%error, pod = key(&self.pod), "could not write the status");
        }
        self.written = answer.is_ok();
        self.report = report;
    }

    /// Takes the object out of the API server, now that nothing of it runs.
    async fn remove(&self) {
        let preconditions = Preconditions { uid: self.pod.uid(), resource_version: None };
        let parameters = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(preconditions),
            ..DeleteParams::default()
        };
        for _ in 0..10 {
            match self.pods().delete(&self.pod.name_any(), &parameters).await {
                Ok(_) => return,
                Err(kube::Error::Api(answer)) if matches!(answer.code, 404 | 409) => return,
                Err(error) => warn!(%error, pod = key(&self.pod), "could not remove the pod"),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.ctx.client.clone(), &self.pod.namespace().unwrap_or_default())
    }
}

fn key(pod: &Pod) -> String {
    format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any())
}
