//! One operator acts, the others wait: a Lease, held and renewed.
//!
//! `main` starts a [`Leadership`], waits until it [leads](Leadership::acquired), works, and ends the process when it is
//! [lost](Leadership::lost).
//!
//! ```text
//!            the lease is free, or its holder went silent
//!  Waiting ───────────────────────────────────────────────► Leading ──► renewed every `retry`
//!     ▲  another holds it: look again every `retry`            │
//!     └────────────────────────────────                        ├──► asked to stop: the lease is vacated
//!                                                              └──► not renewed within `renew_within`,
//!                                                                   or another's: lost, the process ends
//! ```
//!
//! Clocks of different machines are never compared: a holder counts as silent when *we* have watched its lease
//! unchanged for its duration, by our own monotonic clock. So a new candidate always waits once for a dead holder.

use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// Which lease, who we are, and how patient everyone is.
#[derive(Clone, Debug)]
pub struct Candidacy {
    /// The namespace of the lease.
    pub namespace: String,
    /// Its name.
    pub lease: String,
    /// Who we are: different for each process, such as the pod's name.
    pub identity: String,
    /// How long a silent holder keeps the lease. Whole seconds.
    pub duration: Duration,
    /// How long we go on leading without a successful renewal. Shorter than `duration`.
    pub renew_within: Duration,
    /// How often we renew, or look.
    pub retry: Duration,
}

impl Candidacy {
    /// The patience of Kubernetes' own components.
    pub fn new(namespace: impl Into<String>, lease: impl Into<String>, identity: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            lease: lease.into(),
            identity: identity.into(),
            duration: Duration::from_secs(15),
            renew_within: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

/// What we are at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Somebody else acts, or nobody yet.
    Waiting,
    /// We act.
    Leading,
}

/// The lease is not ours any more. Whoever gets this ends the process: what is under way must not go on.
#[derive(Debug, thiserror::Error)]
pub enum LeaderError {
    /// Another process took it.
    #[error("the lease is held by {holder} now")]
    Taken {
        /// The other.
        holder: String,
    },
    /// It could not be renewed in time.
    #[error("the lease could not be renewed for {} s", within.as_secs())]
    Expired {
        /// How long we tried.
        within: Duration,
    },
    /// The loop itself ended: a bug.
    #[error("the loop that renews the lease ended")]
    Stopped,
}

impl LeaderError {
    /// The kind of this error, for metrics.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Taken { .. } => "taken",
            Self::Expired { .. } => "expired",
            Self::Stopped => "stopped",
        }
    }
}

/// Our candidacy, running in the background.
#[derive(Debug)]
pub struct Leadership {
    standing: watch::Receiver<Standing>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), LeaderError>>,
}

impl Leadership {
    /// Begins to ask for the lease.
    pub fn start(client: Client, candidacy: Candidacy) -> Self {
        let (report, standing) = watch::channel(Standing::Waiting);
        let (stop, stopped) = oneshot::channel();
        let leases = Api::namespaced(client, &candidacy.namespace);
        let campaign = Campaign { leases, candidacy, seen: None };
        // A dropped sender must not stop us: only a message does.
        let stopped = async move {
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let task = tokio::spawn(campaign.run(report, stopped));
        Self { standing, stop, task }
    }

    /// What we are, for whoever wants to watch it.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }

    /// Waits until we lead.
    pub async fn acquired(&mut self) -> Result<(), LeaderError> {
        let leads = self.standing.wait_for(|standing| *standing == Standing::Leading).await;
        leads.map(drop).map_err(|_| LeaderError::Stopped)
    }

    /// Waits until we do not lead any more, and says why. May be dropped and asked again.
    pub async fn lost(&mut self) -> LeaderError {
        match (&mut self.task).await {
            Ok(Err(error)) => error,
            Ok(Ok(())) | Err(_) => LeaderError::Stopped,
        }
    }

    /// Gives the lease back, so that the next one need not wait. Call it when all work has ended.
    pub async fn release(self) -> Result<(), LeaderError> {
        // A loop that has ended already cannot be asked to stop; its result says why it did.
        let _ = self.stop.send(());
        self.task.await.unwrap_or(Err(LeaderError::Stopped))
    }
}

/// The lease as we last saw it, and since when it has looked like that.
struct Seen {
    lease: Lease,
    since: Instant,
}

impl Seen {
    /// Its holder; `None` when it was vacated.
    fn holder(&self) -> Option<&str> {
        self.lease.spec.as_ref()?.holder_identity.as_deref().filter(|holder| !holder.is_empty())
    }

