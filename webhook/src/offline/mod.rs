//! `webhook validate` and `webhook plan`: the same functions and the same words, with no cluster. For editors, hooks and CI.
//!
//! A file may hold several documents; those of other kinds are none of our business and are passed over. An old
//! manifest is the one of the same namespace and name, from files or from a cluster. One thing is told here that
//! admission cannot know: fields that do not exist, which the API server drops before it asks anybody.

pub mod documents;
pub mod report;
mod stored;

use std::path::{Path, PathBuf};

use serde_json::Value;
use shared::admission;
use shared::admission::policy::{self, Judgement, Policy};
use shared::api::PostgresTeam;
use shared::config::OperatorConfig;
use shared::field::FieldErrors;

use crate::args::{Plan, PolicyArgs, Validate};
use crate::configuration::{self, Held, MAP_KIND, OBJECT_KIND};
use crate::validate::{POSTGRESQL, TEAM, lines};
use documents::{Document, documents};
use report::{Format, Judged};
use stored::Stored;

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
    /// Nothing was given to judge.
    #[error("could not find a file to judge: name one, or - for standard input")]
    NoFile,
    /// The files have nothing to judge.
    #[error("could not find a postgresql, PostgresTeam, OperatorConfiguration or ConfigMap in {0}")]
    Nothing(PathBuf),
    /// The operator configuration cannot be used to judge anything.
    #[error("could not use the configuration {path}: {errors}")]
    Configuration {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        errors: FieldErrors,
    },
    /// The cluster to compare with cannot be asked.
    #[error("could not ask the cluster: {words}")]
    Cluster {
        /// What was said.
        words: String,
    },
}

/// What is printed, and whether everything was valid.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    /// The report, in the form that was asked for.
    pub text: String,
    /// Whether no document has an error.
    pub valid: bool,
}

impl Report {
    fn on(judged: &[Judged], format: Format) -> Self {
        let valid = judged.iter().all(|one| one.errors.is_empty());
        Self { text: report::report(judged, format), valid }
    }
}

/// Where old objects come from.
enum Olds {
    Files(Vec<Document>),
    Cluster(Stored),
}

impl Olds {
    async fn of(&self, document: &Document) -> Result<Option<Value>, OfflineError> {
        match self {
            Self::Files(olds) => {
                let old = olds.iter().find(|old| old.identity() == document.identity());
                Ok(old.map(|old| old.value.clone()))
            }
            Self::Cluster(stored) => stored.of(document).await,
        }
    }

    /// The teams that stand there, for those that are judged: what all of them say adds up.
    async fn teams(&self) -> Result<Vec<Value>, OfflineError> {
        match self {
            Self::Files(olds) => Ok(olds.iter().filter(is_team).map(|old| old.value.clone()).collect()),
            Self::Cluster(stored) => stored.teams().await,
        }
    }
}

/// Judges the files.
///
/// # Errors
/// When they cannot be read or hold nothing that can be judged.
pub async fn validate(args: &Validate) -> Result<Report, OfflineError> {
    let rules = Rules::of(args.config.as_deref(), &args.policy)?;
    let olds = match (&args.against, &args.old) {
        (Some(kubeconfig), _) => Olds::Cluster(Stored::connect(kubeconfig).await?),
        (None, Some(path)) => Olds::Files(documents(path, false)?),
        (None, None) => Olds::Files(Vec::new()),
    };
    let documents = all(&args.files(), args.pass_over)?;
    let teams = if documents.iter().any(|document| is_team(&document)) {
        teams(&documents, olds.teams().await?)
    } else {
        Vec::new()
    };
    let mut judged = Vec::new();
    for document in documents {
        let kind = document.text_at("/kind");
        if ![POSTGRESQL, TEAM, OBJECT_KIND, MAP_KIND].contains(&kind) {
            continue;
        }
        let old = olds.of(&document).await?;
        let new = &document.value;
        let (lines, mut errors) = match kind {
            POSTGRESQL => rules.and_policy(old.as_ref(), new, rules.review(old.as_ref(), new)),
            TEAM => apart(admission::review_team(old.as_ref(), new, &teams).map(|changes| lines(&changes))),
            _ => apart(configuration::review(old.as_ref(), new, &Held::default())),
        };
        errors.extend(admission::unknown_fields(new));
        judged.push(Judged { document, errors, lines, head: "is valid" });
    }
    match args.files().first() {
        Some(first) if judged.is_empty() && !args.pass_over => Err(OfflineError::Nothing(first.clone())),
        _ => Ok(Report::on(&judged, args.output)),
    }
}

