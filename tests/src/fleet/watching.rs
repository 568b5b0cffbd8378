//! The fleet as its users see it: what every manifest's status says, and since when.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use futures::StreamExt as _;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use shared::api::{Postgresql, StatusWord};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::timeline::Timeline;

/// The statuses of all manifests. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Watching {
    statuses: Arc<Mutex<HashMap<String, Seen>>>,
    changed: watch::Sender<()>,
    /// The clusters that have said `Running` once.
    pub(super) running: Timeline,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    observed: i64,
    observed_at: Instant,
    word: Option<StatusWord>,
    was_running: bool,
    /// When it said `Running` of this generation.
    settled_at: Option<Instant>,
}

impl Watching {
    /// Watches in the background.
    pub(super) fn start(client: &Client, tasks: &mut JoinSet<()>) -> Self {
        let watching =
            Self { statuses: Arc::default(), changed: watch::channel(()).0, running: Timeline::default() };
        let (own, manifests) = (watching.clone(), Api::<Postgresql>::all(client.clone()));
        tasks.spawn(async move {
            let stream = watcher(manifests, watcher::Config::default()).default_backoff().applied_objects();
            stream
                .for_each(async |manifest| match manifest {
                    Ok(manifest) => own.take(&manifest),
                    Err(error) => tracing::warn!(%error, "the watch on manifests was interrupted"),
                })
                .await;
        });
        watching
    }

    fn statuses(&self) -> MutexGuard<'_, HashMap<String, Seen>> {
        self.statuses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, manifest: &Postgresql) {
        let Some(status) = &manifest.status else { return };
        let (now, observed) = (Instant::now(), status.observed_generation.unwrap_or_default());
        let runs = status.postgres_cluster_status == Some(StatusWord::Running);
        let mut statuses = self.statuses();
        let seen = statuses.entry(manifest.name_any()).or_insert(Seen {
            observed,
            observed_at: now,
            word: None,
            was_running: false,
            settled_at: None,
        });
        if seen.observed != observed {
            (seen.observed, seen.observed_at, seen.settled_at) = (observed, now, None);
        }
        seen.word = status.postgres_cluster_status;
        if runs {
            seen.settled_at.get_or_insert(now);
            if !std::mem::replace(&mut seen.was_running, true) {
                self.running.one_more();
            }
        }
        drop(statuses);
        self.changed.send_replace(());
    }

    /// How many manifests have a status.
    pub(super) async fn until_noticed(&self, wanted: usize) {
        self.until(|statuses| (statuses.len() >= wanted).then_some(())).await;
    }

    /// Waits until this generation of a manifest is observed; since when it is.
    pub(super) async fn observed(&self, name: &str, generation: i64) -> Instant {
        let seen = |statuses: &HashMap<String, Seen>| {
            statuses.get(name).filter(|seen| seen.observed >= generation).map(|seen| seen.observed_at)
        };
        self.until(seen).await
    }

    /// Waits until a manifest says `Running` of this generation; since when it does.
    pub(super) async fn settled(&self, name: &str, generation: i64) -> Instant {
        let seen = |statuses: &HashMap<String, Seen>| {
            statuses.get(name).filter(|seen| seen.observed >= generation).and_then(|seen| seen.settled_at)
        };
        self.until(seen).await
    }

    /// How many say what.
    pub(super) fn words(&self) -> HashMap<String, usize> {
        let mut words = HashMap::new();
        for seen in self.statuses().values() {
            let word = seen.word.map_or("", |word| word.as_str());
            *words.entry(word.to_owned()).or_default() += 1;
        }
        words
    }

    async fn until<T>(&self, seen: impl Fn(&HashMap<String, Seen>) -> Option<T>) -> T {
        let mut changes = self.changed.subscribe();
        loop {
            changes.mark_unchanged();
            if let Some(found) = seen(&self.statuses()) {
                return found;
            }
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await; // never: we hold the sender
            }
        }
    }
}
