//! One lease: does what `candidate` decides, and tells what came of it.
//!
//! A leader writes and never reads. Whoever waits follows the lease by a watch, so that it learns of its being given back
//! within milliseconds; should the watch not work (an old role without the right to it), it reads every `retry`.

use std::fmt::Debug;
use std::future::pending;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use shared::annotations::SHARD_ASKED_FOR_BY;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::candidate::{Candidate, Loss, Move, Sight};
use super::{Candidacy, LeaderError, Mandate};

/// What is known of a lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct View {
    /// Until when it is ours.
    pub(super) until: Option<Instant>,
    /// Who holds it.
    pub(super) holder: Option<String>,
    /// Who would like to.
    pub(super) asked_for_by: Option<String>,
}

/// What a campaign is told to do.
#[derive(Clone, Copy, Debug)]
enum Order {
    /// Leave the lease to others for a while.
    Yield,
    /// Leave it, and end.
    Stop,
    /// Nobody is there any more to give orders: end as a process would that was killed.
    Abandon,
}

/// Our candidacy, running in the background. Dropped, it ends and gives nothing back.
#[derive(Debug)]
pub struct Leadership {
    view: watch::Receiver<View>,
    orders: mpsc::UnboundedSender<Order>,
    task: JoinHandle<Result<(), LeaderError>>,
    leases: Api<Lease>,
    lease: String,
}

impl Leadership {
    /// Begins to ask for the lease. With it goes a shard of the mandate, if one is given.
    pub fn start(client: Client, candidacy: Candidacy, mandate: Option<(Mandate, u32)>) -> Self {
        let (report, view) = watch::channel(View::default());
        let (orders, received) = mpsc::unbounded_channel();
        let leases = Api::namespaced(client, &candidacy.namespace);
        let lease = candidacy.lease.clone();
        let campaign = Campaign {
            leases: leases.clone(),
            candidate: Candidate::new(&candidacy.identity, candidacy.patience),
            candidacy,
            lease: None,
            origin: Instant::now(),
            report,
            mandate,
        };
        Self { view, orders, task: tokio::spawn(campaign.run(received)), leases, lease }
    }

    /// What is known of the lease.
    pub(super) fn view(&self) -> View {
        self.view.borrow().clone()
    }

    /// Waits until we lead.
    ///
    /// # Errors
    /// When it was lost before anybody could see it, or never can be had.
    pub async fn acquired(&mut self) -> Result<(), LeaderError> {
        let leads = self.view.wait_for(|view| view.until.is_some()).await.is_ok();
        if leads { Ok(()) } else { Err(self.lost().await) }
    }

    /// Waits until we do not lead any more, and says why. May be dropped and asked again.
    pub async fn lost(&mut self) -> LeaderError {
        match (&mut self.task).await {
            Ok(Err(error)) => error,
            Ok(Ok(())) | Err(_) => LeaderError::Stopped,
        }
    }

    /// Whether it is lost already, so that [`lost`](Self::lost) does not wait.
    pub(super) fn is_over(&self) -> bool {
        self.task.is_finished()
    }

    /// Gives the lease back and lets others go first.
    pub(super) fn give_way(&self) {
        let _ = self.orders.send(Order::Yield); // a loop that has ended gives nothing back
    }

