//! `webhook validate` and `webhook plan`: the same functions and the same words, with no cluster. For editors, hooks and CI.
//!
//! A file may hold several documents; those of other kinds are none of our business and are passed over. An old
//! manifest is the one of the same namespace and name.

use std::path::{Path, PathBuf};

use serde_json::Value;
use shared::field::FieldErrors;

use crate::answer::refusal_text;
use crate::args::{Plan, Validate};
use crate::configuration::{self, Held, MAP_KIND, OBJECT_KIND};
use crate::validate::POSTGRESQL;
use shared::admission;
use shared::config::OperatorConfig;

/// Why files could not be judged.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// A file could not be read.
    #[error("could not read {path}")]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not YAML.
    #[error("could not parse {path}: {words}")]
    Parse {
        /// Which one.
        path: PathBuf,
        /// What the parser said.
        words: String,
    },
    /// The file has nothing to judge.
    #[error("could not find a postgresql, OperatorConfiguration or ConfigMap in {0}")]
    Nothing(PathBuf),
    /// The operator configuration cannot be used to judge anything.
    #[error("could not use the configuration {path}: {errors}")]
    Configuration {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        errors: FieldErrors,
    },
}

/// What is printed, and whether everything was valid.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    /// One paragraph per document.
    pub text: String,
    /// Whether no document has an error.
    pub valid: bool,
}

/// Judges the files.
///
/// # Errors
/// When they cannot be read or hold nothing that can be judged.
pub fn validate(args: &Validate) -> Result<Report, OfflineError> {
    let config = configuration_of(args.config.as_deref())?;
    let olds = match &args.old {
        Some(path) => documents(path)?,
        None => Vec::new(),
    };
    let mut paragraphs = Vec::new();
    let mut valid = true;
    for document in documents(&args.file)? {
        let kind = text_at(&document, "/kind");
        let judged = match kind {
            POSTGRESQL => judge(old_of(&document, &olds), &document, &config),
            OBJECT_KIND | MAP_KIND => {
                configuration::review(old_of(&document, &olds), &document, &Held::default())
            }
            _ => continue,
        };
        let name = text_at(&document, "/metadata/name");
        paragraphs.push(match judged {
            Ok(changes) => acceptance_text(kind, name, &changes),
            Err(errors) => {
                valid = false;
                refusal_text(kind, name, &errors)
            }
        });
    }
    if paragraphs.is_empty() {
        return Err(OfflineError::Nothing(args.file.clone()));
    }
    Ok(Report { text: paragraphs.join("\n"), valid })
}

/// Says what changing the manifests does. A manifest that is not among the old ones is of a new cluster.
///
/// # Errors
/// When files cannot be read or hold no manifest.
pub fn plan(args: &Plan) -> Result<Report, OfflineError> {
    let config = configuration_of(args.config.as_deref())?;
    let olds = documents(&args.old)?;
    let mut paragraphs = Vec::new();
    let mut valid = true;
    for document in documents(&args.file)?.iter().filter(|document| text_at(document, "/kind") == POSTGRESQL)
    {
        let name = text_at(document, "/metadata/name");
        let old = old_of(document, &olds);
        paragraphs.push(match judge(old, document, &config) {
            Ok(changes) => change_text(name, old.is_some(), &changes),
            Err(errors) => {
                valid = false;
                refusal_text(POSTGRESQL, name, &errors)
            }
        });
    }
    if paragraphs.is_empty() {
        return Err(OfflineError::Nothing(args.file.clone()));
    }
    Ok(Report { text: paragraphs.join("\n"), valid })
}

fn configuration_of(path: Option<&Path>) -> Result<OperatorConfig, OfflineError> {
    path.map_or_else(|| Ok(OperatorConfig::default()), configuration_in)
}

fn change_text(name: &str, exists: bool, changes: &[String]) -> String {
    let head = match (exists, changes) {
        (false, _) => "is new",
        (true, []) => "does not change",
        (true, _) => "changes",
    };
    lines(format!("{POSTGRESQL} {name:?} {head}"), changes)
}

/// The same order as in the cluster: defaults first, then the review of the result.
fn judge(old: Option<&Value>, new: &Value, config: &OperatorConfig) -> Result<Vec<String>, FieldErrors> {
    let complete = match old {
        None => admission::mutate(new, config)?,
        Some(old) => admission::mutate_update(old, new, config)?,
    };
    let changes = admission::review(old, &complete, config)?;
    Ok(changes.iter().map(ToString::to_string).collect())
}

fn acceptance_text(kind: &str, name: &str, changes: &[String]) -> String {
    lines(format!("{kind} {name:?} is valid"), changes)
}

fn lines(mut text: String, changes: &[String]) -> String {
    for change in changes {
        text.push_str("\n  ");
        text.push_str(change);
    }
    text
}

fn old_of<'a>(document: &Value, olds: &'a [Value]) -> Option<&'a Value> {
    let identity = |value: &Value| {
        ["/kind", "/metadata/namespace", "/metadata/name"].map(|at| text_at(value, at).to_owned())
    };
    olds.iter().find(|old| identity(old) == identity(document))
}

fn text_at<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn configuration_in(path: &Path) -> Result<OperatorConfig, OfflineError> {
    let all = documents(path)?;
    let found = all.iter().find(|document| matches!(text_at(document, "/kind"), OBJECT_KIND | MAP_KIND));
    let document = found.ok_or_else(|| OfflineError::Nothing(path.to_owned()))?;
    configuration::read(document)
        .config
        .map_err(|errors| OfflineError::Configuration { path: path.to_owned(), errors })
}

fn documents(path: &Path) -> Result<Vec<Value>, OfflineError> {
    let read = if path == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(path)
    };
    let text = read.map_err(|source| OfflineError::Read { path: path.to_owned(), source })?;
    serde_saphyr::from_multiple(&text)
        .map_err(|error| OfflineError::Parse { path: path.to_owned(), words: error.to_string() })
}
