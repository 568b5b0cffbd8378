//! What the API server is told: allowed, perhaps with a patch and warnings, or refused with every error.
//!
//! A refusal is a 422 `Invalid` with one cause per error. `kubectl` prints the causes, other tools the message, so
//! the same list stands in both. Warnings longer than 256 characters would be cut by the API server in mid-word.

use k8s_openapi::ByteString;
use kube::core::response::{Status, StatusCause, StatusDetails, StatusSummary};
use serde::Serialize;
use shared::admission::policy::{Policy, refusals};
use shared::field::FieldErrors;

use crate::review::{Kind, Request};
use crate::validate::POSTGRESQL;

/// What the API server allows for one warning.
const LONGEST_WARNING: usize = 256;
/// What it allows for all warnings of one answer together, less a line that counts the rest.
const ALL_WARNINGS: usize = 4096 - LONGEST_WARNING;

/// What was decided, before it is put into words for the API server.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Not ours to judge, or must always pass.
    Passed,
    /// Allowed, with what the change is going to do.
    Allowed {
        /// One line per change.
        warnings: Vec<String>,
    },
    /// Allowed, with these defaults added.
    Patched(json_patch::Patch),
    /// Refused, with every error.
    Denied(FieldErrors),
}

impl Verdict {
    /// The same verdict on a manifest, with what a policy refuses told beside everything else.
    #[must_use]
    pub fn under(self, policy: &Policy, request: &Request) -> Self {
        let new = request.object().filter(|_| request.kind.kind == POSTGRESQL && self != Self::Passed);
        let refused = new.map(|new| refusals(request.old_object(), new, policy)).unwrap_or_default();
        match self {
            verdict if refused.is_empty() => verdict,
            Self::Denied(mut errors) => {
                errors.extend(refused);
                Self::Denied(errors)
            }
            Self::Passed | Self::Allowed { .. } | Self::Patched(_) => Self::Denied(refused),
        }
    }

    /// The verdict as a metric label.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Allowed { .. } => "allowed",
            Self::Patched(_) => "patched",
            Self::Denied(_) => "denied",
        }
    }
}

/// The body of the answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    api_version: &'static str,
    kind: &'static str,
    response: Response,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    uid: String,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<ByteString>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

impl Answer {
    /// Puts a verdict into the answer to `request`.
    ///
    /// # Errors
    /// When the patch cannot be written as JSON.
    pub fn new(request: &Request, verdict: Verdict) -> Result<Self, serde_json::Error> {
        let mut response = Response {
            uid: request.uid.clone(),
            allowed: true,
            status: None,
            patch: None,
            patch_type: None,
            warnings: Vec::new(),
        };
        match verdict {
            Verdict::Passed => {}
            Verdict::Allowed { warnings } => response.warnings = fitting(&warnings),
            // No `patch` at all when there is nothing to patch: some API servers take an empty one amiss.
            Verdict::Patched(patch) if patch.0.is_empty() => {}
            Verdict::Patched(patch) => {
                response.patch = Some(ByteString(serde_json::to_vec(&patch)?));
                response.patch_type = Some("JSONPatch");
            }
            Verdict::Denied(errors) => {
                response.allowed = false;
                response.status = Some(refusal(&request.kind, request.name(), &errors));
            }
        }
        Ok(Self { api_version: "admission.k8s.io/v1", kind: "AdmissionReview", response })
    }
}

/// The status that says what is wrong, to people and to programs.
fn refusal(kind: &Kind, name: &str, errors: &FieldErrors) -> Status {
    let causes = errors.iter().map(|error| StatusCause {
        reason: error.reason.as_str().to_owned(),
        message: error.message.clone(),
        field: error.path.to_string(),
    });
    Status {
        status: Some(StatusSummary::Failure),
        code: 422,
        message: refusal_text(&kind.kind, name, errors),
        reason: "Invalid".to_owned(),
        metadata: None,
        details: Some(StatusDetails {
            name: name.to_owned(),
            group: kind.group.clone(),
            kind: kind.kind.clone(),
            uid: String::new(),
            causes: causes.collect(),
            retry_after_seconds: 0,
        }),
    }
}

/// All errors as text: a head line, then one line per error. The command line prints the same.
pub fn refusal_text(kind: &str, name: &str, errors: &FieldErrors) -> String {
    let number = errors.len();
    let noun = if number == 1 { "error" } else { "errors" };
    let mut text = format!("{kind} {name:?} is invalid: {number} {noun}");
    for error in errors {
        text.push_str("\n  ");
        text.push_str(&error.to_string());
    }
    text
}

/// The warnings as the API server passes them on: one line each, none too long, the whole within its limit.
fn fitting(warnings: &[String]) -> Vec<String> {
    let mut fitting = Vec::new();
    let mut total = 0;
    for (index, warning) in warnings.iter().enumerate() {
        let line = shortened(&warning.replace(['\n', '\r'], " "));
        total += line.len();
        if total > ALL_WARNINGS {
            fitting.push(format!("and {} more changes", warnings.len() - index));
            break;
        }
        fitting.push(line);
    }
    fitting
}

fn shortened(line: &str) -> String {
    if line.len() < LONGEST_WARNING {
        return line.to_owned();
    }
    let ellipsis = "…";
    let end = line.floor_char_boundary(LONGEST_WARNING - 1 - ellipsis.len());
    line.get(..end).map(|start| format!("{start}{ellipsis}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use shared::field::FieldPath;

    use super::*;

    #[test]
    fn a_refusal_lists_one_error_per_line_under_a_head_line() {
        let mut errors = FieldErrors::default();
        errors.required(FieldPath::spec().field("teamId"), "is required");
        assert_eq!(
            refusal_text("postgresql", "acid-x", &errors),
            "postgresql \"acid-x\" is invalid: 1 error\n  spec.teamId: is required"
        );
        errors.invalid(FieldPath::spec().field("volume").field("size"), "is no quantity");
        assert_eq!(
            refusal_text("postgresql", "acid-x", &errors),
            "postgresql \"acid-x\" is invalid: 2 errors\n  spec.teamId: is required\n  spec.volume.size: is no quantity"
        );
    }

    #[test]
    fn a_long_warning_is_cut_between_characters_and_stays_below_the_limit() {
        for warning in ["x".repeat(256), "ü".repeat(300), "€".repeat(200)] {
            let line = shortened(&warning);
            assert!(line.len() < LONGEST_WARNING, "{}", line.len());
            assert!(line.ends_with('…'));
        }
        assert_eq!(shortened(&"x".repeat(255)).len(), 255);
    }

    #[test]
    fn many_warnings_end_with_the_number_of_those_left_out() {
        let warnings: Vec<String> = (0..100).map(|n| format!("spec.{n}: {}\n", "x".repeat(90))).collect();
        let lines = fitting(&warnings);
        assert!(lines.iter().map(String::len).sum::<usize>() <= 4096);
        assert_eq!(lines.last().unwrap(), &format!("and {} more changes", 100 - (lines.len() - 1)));
        assert!(lines.iter().all(|line| !line.contains('\n')));
    }
}