    /// Asks the holder for the lease, by an annotation.
    pub(super) async fn ask(&self, identity: &str) -> Result<(), kube::Error> {
        let patch = json!({ "metadata": { "annotations": { SHARD_ASKED_FOR_BY: identity } } });
        self.leases
            .patch_metadata(&self.lease, &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .map(drop)
    }

    /// Gives the lease back, so that the next one need not wait. Call it when all work has ended.
    ///
    /// # Errors
    /// Why it was lost already.
    pub async fn release(self) -> Result<(), LeaderError> {
        // A loop that has ended already cannot be asked to stop; its result says why it did.
        let _ = self.orders.send(Order::Stop);
        self.task.await.unwrap_or(Err(LeaderError::Stopped))
    }
}

/// The loop's state.
struct Campaign {
    leases: Api<Lease>,
    candidacy: Candidacy,
    candidate: Candidate,
    /// The lease as we last saw it.
    lease: Option<Lease>,
    /// The candidate's times count from here.
    origin: Instant,
    report: watch::Sender<View>,
    mandate: Option<(Mandate, u32)>,
}

/// The lease as a watch shows it.
type Shown = BoxStream<'static, watcher::Result<Option<Lease>>>;

impl Campaign {
    /// Waits for the lease and holds it, until asked to stop or until it is lost.
    async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>) -> Result<(), LeaderError> {
        let mut shown: Option<Shown> = None;
        loop {
            self.tell();
            match self.candidate.next(self.now()) {
                Move::Lose(loss) => return Err(self.lost(loss)),
                Move::Read => self.read().await,
                Move::Write { over } => self.write(over.is_some()).await,
                Move::Rest { until } => {
                    let leads = self.candidate.acts_until().is_some();
                    shown = if leads { None } else { shown.or_else(|| Some(self.watch())) };
                    tokio::select! {
                        order = next_order(&mut orders) => match order {
                            Order::Yield => self.give_way().await,
                            Order::Stop => break,
                            Order::Abandon => {
                                self.withdraw();
                                return Ok(());
                            }
                        },
                        () = sleep_until(self.origin + until) => {}
                        lease = next_shown(&mut shown) => self.shown(lease),
                    }
                }
            }
        }
        if self.candidate.acts(self.now()) && !self.candidacy.joint {
            self.vacate().await;
        }
        self.withdraw();
        Ok(())
    }

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// Tells how things are, where they have changed.
    fn tell(&self) {
        let until = self.candidate.acts_until().map(|until| self.origin + until);
        if let Some((mandate, shard)) = &self.mandate {
            match until {
                Some(until) => mandate.hold(*shard, until),
                None => mandate.lose(*shard),
            }
        }
        let asked = self.lease.as_ref().and_then(|lease| lease.annotations().get(SHARD_ASKED_FOR_BY));
        let holder = self.candidate.holder().map(str::to_owned);
        let view = View { until, holder, asked_for_by: asked.cloned() };
        self.report.send_if_modified(|before| {
            if before.until.is_none() && view.until.is_some() {
                let (lease, identity) = (&self.candidacy.lease, &self.candidacy.identity);
                tracing::info!(lease, identity, "leads from now on");
            }
            let differs = *before != view;
            *before = view;
            differs
        });
    }

    /// Acts no more, from here on.
    fn withdraw(&mut self) {
        let pause = self.candidacy.patience.retry * 3;
        self.candidate.rest(self.now() + pause);
        self.tell();
    }

    fn lost(&mut self, loss: Loss) -> LeaderError {
        self.withdraw();
        let lease = self.candidacy.lease.clone();
        match loss {
            Loss::Taken { holder } => LeaderError::Taken { lease, holder },
            Loss::Expired => LeaderError::Expired { lease, within: self.candidacy.patience.renew_within },
        }
    }

    async fn give_way(&mut self) {
        if self.candidate.acts(self.now()) {
            self.withdraw();
            self.vacate().await;
        }
    }

    fn watch(&self) -> Shown {
        watcher::watch_object(self.leases.clone(), &self.candidacy.lease).default_backoff().boxed()
    }

    /// What the watch has shown. Where it does not work the lease is read from time to time all the same.
    fn shown(&mut self, lease: watcher::Result<Option<Lease>>) {
        match lease {
            Ok(lease) => self.saw(lease),
            Err(error) => {
                let lease = &self.candidacy.lease;
                tracing::debug!(%error, lease, "could not watch the lease");
            }
        }
    }

    fn saw(&mut self, lease: Option<Lease>) {
        self.candidate.saw(self.now(), lease.as_ref().map(sight));
        self.lease = lease;
    }

    async fn read(&mut self) {
        let began = self.now();
        let name = self.candidacy.lease.clone();
        let leases = self.leases.clone();
        match self.in_time(leases.get_opt(&name)).await {
            Some(Ok(lease)) => self.saw(lease),
            Some(Err(error)) => {
                tracing::warn!(%error, lease = name, "could not read the lease");
                self.candidate.failed(began, self.now());
            }
            None => self.candidate.failed(began, self.now()),
        }
    }

