//! The webhook under test, as an administrator meets it: its pods, its certificates, what the API server thinks of it.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use serde_json::json;

use super::{Histogram, SETTLED, Stage, Stop, Told, until};

const NAME: &str = "postgres-operator-webhook";
const LABELS: &str = "app.kubernetes.io/name=postgres-operator,app.kubernetes.io/component=webhook";
const CERTIFICATES: &str = "postgres-operator-certs";

/// What the API server counts of webhooks that did not answer: those that fail open, and those that fail closed.
const UNANSWERED: &[&str] =
    &["apiserver_admission_webhook_fail_open_count", "error_type=\"calling_webhook_error\""];

/// What the API server calls the time for which it waited for a webhook.
const WAITED: &str = "apiserver_admission_webhook_admission_duration_seconds";

/// What is asked of a manifest, and under which name.
const WEBHOOKS: &[(&str, &str)] =
    &[("mutate", "mutate.postgresql.acid.zalan.do"), ("validate", "validate.postgresql.acid.zalan.do")];

/// The webhook's deployment.
#[derive(Clone)]
pub struct Webhook {
    client: Client,
    namespace: String,
}

impl Stage {
    /// The webhook under test.
    pub fn webhook(&self) -> Webhook {
        Webhook { client: self.client(), namespace: self.operator().namespace().to_owned() }
    }
}

impl Webhook {
    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// `certs rotate`, so often, as a job; its name.
    ///
    /// # Errors
    /// When there is no CronJob to make it from.
    pub async fn rotate(&self, times: usize) -> Told<String> {
        let cron_jobs: Api<CronJob> = self.api();
        let Some(cron_job) = cron_jobs.get_opt(CERTIFICATES).await? else {
            return Stop::skipped(format!(
                "there is no CronJob {CERTIFICATES}: somebody else issues the certificates"
            ));
        };
        let mut template = cron_job.spec.unwrap_or_default().job_template;
        let pod = template.spec.as_mut().and_then(|job| job.template.spec.as_mut());
        let Some(container) = pod.and_then(|pod| pod.containers.first_mut()) else {
            return Stop::failed("its template has no container");
        };
        let objects = container.args.iter().flatten().skip(1).cloned();
        let how = [format!("--times={times}"), "--settling-seconds=5".to_owned()];
        container.args = Some(std::iter::once("rotate".to_owned()).chain(objects).chain(how).collect());
        let name = format!("rotate-{}", jiff::Timestamp::now().as_millisecond());
        let mut job = Job { spec: template.spec, ..Job::default() };
        job.metadata.name = Some(name.clone());
        self.api::<Job>().create(&PostParams::default(), &job).await?;
        Ok(name)
    }

    /// Whether a job has done its work, with the lines of its log that tell of a rotation.
    ///
    /// # Errors
    /// When it has failed or is not done yet.
    pub async fn rotations(&self, job: &str) -> Told<Vec<String>> {
        let status = self.api::<Job>().get(job).await?.status.unwrap_or_default();
        let pods = self.api::<Pod>().list(&ListParams::default().labels(&format!("job-name={job}"))).await?;
        let mut log = String::new();
        for pod in pods {
            log += &self.api::<Pod>().logs(&pod.name_any(), &LogParams::default()).await?;
        }
        let lines: Vec<String> =
            log.lines().filter(|line| line.contains("rotated")).map(str::to_owned).collect();
        match (status.succeeded, status.failed) {
            (Some(1..), _) => Ok(lines),
            (_, Some(1..)) => {
                Stop::failed(format!("the job failed: {}", log.lines().last().unwrap_or_default()))
            }
            _ => Stop::failed(format!("{} rotations done", lines.len())),
        }
    }

