//! The time of a story: it passes when everybody waits, and an hour of it costs milliseconds.
//!
//! Follows tokio's paused clock, which jumps to the next timer when no task can run. One clock per thread, because a
//! paused runtime stands on one thread; so the clock is a plain function, as the operator wants it.

use std::cell::Cell;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

thread_local! {
    static BEGAN: Cell<Option<(Instant, Timestamp)>> = const { Cell::new(None) };
}

/// Says what time it is now, from here on.
pub fn set(now: Timestamp) {
    BEGAN.set(Some((Instant::now(), now)));
}

/// The time of the story on this thread; the epoch before there is one.
pub fn now() -> Timestamp {
    BEGAN.get().map_or(Timestamp::UNIX_EPOCH, |(began, at)| {
        at + SignedDuration::try_from(began.elapsed()).unwrap_or(SignedDuration::ZERO)
    })
}

/// So many seconds after a moment.
pub fn after(moment: Timestamp, seconds: u64) -> Timestamp {
    moment + SignedDuration::from_secs(i64::try_from(seconds).unwrap_or_default())
}