/// Says what changing the manifests does. A manifest that is not among the old ones is of a new cluster.
///
/// # Errors
/// When files cannot be read or hold no manifest.
pub fn plan(args: &Plan) -> Result<Report, OfflineError> {
    let rules = Rules::of(args.config.as_deref(), &args.policy)?;
    let olds = documents(&args.old, false)?;
    let mut judged = Vec::new();
    for document in documents(&args.file, false)? {
        if document.text_at("/kind") != POSTGRESQL {
            continue;
        }
        let old = olds.iter().find(|old| old.identity() == document.identity()).map(|old| &old.value);
        let reviewed = rules.review(old, &document.value);
        let head = match (old, reviewed.0.as_slice()) {
            (None, _) => "is new",
            (Some(_), []) => "does not change",
            (Some(_), _) => "changes",
        };
        let (lines, errors) = rules.and_policy(old, &document.value, reviewed);
        judged.push(Judged { document, errors, lines, head });
    }
    if judged.is_empty() {
        return Err(OfflineError::Nothing(args.file.clone()));
    }
    Ok(Report::on(&judged, Format::Text))
}

fn is_team(document: &&Document) -> bool {
    document.text_at("/kind") == TEAM
}

/// The teams as they will stand: those of the documents, and those of the `stored` that are not among these.
fn teams(documents: &[Document], stored: Vec<Value>) -> Vec<PostgresTeam> {
    let written = documents.iter().filter(is_team).map(|document| &document.value);
    let mut all: Vec<PostgresTeam> = written.map(admission::readable_team).collect();
    for team in stored.iter().map(admission::readable_team) {
        // A file may leave the namespace to the context it is applied in.
        let same = |one: &PostgresTeam| {
            let (one, team) = (&one.metadata, &team.metadata);
            one.name == team.name && (one.namespace.is_none() || one.namespace == team.namespace)
        };
        if !all.iter().any(same) {
            all.push(team);
        }
    }
    all
}

fn all(files: &[PathBuf], pass_over: bool) -> Result<Vec<Document>, OfflineError> {
    if files.is_empty() {
        return Err(OfflineError::NoFile);
    }
    let mut all = Vec::new();
    for file in files {
        all.extend(documents(file, pass_over)?);
    }
    Ok(all)
}

fn apart(answer: Result<Vec<String>, FieldErrors>) -> (Vec<String>, FieldErrors) {
    match answer {
        Ok(lines) => (lines, FieldErrors::default()),
        Err(errors) => (Vec::new(), errors),
    }
}

/// What manifests are judged by.
struct Rules {
    config: OperatorConfig,
    policy: Policy,
}

impl Rules {
    fn of(config: Option<&Path>, policy: &PolicyArgs) -> Result<Self, OfflineError> {
        let config = config.map_or_else(|| Ok(OperatorConfig::default()), configuration_in)?;
        Ok(Self { config, policy: policy.policy() })
    }

    /// Lines and errors of a manifest, in the same order as in the cluster: defaults first, then the review of the result.
    fn review(&self, old: Option<&Value>, new: &Value) -> (Vec<String>, FieldErrors) {
        let complete = match old {
            None => admission::mutate(new, &self.config),
            Some(old) => admission::mutate_update(old, new, &self.config),
        };
        let reviewed = complete.and_then(|complete| admission::review(old, &complete, &self.config));
        apart(reviewed.map(|changes| lines(&changes)))
    }

    /// What was said of a manifest, and beside it what the policy says.
    fn and_policy(
        &self,
        old: Option<&Value>,
        new: &Value,
        (mut words, mut errors): (Vec<String>, FieldErrors),
    ) -> (Vec<String>, FieldErrors) {
        let Judgement { refused, kept } = policy::judge(old, new, &self.policy);
        errors.extend(refused);
        words.extend(lines(&kept));
        (words, errors)
    }
}

fn configuration_in(path: &Path) -> Result<OperatorConfig, OfflineError> {
    let all = documents(path, false)?;
    let found = all.iter().find(|document| [OBJECT_KIND, MAP_KIND].contains(&document.text_at("/kind")));
    let document = found.ok_or_else(|| OfflineError::Nothing(path.to_owned()))?;
    configuration::read(&document.value)
        .config
        .map_err(|errors| OfflineError::Configuration { path: path.to_owned(), errors })
}