    /// `kubectl rollout restart`, until it is over.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn replace_all(&self) -> Told {
        let restarted = json!({ "kubectl.kubernetes.io/restartedAt": jiff::Timestamp::now().to_string() });
        let patch = json!({ "spec": { "template": { "metadata": { "annotations": restarted } } } });
        let deployments: Api<Deployment> = self.api();
        deployments.patch(NAME, &PatchParams::default(), &Patch::Merge(patch)).await?;
        self.until_ready().await
    }

    /// Waits until all of its pods are new and ready, and no old one is left.
    ///
    /// # Errors
    /// When they are not.
    pub async fn until_ready(&self) -> Told {
        until("the webhook is rolled out", SETTLED, async || {
            let deployment = self.api::<Deployment>().get(NAME).await?;
            let (generation, status) =
                (deployment.metadata.generation, deployment.status.unwrap_or_default());
            let wanted = deployment.spec.and_then(|spec| spec.replicas);
            let pods = self.pods().await?;
            let is_done = status.observed_generation == generation
                && [status.updated_replicas, status.ready_replicas, status.replicas]
                    .iter()
                    .all(|count| *count == wanted)
                && i32::try_from(pods.len()).ok() == wanted;
            if is_done { Ok(()) } else { Stop::failed(format!("{} pods, {status:?}", pods.len())) }
        })
        .await
    }

    async fn pods(&self) -> Told<Vec<Pod>> {
        Ok(self.api::<Pod>().list(&ListParams::default().labels(LABELS)).await?.items)
    }

    /// How many pods it has.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn replicas(&self) -> Told<usize> {
        Ok(self.pods().await?.len())
    }

    /// `kubectl delete pod` of one of its pods, until another is there.
    ///
    /// # Errors
    /// When none comes.
    pub async fn remove_one(&self) -> Told {
        let Some(pod) = self.pods().await?.into_iter().next() else { return Stop::failed("it has no pod") };
        self.api::<Pod>().delete(&pod.name_any(), &DeleteParams::default()).await?;
        self.until_ready().await
    }

    /// Ends one of its pods at once, as a failing node would: without a chance to finish what it is at.
    ///
    /// # Errors
    /// When none comes in its place.
    pub async fn kill_one(&self) -> Told {
        let Some(pod) = self.pods().await?.into_iter().next() else { return Stop::failed("it has no pod") };
        let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        self.api::<Pod>().delete(&pod.name_any(), &at_once).await?;
        self.until_ready().await
    }

    /// How often the API server got no answer from a webhook since it was started, by its own count. Defaulting fails
    /// open, so nobody else would notice.
    ///
    /// # Errors
    /// When its metrics cannot be read.
    pub async fn unanswered(&self) -> Told<BTreeMap<String, u64>> {
        let text = self.metrics("/metrics").await?;
        let is_about =
            |line: &&str| !line.starts_with('#') && UNANSWERED.iter().any(|name| line.contains(name));
        let counted = text.lines().filter(is_about).filter_map(|line| {
            let (name, count) = line.rsplit_once(' ')?;
            name.contains("acid.zalan.do").then_some((name.to_owned(), count.parse().ok()?))
        });
        Ok(counted.collect())
    }

    /// How long the API server waited for each of our webhooks, by its own count.
    ///
    /// # Errors
    /// When its metrics cannot be read.
    pub async fn waited_for(&self) -> Told<Vec<(&'static str, Histogram)>> {
        let text = self.metrics("/metrics").await?;
        let of = |name: &str| Histogram::read(&text, WAITED, &[&format!("name=\"{name}\"")]);
        Ok(WEBHOOKS.iter().map(|&(verb, name)| (verb, of(name))).collect())
    }

    /// How long its replicas took for reviews, by their own count: each of them, by its name.
    ///
    /// # Errors
    /// When their metrics cannot be read.
    pub async fn took(&self) -> Told<BTreeMap<String, Histogram>> {
        let mut all = BTreeMap::new();
        for pod in self.pods().await? {
            let (namespace, name) = (&self.namespace, pod.name_any());
            let text = self
                .metrics(&format!("/api/v1/namespaces/{namespace}/pods/{name}:8080/proxy/metrics"))
                .await?;
            all.insert(name, Histogram::read(&text, "postgres_operator_webhook_review_seconds", &[]));
        }
        Ok(all)
    }

    async fn metrics(&self, path: &str) -> Told<String> {
        let request =
            http::Request::get(path).body(Vec::new()).map_err(|error| Stop::Failed(error.to_string()))?;
        Ok(self.client.request_text(request).await?)
    }
}
