//! A world without its operators, as plain data: whoever stops an operator has nothing but that.

use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde_json::Value;
use shared::config::OperatorConfig;
use tests::fake_api::{Call, FakeApi, Key, Store, Verb, When};
use tests::simulation::{Nature, clock};
use tokio::sync::watch;

use crate::database::Servers;

/// Everything but the operators, at one moment.
#[derive(Clone)]
pub(crate) struct Saved {
    pub(crate) label: String,
    pub(super) at: Timestamp,
    pub(super) store: Store,
    pub(super) nature: Nature,
    pub(super) servers: Servers,
    pub(super) config: Arc<OperatorConfig>,
    pub(super) acts: Vec<(Timestamp, String)>,
}

pub(crate) type Points = Arc<Mutex<Vec<Saved>>>;

/// What a listener needs.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) api: FakeApi,
    pub(super) nature: Arc<Mutex<Nature>>,
    pub(super) servers: Arc<Mutex<Servers>>,
    pub(super) config: watch::Sender<Arc<OperatorConfig>>,
    pub(super) recreated: Arc<Mutex<Vec<(Timestamp, String)>>>,
    pub(super) points: Option<Points>,
}

impl Parts {
    /// Takes note of deleted pods.
    pub(super) fn note(&self, call: &Call) {
        if call.verb == Verb::Delete && call.key.resource == "pods" && call.changed {
            self.recreated.lock().unwrap().push((call.at, format!("recreate {}", call.key.name)));
        }
    }

    /// Keeps a copy, unless nothing has happened since the last one.
    pub(super) fn point(&self, label: &str, when: When) {
        let Some(points) = &self.points else { return };
        let saved = save(self, &format!("{when:?} {label}").to_lowercase());
        let mut points = points.lock().unwrap();
        if points.last().is_none_or(|last| !last.is_same(&saved)) {
            points.push(saved);
        }
    }
}

impl Saved {
    /// An object, if it was there.
    pub(crate) fn get(&self, key: &Key) -> Option<&Arc<Value>> {
        self.store.get(key)
    }

    fn is_same(&self, other: &Self) -> bool {
        self.store.version() == other.store.version()
            && self.nature.patroni.changes() == other.nature.patroni.changes()
            && self.servers.statements.len() == other.servers.statements.len()
    }
}

pub(super) fn save(parts: &Parts, label: &str) -> Saved {
    let nature = parts.nature.lock().unwrap().clone();
    let store = {
        let mut store = parts.api.state().store.clone();
        store.forget();
        store
    };
    Saved {
        label: label.to_owned(),
        at: clock::now(),
        store,
        nature,
        servers: parts.servers.lock().unwrap().clone(),
        config: parts.config.borrow().clone(),
        acts: parts.recreated.lock().unwrap().clone(),
    }
}