    /// Whether its holder has been silent for too long.
    fn is_silent(&self, default: Duration) -> bool {
        let seconds = self.lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
        let duration =
            seconds.and_then(|seconds| u64::try_from(seconds).ok()).map_or(default, Duration::from_secs);
        self.since.elapsed() >= duration
    }
}

/// The loop's state.
struct Campaign {
    leases: Api<Lease>,
    candidacy: Candidacy,
    seen: Option<Seen>,
}

impl Campaign {
    /// Waits for the lease, then holds it until asked to stop or until it is lost.
    async fn run(
        mut self,
        report: watch::Sender<Standing>,
        stop: impl Future<Output = ()>,
    ) -> Result<(), LeaderError> {
        tokio::pin!(stop);
        while !self.claim().await {
            tokio::select! {
                () = &mut stop => return Ok(()),
                () = sleep(self.candidacy.retry) => {}
            }
        }
        tracing::info!(lease = self.candidacy.lease, identity = self.candidacy.identity, "leads from now on");
        report.send_replace(Standing::Leading);
        let mut renewed = Instant::now();
        loop {
            tokio::select! {
                () = &mut stop => break,
                () = sleep(self.candidacy.retry) => {}
            }
            let began = Instant::now();
            if self.claim().await {
                renewed = began;
            } else {
                self.still_ours(renewed)?;
            }
        }
        self.vacate().await;
        Ok(())
    }

    /// After a failed renewal: whether we may go on leading for now.
    fn still_ours(&self, renewed: Instant) -> Result<(), LeaderError> {
        let holder = self.seen.as_ref().and_then(Seen::holder).unwrap_or(&self.candidacy.identity);
        if holder != self.candidacy.identity {
            return Err(LeaderError::Taken { holder: holder.to_owned() });
        }
        let within = self.candidacy.renew_within;
        if renewed.elapsed() >= within { Err(LeaderError::Expired { within }) } else { Ok(()) }
    }

    /// One attempt to get or to renew the lease. Errors are logged: the caller only counts time.
    async fn claim(&mut self) -> bool {
        match timeout(self.candidacy.retry, self.try_claim()).await {
            Ok(Ok(ours)) => ours,
            Ok(Err(error)) => {
                tracing::warn!(%error, lease = self.candidacy.lease, "could not claim the lease");
                false
            }
            Err(_) => {
                tracing::warn!(lease = self.candidacy.lease, "the API server did not answer in time");
                false
            }
        }
    }

    /// Writes the lease when it is ours or free. A renewal writes without reading: at rest one request per `retry`.
    async fn try_claim(&mut self) -> Result<bool, kube::Error> {
        let identity = self.candidacy.identity.clone();
        if self.holds() {
            match self.write(&identity).await {
                Ok(()) => return Ok(true),
                // Somebody else wrote it, or it is gone: look at it.
                Err(kube::Error::Api(status)) if status.code == 409 || status.code == 404 => {}
                Err(error) => return Err(error),
            }
        }
        self.look().await?;
        let is_free = self.seen.as_ref().is_none_or(|seen| {
            seen.holder().is_none_or(|holder| holder == identity) || seen.is_silent(self.candidacy.duration)
        });
        if !is_free {
            return Ok(false);
        }
        match self.write(&identity).await {
            Ok(()) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether the lease was ours when we last saw it.
    fn holds(&self) -> bool {
        self.seen.as_ref().and_then(Seen::holder) == Some(&self.candidacy.identity)
    }

    /// Reads the lease. The clock of its silence starts again only when it has changed.
    async fn look(&mut self) -> Result<(), kube::Error> {
        let lease = self.leases.get_opt(&self.candidacy.lease).await?;
        self.seen = lease.map(|lease| match self.seen.take() {
            Some(seen) if seen.lease.spec == lease.spec => Seen { lease, since: seen.since },
            _ => Seen { lease, since: Instant::now() },
        });
        Ok(())
    }

    /// Writes the lease over the version we saw, or creates it; the API server refuses when another was faster.
    async fn write(&mut self, holder: &str) -> Result<(), kube::Error> {
        let written = self.next(holder);
        let params = PostParams::default();
        let lease = match &self.seen {
            Some(_) => self.leases.replace(&self.candidacy.lease, &params, &written).await?,
            None => self.leases.create(&params, &written).await?,
        };
        self.seen = Some(Seen { lease, since: Instant::now() });
        Ok(())
    }

    /// The lease with this holder, renewed now.
    fn next(&self, holder: &str) -> Lease {
        let before = self.seen.as_ref().map(|seen| seen.lease.clone()).unwrap_or_default();
        let spec = before.spec.unwrap_or_default();
        let now = Some(MicroTime(Timestamp::now()));
        let changed = spec.holder_identity.as_deref() != Some(holder);
        let transitions = spec.lease_transitions.unwrap_or(0);
        let seconds = if holder.is_empty() { 1 } else { self.candidacy.duration.as_secs() };
        Lease {
            metadata: ObjectMeta {
                name: Some(self.candidacy.lease.clone()),
                namespace: Some(self.candidacy.namespace.clone()),
                ..before.metadata
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
        match timeout(self.candidacy.retry, self.write("")).await {
            Ok(Ok(())) => tracing::info!(lease = self.candidacy.lease, "gave the lease back"),
            Ok(Err(error)) => tracing::warn!(%error, "could not give the lease back"),
            Err(_) => tracing::warn!("could not give the lease back in time"),
        }
    }
}

#[cfg(test)]
mod tests;
