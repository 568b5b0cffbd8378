//! The operator under test, as an administrator meets it: its pod, its log, its configuration.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, LogParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use super::{SETTLED, Stage, Stop, Told, until};

const NAME: &str = "postgres-operator";

/// The operator's deployment.
#[derive(Clone)]
pub struct Operator {
    client: Client,
    namespace: String,
    name: String,
}

impl Operator {
    /// The one under test.
    pub(super) fn of(client: Client) -> Self {
        let namespace = std::env::var("E2E_OPERATOR_NAMESPACE").unwrap_or_else(|_| NAME.to_owned());
        Self { client, namespace, name: NAME.to_owned() }
    }

    /// Another, whose namespace is called like itself.
    pub(super) fn named(client: Client, name: &str) -> Self {
        Self { client, namespace: name.to_owned(), name: name.to_owned() }
    }

    /// What finds the pods of it and of its webhook.
    pub(super) fn selector(&self) -> String {
        format!("app.kubernetes.io/name={}", self.name)
    }

    /// # Errors
    /// With the reason to skip, when there is no operator.
    pub(super) async fn is_deployed(&self) -> Told {
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), &self.namespace);
        match deployments.get_opt(&self.name).await? {
            Some(_) => Ok(()),
            None => Stop::skipped(format!("no operator is deployed in namespace {}", self.namespace)),
        }
    }

    /// When it was installed: the age of its account.
    ///
    /// # Errors
    /// When it has none.
    pub async fn installed(&self) -> Told<Timestamp> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &self.namespace);
        let created = accounts.get(&self.name).await?.metadata.creation_timestamp;
        created.map(|time| time.0).ok_or_else(|| Stop::Failed("the operator's account has no age".to_owned()))
    }

    /// The namespace of both services.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The user under which it asks the API server.
    pub fn account(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.name)
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    async fn running_pod(&self) -> Told<Pod> {
        let operators = format!("{},app.kubernetes.io/component=operator", self.selector());
        let pods = self.pods().list(&ListParams::default().labels(&operators)).await?;
        let living = pods.into_iter().find(|pod| pod.metadata.deletion_timestamp.is_none());
        living.ok_or_else(|| Stop::Failed("the operator has no pod".to_owned()))
    }

    /// Which process it is: the pod's UID and how often its container was started again.
    ///
    /// # Errors
    /// When it has no pod.
    pub async fn process(&self) -> Told<(String, i32)> {
        let pod = self.running_pod().await?;
        let containers = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
        let restarts = containers.into_iter().flatten().map(|container| container.restart_count).sum();
        Ok((pod.uid().unwrap_or_default(), restarts))
    }

    /// Ends its pod at once, without a chance to say good-bye.
    ///
    /// # Errors
    /// When it has none.
    pub async fn kill(&self) -> Told {
        let pod = self.running_pod().await?;
        let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        self.pods().delete(&pod.name_any(), &at_once).await?;
        Ok(())
    }

    /// Waits until it runs.
    ///
    /// # Errors
    /// When it does not.
    pub async fn until_ready(&self) -> Told {
        until("the operator is ready", SETTLED, async || {
            let pod = self.running_pod().await?;
            let containers = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
            match containers.into_iter().flatten().all(|container| container.ready) {
                true if containers.is_some() => Ok(()),
                _ => Stop::failed("its container is not ready"),
            }
        })
        .await
    }

    /// The lines of its log that name a namespace.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn log_about(&self, namespace: &str) -> Told<String> {
        let pod = self.running_pod().await?;
        let params = LogParams { tail_lines: Some(20_000), ..LogParams::default() };
        let log = self.pods().logs(&pod.name_any(), &params).await?;
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(namespace)).collect();
        Ok(without_colours(&lines.join("\n")))
    }

    fn configurations(&self) -> Api<DynamicObject> {
        let resource = ApiResource {
            group: "acid.zalan.do".to_owned(),
            version: "v1".to_owned(),
            api_version: "acid.zalan.do/v1".to_owned(),
            kind: "OperatorConfiguration".to_owned(),
            plural: "operatorconfigurations".to_owned(),
        };
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
    }

    /// One top-level setting of its configuration.
    ///
    /// # Errors
    /// With the reason to skip, when it is not configured by an object.
    pub async fn setting(&self, key: &str) -> Told<Value> {
        match self.configurations().get_opt(&self.name).await? {
            Some(object) => {
                let setting = object.data.get("configuration").and_then(|settings| settings.get(key));
                Ok(setting.cloned().unwrap_or_default())
            }
            None => Stop::skipped("the operator is not configured by an OperatorConfiguration"),
        }
    }

    /// Changes one top-level setting; `null` takes it out.
    ///
    /// # Errors
    /// When the change is refused.
    pub async fn set(&self, key: &str, value: &Value) -> Told {
        let patch = Patch::Merge(json!({"configuration": {key: value}}));
        self.configurations().patch(&self.name, &PatchParams::default(), &patch).await?;
        Ok(())
    }
}

impl Stage {
    /// Changes some settings of one group of the operator's configuration, and takes that back after the story.
    ///
    /// # Errors
    /// When the change is refused.
    pub async fn configure(&self, group: &'static str, settings: Value) -> Told {
        let operator = self.operator();
        let before = operator.setting(group).await?;
        let keys = settings.as_object().into_iter().flatten().map(|(key, _)| key);
        let undo: Value =
            keys.map(|key| (key.clone(), before.get(key).cloned().unwrap_or_default())).collect();
        let undone = operator.clone();
        self.afterwards(async move { undone.set(group, &undo).await });
        operator.set(group, &settings).await
    }
}

/// The text without the escape sequences of a terminal.
fn without_colours(text: &str) -> String {
    let mut plain = String::new();
    let mut parts = text.split('\u{1b}');
    plain.push_str(parts.next().unwrap_or_default());
    for part in parts {
        plain.push_str(part.split_once('m').map_or("", |(_, rest)| rest));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_taken_out() {
        assert_eq!(without_colours("\u{1b}[2mdim\u{1b}[0m plain"), "dim plain");
    }
}
