//! The operator's configuration, watched: a change reaches running clusters without a restart of the operator.
//!
//! An invalid configuration never replaces a valid one. Until the first valid one is there nothing is looked at,
//! because clusters would be changed by the wrong rules.

use std::sync::Arc;

use futures::{Stream, StreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use shared::api::OperatorConfiguration;
use shared::config::{Environment, NamespacedName, OperatorConfig, Reading, read_config_map, read_resource};
use shared::field::FieldPath;
use tokio::sync::watch;

use crate::args::Args;
use crate::metrics::Metrics;

/// Where the configuration comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nothing was named: the built-in defaults.
    Defaults,
    /// An `OperatorConfiguration`, by namespace and name.
    Object(String, String),
    /// A ConfigMap, by namespace and name.
    ConfigMap(String, String),
}

impl Source {
    /// What the arguments name. An object wins over a ConfigMap, as upstream has it.
    pub fn of(args: &Args) -> Self {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(name) = given(&args.configuration_object) {
            return Self::Object(args.namespace.clone(), name);
        }
        let map = given(&args.config_map).and_then(|text| text.parse::<NamespacedName>().ok());
        map.map_or(Self::Defaults, |map| {
            Self::ConfigMap(map.namespace_or(&args.namespace).to_owned(), map.name.clone())
        })
    }
}

/// The configuration in force, and where it is told that another one was read.
pub struct Current {
    /// `None` until a valid one has been read.
    pub sender: watch::Sender<Option<Arc<OperatorConfig>>>,
    /// Whether the last one was valid.
    pub metrics: Metrics,
}

/// Follows the configuration for as long as the process lives.
pub async fn follow(client: Client, source: Source, overrides: Environment, current: Current) {
    match source {
        Source::Defaults => {
            tracing::info!("no configuration is named; the built-in defaults apply");
            let readable = OperatorConfig::default();
            let reading = Reading { config: Ok(readable.clone()), readable, warnings: Vec::new() };
            take(reading, &overrides, &current);
        }
        Source::Object(namespace, name) => {
            let api: Api<OperatorConfiguration> = Api::namespaced(client, &namespace);
            let objects = watcher::watch_object(api, &name).default_backoff();
            take_each(objects, |object| read_resource(&object), &overrides, &current).await;
        }
        Source::ConfigMap(namespace, name) => {
            let api: Api<ConfigMap> = Api::namespaced(client, &namespace);
            let objects = watcher::watch_object(api, &name).default_backoff();
            let read = |map: ConfigMap| read_config_map(&map.data.unwrap_or_default());
            take_each(objects, read, &overrides, &current).await;
        }
    }
}

async fn take_each<K>(
    objects: impl Stream<Item = watcher::Result<Option<K>>>,
    read: impl Fn(K) -> Reading,
    overrides: &Environment,
    current: &Current,
) {
    let mut objects = std::pin::pin!(objects);
    while let Some(event) = objects.next().await {
        match event {
            Ok(Some(object)) => take(read(object), overrides, current),
            Ok(None) => tracing::warn!("the configuration does not exist; the last one read stays in force"),
            Err(error) => tracing::warn!(%error, "could not watch the configuration; trying again"),
        }
    }
}

/// Puts a configuration in force when it is valid and another one than before.
fn take(reading: Reading, overrides: &Environment, current: &Current) {
    for warning in &reading.warnings {
        tracing::warn!(%warning, "configuration");
    }
    current.metrics.configured(reading.config.is_ok(), Timestamp::now());
    match reading.config {
        Ok(mut config) => {
            config.with_environment(overrides);
            let is_new = current.sender.send_if_modified(|before| {
                let same = before.as_deref() == Some(&config);
                if !same {
                    *before = Some(Arc::new(config));
                }
                !same
            });
            tracing::info!(is_new, "configuration read");
        }
        Err(errors) => {
            // Paths only: a configuration may hold values that do not belong into a log.
            let fields: Vec<&str> = errors.paths().map(FieldPath::as_str).collect();
            tracing::error!(?fields, "the configuration is invalid; the last valid one stays in force");
        }
    }
}
