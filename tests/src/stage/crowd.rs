//! Many users at once: each asks for the next dry run of a creation as soon as the last one is answered.
//!
//! What they waited is theirs to tell; how much of that was the webhook's, the API server and the webhook count
//! themselves. HTTP/1.1 carries one request at a time, so that so many users have as many connections.

use std::time::{Duration, Instant};

use kube::ResourceExt;
use kube::api::PostParams;
use tokio::task::JoinSet;

use super::{Stage, Told, Verdicts, from_yaml};

impl Stage {
    /// What so many users were told within that time, and what they waited.
    ///
    /// # Errors
    /// When the manifest cannot be read.
    pub async fn crowd(&self, yaml: &str, users: usize, time: Duration) -> Told<Verdicts> {
        let (api, manifest) = (self.manifests(), from_yaml(yaml)?);
        let until = Instant::now() + time;
        let mut crowd = JoinSet::new();
        for user in 0..users {
            let (api, mut manifest) = (api.clone(), manifest.clone());
            manifest.metadata.name = Some(format!("{}-{user}", manifest.name_any()));
            crowd.spawn(async move {
                let dry = PostParams { dry_run: true, ..PostParams::default() };
                let mut verdicts = Verdicts::default();
                while Instant::now() < until {
                    let asked = Instant::now();
                    let answer = api.create(&dry, &manifest).await;
                    verdicts.take(&manifest.name_any(), &answer, asked.elapsed());
                }
                verdicts
            });
        }
        let mut all = Verdicts::default();
        while let Some(verdicts) = crowd.join_next().await {
            all.extend(verdicts.unwrap_or_default());
        }
        Ok(all)
    }
}
