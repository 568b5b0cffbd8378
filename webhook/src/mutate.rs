//! Adds defaults to a manifest, or refuses it. Asked by `routes` for `/mutate`.
//!
//! A mutating webhook runs before the API server checks the schema. Refusing here is what lets a user see the
//! violations of the schema and all our own errors in one answer; the validating webhook repeats the checks anyway.

use kube::core::admission::Operation;
use serde_json::Value;

use crate::answer::Verdict;
use crate::review::Request;
use crate::validate::POSTGRESQL;
use shared::admission;
use shared::config::OperatorConfig;

/// What to add to the object of `request`.
pub fn mutate(request: &Request, config: &OperatorConfig) -> Verdict {
    if request.kind.kind != POSTGRESQL || !request.is_whole() || request.is_terminating() {
        return Verdict::Passed;
    }
    match (&request.operation, request.object()) {
        (Operation::Create, Some(new)) => defaults(None, new, config),
        (Operation::Update, Some(new)) if !request.leaves("spec") => {
            defaults(request.old_object(), new, config)
        }
        (Operation::Create | Operation::Update | Operation::Delete | Operation::Connect, _) => {
            Verdict::Passed
        }
    }
}

fn defaults(old: Option<&Value>, new: &Value, config: &OperatorConfig) -> Verdict {
    // Of an update, what the change itself forbids belongs into the same answer.
    let after = match old {
        None => admission::mutate(new, config),
        Some(old) => admission::mutate_update(old, new, config),
    };
    after.map_or_else(Verdict::Denied, |after| Verdict::Patched(json_patch::diff(new, &after)))
}
