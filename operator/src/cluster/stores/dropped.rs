//! The statuses that the installed definition of `postgresql` does not hold whole.
//!
//! Upstream's definition declares the word only, and the API server drops the rest without a sound. But the rest says since
//! when a problem lasts, which generation was seen and when the last step was taken; an operator that read back a word
//! only would begin anew at every look, for ever. So what was dropped is kept here, for the life of the process: a new
//! one begins every cluster anew once, and then is quiet.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use kube::ResourceExt;
use serde_json::{Value, json};
use shared::api::{Postgresql, PostgresqlStatus};

/// The statuses, by the manifests' UIDs. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Dropped {
    statuses: Arc<Mutex<HashMap<String, PostgresqlStatus>>>,
    told: Arc<AtomicBool>,
}

impl Dropped {
    /// Takes note of a status that was written, and of what was kept of it. True when something was dropped for the first
    /// time.
    pub(super) fn note(&self, uid: &str, before: &PostgresqlStatus, patch: &Value, kept: &Value) -> bool {
        let is_kept = |field: &str| kept.get(field).is_some_and(|kept| !kept.is_null());
        let is_whole = patch.get(GENERATION).is_none_or(Value::is_null) || is_kept(GENERATION);
        let mut statuses = self.statuses.lock().unwrap_or_else(PoisonError::into_inner);
        if is_whole {
            statuses.remove(uid);
            return false;
        }
        let mut whole = json!(before);
        json_patch::merge(&mut whole, patch);
        if let Ok(whole) = serde_json::from_value(whole) {
            statuses.insert(uid.to_owned(), whole);
        }
        !self.told.swap(true, Ordering::Relaxed)
    }

    /// The manifest with its whole status. Where somebody else has written another word, that counts.
    pub(super) fn completed<'a>(&self, manifest: &'a Postgresql) -> Cow<'a, Postgresql> {
        let statuses = self.statuses.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = manifest.uid().and_then(|uid| statuses.get(&uid));
        let word = |status: &PostgresqlStatus| status.postgres_cluster_status;
        let stored = manifest.status.as_ref();
        match whole.filter(|whole| stored.and_then(word) == word(whole)) {
            Some(whole) => Cow::Owned(Postgresql { status: Some(whole.clone()), ..manifest.clone() }),
            None => Cow::Borrowed(manifest),
        }
    }

    /// Whether a part of a manifest's status is kept here.
    pub(super) fn has(&self, manifest: &Postgresql) -> bool {
        let statuses = self.statuses.lock().unwrap_or_else(PoisonError::into_inner);
        manifest.uid().is_some_and(|uid| statuses.contains_key(&uid))
    }

    /// Forgets a manifest that is gone.
    pub(super) fn forget(&self, uid: &str) {
        self.statuses.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

/// The field by which it is noticed: every status has it, and no definition but ours.
const GENERATION: &str = "observedGeneration";
