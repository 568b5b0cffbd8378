//! Adds defaults to a manifest, or refuses it. Asked by `routes` for `/mutate`.
//!
//! A mutating webhook runs before the API server checks the schema. Refusing here is what lets a user see the
//! violations of the schema and all our own errors in one answer; the validating webhook repeats the checks anyway.

use kube::core::admission::Operation;

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
    let old = match &request.operation {
        Operation::Create => None,
        Operation::Update if !request.leaves("spec") => request.old_object(),
        Operation::Update | Operation::Delete | Operation::Connect => return Verdict::Passed,
    };
    // Of an update, what the change itself forbids belongs into the same answer.
    request.object().map_or(Verdict::Passed, |new| {
        admission::defaults_of(old, new, config).map_or_else(Verdict::Denied, Verdict::Patched)
    })
}
