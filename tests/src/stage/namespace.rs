//! The stage itself: a namespace of its own for each story, struck when the story is over.
//!
//! When the story failed, everything a person would look at first is printed before the namespace goes.

use std::cell::RefCell;
use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use k8s_openapi::api::core::v1::{Event, Namespace, Pod};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use serde_json::json;

use super::manifest::manifests;
use super::{Cluster, Operator, Refusal, Reviews, SOON, Stop, Told, from_yaml, until};

/// Which of several operators looks after a manifest.
const CONTROLLER: &str = "acid.zalan.do/controller";

/// Who applies manifests, as Kubernetes records it.
const USER: &str = "e2e";

/// One story's namespace.
pub struct Stage {
    pub(super) client: Client,
    pub(super) namespace: String,
    short_name: String,
    own_operator: RefCell<Option<Operator>>,
    afterwards: RefCell<Vec<LocalBoxFuture<'static, Told>>>,
}

impl Stage {
    /// Makes the namespace.
    pub(super) async fn set_up(client: Client, story: &str) -> Told<Self> {
        let short_name = short_name_of(story);
        // No other run has it.
        let moment = jiff::Timestamp::now().as_microsecond() % 100_000_000;
        let namespace = format!("e2e-{short_name}-{moment:08}");
        let object = Namespace {
            metadata: ObjectMeta {
                name: Some(namespace.clone()),
                labels: Some([("e2e".to_owned(), "story".to_owned())].into()),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        let namespaces: Api<Namespace> = Api::all(client.clone());
        namespaces.create(&PostParams::default(), &object).await?;
        let (own_operator, afterwards) = (RefCell::default(), RefCell::default());
        Ok(Self { client, namespace, short_name, own_operator, afterwards })
    }

    /// A line for whoever watches.
    pub fn tell(&self, text: impl AsRef<str>) {
        eprintln!("    {}: {}", self.short_name, text.as_ref());
    }

    /// The namespace's name.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The number at the end of the namespace's name, which no other run has: for what stands outside of it.
    pub fn number(&self) -> &str {
        self.namespace.rsplit('-').next().unwrap_or_default()
    }

    /// The operator that looks after the story's clusters: the one under test, or the story's own.
    pub fn operator(&self) -> Operator {
        self.own_operator.borrow().clone().unwrap_or_else(|| Operator::of(self.client.clone()))
    }

    /// Installs an operator that looks after what the story applies from now on. It may be configured otherwise and killed
    /// while other stories are played.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn with_own_operator(&self) -> Told {
        let own = self.install_beside("deploy/overlays/dev", "own", "").await?;
        *self.own_operator.borrow_mut() = Some(Operator::named(self.client(), own.name()));
        Ok(())
    }

    /// Something to be done when the story is over, however it ends: what was changed last is undone first.
    pub fn afterwards(&self, undo: impl Future<Output = Told> + 'static) {
        self.afterwards.borrow_mut().push(undo.boxed_local());
    }

    /// The client of whoever plays, who may do anything.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The objects of a kind in this namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(super) fn manifests(&self) -> Api<DynamicObject> {
        self.manifests_in(&self.namespace)
    }

