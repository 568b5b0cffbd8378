//! Who belongs to the teams of a cluster, as the Teams API says it, remembered while the API is down.
//!
//! A reconcile asks [`Teams::answers`]; a good answer serves every cluster of the team for a while, a failed question is
//! not repeated at once. Surprising: a failure never takes anybody's role. The last good answer stays, however old; only
//! the status of the cluster says that it could not be renewed.

mod api;
mod trust;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use shared::config::NamespacedName;
use shared::roles::team::Answer;
use tokio::time::Instant;

use crate::cluster::told;
use crate::metrics::Metrics;
use crate::patroni::HttpPort;

pub use api::{TeamsError, Token, connect};
pub use trust::authorities;

/// How long a good answer is not asked for again.
const FRESH: Duration = Duration::from_secs(300);

/// How long a failed question is not repeated: every look at a cluster would wait for its deadline.
const PAUSE: Duration = Duration::from_secs(30);

/// The client with its memory. Cheap to clone; all clones remember together.
#[derive(Clone)]
pub struct Teams {
    port: HttpPort,
    metrics: Metrics,
    known: Arc<Mutex<HashMap<(String, String), Known>>>,
}

/// What is known of a team.
#[derive(Clone, Default)]
struct Known {
    /// The last good answer.
    answer: Option<Answer>,
    /// Why the last question failed, if it did.
    failure: Option<String>,
    /// Until when it is not asked again.
    until: Option<Instant>,
}

/// The answers to a reconcile's question.
#[derive(Debug, Default)]
pub struct Answers {
    /// For each team what is known, from now or from before.
    pub of: BTreeMap<String, Answer>,
    /// What went wrong.
    pub problems: Vec<String>,
}

impl Teams {
    /// A client over the given service: [`connect`] for real.
    pub fn new(port: HttpPort, metrics: Metrics) -> Self {
        Self { port, metrics, known: Arc::default() }
    }

    /// What the API at `url` says of these teams. `token` is called once, and only when something has to be asked.
    pub async fn answers(
        &self,
        url: &str,
        teams: impl IntoIterator<Item = &String>,
        token: impl AsyncFnOnce() -> Result<Token, TeamsError>,
    ) -> Answers {
        let teams: Vec<&String> = teams.into_iter().collect();
        let due: Vec<&String> = teams.iter().copied().filter(|team| self.is_due(url, team)).collect();
        if !due.is_empty() {
            match token().await {
                Ok(token) => {
                    let ask = due.iter().map(|team| self.ask(url, team, &token));
                    futures::future::join_all(ask).await;
                }
                Err(error) => due.iter().for_each(|team| self.remember(url, team, Err(&error))),
            }
        }
        let mut answers = Answers::default();
        for team in teams {
            let known = self.known(url, team);
            answers.problems.extend(known.failure);
            answers.of.insert(team.clone(), known.answer.unwrap_or(Answer::Unknown));
        }
        answers.problems.dedup();
        answers
    }

    async fn ask(&self, url: &str, team: &str, token: &Token) {
        let begun = Instant::now();
        let result = api::members(&self.port, url, team, token).await;
        let outcome = result.as_ref().map(drop).map_err(TeamsError::category);
        self.metrics.requested("teams", outcome, begun.elapsed());
        self.remember(url, team, result.as_ref());
    }

    fn known(&self, url: &str, team: &str) -> Known {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&(url.to_owned(), team.to_owned())).cloned().unwrap_or_default()
    }

    fn is_due(&self, url: &str, team: &str) -> bool {
        self.known(url, team).until.is_none_or(|until| until <= Instant::now())
    }

    fn remember(&self, url: &str, team: &str, result: Result<&Answer, &TeamsError>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = known.entry((url.to_owned(), team.to_owned())).or_default();
        match result {
            Ok(answer) => {
                let until = Some(Instant::now() + FRESH);
                *entry = Known { answer: Some(answer.clone()), failure: None, until };
            }
            Err(error) => {
                tracing::warn!(error = told(error), team, "the Teams API did not say who is in the team");
                entry.failure = Some(told(error));
                entry.until = Some(Instant::now() + PAUSE);
            }
        }
    }
}

/// The token of the Teams API, from its Secret.
pub async fn token(client: &Client, secret: &NamespacedName, own: &str) -> Result<Token, TeamsError> {
    let place = secret.namespace_or(own);
    let shown = format!("{place}/{}", secret.name);
    let secrets: Api<Secret> = Api::namespaced(client.clone(), place);
    let found = secrets.get(&secret.name).await;
    let found =
        found.map_err(|source| TeamsError::Secret { secret: shown.clone(), source: source.into() })?;
    let data = found.data.unwrap_or_default();
    let text = |key: &str| data.get(key).and_then(|value| String::from_utf8(value.0.clone()).ok());
    Token::new(text("read-only-token-type").as_deref(), text("read-only-token-secret"))
        .ok_or(TeamsError::Token { secret: shown })
}
