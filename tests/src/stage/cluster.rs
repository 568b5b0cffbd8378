//! A Postgres cluster in a story: its manifest, its pods, and what people do with them.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use serde_json::Value;

use super::{SETTLED, SOON, Session, Stage, Stop, Told, Watcher, until};

/// A cluster, by the name of its manifest.
pub struct Cluster<'a> {
    stage: &'a Stage,
    name: String,
}

impl<'a> Cluster<'a> {
    pub(super) fn new(stage: &'a Stage, name: String) -> Self {
        Self { stage, name }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn stage(&self) -> &'a Stage {
        self.stage
    }

    /// What selects its pods and objects.
    pub fn selector(&self) -> String {
        format!("application=spilo,cluster-name={}", self.name)
    }

    /// Its manifest, as it is stored.
    ///
    /// # Errors
    /// When there is none.
    pub async fn manifest(&self) -> Told<DynamicObject> {
        Ok(self.stage.manifests().get(&self.name).await?)
    }

    /// Its status.
    ///
    /// # Errors
    /// When it has no manifest.
    pub async fn status(&self) -> Told<Value> {
        Ok(self.manifest().await?.data.get("status").cloned().unwrap_or_default())
    }

    /// `kubectl patch`: changes the manifest.
    ///
    /// # Errors
    /// When the change is refused.
    pub async fn change(&self, change: Value) -> Told {
        self.stage.manifests().patch(&self.name, &PatchParams::default(), &Patch::Merge(change)).await?;
        Ok(())
    }

    /// `kubectl delete`, without waiting.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn delete(&self) -> Told {
        self.stage.manifests().delete(&self.name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Waits until the manifest is gone.
    ///
    /// # Errors
    /// When it stays.
    pub async fn until_gone(&self) -> Told {
        until(&format!("manifest {} is gone", self.name), SETTLED, async || {
            match self.stage.manifests().get_opt(&self.name).await? {
                None => Ok(()),
                Some(manifest) => Stop::failed(format!("it has finalizers {:?}", manifest.finalizers())),
            }
        })
        .await
    }

    /// Waits until the status speaks of the manifest as it is now, and with this word.
    ///
    /// # Errors
    /// When it does not.
    pub async fn until_status_is(&self, word: &str) -> Told {
        until(&format!("{} is {word}", self.name), SETTLED, async || {
            let manifest = self.manifest().await?;
            let status = manifest.data.get("status").cloned().unwrap_or_default();
            let is_current =
                status.get("observedGeneration").and_then(Value::as_i64) == manifest.metadata.generation;
            let is_said = status.get("PostgresClusterStatus").and_then(Value::as_str) == Some(word);
            if is_current && is_said { Ok(()) } else { Stop::failed(status.to_string()) }
        })
        .await
    }

    /// Waits until it runs, with all its members ready; how long that took.
    ///
    /// # Errors
    /// When it does not.
    pub async fn until_running(&self) -> Told<Duration> {
        let begun = Instant::now();
        self.until_status_is("Running").await?;
        Ok(begun.elapsed())
    }

    /// Its database pods.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn pods(&self) -> Told<Vec<Pod>> {
        let pods: Api<Pod> = self.stage.api();
        Ok(pods.list(&ListParams::default().labels(&self.selector())).await?.items)
    }

    /// The name of the one pod that is labelled as the primary.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub async fn primary(&self) -> Told<String> {
        let pods = self.pods().await?;
        let primaries: Vec<String> =
            pods.iter().filter(|pod| role(pod) == Some("master")).map(ResourceExt::name_any).collect();
        match primaries.as_slice() {
            [one] => Ok(one.clone()),
            others => Stop::failed(format!("the primaries are {others:?}")),
        }
    }

    /// `patronictl switchover`, as a person would do it.
    ///
    /// # Errors
    /// When Patroni refuses, or the label does not follow.
    pub async fn switch_over_to(&self, member: &str) -> Told {
        let leader = self.primary().await?;
        let command =
            ["patronictl", "switchover", &self.name, "--leader", &leader, "--candidate", member, "--force"];
        self.stage.in_pod(&leader, &command.map(str::to_owned)).await?;
        until(&format!("{member} is the primary"), SOON, async || match self.primary().await? {
            primary if primary == member => Ok(()),
            primary => Stop::failed(primary),
        })
        .await
    }

    /// Waits until there are so many pods, all ready, one of them the primary and all others replicas.
    ///
    /// # Errors
    /// When it does not come to that.
    pub async fn until_members_are(&self, count: usize) -> Told {
        until(&format!("{} has {count} ready members", self.name), SETTLED, async || {
            self.primary().await?;
            let pods = self.pods().await?;
            let replicas = pods.iter().filter(|pod| role(pod) == Some("replica")).count();
            let ready = pods.iter().filter(|pod| is_ready(pod)).count();
            if pods.len() == count && ready == count && replicas + 1 == count {
                return Ok(());
            }
            Stop::failed(format!("{} pods, {ready} ready, {replicas} replicas", pods.len()))
        })
        .await
    }

    /// Waits until every pod was made from this image and is ready.
    ///
    /// # Errors
    /// When it does not come to that.
    pub async fn until_image_is(&self, image: &str) -> Told {
        until(&format!("every member of {} runs {image}", self.name), SETTLED, async || {
            let pods = self.pods().await?;
            let done = |pod: &&Pod| is_ready(pod) && images(pod).any(|each| each == image);
            match pods.iter().filter(done).count() {
                updated if updated == pods.len() && updated > 0 => Ok(()),
                updated => Stop::failed(format!("{updated} of {} do", pods.len())),
            }
        })
        .await
    }

    /// A user of the manifest at the primary's Service, with the password of its Secret.
    ///
    /// # Errors
    /// When the Secret does not appear.
    pub async fn session(&self, user: &str, database: &str) -> Told<Session<'a>> {
        Session::of(self.stage, &self.name, &self.secret(user), database).await
    }

    /// A user whose Secret is in another namespace.
    ///
    /// # Errors
    /// When the Secret does not appear.
    pub async fn session_by(&self, namespace: &str, user: &str, database: &str) -> Told<Session<'a>> {
        Session::by(self.stage, &self.name, (namespace, &self.secret(user)), database).await
    }

    /// The Secret of a user.
    pub fn secret(&self, user: &str) -> String {
        format!("{}.{}.credentials.postgresql.acid.zalan.do", user.replace('_', "-"), self.name)
    }

    /// Begins to watch it.
    ///
    /// # Errors
    /// When it cannot be watched.
    pub async fn watch(&self) -> Told<Watcher> {
        Watcher::begin(self.stage, &self.name, &self.selector()).await
    }
}

/// The role that Patroni put on a pod.
pub(super) fn role(pod: &Pod) -> Option<&str> {
    pod.labels().get("spilo-role").map(String::as_str)
}

/// Whether a pod is ready and is to stay.
pub(super) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ready = conditions
        .into_iter()
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    ready && pod.metadata.deletion_timestamp.is_none()
}

fn images(pod: &Pod) -> impl Iterator<Item = &str> {
    pod.spec.iter().flat_map(|spec| &spec.containers).filter_map(|container| container.image.as_deref())
}
