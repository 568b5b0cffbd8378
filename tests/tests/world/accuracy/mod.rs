//! What is said is what is done: for hundreds of changes, the preview, the built objects and the operator agree.
//!
//! Each change begins with a copy of a settled world. A person is told what admission says; the same two manifests (or
//! configurations) are built and compared; and the operator carries the change out. Changes are drawn from the schemas,
//! the same in every run.

mod changes;
mod done;
mod said;

use serde_json::{Value, json};
use shared::admission::configuration::{ConfigurationChange, review_configuration};
use shared::api::Postgresql;
use shared::config::{OperatorConfig, Source};
use shared::plan;

use crate::world::{NAMESPACE, Saved, World, configuration, manifest_key};
use done::{Before, Built, Done};
use said::Said;

/// A settled world, and what stands in it.
struct Beginning {
    saved: Saved,
    manifest: Value,
}

impl Beginning {
    async fn with(spec: Value) -> Self {
        Self::under(configuration(), spec).await
    }

    async fn under(config: OperatorConfig, spec: Value) -> Self {
        let manifest = json!({
            "apiVersion": "acid.zalan.do/v1", "kind": "postgresql", "metadata": {"name": "demo"}, "spec": spec,
        });
        let world = World::with(manifest).await;
        world.configure(|now| *now = config);
        world.settle().await;
        assert_eq!(world.word(), "Running", "{:#}", world.status());
        Self { saved: world.saved(), manifest: (*world.api.get(&manifest_key()).unwrap()).clone() }
    }

    /// Lets the operator carry a change out.
    async fn carry_out(&self, change: impl FnOnce(&World)) -> Done {
        let mut world = World::of(self.saved.clone());
        world.start("operator");
        world.pass(3).await;
        world.forget();
        let before = Before::seen(&world);
        change(&world);
        let settled = world.comes_to_rest().await;
        Done::seen(&world, &before, settled)
    }
}

fn typed(manifest: &Value) -> Postgresql {
    serde_json::from_value(manifest.clone()).unwrap()
}

/// What was tried, and where the three did not agree.
#[derive(Default)]
struct Report {
    tried: usize,
    effects: std::collections::BTreeMap<String, usize>,
    wrong: Vec<String>,
}

impl Report {
    fn note(&mut self, what: &Value, said: &Said, built: &Built, done: &Done) {
        self.tried += 1;
        *self.effects.entry(format!("{:?}", said.effect)).or_default() += 1;
        let complaints: Vec<String> =
            said.disagrees(built, done).into_iter().chain(built.disagrees(done)).collect();
        if !complaints.is_empty() {
            self.wrong.push(format!(
                "{what}\n  said: {}\n  {}\n  done: {done:?}",
                said.lines.join("\n        "),
                complaints.join("\n  ")
            ));
        }
    }

    fn is_clean(&self, at_least: usize) {
        println!("{} changes: {:?}", self.tried, self.effects);
        assert!(self.wrong.is_empty(), "{} of {}:\n{}", self.wrong.len(), self.tried, self.wrong.join("\n"));
        assert!(self.tried >= at_least, "only {} changes were tried", self.tried);
    }
}

/// Tries changes of a manifest.
async fn manifests(spec: Value, seed: usize, wanted: usize) {
    let begin = Beginning::with(spec).await;
    let (config, old) = (configuration(), typed(&begin.manifest));
    assert!(config.general.maintenance_windows.is_empty(), "nothing is held back here");
    let mut report = Report::default();
    for patch in changes::of_manifest(&begin.manifest, &config, seed, wanted) {
        let new = changes::patched(&begin.manifest, &patch);
        let lines = plan::plan(&old, &typed(&new), &config, None);
        let said = Said::of_manifest(&lines);
        let built = Built::between((&old, &config), (&typed(&new), &config));
        let done = begin.carry_out(|world| world.apply(new)).await;
        report.note(&patch, &said, &built, &done);
    }
    report.is_clean(wanted);
}

#[tokio::test(start_paused = true)]
async fn what_is_said_of_a_change_to_a_small_cluster_is_what_is_done() {
    manifests(changes::small(), 0, 90).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_said_of_a_change_to_a_large_cluster_is_what_is_done() {
    manifests(changes::large(), 1, 90).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_said_of_a_change_to_a_cluster_with_everything_is_what_is_done() {
    manifests(changes::full(), 2, 90).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_said_of_a_change_to_the_configuration_is_what_is_done() {
    let manifest = typed(&json!({
        "apiVersion": "acid.zalan.do/v1", "kind": "postgresql",
        "metadata": {"name": "demo", "namespace": NAMESPACE}, "spec": changes::full(),
    }));
    let manifests = [manifest.clone()];
    let (old, all) = changes::of_configuration(&manifests, 60);
    let begin = Beginning::under(old.clone(), changes::full()).await;
    let mut report = Report::default();
    for (patch, new) in all {
        let change = ConfigurationChange {
            source: Source::Resource,
            old: &old,
            new: &new,
            manifests: &manifests,
            insisted: "",
            now: None,
        };
        let said = Said::of_configuration(&review_configuration(&change).unwrap());
        let built = Built::between((&manifest, &old), (&manifest, &new));
        let done =
            begin.carry_out(|world| world.configure(|config: &mut OperatorConfig| *config = new)).await;
        report.note(&patch, &said, &built, &done);
    }
    report.is_clean(60);
}
