//! One operator acts, the others wait: a Lease, held and renewed. Several share the clusters by a Lease per shard.
//!
//! The service takes a [`Tenure`], works under its [`Mandate`], and ends the process when it is [lost](Tenure::lost).
//! `candidate` decides what is done next with one lease, `campaign` does it, `sharing` decides who has which shard.
//!
//! ```text
//!            the lease is free, or its holder went silent
//!  Waiting ───────────────────────────────────────────────► Leading ──► renewed every `retry`
//!     ▲  another holds it: a watch shows when it lets go       │
//!     └────────────────────────────────                        ├──► asked to stop: the lease is given back
//!                                                              └──► not renewed within `renew_within`,
//!                                                                   or another's: lost, the process ends
//! ```
//!
//! With shards, the lease without a number is held by all processes together, under the name of the number of shards: so
//! processes that divide the clusters in different ways, or not at all, never act side by side.

mod campaign;
mod candidate;
mod mandate;
mod sharing;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use std::time::Duration;

use kube::Client;

pub use campaign::Leadership;
pub use candidate::Patience;
pub use mandate::{Look, Mandate};
use sharing::Sharing;

/// The lease of an operator that has no shards, and the first part of the names of the others.
pub const LEASE: &str = "postgres-operator";

/// Which lease, who we are, and how patient everyone is.
#[derive(Clone, Debug)]
pub struct Candidacy {
    /// The namespace of the lease.
    pub namespace: String,
    /// Its name.
    pub lease: String,
    /// Who we are: different for each process, such as the pod's name.
    pub identity: String,
    /// How long to wait for what.
    pub patience: Patience,
    /// Others hold the lease under the same identity: it is not given back.
    pub joint: bool,
}

impl Candidacy {
    /// For oneself, with the usual patience.
    pub fn new(namespace: impl Into<String>, lease: impl Into<String>, identity: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            lease: lease.into(),
            identity: identity.into(),
            patience: Patience::default(),
            joint: false,
        }
    }
}

/// The lease is not ours any more. Whoever gets this ends the process: what is under way must not go on.
#[derive(Debug, thiserror::Error)]
pub enum LeaderError {
    /// Another process took it.
    #[error("the lease {lease} is held by {holder} now")]
    Taken {
        /// Which one.
        lease: String,
        /// The other.
        holder: String,
    },
    /// It could not be renewed in time.
    #[error("the lease {lease} could not be renewed for {} s", within.as_secs())]
    Expired {
        /// Which one.
        lease: String,
        /// How long we tried.
        within: Duration,
    },
    /// The loop itself ended: a bug.
    #[error("the loop that renews the lease ended")]
    Stopped,
}

/// Everything that this process holds in order to act.
#[derive(Debug)]
pub struct Tenure {
    whole: Leadership,
    sharing: Option<Sharing>,
    mandate: Mandate,
}

impl Tenure {
    /// Waits until this process may act: alone, or for its part where the clusters are divided into several shards.
    ///
    /// # Errors
    /// When the lease is lost as soon as it was taken.
    pub async fn take(client: &Client, candidacy: Candidacy, shards: u32) -> Result<Self, LeaderError> {
        let mandate = Mandate::over(shards);
        if shards <= 1 {
            let mut whole = Leadership::start(client.clone(), candidacy, Some((mandate.clone(), 0)));
            whole.acquired().await?;
            return Ok(Self { whole, sharing: None, mandate });
        }
        let layout = Candidacy { joint: true, identity: format!("{shards}-shards"), ..candidacy.clone() };
        let mut whole = Leadership::start(client.clone(), layout, None);
        whole.acquired().await?;
        let candidates = (0..shards).map(|shard| {
            let lease = format!("{}-shard-{shard}", candidacy.lease);
            let candidacy = Candidacy { lease, ..candidacy.clone() };
            Leadership::start(client.clone(), candidacy, Some((mandate.clone(), shard)))
        });
        let (identity, every) = (&candidacy.identity, candidacy.patience.retry);
        let sharing = Sharing::start(candidates.collect(), mandate.clone(), identity, every);
        Ok(Self { whole, sharing: Some(sharing), mandate })
    }

    /// What may be acted upon.
    pub fn mandate(&self) -> Mandate {
        self.mandate.clone()
    }

    /// Waits until something we hold is lost, and says why. May be dropped and asked again.
    pub async fn lost(&mut self) -> LeaderError {
        match &mut self.sharing {
            Some(sharing) => tokio::select! {
                error = self.whole.lost() => error,
                error = sharing.lost() => error,
            },
            None => self.whole.lost().await,
        }
    }

    /// Gives everything back, so that the next one need not wait. Call it when all work has ended.
    ///
    /// # Errors
    /// Why it was lost already.
    pub async fn release(self) -> Result<(), LeaderError> {
        if let Some(sharing) = self.sharing {
            sharing.release().await?;
        }
        self.whole.release().await
    }
}
