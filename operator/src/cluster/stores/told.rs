//! When each manifest's status was last written, for as long as that keeps the next mere wait from being written.
//!
//! In memory only: a successor writes what its predecessor still held back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use shared::api::PostgresqlStatus;
use shared::status;

/// Until when, by the manifests' UIDs. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Told(Arc<Mutex<HashMap<String, Timestamp>>>);

impl Told {
    /// A status was written. What is over for others is forgotten.
    pub(super) fn note(&self, uid: &str, written: &PostgresqlStatus, now: Timestamp) {
        let mut until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.retain(|_, until| *until > now);
        until.insert(uid.to_owned(), status::quiet_until(written, now));
    }

    /// Until when a mere wait is not written; `None` where it may be now.
    pub(super) fn rests_until(&self, uid: &str, now: Timestamp) -> Option<Timestamp> {
        let until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.get(uid).copied().filter(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_rests_for_a_while_after_each_write_and_is_forgotten_then() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let told = Told::default();
        assert_eq!(told.rests_until("one", at(0)), None);
        told.note("one", &PostgresqlStatus::default(), at(0));
        assert_eq!(told.rests_until("one", at(1)), Some(at(10)));
        assert_eq!(told.rests_until("another", at(1)), None);
        assert_eq!(told.rests_until("one", at(10)), None);
        told.note("another", &PostgresqlStatus::default(), at(11));
        assert_eq!(told.0.lock().unwrap().len(), 1);
    }
}
