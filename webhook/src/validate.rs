//! Judges a change: manifests, deletions, and the operator's own configuration. Asked by `routes` for `/validate`.
//!
//! What must always pass: an update that leaves the specification as it was (its labels may still have an effect, which
//! is told), and anything done to an object that is being deleted. An old manifest that is invalid by today's rules must still be able to lose its finalizer.

use jiff::civil::Date;
use kube::core::admission::Operation;

use crate::answer::Verdict;
use crate::configuration::{self, Source};
use crate::review::Request;
use shared::admission;
use shared::config::OperatorConfig;

/// The kind of manifests.
pub const POSTGRESQL: &str = "postgresql";

/// What judging needs beside the request.
pub struct Circumstances<'a> {
    /// The operator's configuration in force.
    pub config: &'a OperatorConfig,
    /// Where that configuration comes from: of all ConfigMaps only this one is judged.
    pub source: &'a Source,
    /// Today's date in UTC.
    pub today: Date,
}

/// Whether the change may happen, and what it is going to do.
pub fn validate(request: &Request, circumstances: &Circumstances<'_>) -> Verdict {
    if !request.is_whole() || request.is_terminating() {
        return Verdict::Passed;
    }
    match request.kind.kind.as_str() {
        POSTGRESQL => manifest(request, circumstances),
        configuration::OBJECT_KIND if !request.leaves("configuration") => configuration(request),
        configuration::MAP_KIND if is_source(request, circumstances.source) && !request.leaves("data") => {
            configuration(request)
        }
        _ => Verdict::Passed,
    }
}

fn manifest(request: &Request, circumstances: &Circumstances<'_>) -> Verdict {
    let Circumstances { config, today, .. } = circumstances;
    match request.operation {
        Operation::Delete => match request.old_object() {
            Some(old) => admission::review_deletion(old, config, *today)
                .map_or_else(Verdict::Denied, |()| Verdict::Allowed { warnings: Vec::new() }),
            None => Verdict::Passed,
        },
        Operation::Create | Operation::Update => match request.object() {
            Some(new) => match admission::review(request.old_object(), new, config) {
                Ok(changes) if changes.is_empty() && request.leaves("spec") => Verdict::Passed,
                Ok(changes) => {
                    Verdict::Allowed { warnings: changes.iter().map(ToString::to_string).collect() }
                }
                Err(errors) => Verdict::Denied(errors),
            },
            None => Verdict::Passed,
        },
        Operation::Connect => Verdict::Passed,
    }
}

fn is_source(request: &Request, source: &Source) -> bool {
    match source {
        Source::ConfigMap(at) => {
            request.namespace.as_ref() == Some(&at.namespace) && request.name() == at.name
        }
        Source::Defaults | Source::Object(_) => false,
    }
}

/// Every mistake in a new operator configuration. Deleting one is allowed: the last one read stays in force.
fn configuration(request: &Request) -> Verdict {
    match request.object().map(|new| configuration::review(request.old_object(), new)) {
        None => Verdict::Passed,
        Some(Ok(warnings)) => Verdict::Allowed { warnings },
        Some(Err(errors)) => Verdict::Denied(errors),
    }
}
