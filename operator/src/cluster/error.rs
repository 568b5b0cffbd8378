//! Why a reconcile could not be carried through, and how errors are told.

use crate::database::DatabaseError;
use crate::disks::DisksError;
use crate::exec::ExecError;
use crate::patroni::PatroniError;

/// A failed act on a cluster.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An object could not be read or written.
    #[error("could not {act}")]
    Kubernetes {
        /// What was attempted, for example `apply StatefulSet default/demo`.
        act: String,
        /// What the client says.
        source: kube::Error,
    },
    /// A Secret of that name belongs to somebody else.
    #[error(
        "Secret {0} exists and is not this cluster's: its username is another one, or a label names another cluster; \
         correct or delete it"
    )]
    ForeignSecret(String),
    /// Patroni refused or did not answer.
    #[error("could not {act}")]
    Patroni {
        /// What was attempted.
        act: String,
        /// What the client says.
        source: PatroniError,
    },
    /// PostgreSQL refused or did not answer.
    #[error("could not {act}")]
    Database {
        /// What was attempted.
        act: &'static str,
        /// What the client says.
        source: DatabaseError,
    },
    /// EC2 refused or did not answer.
    #[error("could not {act}")]
    Disks {
        /// What was attempted.
        act: &'static str,
        /// What is known about it.
        source: Box<DisksError>,
    },
    /// A command in a pod could not be run.
    #[error("could not {act}")]
    Exec {
        /// What was attempted.
        act: &'static str,
        /// What is known about it.
        source: Box<ExecError>,
    },
    /// Some roles, databases or parts of databases could not be made; each was tried by itself.
    #[error("{}", .0.join("; "))]
    Provision(Vec<String>),
    /// A manifest asks for event streams, and nobody is there to run them.
    #[error(
        "spec.streams: the kind FabricEventStream of zalando.org/v1 is not installed; install its definition, or remove \
         spec.streams"
    )]
    NoEventStreams,
    /// Somebody else began a major upgrade, or the manifest has changed.
    #[error("could not begin the major upgrade: the manifest is not any more what was seen of it")]
    NotDue,
    /// The machine has no randomness.
    #[error("could not draw random bytes")]
    Random(#[source] getrandom::Error),
}

impl Error {
    /// The kind of this error, for metrics.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Kubernetes { .. } => "kubernetes",
            Self::ForeignSecret(_) => "foreign_secret",
            Self::Patroni { .. } => "patroni",
            Self::Database { .. } => "database",
            Self::Disks { .. } => "disks",
            Self::Exec { .. } => "exec",
            Self::Provision(_) => "provision",
            Self::NoEventStreams => "no_event_streams",
            Self::NotDue => "not_due",
            Self::Random(_) => "random",
        }
    }

    /// Whether the API server finds what was written invalid: it would again.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Kubernetes { source: kube::Error::Api(status), .. } if status.code == 422)
    }

    /// Wraps an error of the Kubernetes client with what was attempted.
    pub(super) fn kubernetes(act: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let act = act.into();
        move |source| Self::Kubernetes { act, source }
    }
}

/// An error and what caused it, in one line. Of an answer of the API server only the message: the client's own words
/// repeat the whole answer, and people read this in the status.
pub fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        if !text.is_empty() {
            text.push_str(": ");
        }
        if let Some(kube::Error::Api(status)) = cause.downcast_ref() {
            text.push_str(if status.message.is_empty() { &status.reason } else { &status.message });
            break;
        }
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn what_the_api_server_refuses_is_told_in_its_own_words_and_once() {
        let status = Status::failure("exceeded quota: compute", "Forbidden").with_code(403);
        let error = Error::kubernetes("apply StatefulSet a/demo")(kube::Error::Api(status.boxed()));
        let text = told(&error);
        assert!(text.ends_with("apply StatefulSet a/demo: exceeded quota: compute"), "{text}");
    }
}
