//! The operator's configuration: where it comes from, how it is read, and a watch that keeps it current.
//!
//! Asked by `serve` (the watch), by `validate` and `offline` (`review`). An invalid configuration never replaces a
//! valid one; until the first valid one is there the webhook is not ready, because it would judge by wrong rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::{Stream, StreamExt, TryStreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, ResourceExt};
use serde_json::Value;
use shared::admission::configuration::{ConfigurationChange, Fleet, refusals, review_configuration};
use shared::annotations::INSIST;
use shared::api::OperatorConfiguration;
use shared::field::{FieldErrors, FieldPath};
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::metrics::Metrics;
use crate::validate;
use shared::config::{self, OperatorConfig, Reading, changes_that_orphan, read_config_map, read_resource};
use shared::plan;

/// The kind of the typed configuration.
pub const OBJECT_KIND: &str = "OperatorConfiguration";
/// The kind of the untyped one.
pub const MAP_KIND: &str = "ConfigMap";

/// The configuration in force; `None` until one has been read.
pub type Current = watch::Receiver<Option<Arc<OperatorConfig>>>;

/// Namespace and name of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Place {
    /// Reads `[namespace/]name`, as upstream's `CONFIG_MAP_NAME` is written.
    pub fn read(text: &str, namespace: &str) -> Self {
        let (namespace, name) = text.split_once('/').unwrap_or((namespace, text));
        Self { namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

/// Where the configuration comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nothing was named: the built-in defaults.
    Defaults,
    /// An `OperatorConfiguration`.
    Object(Place),
    /// A `ConfigMap`.
    ConfigMap(Place),
}

/// Reads a configuration from an object of either kind, as raw JSON.
pub fn read(object: &Value) -> Reading {
    if object.get("kind").and_then(Value::as_str) == Some(MAP_KIND) {
        return read_map(object);
    }
    match serde_json::from_value::<OperatorConfiguration>(object.clone()) {
        Ok(resource) => read_resource(&resource),
        Err(error) => {
            let mut errors = FieldErrors::default();
            errors.invalid(FieldPath::new("configuration"), format!("cannot be read: {error}"));
            let readable = OperatorConfig::default_of_resource();
            Reading { config: Err(errors), readable, warnings: Vec::new() }
        }
    }
}

fn read_map(object: &Value) -> Reading {
    let mut data = BTreeMap::new();
    let mut errors = FieldErrors::default();
    for (key, value) in object.get("data").and_then(Value::as_object).into_iter().flatten() {
        match value.as_str() {
            Some(text) => {
                data.insert(key.clone(), text.to_owned());
            }
            // Only in files: the API server refuses such a map before it asks anybody.
            None => {
                errors.invalid(FieldPath::new("data").key(key), "must be a string: put the value in quotes");
            }
        }
    }
    let mut reading = read_config_map(&data);
    if let Err(more) = &reading.config {
        errors.extend(more.clone());
    }
    if !errors.is_empty() {
        reading.config = Err(errors);
    }
    reading
}

/// What a configuration is held against.
#[derive(Default)]
pub struct Held<'a> {
    /// The configuration in force, where the object that is judged is the one it comes from.
    pub in_force: Option<&'a OperatorConfig>,
    /// The clusters there are; `None` when they are not known.
    pub clusters: Option<Box<dyn Fleet>>,
    /// The time, where it is known when the configuration will be in force.
    pub now: Option<Timestamp>,
}

/// What should be known about a new configuration, or about changing `old` into it.
///
/// Where the clusters are not known, what would orphan their objects is a warning and no error: only those who see the
/// clusters could say that there are none.
///
/// # Errors
/// Everything that is wrong with it, and what would break clusters.
pub fn review(old: Option<&Value>, new: &Value, held: &Held<'_>) -> Result<Vec<String>, FieldErrors> {
    let Reading { config, readable, warnings } = read(new);
    let errors = config.err().unwrap_or_default();
    let told = warnings.iter().flat_map(|warning| plan::lines(&warning.path, &warning.message));
    let mut lines: Vec<String> = told.collect();
    let stored = old.and_then(|old| read(old).config.ok());
    // One that is made anew after it was deleted, or that was invalid, changes what was in force until now.
    let Some(before) = stored.as_ref().or(held.in_force) else { return errors.into_result().map(|()| lines) };
    let is_map = new.get("kind").and_then(Value::as_str) == Some(MAP_KIND);
    let source = if is_map { config::Source::ConfigMap } else { config::Source::Resource };
    let Some(manifests) = held.clusters.as_deref() else {
        errors.into_result()?;
        let orphaned = changes_that_orphan(source, before, &readable);
        lines.extend(orphaned.iter().flat_map(|error| plan::lines(&error.path, &error.message)));
        return Ok(lines);
    };
    let annotations = new.pointer("/metadata/annotations");
    let insisted = annotations.and_then(|all| all.get(INSIST)).and_then(Value::as_str).unwrap_or_default();
    let now = held.now;
    let change = ConfigurationChange { source, old: before, new: &readable, manifests, insisted, now };
    if !errors.is_empty() {
        return Err(with_refusals(errors, &change));
    }
    lines.extend(validate::lines(&review_configuration(&change)?));
    Ok(lines)
}

/// The mistakes, and what would break clusters beside them. Where a setting is wrong, its default is what could be read,
/// and nobody asked for that.
fn with_refusals(mut errors: FieldErrors, change: &ConfigurationChange<'_>) -> FieldErrors {
    for refused in &refusals(change) {
        if errors.paths().all(|path| *path != refused.path) {
            errors.push(refused.path.clone(), refused.reason, refused.message.clone());
        }
    }
    errors
}

