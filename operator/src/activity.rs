//! What the operator does, for its REST API: who is looked at, what was logged about each cluster, how manifests changed.
//!
//! Written by reconciles and by the log ([`Listening`]), read by `http::api`. Everything is bounded by the configuration
//! and gone with the process. Surprising: the workers are places, not threads: a look takes the lowest one that is free.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::Serialize;
use shared::admission::surroundings::StoredManifest;
use shared::api::Postgresql;
use shared::config::{LoggingRestApi, OperatorConfig};
use shared::plan::{self, Disturbance};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Line {
    /// When it was written.
    pub time: Timestamp,
    /// `debug`, `info`, `warning`, `error`: upstream's words.
    pub level: &'static str,
    /// The cluster, `namespace/name`; left out where it is asked for by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_name: Option<String>,
    /// The worker; left out where it is asked for by number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<usize>,
    /// What it says, its fields included.
    pub message: String,
}

/// A change of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Change {
    /// When the operator heard of it.
    pub event_time: Timestamp,
    /// When it began to work on it.
    pub process_time: Timestamp,
    /// What changed: fields, and what each costs.
    pub diff: Vec<String>,
}

/// What a worker is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The cluster, `namespace/name`.
    pub cluster: String,
    /// Since when.
    pub since: Timestamp,
}

/// The record. Cheap to clone; all clones write into the same one.
#[derive(Clone, Debug, Default)]
pub struct Activity(Arc<Mutex<Record>>);

#[derive(Debug, Default)]
struct Record {
    limits: LoggingRestApi,
    clusters: HashMap<String, OfCluster>,
    workers: Vec<Option<Look>>,
    worker_lines: HashMap<usize, VecDeque<Line>>,
    last_look: Option<Timestamp>,
}

#[derive(Debug, Default)]
struct OfCluster {
    lines: VecDeque<Line>,
    changes: VecDeque<Change>,
    manifest: Option<Kept>,
}

/// A manifest as it was seen last, as text: typed it is ten times as large, and only the next change reads it.
#[derive(Debug)]
struct Kept {
    uid: Option<String>,
    generation: Option<i64>,
    text: StoredManifest,
}

impl Kept {
    fn of(manifest: &Postgresql) -> Self {
        let text = StoredManifest::of(&serde_json::to_value(manifest).unwrap_or_default());
        let metadata = &manifest.metadata;
        Self { uid: metadata.uid.clone(), generation: metadata.generation, text }
    }
}

/// A look that is under way; it ends when this is dropped.
#[derive(Debug)]
pub struct Looking {
    activity: Activity,
    worker: usize,
}

impl Drop for Looking {
    fn drop(&mut self) {
        let mut record = self.activity.record();
        if let Some(place) = record.workers.get_mut(self.worker) {
            *place = None;
        }
    }
}

/// Keeps at most so many of the last.
fn push<T>(into: &mut VecDeque<T>, item: T, at_most: u32) {
    into.push_back(item);
    while into.len() > usize::try_from(at_most).unwrap_or(usize::MAX) {
        into.pop_front();
    }
}

impl Activity {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A look at a cluster begins.
    pub fn begin(&self, cluster: String, config: &OperatorConfig, now: Timestamp) -> Looking {
        let mut record = self.record();
        record.limits = config.logging_rest_api.clone();
        record.last_look = Some(now);
        let free = record.workers.iter().position(Option::is_none);
        let worker = free.unwrap_or(record.workers.len());
        let look = Some(Look { cluster, since: now });
        match record.workers.get_mut(worker) {
            Some(place) => *place = look,
            None => record.workers.push(look),
        }
        Looking { activity: self.clone(), worker }
    }

    /// A manifest as it is now. What is different from the last time becomes a part of its history; the worst of what that
    /// does is returned, `None` where nothing is known of the time before.
    pub fn sees(
        &self,
        cluster: &str,
        manifest: &Postgresql,
        config: &OperatorConfig,
        now: Timestamp,
    ) -> Option<Disturbance> {
        let mut record = self.record();
        let at_most = record.limits.cluster_history_entries;
        let of = record.clusters.entry(cluster.to_owned()).or_default();
        if of.manifest.as_ref().is_some_and(|known| known.generation == manifest.metadata.generation) {
            return None;
        }
        let old = of.manifest.replace(Kept::of(manifest));
        let old = old.filter(|old| old.uid == manifest.metadata.uid)?.text.typed()?;
        let changes = plan::plan(&old, manifest, config, Some(now));
        let diff = changes.iter().map(ToString::to_string).collect();
        push(&mut of.changes, Change { event_time: now, process_time: now, diff }, at_most);
        Some(Disturbance::told(&changes))
    }

    /// A cluster is gone.
    pub fn gone(&self, cluster: &str) {
        self.record().clusters.remove(cluster);
    }

    fn note(&self, cluster: &str, level: Level, message: String) {
        let mut record = self.record();
        let at_most = record.limits.ring_log_lines;
        let worker =
            record.workers.iter().position(|look| look.as_ref().is_some_and(|look| look.cluster == cluster));
        let level = match level {
            Level::ERROR => "error",
            Level::WARN => "warning",
            Level::INFO => "info",
            _ => "debug",
        };
        let line =
            Line { time: Timestamp::now(), level, cluster_name: Some(cluster.to_owned()), worker, message };
        if let Some(worker) = worker {
            push(record.worker_lines.entry(worker).or_default(), line.clone(), at_most);
        }
        let line = Line { cluster_name: None, ..line };
        push(&mut record.clusters.entry(cluster.to_owned()).or_default().lines, line, at_most);
    }

