//! What is stored and would be rejected today: a metric by category, and one line of the log for each manifest.
//!
//! Rules become stricter with releases and with the configuration, while what is stored stays. Such a manifest runs on,
//! but the next change of it may be refused; this says so before. Asked by `serve`, and begun anew whenever the
//! configuration changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use shared::admission::{audit, category, policy};
use shared::config::OperatorConfig;
use shared::field::FieldPath;
use tracing::{info, warn};

use crate::configuration::Current;
use crate::metrics::Metrics;
use crate::surroundings::World;

/// How often to look whether the manifests are there yet. Nothing waits for it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Audits everything once the configuration and the manifests are known, and after each change of the configuration.
pub async fn follow(world: Arc<World>, mut current: Current, metrics: Arc<Metrics>) {
    loop {
        let config = match current.wait_for(Option::is_some).await {
            Ok(config) => config.clone(),
            Err(_) => return,
        };
        while world.clusters.all().is_none() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        if let Some(config) = config {
            let (world, metrics) = (Arc::clone(&world), Arc::clone(&metrics));
            // Thousands of manifests take a second: not on a thread that answers reviews.
            let _ = tokio::task::spawn_blocking(move || all(&world, &config, &metrics)).await;
        }
        if current.changed().await.is_err() {
            return;
        }
    }
}

/// Audits every manifest that is stored.
fn all(world: &World, config: &OperatorConfig, metrics: &Metrics) {
    let Some(namespaces) = world.clusters.all() else { return };
    let (mut total, mut categories) = (0, BTreeMap::new());
    for (namespace, manifests) in &namespaces {
        for (name, manifest) in manifests.iter() {
            let raw = manifest.raw();
            let mut errors = audit(&raw, config);
            errors.extend(policy::judge(None, &raw, &world.policy).refused);
            total += 1;
            if errors.is_empty() {
                continue;
            }
            // Fields only: a value may be a secret.
            let fields: Vec<&str> = errors.paths().map(FieldPath::as_str).collect();
            warn!(namespace, name, ?fields, "this stored manifest would be rejected today");
            let mut found: Vec<&'static str> = errors.paths().map(category).collect();
            found.sort_unstable();
            found.dedup();
            found.into_iter().for_each(|category| *categories.entry(category).or_insert(0) += 1);
        }
    }
    info!(manifests = total, "stored manifests audited");
    metrics.audited(&categories);
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use shared::admission::policy::Policy;
    use shared::admission::surroundings::StoredManifest;
    use tokio::sync::watch;

    use super::*;

    fn manifest(name: &str, size: &str) -> (String, String, StoredManifest) {
        let object: Value = json!({
            "apiVersion": "acid.zalan.do/v1", "kind": "postgresql",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {
                "teamId": "acid", "numberOfInstances": 1, "volume": {"size": size}, "postgresql": {"version": "17"},
            },
        });
        ("default".to_owned(), name.to_owned(), StoredManifest::of(&object))
    }

    #[test]
    fn what_would_be_rejected_is_counted_by_category_and_forgotten_when_it_is_right() {
        let (world, metrics, config) = (World::default(), Metrics::default(), OperatorConfig::default());
        world.clusters.fill([manifest("acid-a", "big"), manifest("acid-b", "1Gi"), manifest("Acid", "big")]);
        all(&world, &config, &metrics);
        let text = metrics.text();
        for line in ["stored_invalid{category=\"volume\"} 2", "stored_invalid{category=\"metadata\"} 1"] {
            assert!(text.contains(line), "{text}");
        }
        world.clusters.fill([manifest("acid-a", "1Gi")]);
        all(&world, &config, &metrics);
        assert!(!metrics.text().contains("stored_invalid{"), "{}", metrics.text());
    }

    #[test]
    fn what_the_policy_refuses_is_counted_with_the_rest() {
        let policy =
            Policy { allowed_registries: vec!["registry.example.com".to_owned()], ..Policy::default() };
        let (world, metrics) = (World { policy, ..World::default() }, Metrics::default());
        let (namespace, name, stored) = manifest("acid-a", "1Gi");
        let mut object = stored.raw();
        object["spec"]["dockerImage"] = json!("ghcr.io/spilo:17");
        world.clusters.fill([(namespace, name, StoredManifest::of(&object))]);
        all(&world, &OperatorConfig::default(), &metrics);
        let text = metrics.text();
        assert!(text.contains("stored_invalid{category=\"dockerImage\"} 1"), "{text}");
    }

    #[tokio::test]
    async fn the_audit_waits_for_both_and_is_repeated_when_the_configuration_changes() {
        let (world, metrics) = (Arc::new(World::default()), Arc::new(Metrics::default()));
        let (sender, current) = watch::channel(None);
        tokio::spawn(follow(Arc::clone(&world), current, Arc::clone(&metrics)));
        world.clusters.fill([manifest("shop", "1Gi")]);
        let invalid = || metrics.text().contains("stored_invalid{category=\"metadata\"} 1");
        let mut config = OperatorConfig::default();
        for prefixed in [true, false, true] {
            config.general.enable_team_id_clustername_prefix = prefixed;
            sender.send_replace(Some(Arc::new(config.clone())));
            while invalid() != prefixed {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}