/// Follows the configuration for as long as the process lives.
pub async fn follow(
    client: Client,
    source: Source,
    current: watch::Sender<Option<Arc<OperatorConfig>>>,
    metrics: Arc<Metrics>,
) {
    match source {
        Source::Defaults => {
            info!("no configuration is named; the built-in defaults apply");
            current.send_replace(Some(Arc::new(OperatorConfig::default())));
        }
        Source::Object(place) => {
            let kind = GroupVersionKind::gvk("acid.zalan.do", "v1", OBJECT_KIND);
            let resource = ApiResource::from_gvk_with_plural(&kind, "operatorconfigurations");
            let api: Api<DynamicObject> = Api::namespaced_with(client, &place.namespace, &resource);
            let objects = watcher::watch_object(api, &place.name).default_backoff();
            take_each(objects, &place, &current, &metrics).await;
        }
        Source::ConfigMap(place) => {
            let api: Api<ConfigMap> = Api::namespaced(client, &place.namespace);
            let objects = watcher::watch_object(api, &place.name).default_backoff();
            take_each(objects, &place, &current, &metrics).await;
        }
    }
}

async fn take_each<K: ResourceExt + serde::Serialize>(
    objects: impl Stream<Item = Result<Option<K>, watcher::Error>>,
    place: &Place,
    current: &watch::Sender<Option<Arc<OperatorConfig>>>,
    metrics: &Metrics,
) {
    let mut objects = std::pin::pin!(objects.into_stream());
    while let Some(event) = objects.next().await {
        match event {
            Ok(Some(object)) => match serde_json::to_value(&object) {
                Ok(value) => take(&value, place, current, metrics),
                Err(error) => error!(%error, "could not read the configuration"),
            },
            Ok(None) => warn!(
                namespace = place.namespace,
                name = place.name,
                "the configuration does not exist; without one nothing is judged, else the last one read stays in force"
            ),
            Err(error) => warn!(%error, "could not watch the configuration; trying again"),
        }
    }
}

/// Puts a configuration in force when it is valid.
fn take(
    value: &Value,
    place: &Place,
    current: &watch::Sender<Option<Arc<OperatorConfig>>>,
    metrics: &Metrics,
) {
    let read = read(value).config;
    metrics.configured(read.is_ok(), Timestamp::now());
    match read {
        Ok(config) => {
            info!(namespace = place.namespace, name = place.name, "configuration read");
            current.send_replace(Some(Arc::new(config)));
        }
        Err(errors) => {
            // Paths only: a configuration may hold values that do not belong into a log.
            let fields: Vec<&str> = errors.paths().map(FieldPath::as_str).collect();
            error!(?fields, "the configuration is invalid; the last valid one stays in force");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use shared::api::Postgresql;

    use super::*;

    fn place() -> Place {
        Place::read("postgres-operator", "operators")
    }

    #[test]
    fn a_config_map_may_be_named_with_its_namespace() {
        assert_eq!(
            place(),
            Place { namespace: "operators".to_owned(), name: "postgres-operator".to_owned() }
        );
        assert_eq!(Place::read("other/map", "operators").namespace, "other");
    }

    #[test]
    fn an_invalid_configuration_leaves_the_last_valid_one_in_force() {
        let (sender, receiver) = watch::channel(None);
        let metrics = Metrics::default();
        let map = |workers: &str| json!({"kind": "ConfigMap", "data": {"workers": workers}});
        take(&map("many"), &place(), &sender, &metrics);
        assert!(receiver.borrow().is_none(), "not ready yet");
        take(&map("8"), &place(), &sender, &metrics);
        let first = receiver.borrow().clone().unwrap();
        take(&map("many"), &place(), &sender, &metrics);
        assert!(Arc::ptr_eq(&first, &receiver.borrow().clone().unwrap()));
        assert_eq!(metrics.configuration_invalid.get(), 1);
    }

    #[test]
    fn a_change_that_orphans_objects_is_a_warning_where_clusters_are_not_known() {
        let map = |label: &str| json!({"kind": "ConfigMap", "data": {"cluster_name_label": label}});
        assert_eq!(
            review(Some(&map("cluster-name")), &map("cluster-name"), &Held::default()),
            Ok(Vec::new())
        );
        let warnings = review(Some(&map("cluster-name")), &map("name"), &Held::default()).unwrap();
        assert!(warnings.iter().any(|line| line.starts_with("data[cluster_name_label]: ")), "{warnings:?}");
    }

    #[test]
    fn what_would_break_clusters_is_told_beside_other_mistakes() {
        let cluster: Postgresql = serde_json::from_value(json!({
            "apiVersion": "acid.zalan.do/v1", "kind": "postgresql", "metadata": {"name": "acid-a"},
            "spec": {"teamId": "acid", "numberOfInstances": 1, "volume": {"size": "1Gi"},
                     "postgresql": {"version": "17"}},
        }))
        .unwrap();
        let held = Held { clusters: Some(Box::new(vec![cluster])), ..Held::default() };
        let old = json!({"kind": "ConfigMap", "data": {"pod_role_label": "role"}});
        let new = json!({"kind": "ConfigMap", "data":
            {"cluster_name_label": "name", "workers": "many", "pod_role_label": "not a label"}});
        let errors = review(Some(&old), &new, &held).unwrap_err();
        let mut paths: Vec<&str> = errors.paths().map(FieldPath::as_str).collect();
        paths.sort_unstable();
        assert_eq!(paths, ["data[cluster_name_label]", "data[pod_role_label]", "data[workers]"], "{errors}");
    }

    #[test]
    fn a_number_in_a_config_map_is_named_as_a_mistake() {
        let errors = review(None, &json!({"kind": "ConfigMap", "data": {"workers": 8}}), &Held::default())
            .unwrap_err();
        assert!(errors.to_string().starts_with("data[workers]: must be a string"));
    }
}
