//! What is wrong with a manifest: two lists of checks, each check a function of its own, all of them always run.
//!
//! Admission runs them for every review and `Cluster::resolve` before anything else, so a manifest that got past the
//! webhook is refused with the same words. A check looks at what the manifest says, never at a default that will be
//! filled in, and adds to the collector; it does not know whether another check has failed.

mod deletion;
mod identity;
mod instances;
mod storage;
mod text;
mod version;

use crate::api::Postgresql;
use crate::config::OperatorConfig;
use crate::field::FieldErrors;
use crate::plan::Change;

pub(crate) use deletion::deletion;

/// Something that must hold of every manifest.
type Check = fn(&Postgresql, &OperatorConfig, &mut FieldErrors);

/// Something that must hold of every change of a manifest.
type Transition = fn(&Postgresql, &Postgresql, &OperatorConfig, &mut FieldErrors);

/// Something a user should know of a manifest that is not wrong.
type Warning = fn(&Postgresql, &OperatorConfig, &mut Vec<Change>);

/// Everything that is checked of a manifest.
const CHECKS: &[Check] = &[
    identity::name,
    identity::team,
    identity::team_prefix,
    identity::removed_fields,
    version::supported,
    instances::not_negative,
    storage::size,
];

/// Everything that is checked of a change, beyond the new manifest itself.
const TRANSITIONS: &[Transition] = &[version::may_not_fall, storage::may_not_shrink];

/// Everything a user is told of a valid manifest.
const WARNINGS: &[Warning] = &[instances::clamped];

/// Adds everything that is wrong with `manifest`.
pub fn check(manifest: &Postgresql, config: &OperatorConfig, errors: &mut FieldErrors) {
    for check in CHECKS {
        check(manifest, config, errors);
    }
}

/// Adds everything that keeps the cluster `old` from becoming `new`.
pub fn transitions(old: &Postgresql, new: &Postgresql, config: &OperatorConfig, errors: &mut FieldErrors) {
    for transition in TRANSITIONS {
        transition(old, new, config, errors);
    }
}

/// What a valid manifest does not get as it is written.
pub fn warnings(manifest: &Postgresql, config: &OperatorConfig) -> Vec<Change> {
    let mut changes = Vec::new();
    for warning in WARNINGS {
        warning(manifest, config, &mut changes);
    }
    changes
}