    /// The last lines about a cluster; `None` where nothing is known of it.
    pub fn lines_of(&self, cluster: &str) -> Option<Vec<Line>> {
        let record = self.record();
        Some(record.clusters.get(cluster)?.lines.iter().cloned().collect())
    }

    /// The last lines of a worker.
    pub fn lines_of_worker(&self, worker: usize) -> Vec<Line> {
        let record = self.record();
        let lines = record.worker_lines.get(&worker).into_iter().flatten().cloned();
        lines.map(|line| Line { worker: None, ..line }).collect()
    }

    /// How a manifest changed; `None` where nothing is known of it.
    pub fn changes_of(&self, cluster: &str) -> Option<Vec<Change>> {
        Some(self.record().clusters.get(cluster)?.changes.iter().cloned().collect())
    }

    /// What a worker does now.
    pub fn look_of(&self, worker: usize) -> Option<Look> {
        self.record().workers.get(worker).cloned().flatten()
    }

    /// Who looks at a cluster now, and since when.
    pub fn worker_of(&self, cluster: &str) -> Option<(usize, Timestamp)> {
        let record = self.record();
        let mut busy = record.workers.iter().enumerate().filter_map(|(at, look)| Some((at, look.as_ref()?)));
        busy.find(|(_, look)| look.cluster == cluster).map(|(at, look)| (at, look.since))
    }

    /// When the last look began.
    pub fn last_look(&self) -> Option<Timestamp> {
        self.record().last_look
    }
}

/// Hears what is logged, and keeps what is about a cluster: whatever stands inside a span with the field `cluster`.
#[derive(Clone, Debug)]
pub struct Listening(pub Activity);

/// The cluster of a span.
struct Cluster(String);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Listening {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut found = Fields::default();
        attributes.record(&mut found);
        if let (Some(cluster), Some(span)) = (found.cluster, context.span(id)) {
            span.extensions_mut().insert(Cluster(cluster));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut scope = context.event_scope(event).into_iter().flatten();
        let cluster = scope.find_map(|span| span.extensions().get::<Cluster>().map(|found| found.0.clone()));
        let Some(cluster) = cluster else { return };
        let mut fields = Fields::default();
        event.record(&mut fields);
        self.0.note(&cluster, *event.metadata().level(), format!("{}{}", fields.message, fields.others));
    }
}

/// The fields of a span or of a line.
#[derive(Default)]
struct Fields {
    message: String,
    cluster: Option<String>,
    others: String,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            "cluster" => self.cluster = Some(format!("{value:?}")),
            // Writing into a String does not fail.
            name => {
                let _ = write!(self.others, " {name}={value:?}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    fn manifest(generation: i64, members: i32) -> Postgresql {
        serde_json::from_value(json!({
            "apiVersion": "acid.zalan.do/v1", "kind": "postgresql",
            "metadata": {"name": "demo", "namespace": "a", "uid": "1", "generation": generation},
            "spec": {"teamId": "acid", "numberOfInstances": members, "volume": {"size": "1Gi"},
                     "postgresql": {"version": "17"}},
        }))
        .unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn lines_inside_a_look_are_kept_by_cluster_and_by_worker_and_others_are_not() {
        let activity = Activity::default();
        let mut config = OperatorConfig::default();
        config.logging_rest_api.ring_log_lines = 2;
        let subscriber = tracing_subscriber::registry().with(Listening(activity.clone()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("about nobody");
            let _looking = activity.begin("a/demo".to_owned(), &config, at(0));
            let span = tracing::info_span!("reconcile", cluster = %"a/demo");
            let _inside = span.enter();
            tracing::info!("too old");
            tracing::info!(step = "recreate", "step taken");
            tracing::warn!("a stage failed");
        });
        let told = |lines: Vec<Line>| -> Vec<String> {
            lines.iter().map(|line| format!("{} {}", line.level, line.message)).collect()
        };
        let wanted = ["info step taken step=recreate", "warning a stage failed"];
        assert_eq!(told(activity.lines_of("a/demo").unwrap()), wanted);
        assert_eq!(told(activity.lines_of_worker(0)), wanted);
        assert_eq!(activity.lines_of("a/other"), None);
    }

    #[test]
    fn workers_are_places_that_looks_take_and_leave() {
        let (activity, config) = (Activity::default(), OperatorConfig::default());
        let first = activity.begin("a/one".to_owned(), &config, at(1));
        let second = activity.begin("a/two".to_owned(), &config, at(2));
        assert_eq!(activity.worker_of("a/two"), Some((1, at(2))));
        drop(first);
        let third = activity.begin("a/three".to_owned(), &config, at(3));
        assert_eq!(activity.look_of(0), Some(Look { cluster: "a/three".to_owned(), since: at(3) }));
        drop((second, third));
        assert_eq!((activity.look_of(0), activity.look_of(1)), (None, None));
        assert_eq!(activity.last_look(), Some(at(3)));
    }

    #[test]
    fn history_tells_what_changed_and_what_it_costs() {
        let (activity, config) = (Activity::default(), OperatorConfig::default());
        let _looking = activity.begin("a/demo".to_owned(), &config, at(0));
        for (generation, members) in [(1, 1), (1, 1), (2, 3)] {
            activity.sees("a/demo", &manifest(generation, members), &config, at(generation));
        }
        let changes = activity.changes_of("a/demo").unwrap();
        assert_eq!(changes.len(), 1, "{changes:?}");
        assert_eq!(changes[0].diff, ["spec.numberOfInstances: two more members are added"]);
        activity.gone("a/demo");
        assert_eq!(activity.changes_of("a/demo"), None);
    }
}
