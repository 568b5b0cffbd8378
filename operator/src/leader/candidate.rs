//! What a candidate for a lease does next: no I/O, and the clock is an argument, so that every interleaving can be played.
//!
//! The loop in `leader` asks [`next`](Candidate::next), does it, and tells what came of it. Two rules keep two from acting
//! at once, whatever is lost or late between them and the API server:
//!
//! - A holder acts for `renew_within` from the moment *before* it sent the renewal that succeeded, and not a moment longer.
//! - Others take a lease over `duration` after *they* last saw it change, `duration` being longer than `renew_within`.
//!
//! Clocks of different machines are never compared; only their rates matter, and `duration / renew_within` is how much
//! faster one may run than another. A newcomer would not guess that a lease which *disappears* counts as one whose holder
//! has just renewed it: its holder learns of it only with its next renewal.

use std::time::Duration;

/// How patient everyone is. Durations, and points of time as durations since some moment of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Patience {
    /// How long a silent holder keeps the lease. Whole seconds.
    pub duration: Duration,
    /// How long we go on acting without a successful renewal. Shorter than `duration`.
    pub renew_within: Duration,
    /// How often we renew, or look.
    pub retry: Duration,
}

impl Default for Patience {
    /// A dead holder is replaced within ten seconds: eight of silence, and what it takes to see and to write.
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(8),
            renew_within: Duration::from_secs(6),
            retry: Duration::from_secs(2),
        }
    }
}

/// How much more often than usual a holder tries whose renewal failed: it has little time.
const HASTE: u32 = 4;

/// A lease as it was read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sight {
    /// Who holds it; empty when it was given back.
    pub(super) holder: String,
    /// Whatever differs with every writing by a holder.
    pub(super) stamp: String,
    /// How long its holder may be silent; ours where it does not say.
    pub(super) duration: Option<Duration>,
    /// The API server's resource version.
    pub(super) version: String,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// Nothing until then.
    Rest {
        /// When to ask again.
        until: Duration,
    },
    /// Read the lease.
    Read,
    /// Write it as ours: over this version, or for the first time.
    Write {
        /// The version that must still be there.
        over: Option<String>,
    },
    /// Stop acting.
    Lose(Loss),
}

/// Why a lease is lost.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Loss {
    /// Another has it.
    Taken {
        /// The other.
        holder: String,
    },
    /// It was not renewed in time.
    Expired,
}

/// The lease as it was last seen, and since when it has looked like that.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Seen {
    sight: Sight,
    since: Duration,
    /// It was there, and is not any more.
    gone: bool,
}

/// One candidate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Candidate {
    identity: String,
    patience: Patience,
    seen: Option<Seen>,
    /// What we know of the lease may be out of date.
    stale: bool,
    /// When the next call is due.
    due: Duration,
    /// We have given the lease back: others go first until then.
    rests_until: Duration,
    /// When the last renewal that succeeded was sent. Set exactly while we lead.
    renewed: Option<Duration>,
    taken: Option<String>,
}

impl Candidate {
    /// One that has seen nothing yet and asks at once.
    pub(super) fn new(identity: impl Into<String>, patience: Patience) -> Self {
        Self {
            identity: identity.into(),
            patience,
            seen: None,
            stale: true,
            due: Duration::ZERO,
            rests_until: Duration::ZERO,
            renewed: None,
            taken: None,
        }
    }

    /// Whether we may act at this moment.
    pub(super) fn acts(&self, now: Duration) -> bool {
        self.acts_until().is_some_and(|until| now < until)
    }

    /// Until when we may act, if we lead.
    pub(super) fn acts_until(&self) -> Option<Duration> {
        self.renewed.map(|renewed| renewed.saturating_add(self.patience.renew_within))
    }

    /// Who held the lease when it was last seen.
    pub(super) fn holder(&self) -> Option<&str> {
        let seen = self.seen.as_ref().filter(|seen| !seen.gone)?;
        Some(seen.sight.holder.as_str()).filter(|holder| !holder.is_empty())
    }

