//! Waits for something to become true, and says what was waited for when it does not.

use std::time::{Duration, Instant};

use super::{Stop, Told};

/// How long a cluster may take to settle after anything: two cores, and other stories beside.
pub const SETTLED: Duration = Duration::from_secs(300);

/// How long something may take that needs no pod to start.
pub const SOON: Duration = Duration::from_secs(60);

/// How often to look. A look is one request.
const PAUSE: Duration = Duration::from_millis(300);

/// Looks again and again until there is an answer. A failed look means "not yet"; the last one is told at the end.
///
/// # Errors
/// When there is none within the time, or the story cannot go on.
pub async fn until<T>(what: &str, within: Duration, mut look: impl AsyncFnMut() -> Told<T>) -> Told<T> {
    let begun = Instant::now();
    let mut last = "nothing".to_owned();
    while let Some(left) = within.checked_sub(begun.elapsed()) {
        match tokio::time::timeout(left, look()).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(Stop::Skipped(why))) => return Stop::skipped(why),
            Ok(Err(Stop::Failed(seen))) => last = seen,
            Err(_) => break,
        }
        tokio::time::sleep(PAUSE).await;
    }
    Stop::failed(format!("waited {} s until {what}; last seen: {last}", within.as_secs()))
}