    /// The manifests of some namespace.
    pub fn manifests_in(&self, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &manifests())
    }

    /// `kubectl apply` of a manifest.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn apply(&self, yaml: &str) -> Told<Cluster<'_>> {
        let mut manifest = from_yaml(yaml)?;
        let name = manifest.name_any();
        if let Some(own) = &*self.own_operator.borrow() {
            manifest.annotations_mut().insert(CONTROLLER.to_owned(), own.namespace().to_owned());
        }
        let params = PatchParams::apply(USER).force();
        self.manifests().patch(&name, &params, &Patch::Apply(&manifest)).await?;
        Ok(Cluster::new(self, name))
    }

    /// A cluster that runs, with all its members, and a client beside it.
    ///
    /// # Errors
    /// When its manifest is refused, or it does not come to that.
    pub async fn settled(&self, yaml: &str, members: usize) -> Told<Cluster<'_>> {
        self.with_client().await?;
        let cluster = self.apply(yaml).await?;
        cluster.until_running().await?;
        cluster.until_members_are(members).await?;
        Ok(cluster)
    }

    /// What is said to `kubectl create` of a manifest that is no good.
    ///
    /// # Errors
    /// When it is accepted, or the API server fails otherwise.
    pub async fn is_refused(&self, yaml: &str) -> Told<Refusal> {
        self.is_refused_with(&PostParams::default(), yaml).await
    }

    /// The same with `--dry-run=server`: nothing is made of it even when it is accepted.
    ///
    /// # Errors
    /// When it is accepted, or the API server fails otherwise.
    pub async fn would_refuse(&self, yaml: &str) -> Told<Refusal> {
        self.is_refused_with(&PostParams { dry_run: true, ..PostParams::default() }, yaml).await
    }

    async fn is_refused_with(&self, params: &PostParams, yaml: &str) -> Told<Refusal> {
        let manifest = from_yaml(yaml)?;
        match self.manifests().create(params, &manifest).await {
            Ok(_) => Stop::failed(format!("{} was accepted", manifest.name_any())),
            Err(kube::Error::Api(status)) => Ok(Refusal::of(&status)),
            Err(error) => Err(error.into()),
        }
    }

    /// Begins to have a manifest judged so often each second.
    ///
    /// # Errors
    /// When it is no manifest.
    pub fn reviews(&self, yaml: &str, each_second: u32) -> Told<Reviews> {
        Reviews::begin(self, yaml, each_second)
    }

    /// Whether `kubectl create --dry-run=server` takes a manifest.
    ///
    /// # Errors
    /// When it does not.
    pub async fn would_accept(&self, yaml: &str) -> Told {
        let mut manifest = from_yaml(yaml)?;
        manifest.metadata.namespace = None;
        let params = PostParams { dry_run: true, ..PostParams::default() };
        self.manifests().create(&params, &manifest).await?;
        Ok(())
    }

    /// Strikes the stage. What a failed story left behind is told first.
    pub(super) async fn strike(self, failed: bool) {
        if failed {
            self.tell_everything().await;
        }
        for undo in self.afterwards.take().into_iter().rev() {
            if let Err(stop) = undo.await {
                self.tell(format!("COULD NOT UNDO what the story changed: {stop}"));
            }
        }
        if failed && std::env::var("E2E_KEEP_FAILED").is_ok_and(|keep| !keep.is_empty()) {
            self.tell(format!("E2E_KEEP_FAILED is set: namespace {} stays", self.namespace));
            return;
        }
        if let Err(stop) = self.clear().await {
            self.tell(format!("could not clear namespace {}: {stop}", self.namespace));
        }
    }

    /// Manifests first: the operator takes their objects down while the namespace still lives.
    async fn clear(&self) -> Told {
        let manifests = self.manifests();
        for manifest in manifests.list(&ListParams::default()).await? {
            manifests.delete(&manifest.name_any(), &DeleteParams::default()).await?;
        }
        let gone = until("the manifests are gone", SOON, async || {
            match manifests.list(&ListParams::default()).await?.items.len() {
                0 => Ok(()),
                left => Stop::failed(format!("{left} left")),
            }
        });
        if let Err(stop) = gone.await {
            self.tell(format!("{stop}; taking their finalizers off"));
            let none = Patch::Merge(json!({"metadata": {"finalizers": null}}));
            for manifest in manifests.list(&ListParams::default()).await? {
                manifests.patch(&manifest.name_any(), &PatchParams::default(), &none).await?;
            }
        }
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        namespaces.delete(&self.namespace, &DeleteParams::default()).await?;
        Ok(())
    }

    async fn tell_everything(&self) {
        let report = async {
            self.tell_manifests().await?;
            self.tell_pods().await?;
            self.tell_events().await?;
            let log = self.operator().log_about(&self.namespace).await?;
            self.tell(format!("the operator's log:\n{}", last_lines(&log, 60)));
            Ok::<(), Stop>(())
        };
        match tokio::time::timeout(Duration::from_secs(30), report).await {
            Ok(Ok(())) => {}
            Ok(Err(stop)) => self.tell(format!("the report broke off: {stop}")),
            Err(_) => self.tell("the report took too long"),
        }
    }

    async fn tell_manifests(&self) -> Told {
        for manifest in self.manifests().list(&ListParams::default()).await? {
            let status = manifest.data.get("status").cloned().unwrap_or_default();
            self.tell(format!("manifest {}: {status}", manifest.name_any()));
        }
        Ok(())
    }

    async fn tell_pods(&self) -> Told {
        for pod in self.api::<Pod>().list(&ListParams::default()).await? {
            let status = pod.status.clone().unwrap_or_default();
            let containers = status.container_statuses.unwrap_or_default();
            let ready = containers.iter().filter(|container| container.ready).count();
            let images: Vec<&str> = containers.iter().map(|container| container.image.as_str()).collect();
            self.tell(format!(
                "pod {}: {} {ready}/{} {:?} {} {}",
                pod.name_any(),
                status.phase.unwrap_or_default(),
                containers.len(),
                pod.labels().get("spilo-role"),
                images.join(" "),
                if pod.metadata.deletion_timestamp.is_some() { "terminating" } else { "" },
            ));
        }
        Ok(())
    }

    async fn tell_events(&self) -> Told {
        let events = self.api::<Event>().list(&ListParams::default()).await?;
        let lines: Vec<String> = events
            .iter()
            .map(|event| {
                let (kind, name) = (&event.involved_object.kind, &event.involved_object.name);
                let (kind, name) = (kind.as_deref().unwrap_or_default(), name.as_deref().unwrap_or_default());
                let reason = event.reason.as_deref().unwrap_or_default();
                format!("{kind} {name}: {reason}: {}", event.message.as_deref().unwrap_or_default())
            })
            .collect();
        self.tell(format!("events:\n{}", last_lines(&lines.join("\n"), 40)));
        Ok(())
    }
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let skipped = lines.len().saturating_sub(count);
    lines.into_iter().skip(skipped).map(|line| format!("        {line}")).collect::<Vec<_>>().join("\n")
}

/// The words of a sentence that tell it from others.
fn short_name_of(story: &str) -> String {
    let words: Vec<&str> = story.split('_').filter(|word| word.len() > 3).take(4).collect();
    words.join("-")
}
