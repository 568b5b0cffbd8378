//! Judges a change: manifests, deletions, teams, and the operator's own configuration. Asked by `routes` for `/validate`.
//!
//! What must always pass: an update that leaves the specification as it was (its labels may still have an effect, which
//! is told), and anything done to an object that is being deleted. An old manifest that is invalid by today's rules must
//! still be able to lose its finalizer.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use kube::core::admission::Operation;

use crate::answer::Verdict;
use crate::configuration::{self, Held, Source};
use crate::review::Request;
use crate::surroundings::World;
use shared::admission::{self, surroundings::Surroundings};
use shared::config::OperatorConfig;
use shared::plan::{self, Change};

/// The kind of manifests.
pub const POSTGRESQL: &str = "postgresql";

/// The kind of teams.
pub const TEAM: &str = "PostgresTeam";

/// What judging needs beside the request.
pub struct Circumstances<'a> {
    /// The operator's configuration in force.
    pub config: &'a OperatorConfig,
    /// Where that configuration comes from: of all ConfigMaps only this one is judged.
    pub source: &'a Source,
    /// The time.
    pub now: Timestamp,
    /// What stands around in Kubernetes.
    pub world: &'a World,
}

/// Whether the change may happen, and what it is going to do.
pub fn validate(request: &Request, circumstances: &Circumstances<'_>) -> Verdict {
    if !request.is_whole() || request.is_terminating() {
        return Verdict::Passed;
    }
    match request.kind.kind.as_str() {
        POSTGRESQL => manifest(request, circumstances),
        configuration::OBJECT_KIND if !request.leaves("configuration") => {
            configuration(request, circumstances)
        }
        configuration::MAP_KIND if is_source(request, circumstances.source) && !request.leaves("data") => {
            configuration(request, circumstances)
        }
        TEAM => team(request, circumstances.world),
        _ => Verdict::Passed,
    }
}

fn manifest(request: &Request, circumstances: &Circumstances<'_>) -> Verdict {
    let Circumstances { config, now, .. } = circumstances;
    match request.operation {
        Operation::Delete => match request.old_object() {
            Some(old) => admission::review_deletion(old, config, now.to_zoned(TimeZone::UTC).date())
                .map_or_else(Verdict::Denied, |lost| Verdict::Allowed { warnings: lines(&lost) }),
            None => Verdict::Passed,
        },
        Operation::Create | Operation::Update => match request.object() {
            Some(new) => {
                match admission::review_among(
                    request.old_object(),
                    new,
                    config,
                    &around(request, circumstances),
                ) {
                    Ok(changes) if changes.is_empty() && request.leaves("spec") => Verdict::Passed,
                    Ok(changes) => Verdict::Allowed { warnings: lines(&changes) },
                    Err(errors) => Verdict::Denied(errors),
                }
            }
            None => Verdict::Passed,
        },
        Operation::Connect => Verdict::Passed,
    }
}

pub(crate) fn lines(changes: &[Change]) -> Vec<String> {
    changes.iter().flat_map(|change| plan::lines(&change.field, &change.message)).collect()
}

/// What stands around the manifest of a request.
fn around(request: &Request, circumstances: &Circumstances<'_>) -> Surroundings {
    let around = circumstances.world.around(request.namespace.as_deref().unwrap_or_default());
    Surroundings { now: Some(circumstances.now), ..around }
}

/// Whether a configuration is the one that the operator goes by.
fn is_source(request: &Request, source: &Source) -> bool {
    let (kind, at) = match source {
        Source::ConfigMap(at) => (configuration::MAP_KIND, at),
        Source::Object(at) => (configuration::OBJECT_KIND, at),
        Source::Defaults => return false,
    };
    request.kind.kind == kind
        && request.namespace.as_ref() == Some(&at.namespace)
        && request.name() == at.name
}

/// Every mistake in a new operator configuration, and of the one that the operator goes by what it does to the clusters.
/// Deleting one is allowed: the last one read stays in force.
fn configuration(request: &Request, circumstances: &Circumstances<'_>) -> Verdict {
    let Some(new) = request.object() else { return Verdict::Passed };
    let held = if is_source(request, circumstances.source) {
        let clusters = circumstances.world.manifests();
        Held { in_force: Some(circumstances.config), clusters, now: Some(circumstances.now) }
    } else {
        Held::default()
    };
    match configuration::review(request.old_object(), new, &held) {
        Ok(warnings) => Verdict::Allowed { warnings },
        Err(errors) => Verdict::Denied(errors),
    }
}

/// Every mistake in a `PostgresTeam`. Deleting one is allowed: the roles stay in the databases.
fn team(request: &Request, world: &World) -> Verdict {
    match request.object().map(|new| admission::review_team(request.old_object(), new, &world.teams())) {
        None => Verdict::Passed,
        Some(Ok(changes)) => Verdict::Allowed { warnings: lines(&changes) },
        Some(Err(errors)) => Verdict::Denied(errors),
    }
}