    /// Writes the lease over the version we saw, or creates it; the API server refuses when another was faster.
    async fn write(&mut self, exists: bool) {
        let began = self.now();
        match self.in_time(self.written(exists, &self.candidacy.identity)).await {
            Some(Ok(lease)) => {
                self.candidate.wrote(began, self.now(), sight(&lease));
                self.lease = Some(lease);
            }
            Some(Err(kube::Error::Api(status))) if status.code == 409 || exists && status.code == 404 => {
                self.candidate.refused(self.now());
            }
            Some(Err(error)) => {
                tracing::warn!(%error, lease = self.candidacy.lease, "could not write the lease");
                self.candidate.failed(began, self.now());
            }
            None => self.candidate.failed(began, self.now()),
        }
    }

    async fn written(&self, exists: bool, holder: &str) -> Result<Lease, kube::Error> {
        let (params, lease) = (PostParams::default(), self.next_lease(exists, holder));
        if exists {
            self.leases.replace(&self.candidacy.lease, &params, &lease).await
        } else {
            self.leases.create(&params, &lease).await
        }
    }

    /// Waits for an answer, but not longer than it is of use.
    async fn in_time<T>(&self, call: impl Future<Output = T>) -> Option<T> {
        let left = self.candidate.acts_until().map(|until| until.saturating_sub(self.now()));
        let patience = self.candidacy.patience.retry.min(left.unwrap_or(Duration::MAX));
        let answered = timeout(patience, call).await.ok();
        if answered.is_none() {
            tracing::warn!(lease = self.candidacy.lease, "the API server did not answer in time");
        }
        answered
    }

    /// The lease with this holder, renewed now. Who has asked for it counts until it changes hands.
    fn next_lease(&self, exists: bool, holder: &str) -> Lease {
        let before = self.lease.clone().filter(|_| exists).unwrap_or_default();
        let (mut metadata, spec) = (before.metadata, before.spec.unwrap_or_default());
        let now = Some(MicroTime(Timestamp::now()));
        let changed = spec.holder_identity.as_deref() != Some(holder);
        let transitions = spec.lease_transitions.unwrap_or(0);
        let seconds = if holder.is_empty() { 1 } else { self.candidacy.patience.duration.as_secs() };
        if let Some(annotations) = metadata.annotations.as_mut().filter(|_| changed) {
            annotations.remove(SHARD_ASKED_FOR_BY);
        }
        Lease {
            metadata: ObjectMeta {
                name: Some(self.candidacy.lease.clone()),
                namespace: Some(self.candidacy.namespace.clone()),
                ..metadata
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(holder.to_owned()),
                lease_duration_seconds: i32::try_from(seconds).ok(),
                acquire_time: if changed { now.clone() } else { spec.acquire_time },
                lease_transitions: Some(transitions.saturating_add(i32::from(changed && !holder.is_empty()))),
                renew_time: now,
                ..spec
            }),
        }
    }

    /// Leaves the lease to the next one. Failing to only costs the next one its patience.
    async fn vacate(&mut self) {
        let lease = &self.candidacy.lease;
        match timeout(self.candidacy.patience.retry, self.written(true, "")).await {
            Ok(Ok(_)) => tracing::info!(lease, "gave the lease back"),
            Ok(Err(error)) => tracing::warn!(%error, lease, "could not give the lease back"),
            Err(_) => tracing::warn!(lease, "could not give the lease back in time"),
        }
    }
}

fn sight(lease: &Lease) -> Sight {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    Sight {
        holder: spec.holder_identity.unwrap_or_default(),
        stamp: spec.renew_time.map(|time| time.0.to_string()).unwrap_or_default(),
        duration: seconds.map(Duration::from_secs),
        version: lease.resource_version().unwrap_or_default(),
    }
}

async fn next_order(orders: &mut mpsc::UnboundedReceiver<Order>) -> Order {
    orders.recv().await.unwrap_or(Order::Abandon)
}

async fn next_shown(shown: &mut Option<Shown>) -> watcher::Result<Option<Lease>> {
    let next = match shown {
        Some(stream) => stream.next().await,
        None => None,
    };
    match next {
        Some(lease) => lease,
        None => pending().await,
    }
}
