//! The disks behind volumes, in EC2: read and changed. What is done to them is decided in `shared::plan`.
//!
//! A port with two ends: [`connect`] gives the real one where the operator is built with the feature `ec2`, and one that
//! refuses every question where it is not, so that a cluster that would need EC2 says so in its status.

#[cfg(feature = "ec2")]
mod answer;
#[cfg(feature = "ec2")]
mod ec2;

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use shared::plan::{Disk, DiskChange};

use crate::metrics::Metrics;
use crate::patroni::BoxError;

#[cfg(feature = "ec2")]
pub use ec2::Ec2;

/// What EC2 calls a change that comes too early: while one is under way, or within six hours of the last one.
const TOO_EARLY: &[&str] = &["IncorrectModificationState", "VolumeModificationRateExceeded"];

/// A question to EC2 that was not answered.
#[derive(Debug, thiserror::Error)]
pub enum DisksError {
    /// This operator cannot speak with EC2 at all.
    #[error(
        "storage_resize_mode asks for EC2, and this operator was built without it; build it with --features ec2, or set \
         storage_resize_mode: pvc"
    )]
    NotBuilt,
    /// Nobody says who we are.
    #[error(
        "could not sign {action} for EC2; give the operator's pod an IAM role, or AWS_ACCESS_KEY_ID and its secret"
    )]
    Credentials {
        /// The question.
        action: &'static str,
        /// What is known about it.
        source: BoxError,
    },
    /// Nobody answers.
    #[error("could not reach EC2 at {at} for {action}")]
    Unreachable {
        /// Who was asked.
        at: String,
        /// The question.
        action: &'static str,
        /// What went wrong on the way.
        source: BoxError,
    },
    /// The answer did not come in time.
    #[error("EC2 at {at} did not answer {action} in time")]
    Deadline {
        /// Who was asked.
        at: String,
        /// The question.
        action: &'static str,
    },
    /// EC2 said no.
    #[error("EC2 refused {action}: {code}: {message}")]
    Refused {
        /// The question.
        action: &'static str,
        /// EC2's word for the reason.
        code: String,
        /// EC2's sentence.
        message: String,
    },
    /// The answer cannot be read.
    #[error("could not read EC2's answer to {action}: {reason}")]
    Answer {
        /// The question.
        action: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl DisksError {
    /// The kind of this error, for metrics.
    pub fn category(&self) -> &'static str {
        match self {
            Self::NotBuilt => "not_built",
            Self::Credentials { .. } => "credentials",
            Self::Unreachable { .. } => "unreachable",
            Self::Deadline { .. } => "deadline",
            Self::Refused { .. } => "refused",
            Self::Answer { .. } => "answer",
        }
    }

    /// Whether the same change may be taken later.
    pub fn is_too_early(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if TOO_EARLY.contains(&code.as_str()))
    }
}

/// Disks of a region.
pub trait Disks: Send + Sync {
    /// The disks of these ids, each with its last change.
    fn describe<'a>(
        &'a self,
        region: &'a str,
        ids: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Disk>, DisksError>>;

    /// Asks for a change. When this returns, it has begun and nothing more.
    fn change<'a>(&'a self, region: &'a str, change: &'a DiskChange)
    -> BoxFuture<'a, Result<(), DisksError>>;
}

/// What stands for EC2 in an operator that was built without it.
#[derive(Clone, Copy, Debug, Default)]
pub struct NotBuilt;

impl Disks for NotBuilt {
    fn describe<'a>(&'a self, _: &'a str, _: &'a [String]) -> BoxFuture<'a, Result<Vec<Disk>, DisksError>> {
        async { Err(DisksError::NotBuilt) }.boxed()
    }

    fn change<'a>(&'a self, _: &'a str, _: &'a DiskChange) -> BoxFuture<'a, Result<(), DisksError>> {
        async { Err(DisksError::NotBuilt) }.boxed()
    }
}

/// EC2, with what the environment says about credentials and endpoint.
///
/// # Errors
/// TLS cannot be set up.
#[cfg(feature = "ec2")]
pub fn connect(metrics: Metrics) -> Result<Arc<dyn Disks>, rustls::Error> {
    Ok(Arc::new(Ec2::new(
        crate::team::connect(crate::team::authorities())?,
        ec2::endpoint_of_environment(),
        metrics,
    )))
}

/// Nobody: this operator was built without EC2.
///
/// # Errors
/// None.
#[cfg(not(feature = "ec2"))]
pub fn connect(_: Metrics) -> Result<Arc<dyn Disks>, rustls::Error> {
    Ok(Arc::new(NotBuilt))
}
