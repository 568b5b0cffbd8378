//! Somebody who has manifests judged all the time: dry runs of creations, so many a second, each a real admission by the
//! API server and the webhook. Whatever is not accepted is a failure, with what was said.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kube::ResourceExt;
use kube::api::{Api, DynamicObject, PostParams};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::{Stage, Stop, Told, from_yaml};

/// How many questions may be under way.
const MOST_UNDER_WAY: usize = 64;

/// What has come of it so far.
#[derive(Clone, Debug, Default)]
pub struct Verdicts {
    /// How many were accepted.
    pub accepted: usize,
    /// What was said instead, and how often.
    pub failed: BTreeMap<String, usize>,
    /// How long the answers took, in order of their arrival.
    took: Vec<Duration>,
}

impl Verdicts {
    /// Takes an answer to a manifest of that name.
    pub(super) fn take<T>(&mut self, name: &str, answer: &kube::Result<T>, took: Duration) {
        self.took.push(took);
        match answer {
            Ok(_) => self.accepted += 1,
            Err(error) => *self.failed.entry(error.to_string().replace(name, "NAME")).or_default() += 1,
        }
    }

    /// Takes what somebody else was told.
    pub(super) fn extend(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.took.extend(other.took);
        for (said, count) in other.failed {
            *self.failed.entry(said).or_default() += count;
        }
    }

    /// How many failed.
    pub fn failures(&self) -> usize {
        self.failed.values().sum()
    }

    /// What came of it within so many seconds, for people.
    #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
    pub fn line(&self, seconds: f64) -> String {
        let count = self.took.len();
        format!(
            "{count} reviews in {seconds:.0} s ({:.0}/s), {} failed; median {} ms, 99 % within {} ms, all within {} ms",
            count as f64 / seconds,
            self.failures(),
            self.milliseconds_of(0.5),
            self.milliseconds_of(0.99),
            self.milliseconds_of(1.0),
        )
    }

    /// What this share of the answers took at most, in milliseconds.
    pub fn milliseconds_of(&self, share: f64) -> u128 {
        let mut sorted = self.took.clone();
        sorted.sort_unstable();
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank"
        )]
        let rank = (sorted.len().saturating_sub(1) as f64 * share) as usize;
        sorted.get(rank).map_or(0, Duration::as_millis)
    }
}

/// The reviews, which go on in the background until they are ended.
#[derive(Debug)]
pub struct Reviews {
    verdicts: Arc<Mutex<Verdicts>>,
    begun: Instant,
    task: JoinHandle<()>,
}

impl Reviews {
    pub(super) fn begin(stage: &Stage, yaml: &str, each_second: u32) -> Told<Self> {
        let manifest = from_yaml(yaml)?;
        let verdicts = Arc::new(Mutex::new(Verdicts::default()));
        let ask =
            ask_on(stage.manifests(), manifest, Arc::clone(&verdicts), Duration::from_secs(1) / each_second);
        Ok(Self { verdicts, begun: Instant::now(), task: tokio::task::spawn(ask) })
    }

    /// What has come of it until now.
    pub fn so_far(&self) -> Verdicts {
        self.verdicts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends it, and says in one line what came of it.
    ///
    /// # Errors
    /// When nothing was asked.
    pub async fn end(self) -> Told<(Verdicts, String)> {
        let took = self.begun.elapsed().as_secs_f64();
        self.task.abort();
        tokio::time::sleep(Duration::from_secs(6)).await; // longer than an admission may take
        let verdicts = self.so_far();
        if verdicts.took.is_empty() {
            return Stop::failed("nothing was asked");
        }
        let line = verdicts.line(took);
        Ok((verdicts, line))
    }
}

/// Asks at every tick, whether earlier questions are answered or not, but for `MOST_UNDER_WAY` at most: a machine that
/// cannot keep up is asked more slowly, and the rate that is told says so. Ticks that are missed are made up for.
async fn ask_on(
    api: Api<DynamicObject>,
    manifest: DynamicObject,
    verdicts: Arc<Mutex<Verdicts>>,
    every: Duration,
) {
    let places = Arc::new(Semaphore::new(MOST_UNDER_WAY));
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for number in 0_u64.. {
        ticks.tick().await;
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let (api, mut manifest, verdicts) = (api.clone(), manifest.clone(), Arc::clone(&verdicts));
        manifest.metadata.name = Some(format!("{}-{number}", manifest.name_any()));
        tokio::task::spawn(async move {
            let asked = Instant::now();
            let dry = PostParams { dry_run: true, ..PostParams::default() };
            let answer = api.create(&dry, &manifest).await;
            drop(place);
            let mut verdicts = verdicts.lock().unwrap_or_else(PoisonError::into_inner);
            verdicts.take(&manifest.name_any(), &answer, asked.elapsed());
        });
    }
}
