//! Commands in pods: the upgrade script, a file system that grows.
//!
//! A port, because it is not plain HTTP: [`PodExec`] is the real one, tests have their own. Output is bounded, and the
//! end of it is kept rather than the beginning: what went wrong stands there.

mod pod;

use std::time::Duration;

use futures::future::BoxFuture;

pub use pod::PodExec;

/// A container to run a command in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The container's name.
    pub container: String,
}

/// What a command left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Its exit status; zero is success.
    pub status: i32,
    /// The end of what it wrote to standard output.
    pub stdout: String,
    /// The end of what it wrote to standard error.
    pub stderr: String,
}

/// A command that could not be run, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The API server or the node refused.
    #[error("could not run a command in pod {pod}")]
    Start {
        /// The pod.
        pod: String,
        /// Why.
        source: kube::Error,
    },
    /// The connection broke. The command may go on.
    #[error("lost the connection to a command in pod {pod}: {reason}")]
    Lost {
        /// The pod.
        pod: String,
        /// What is known about it.
        reason: String,
    },
    /// It took too long. It may go on.
    #[error("a command in pod {pod} took longer than {} s", within.as_secs())]
    Deadline {
        /// The pod.
        pod: String,
        /// How long we waited.
        within: Duration,
    },
}

impl ExecError {
    /// The kind of this error, for metrics.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Start { .. } => "start",
            Self::Lost { .. } => "lost",
            Self::Deadline { .. } => "deadline",
        }
    }
}

/// Runs commands in containers.
pub trait Exec: Send + Sync {
    /// Runs the command and waits for its end, at most for `within`.
    fn run<'a>(
        &'a self,
        at: &'a Target,
        command: &'a [String],
        within: Duration,
    ) -> BoxFuture<'a, Result<Output, ExecError>>;
}
