//! What has been worked out about passwords, so that a settled cluster need not work it out again.
//!
//! Whether a stored verifier belongs to a password takes 4096 rounds of hashing for each role at each look, which in a
//! fleet is most of what the operator computes. Surprising: forgetting is harmless, a restart forgets everything; and
//! what is kept is a hash of both, so that memory holds nothing to log in with.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shared::roles::{RoleName, Verifier};

type OfCluster = HashMap<RoleName, [u8; 32]>;

/// The proofs of all clusters. Cheap to clone; clones share them.
#[derive(Clone, Default)]
pub struct Proofs(Arc<Mutex<HashMap<String, OfCluster>>>);

impl Proofs {
    /// Whether `stored` has been found to belong to this password of this role.
    pub(super) fn knows(&self, cluster: &str, role: &RoleName, password: &str, stored: &Verifier) -> bool {
        let proven = self.lock().get(cluster).and_then(|proofs| proofs.get(role).copied());
        proven.is_some_and(|proof| proof == stored.proof(password))
    }

    /// Remembers what holds for a cluster now, and nothing else of it.
    pub(super) fn remember<'a>(
        &self,
        cluster: &str,
        found: impl IntoIterator<Item = (&'a RoleName, &'a str, &'a Verifier)>,
    ) {
        let proofs = found.into_iter().map(|(role, password, stored)| (role.clone(), stored.proof(password)));
        let proofs: OfCluster = proofs.collect();
        self.lock().insert(cluster.to_owned(), proofs);
    }

    /// Forgets a cluster.
    pub(super) fn forget(&self, cluster: &str) {
        self.lock().remove(cluster);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, OfCluster>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_proven_last_is_known() {
        let (proofs, role) = (Proofs::default(), "app".parse().unwrap());
        let (old, new) = (Verifier::scram("x", b"a", 1), Verifier::scram("x", b"b", 1));
        assert!(!proofs.knows("default/demo", &role, "x", &old));
        proofs.remember("default/demo", [(&role, "x", &old)]);
        assert!(proofs.clone().knows("default/demo", &role, "x", &old));
        assert!(!proofs.knows("default/demo", &role, "y", &old));
        assert!(!proofs.knows("default/demo", &role, "x", &new));
        assert!(!proofs.knows("default/other", &role, "x", &old));
        proofs.remember("default/demo", []);
        assert!(!proofs.knows("default/demo", &role, "x", &old));
        proofs.remember("default/demo", [(&role, "x", &new)]);
        proofs.forget("default/demo");
        assert!(!proofs.knows("default/demo", &role, "x", &new));
    }
}
