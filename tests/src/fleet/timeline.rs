//! How many there were, and when: the curve of something that is counted up.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// A count with its history. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    moments: Arc<Mutex<Vec<Instant>>>,
    count: watch::Sender<usize>,
}

impl Default for Timeline {
    fn default() -> Self {
        Self { moments: Arc::default(), count: watch::channel(0).0 }
    }
}

impl Timeline {
    fn moments(&self) -> MutexGuard<'_, Vec<Instant>> {
        self.moments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more, now.
    pub(super) fn one_more(&self) {
        let mut moments = self.moments();
        moments.push(Instant::now());
        self.count.send_replace(moments.len());
    }

    /// Waits until there are so many.
    pub(super) async fn reach(&self, wanted: usize) {
        let mut count = self.count.subscribe();
        // It cannot be closed: we hold the sender.
        let _ = count.wait_for(|count| *count >= wanted).await;
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.moments().len()
    }

    /// Seconds after `begun` at which each was counted, in order.
    pub(super) fn since(&self, begun: Instant) -> Vec<f64> {
        let elapsed = |moment: &Instant| moment.saturating_duration_since(begun);
        self.moments().iter().map(elapsed).map(|elapsed: Duration| elapsed.as_secs_f64()).collect()
    }
}
