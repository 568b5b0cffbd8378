//! What can go wrong between a client and the API server, on demand.
//!
//! A story says which call fails and how. A newcomer would not guess that the worst failure is the one *after* a call
//! took effect: the client learns of an error, and the object is there.

use std::sync::Arc;

use super::Call;

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The server answers with this status: 409, 429, 500 and the like.
    Status(u16),
    /// The connection breaks without an answer.
    Broken,
    /// No answer comes for half a minute, then the connection breaks.
    Silence,
}

/// When it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The call has no effect.
    Before,
    /// The call had its effect.
    After,
}

/// Calls that fail.
#[derive(Clone)]
pub struct Fault {
    pub(super) concerns: Arc<dyn Fn(&Call) -> bool + Send + Sync>,
    pub(super) skip: usize,
    pub(super) times: usize,
    pub(super) when: When,
    pub(super) failure: Failure,
}

impl Fault {
    /// The first call that `concerns` picks fails, before it has an effect.
    pub fn on(concerns: impl Fn(&Call) -> bool + Send + Sync + 'static, failure: Failure) -> Self {
        Self { concerns: Arc::new(concerns), skip: 0, times: 1, when: When::Before, failure }
    }

    /// Only after this many of them went well.
    #[must_use]
    pub fn after(mut self, calls: usize) -> Self {
        self.skip = calls;
        self
    }

    /// So many in a row.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    /// The call fails, and has had its effect.
    #[must_use]
    pub fn too_late(mut self) -> Self {
        self.when = When::After;
        self
    }
}

/// The failure that meets this call, if one does; it is used up by that.
pub(super) fn meets(faults: &mut Vec<Fault>, call: &Call) -> Option<(When, Failure)> {
    let fault = faults.iter_mut().find(|fault| (fault.concerns)(call))?;
    if fault.skip > 0 {
        fault.skip -= 1;
        return None;
    }
    fault.times -= 1;
    let met = (fault.when, fault.failure);
    faults.retain(|fault| fault.times > 0);
    Some(met)
}
