//! Who has which shard: whoever comes first, and whoever has at least two less than another asks that one for one.
//!
//! Everybody follows all leases of shards and so knows how many everybody holds; there is no list of members, and no number
//! of replicas to keep in step with the Deployment. When nobody has two more than anybody else, nobody has more than its
//! part, rounded up. A shard is handed over when no look at its clusters is under way; the process stays.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::campaign::{Leadership, View};
use super::{LeaderError, Mandate};

/// How long looks under way may delay that a shard is handed over.
const FINISH: Duration = Duration::from_secs(5);

/// What to do about the division.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Decision {
    Nothing,
    /// Give this shard to whoever has asked for it.
    HandOver(usize),
    /// Ask for this one.
    AskFor(usize),
}

/// The shards' leases, looked after in the background.
#[derive(Debug)]
pub(super) struct Sharing {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), LeaderError>>,
}

impl Sharing {
    pub(super) fn start(shards: Vec<Leadership>, mandate: Mandate, me: &str, every: Duration) -> Self {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(share(shards, mandate, me.to_owned(), every, stopped));
        Self { stop, task }
    }

    pub(super) async fn lost(&mut self) -> LeaderError {
        match (&mut self.task).await {
            Ok(Err(error)) => error,
            Ok(Ok(())) | Err(_) => LeaderError::Stopped,
        }
    }

    pub(super) async fn release(self) -> Result<(), LeaderError> {
        let _ = self.stop.send(()); // one that has ended says why below
        self.task.await.unwrap_or(Err(LeaderError::Stopped))
    }
}

async fn share(
    mut shards: Vec<Leadership>,
    mandate: Mandate,
    me: String,
    every: Duration,
    mut stopped: oneshot::Receiver<()>,
) -> Result<(), LeaderError> {
    loop {
        tokio::select! {
            asked = &mut stopped => match asked {
                Ok(()) => break,
                Err(_) => return Ok(()), // dropped: as a process would that was killed
            },
            error = first_lost(&mut shards) => return Err(error),
            () = sleep(every) => {}
        }
        let views: Vec<View> = shards.iter().map(Leadership::view).collect();
        match decide(&me, &views) {
            Decision::Nothing => {}
            Decision::HandOver(shard) => hand_over(shard, &shards, &mandate).await,
            Decision::AskFor(shard) => {
                let Some(leadership) = shards.get(shard) else { continue };
                if let Err(error) = leadership.ask(&me).await {
                    tracing::warn!(%error, shard, "could not ask for a shard");
                }
            }
        }
    }
    let released = futures::future::join_all(shards.into_iter().map(Leadership::release)).await;
    released.into_iter().collect()
}

async fn first_lost(shards: &mut [Leadership]) -> LeaderError {
    match shards.iter_mut().find(|shard| shard.is_over()) {
        Some(over) => over.lost().await,
        None => futures::future::select_all(shards.iter_mut().map(|shard| Box::pin(shard.lost()))).await.0,
    }
}

async fn hand_over(shard: usize, shards: &[Leadership], mandate: &Mandate) {
    let (Some(leadership), Ok(number)) = (shards.get(shard), u32::try_from(shard)) else { return };
    mandate.close(number, true);
    let begun = Instant::now();
    while !mandate.is_idle(number) && begun.elapsed() < FINISH {
        sleep(Duration::from_millis(20)).await;
    }
    if mandate.is_idle(number) {
        tracing::info!(shard, "handing a shard over");
        leadership.give_way();
    } else {
        mandate.close(number, false); // it is asked for again
    }
}

/// Who holds how many.
fn counts(views: &[View]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for holder in views.iter().filter_map(|view| view.holder.as_deref()) {
        *counts.entry(holder).or_default() += 1;
    }
    counts
}

fn decide(me: &str, views: &[View]) -> Decision {
    let counts = counts(views);
    let of = |who: &str| counts.get(who).copied().unwrap_or_default();
    let has_less = |who: &str| who != me && of(who) + 2 <= of(me);
    let is_mine = |view: &View| view.holder.as_deref() == Some(me);
    let asked =
        views.iter().position(|view| is_mine(view) && view.asked_for_by.as_deref().is_some_and(has_less));
    if let Some(shard) = asked {
        return Decision::HandOver(shard);
    }
    let is_free = |view: &View| view.holder.is_none();
    let has_more = |view: &View| view.holder.as_deref().is_some_and(|holder| of(holder) >= of(me) + 2);
    let have_asked = |view: &View| has_more(view) && view.asked_for_by.as_deref() == Some(me);
    if views.iter().any(|view| is_free(view) || have_asked(view)) {
        return Decision::Nothing; // what is on its way may be enough
    }
    let fullest = counts.iter().filter(|(_, held)| **held >= of(me) + 2).max_by_key(|(_, held)| **held);
    let Some((holder, _)) = fullest else { return Decision::Nothing };
    let theirs =
        views.iter().position(|view| view.holder.as_deref() == Some(holder) && view.asked_for_by.is_none());
    theirs.map_or(Decision::Nothing, Decision::AskFor)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a b b<c -`: held by a, by b, by b and asked for by c, by nobody.
    fn views(text: &str) -> Vec<View> {
        let view = |word: &str| {
            let (holder, asked) = word.split_once('<').map_or((word, None), |(one, two)| (one, Some(two)));
            View {
                holder: Some(holder.to_owned()).filter(|holder| holder != "-"),
                asked_for_by: asked.map(str::to_owned),
                ..View::default()
            }
        };
        text.split(' ').map(view).collect()
    }

    #[test]
    fn whoever_has_two_less_asks_and_is_given() {
        for (me, seen, decision) in [
            ("b", "a a a a", Decision::AskFor(0)),
            ("b", "a a b", Decision::Nothing),
            ("b", "a a - b", Decision::Nothing),
            ("b", "a<c a c c c c", Decision::AskFor(2)),
            ("b", "a<b a a a", Decision::Nothing),
            ("b", "a<b a b c c c", Decision::AskFor(3)),
            ("c", "a<b a a b", Decision::AskFor(1)),
            ("a", "a a<b a a", Decision::HandOver(1)),
            ("a", "a<b a b", Decision::Nothing),
            ("a", "a<a a a a", Decision::Nothing),
        ] {
            assert_eq!(decide(me, &views(seen)), decision, "{me}: {seen}");
        }
    }

    #[test]
    fn from_any_division_nobody_is_left_with_more_than_its_part_rounded_up() {
        let names = ["a", "b", "c"];
        for shards in 1..=6_u32 {
            for division in 0..3_usize.pow(shards) {
                let holder = |shard: u32| names[division / 3_usize.pow(shard) % 3];
                let mut all = views(&(0..shards).map(holder).collect::<Vec<_>>().join(" "));
                for round in 0..40 {
                    // One after the other sees how things are; what is given goes to whoever has asked.
                    match decide(names[round % 3], &all) {
                        Decision::Nothing => {}
                        Decision::AskFor(shard) => {
                            all[shard].asked_for_by = Some(names[round % 3].to_owned())
                        }
                        Decision::HandOver(shard) => all[shard].holder = all[shard].asked_for_by.take(),
                    }
                }
                let most = *counts(&all).values().max().unwrap();
                assert!(most <= shards.div_ceil(3) as usize, "{shards} shards, {division}: {all:?}");
            }
        }
    }
}
