//! Somebody who has manifests judged all the time: dry runs of creations, so many a second, each a real admission by the
//! API server and the webhook. Whatever is not accepted is a failure, with what was said.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kube::ResourceExt;
use kube::api::{Api, DynamicObject, PostParams};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::{Stage, Stop, Told, from_yaml};

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
    /// How many failed.
    pub fn failures(&self) -> usize {
        self.failed.values().sum()
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
        let count = verdicts.accepted + verdicts.failures();
        if count == 0 {
            return Stop::failed("nothing was asked");
        }
        #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
        let rate = count as f64 / took;
        let line = format!(
            "{count} reviews in {took:.0} s ({rate:.0}/s), {} failed; median {} ms, 99 % within {} ms, all within {} ms",
            verdicts.failures(),
            verdicts.milliseconds_of(0.5),
            verdicts.milliseconds_of(0.99),
            verdicts.milliseconds_of(1.0),
        );
        Ok((verdicts, line))
    }
}

/// Asks at every tick, whether earlier questions are answered or not. Ticks that a busy machine misses are made up for.
async fn ask_on(
    api: Api<DynamicObject>,
    manifest: DynamicObject,
    verdicts: Arc<Mutex<Verdicts>>,
    every: Duration,
) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for number in 0_u64.. {
        ticks.tick().await;
        let (api, mut manifest, verdicts) = (api.clone(), manifest.clone(), Arc::clone(&verdicts));
        manifest.metadata.name = Some(format!("{}-{number}", manifest.name_any()));
        tokio::task::spawn(async move {
            let asked = Instant::now();
            let dry = PostParams { dry_run: true, ..PostParams::default() };
            let answer = api.create(&dry, &manifest).await;
            let mut verdicts = verdicts.lock().unwrap_or_else(PoisonError::into_inner);
            verdicts.took.push(asked.elapsed());
            match answer {
                Ok(_) => verdicts.accepted += 1,
                Err(error) => {
                    let said = error.to_string().replace(&manifest.name_any(), "NAME");
                    *verdicts.failed.entry(said).or_default() += 1;
                }
            }
        });
    }
}
