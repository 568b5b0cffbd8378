//! How soon a change is seen: from sending it until the status says that it was observed, and until all is done.

use std::time::{Duration, Instant};

use futures::future::try_join_all;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde::Serialize;
use serde_json::json;
use shared::api::Postgresql;

use super::Outcome;
use super::args::Args;
use super::load;
use super::watching::Watching;
use super::world::World;

/// A change that takes longer than this is none that we wait for.
const PATIENCE: Duration = Duration::from_secs(120);

/// Times in seconds, sorted.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Times(pub Vec<f64>);

impl Times {
    fn of(mut seconds: Vec<f64>) -> Self {
        seconds.sort_by(f64::total_cmp);
        Self(seconds)
    }

    /// The time within which so many of a hundred are.
    pub fn percentile(&self, percent: usize) -> f64 {
        let place = (self.0.len() * percent).div_ceil(100).saturating_sub(1);
        self.0.get(place).copied().unwrap_or_default()
    }
}

/// How soon changes were seen.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Latency {
    /// Until `observedGeneration`.
    pub observed: Times,
    /// Until `Running` again, with the change carried out.
    pub settled: Times,
}

/// Changes an annotation of the Services of one cluster after the other, at the wished pace.
pub(super) async fn measure(
    world: &World,
    watching: &Watching,
    names: &[String],
    round: &str,
    args: &Args,
) -> Outcome<Latency> {
    let pause = Duration::from_secs(1) / args.pace.max(1);
    let manifests: Api<Postgresql> = Api::namespaced(world.client.clone(), load::NAMESPACE);
    // Far apart, so that none is changed twice while there are others.
    let stride = (names.len() / 3).max(1) | 1;
    let chosen = (0..args.changes).filter_map(|number| names.get(number * stride % names.len()));
    let changes = chosen.zip(0_u32..).map(|(name, number)| {
        let (manifests, watching, value) = (manifests.clone(), watching.clone(), format!("{round}-{number}"));
        async move {
            tokio::time::sleep(pause * number).await;
            let change = json!({"spec": {"serviceAnnotations": {"fleet/change": value}}});
            let sent = Instant::now();
            let stored = manifests.patch(name, &PatchParams::default(), &Patch::Merge(change)).await?;
            let generation = stored.metadata.generation.unwrap_or_default();
            let seen = async {
                let observed = watching.observed(name, generation).await;
                (observed, watching.settled(name, generation).await)
            };
            let (observed, settled) = tokio::time::timeout(PATIENCE, seen)
                .await
                .map_err(|_| format!("{name}: its change is not carried out after {PATIENCE:?}"))?;
            let after = |moment: Instant| moment.saturating_duration_since(sent).as_secs_f64();
            Outcome::Ok((after(observed), after(settled)))
        }
    });
    let (observed, settled) = try_join_all(changes).await?.into_iter().unzip();
    Ok(Latency { observed: Times::of(observed), settled: Times::of(settled) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_times() {
        let times = Times::of((1..=200).rev().map(f64::from).collect());
        assert_eq!(
            [times.percentile(50), times.percentile(99), times.percentile(100)],
            [100.0, 198.0, 200.0]
        );
        assert_eq!(Times::default().percentile(50), 0.0);
    }
}
