//! An API server in memory: a tower service under `kube::Client`, for stories that need no real one.
//!
//! Generic over kinds. It keeps objects with UIDs, generations and resource versions; lists and watches by selector;
//! creates, replaces, patches (merge, JSON with `test`, server-side apply), deletes with finalizers and preconditions;
//! takes dry runs, keeps a journal of calls, and lets calls fail on demand. A newcomer would not guess that it checks no schema: what
//! an object may look like is asked of a real API server, in `tests/control_plane`.

mod faults;
mod fields;
mod request;
mod reviews;
mod selector;
mod service;
mod store;
mod watch;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch as channel;

pub use faults::{Failure, Fault, When};
pub use fields::Manager;
pub use request::Verb;
pub use store::{Deletion, Event, Key, Refusal, Store, metadata, seconds};

/// One call of a client, as the journal keeps it.
#[derive(Clone, Debug)]
pub struct Call {
    /// Who called: the name under which the client was made.
    pub actor: String,
    /// What it asked for.
    pub verb: Verb,
    /// Of which object.
    pub key: Key,
    /// Through which subresource.
    pub subresource: String,
    /// What the server answered; 0 where it did not answer.
    pub code: u16,
    /// Whether anything changed by it.
    pub changed: bool,
    /// When.
    pub at: Timestamp,
}

/// What is told to whoever listens: a call is about to be carried out, or has been.
pub type Listener = Arc<dyn Fn(&Call, When) + Send + Sync>;

/// The API server. Cheap to clone; all clones are the same server.
#[derive(Clone)]
pub struct FakeApi {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: channel::Sender<u64>,
    clock: fn() -> Timestamp,
}

/// What the server holds.
#[derive(Default)]
pub struct State {
    /// The objects.
    pub store: Store,
    /// What clients asked for.
    pub journal: Vec<Call>,
    faults: Vec<Fault>,
    lags: BTreeMap<String, Duration>,
    cut_before: u64,
    listener: Option<Listener>,
}

impl FakeApi {
    /// A server with these objects, and this clock.
    pub fn new(store: Store, clock: fn() -> Timestamp) -> Self {
        let (changed, _) = channel::channel(0);
        let state = Mutex::new(State { store, ..State::default() });
        Self { shared: Arc::new(Shared { state, changed, clock }) }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        (self.shared.clock)()
    }

    /// What the server holds. Whoever changes it calls [`tell`](Self::tell) after that.
    pub fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.store.set_time((self.shared.clock)());
        state
    }

    /// Changes objects as a part of Kubernetes would, and wakes the watches if anything changed.
    pub fn with<T>(&self, change: impl FnOnce(&mut Store) -> T) -> T {
        let (result, version) = {
            let mut state = self.state();
            (change(&mut state.store), state.store.version())
        };
        self.shared.changed.send_if_modified(|shown| std::mem::replace(shown, version) != version);
        result
    }

    /// An object, if it is there.
    pub fn get(&self, key: &Key) -> Option<Arc<Value>> {
        self.state().store.get(key).cloned()
    }

    /// Lets calls fail.
    pub fn fail(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    /// Lets every call go well from now on.
    pub fn heal(&self) {
        self.state().faults.clear();
    }

    /// Shows changes of this plural to watches only after a while.
    pub fn delay(&self, resource: &str, lag: Duration) {
        self.state().lags.insert(resource.to_owned(), lag);
    }

    /// Ends every watch, and forgets what happened so far: whoever watched must list again.
    pub fn cut_watches(&self) {
        {
            let mut state = self.state();
            state.store.forget();
            state.cut_before = state.store.version() + 1;
        }
        self.shared.changed.send_modify(|_| {});
    }

    /// Calls `listener` before and after each call of a client that can change something.
    pub fn listen(&self, listener: Option<Listener>) {
        self.state().listener = listener;
    }

    fn changes(&self) -> channel::Receiver<u64> {
        self.shared.changed.subscribe()
    }

    fn lag(&self, resource: &str) -> Duration {
        self.state().lags.get(resource).copied().unwrap_or_default()
    }

    fn watches_are_cut(&self, shown: u64) -> bool {
        shown < self.state().cut_before
    }
}

/// An object as a client sees it that asked for metadata only.
fn as_metadata(object: &Value) -> Value {
    json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": object.get("metadata")})
}

#[cfg(test)]
mod tests;
