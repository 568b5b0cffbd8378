//! A rotation on demand, from beginning to end: `certs rotate`.
//!
//! It makes a new authority whatever the age of the old one, and then does nothing but `ensure`, again and again, until no
//! old authority is trusted any more. So it has no phases of its own, and broken off it is finished by the next `ensure`.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::Client;
use tracing::{info, warn};

use crate::args::Rotate;
use crate::ensure::{EnsureError, ensure, look, new_authority};
use crate::rotation;

/// How often to look whether the next phase may begin.
const PAUSE: Duration = Duration::from_secs(2);

/// Replaces authority and certificate, as often as asked.
///
/// # Errors
/// When a rotation takes longer than it was given.
pub async fn rotate(client: &Client, asked: &Rotate, clock: fn() -> Timestamp) -> Result<(), EnsureError> {
    until_at_rest(client, asked, clock).await?;
    for rotation in 1..=asked.times {
        let begun = clock();
        let world = look(client, &asked.target, begun).await?;
        new_authority(client, &asked.target, &world).await?;
        until_at_rest(client, asked, clock).await?;
        let seconds = clock().duration_since(begun).as_secs();
        info!(rotation, seconds, "rotated");
    }
    Ok(())
}

/// Takes step after step until no rotation is under way. A failed look is tried again: the API server may be busy, or the
/// hourly job may have written the same Secret.
async fn until_at_rest(client: &Client, asked: &Rotate, clock: fn() -> Timestamp) -> Result<(), EnsureError> {
    let target = &asked.target;
    let until = clock() + SignedDuration::from_secs(i64::from(asked.patience_seconds));
    loop {
        let now = clock();
        match ensure(client, target, now).await {
            Ok(seen) if seen.at_rest() => return Ok(()),
            Ok(seen) if now >= until => {
                let due = rotation::due(&seen, target.settling(), now);
                return Err(EnsureError::Unfinished { seconds: asked.patience_seconds, due });
            }
            Err(error) if now >= until => return Err(error),
            Ok(_) => {}
            Err(error) => warn!(%error, "trying again"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}
