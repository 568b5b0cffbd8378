//! An installation of ours beside the one under test: all of an overlay under another name and in a namespace of its own.
//!
//! Both see every manifest. This one looks after those whose annotation `acid.zalan.do/controller` names it, as upstream's
//! operators share a cluster, so its stories need not be played alone. A newcomer would not guess that `kubectl kustomize`
//! cannot rename what stands in arguments and rules: here the rendered text is renamed as a whole.

use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams};
use serde_json::{Value, json};

use super::reader::repository;
use super::{SETTLED, SOON, Stage, Stop, Told, image, until};

/// What our objects, the namespace and the label of all of them are called.
const NAME: &str = "postgres-operator";
/// The folder of the images, which has that name and keeps it.
const IMAGES: &str = "localhost/postgres-operator/";
/// The namespace that the overlay `namespaced` serves.
const SERVED: &str = ": databases\n";

/// What every such installation has beside what its story asks for.
const PATCHES: &str = r#"
  - target: {kind: OperatorConfiguration, name: postgres-operator}
    patch: |
      - {op: add, path: /configuration/docker_image, value: "@image@"}
  - target: {kind: Deployment, name: postgres-operator}
    patch: |
      - {op: add, path: /spec/template/spec/containers/0/env/-, value: {name: CONTROLLER_ID, value: "@controller@"}}
  - target: {kind: "^(Validating|Mutating)WebhookConfiguration$", name: postgres-operator}
    patch: |
      - {op: add, path: /webhooks/0/namespaceSelector, value: {matchLabels: {kubernetes.io/metadata.name: "@stage@"}}}
"#;

/// An installation beside the one under test.
pub struct Beside<'a> {
    stage: &'a Stage,
    name: String,
}

impl Stage {
    /// Installs an overlay, with kustomize's `patches` of the story's own, under the [name](Stage::name_beside) that
    /// manifests name, too; its webhook judges this story's namespace alone.
    ///
    /// # Errors
    /// When kustomize or the API server refuses it, or it does not become ready.
    pub async fn install_beside(&self, overlay: &str, what: &str, patches: &str) -> Told<Beside<'_>> {
        let beside = Beside { stage: self, name: self.name_beside(what) };
        let patches = format!("{PATCHES}{patches}")
            .replace("@image@", &image())
            .replace("@controller@", &beside.name)
            .replace("@stage@", self.namespace());
        let rendered = beside.render(overlay, &patches).await?;
        let mut objects = serde_saphyr::from_multiple::<DynamicObject>(&rendered)?;
        // What stands under no name of this installation belongs to the one under test, and is the same.
        objects.retain(|object| object.namespace().is_some() || object.name_any().contains(&beside.name));
        objects.iter_mut().for_each(keep_the_lease);
        self.install_objects(objects).await?;
        self.afterwards(take_down(self.manifests()));
        beside.until_ready().await?;
        Ok(beside)
    }

    /// The name of something of this story that stands outside of its namespace.
    pub fn name_beside(&self, what: &str) -> String {
        format!("{what}-{}", self.number())
    }
}

impl Beside<'_> {
    /// What its objects are called, its namespace, and the controller that its manifests name.
    pub fn name(&self) -> &str {
        &self.name
    }

    async fn render(&self, overlay: &str, patches: &str) -> Told<String> {
        let folder = repository().join("target/e2e").join(&self.name);
        std::fs::create_dir_all(&folder)?;
        let kustomization = format!(
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [../../../{overlay}]\npatches:{patches}"
        );
        std::fs::write(folder.join("kustomization.yaml"), kustomization)?;
        let mut kubectl = tokio::process::Command::new("kubectl");
        let output = kubectl.arg("kustomize").arg(&folder).kill_on_drop(true).output().await?;
        std::fs::remove_dir_all(&folder)?;
        if !output.status.success() {
            return Stop::failed(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let kept = "localhost/@/";
        let text = String::from_utf8(output.stdout)?.replace(IMAGES, kept).replace(NAME, &self.name);
        Ok(text.replace(kept, IMAGES).replace(SERVED, &format!(": {}\n", self.stage.namespace())))
    }

    /// Waits until all of its pods are ready and the API server trusts its webhook.
    ///
    /// # Errors
    /// When it does not come to that.
    pub async fn until_ready(&self) -> Told {
        let deployments: Api<Deployment> = Api::namespaced(self.stage.client(), &self.name);
        for name in [self.name.clone(), format!("{}-webhook", self.name)] {
            until(&format!("Deployment {name} is rolled out"), SETTLED, async || {
                let deployment = deployments.get(&name).await?;
                let wanted = deployment.spec.and_then(|spec| spec.replicas).unwrap_or(1);
                let status = deployment.status.unwrap_or_default();
                let is_seen = status.observed_generation == deployment.metadata.generation;
                match status.available_replicas.unwrap_or(0) {
                    available if is_seen && available == wanted => Ok(()),
                    available => Stop::failed(format!("{available} of {wanted} pods are available")),
                }
            })
            .await?;
        }
        let configurations: Api<ValidatingWebhookConfiguration> = Api::all(self.stage.client());
        until("the certificate is published", SOON, async || {
            let webhooks = configurations.get(&self.name).await?.webhooks.unwrap_or_default();
            match webhooks.iter().filter(|webhook| webhook.client_config.ca_bundle.is_none()).count() {
                0 => Ok(()),
                left => Stop::failed(format!("{left} webhooks have no caBundle")),
            }
        })
        .await
    }
}

/// The lease has its usual name in every namespace, and so in the rules about it.
fn keep_the_lease(object: &mut DynamicObject) {
    let rules = object.data.get_mut("rules").and_then(Value::as_array_mut).into_iter().flatten();
    for rule in rules.filter(|rule| rule.get("resources") == Some(&json!(["leases"]))) {
        if let Some(names) = rule.get_mut("resourceNames") {
            *names = json!([NAME]);
        }
    }
}

/// The clusters go before the operator that looks after them.
async fn take_down(manifests: Api<DynamicObject>) -> Told {
    for manifest in manifests.list(&ListParams::default()).await? {
        manifests.delete(&manifest.name_any(), &DeleteParams::default()).await?;
    }
    until("the manifests are gone", SOON, async || {
        match manifests.list(&ListParams::default()).await?.items.len() {
            0 => Ok(()),
            left => Stop::failed(format!("{left} left")),
        }
    })
    .await
}