    /// The version that was last seen.
    pub(super) fn version(&self) -> Option<&str> {
        self.seen.as_ref().filter(|seen| !seen.gone).map(|seen| seen.sight.version.as_str())
    }

    /// What to do now.
    pub(super) fn next(&self, now: Duration) -> Move {
        if let Some(holder) = &self.taken {
            return Move::Lose(Loss::Taken { holder: holder.clone() });
        }
        let deadline = self.acts_until();
        if deadline.is_some_and(|deadline| now >= deadline) {
            return Move::Lose(Loss::Expired);
        }
        let due = self.due.max(self.rests_until);
        if now < due {
            return Move::Rest { until: deadline.map_or(due, |deadline| deadline.min(due)) };
        }
        if self.stale || !self.is_free(now) {
            return Move::Read;
        }
        Move::Write { over: self.version().map(str::to_owned) }
    }

    /// Whether the lease is ours for the asking, as far as we know.
    fn is_free(&self, now: Duration) -> bool {
        let Some(seen) = &self.seen else { return true };
        let holder = seen.sight.holder.as_str();
        holder.is_empty() || holder == self.identity || now >= self.silent_from(seen)
    }

    /// When the holder will have been silent for too long.
    fn silent_from(&self, seen: &Seen) -> Duration {
        seen.since.saturating_add(seen.sight.duration.unwrap_or(self.patience.duration))
    }

    /// The lease was read, or a watch has shown it; `None` where there is none.
    pub(super) fn saw(&mut self, now: Duration, sight: Option<Sight>) {
        self.seen = match (sight, self.seen.take()) {
            (Some(sight), Some(seen)) if !seen.gone && is_same_writing(&sight, &seen.sight) => {
                Some(Seen { sight, ..seen })
            }
            (Some(sight), _) => Some(Seen { sight, since: now, gone: false }),
            (None, Some(seen)) if seen.gone => Some(seen),
            (None, Some(seen)) if !seen.sight.holder.is_empty() && seen.sight.holder != self.identity => {
                Some(Seen { since: now, gone: true, ..seen })
            }
            (None, _) => None,
        };
        self.stale = false;
        if self.renewed.is_some() {
            self.taken = self.holder().filter(|holder| *holder != self.identity).map(str::to_owned);
        }
        let look_again = now.saturating_add(self.patience.retry);
        self.due = match &self.seen {
            _ if self.is_free(now) => now,
            Some(seen) => look_again.min(self.silent_from(seen)),
            None => look_again,
        };
    }

    /// A write that was sent at `began` succeeded: the lease is ours.
    pub(super) fn wrote(&mut self, began: Duration, now: Duration, sight: Sight) {
        self.seen = Some(Seen { sight, since: now, gone: false });
        self.stale = false;
        self.renewed = Some(began);
        self.due = began.saturating_add(self.patience.retry);
    }

    /// The API server refused a write: the lease is not as we saw it.
    pub(super) fn refused(&mut self, now: Duration) {
        self.stale = true;
        self.due = now;
    }

    /// A call that was sent at `began` has no answer, or one that says nothing about the lease. It may have been carried
    /// out, and may yet be.
    pub(super) fn failed(&mut self, began: Duration, now: Duration) {
        // A holder goes on writing; should its write have been carried out, the next is refused and it looks.
        let leads = self.renewed.is_some();
        self.stale |= !leads;
        let pause = if leads { self.patience.retry / HASTE } else { self.patience.retry };
        self.due = now.max(began.saturating_add(pause));
    }

    /// We act no more, and do not ask again before `until`.
    pub(super) fn rest(&mut self, until: Duration) {
        self.renewed = None;
        self.taken = None;
        self.stale = true;
        self.rests_until = until;
    }
}

/// Whether the holder has not written since: other people's annotations change the version only.
fn is_same_writing(one: &Sight, other: &Sight) -> bool {
    one.holder == other.holder && one.stamp == other.stamp && one.duration == other.duration
}
