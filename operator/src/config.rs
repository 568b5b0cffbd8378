//! The operator's configuration, watched: a change reaches running clusters without a restart of the operator.
//!
//! An invalid configuration never replaces a valid one. Until the first valid one is there nothing is looked at,
//! because clusters would be changed by the wrong rules.

use std::sync::Arc;

use futures::{Stream, StreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, ObjectReference};
use kube::core::DeserializeGuard;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use shared::api::OperatorConfiguration;
use shared::config::{Environment, NamespacedName, OperatorConfig, Reading, read_config_map, read_resource};
use shared::field::{FieldErrors, FieldPath};
use tokio::sync::watch;

use crate::args::Args;
use crate::events::{Events, Reason};
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
        Self::named(&args.configuration_object, &args.config_map, &args.namespace)
    }

    /// What these names mean, for an operator in this namespace.
    pub fn named(object: &Option<String>, config_map: &Option<String>, namespace: &str) -> Self {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(name) = given(object) {
            return Self::Object(namespace.to_owned(), name);
        }
        let map = given(config_map).and_then(|text| text.parse::<NamespacedName>().ok());
        map.map_or(Self::Defaults, |map| {
            Self::ConfigMap(map.namespace_or(namespace).to_owned(), map.name.clone())
        })
    }
}

/// Reads the configuration once; `None` where there is none of that name.
///
/// # Errors
/// When the API server does not answer as it should.
pub async fn read_once(client: &Client, source: &Source) -> kube::Result<Option<Reading>> {
    match source {
        Source::Defaults => Ok(Some(built_in())),
        Source::Object(namespace, name) => {
            let api: Api<OperatorConfiguration> = Api::namespaced(client.clone(), namespace);
            Ok(api.get_opt(name).await?.map(|object| read_resource(&object)))
        }
        Source::ConfigMap(namespace, name) => {
            let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
            Ok(api.get_opt(name).await?.map(|map| read_config_map(&map.data.unwrap_or_default())))
        }
    }
}

fn built_in() -> Reading {
    let readable = OperatorConfig::default();
    Reading { config: Ok(readable.clone()), readable, warnings: Vec::new() }
}

/// The configuration in force, and where it is told what became of another one.
pub struct Current {
    /// `None` until a valid one has been read.
    pub sender: watch::Sender<Option<Arc<OperatorConfig>>>,
    /// Whether the last one was valid.
    pub metrics: Metrics,
    /// What was wrong with it, where whoever wrote it looks.
    pub events: Events,
}

/// Follows the configuration for as long as the process lives.
pub async fn follow(client: Client, source: Source, overrides: Environment, current: Current) {
    current.metrics.configured(false, Timestamp::now());
    match source {
        Source::Defaults => {
            tracing::info!("no configuration is named; the built-in defaults apply");
            let _ = take(built_in(), &overrides, &current); // the defaults are valid
        }
        Source::Object(namespace, name) => {
            // One that does not fit our types is wrong like any other: it must not stop the watch.
            let api: Api<DeserializeGuard<OperatorConfiguration>> = Api::namespaced(client, &namespace);
            let objects = watcher::watch_object(api, &name).default_backoff();
            let read = |object: DeserializeGuard<OperatorConfiguration>| match object.0 {
                Ok(object) => read_resource(&object),
                Err(invalid) => unreadable(&invalid),
            };
            take_each(objects, read, &overrides, &current).await;
        }
        Source::ConfigMap(namespace, name) => {
            let api: Api<ConfigMap> = Api::namespaced(client, &namespace);
            let objects = watcher::watch_object(api, &name).default_backoff();
            let read = |map: ConfigMap| read_config_map(&map.data.unwrap_or_default());
            take_each(objects, read, &overrides, &current).await;
        }
    }
}

/// What is not even of the right shape. The decoder's words name the field.
fn unreadable(invalid: &InvalidObject) -> Reading {
    let mut errors = FieldErrors::default();
    errors.invalid(FieldPath::new("configuration"), format!("cannot be read: {}", invalid.error));
    Reading { config: Err(errors), readable: OperatorConfig::default(), warnings: Vec::new() }
}

async fn take_each<K: Resource<DynamicType = ()>>(
    objects: impl Stream<Item = watcher::Result<Option<K>>>,
    read: impl Fn(K) -> Reading,
    overrides: &Environment,
    current: &Current,
) {
    let mut objects = std::pin::pin!(objects);
    let mut was_refused = false;
    while let Some(event) = objects.next().await {
        match event {
            Ok(Some(object)) => {
                let about = object.object_ref(&());
                let refused = take(read(object), overrides, current).err();
                tell(&about, refused.as_deref(), was_refused, current).await;
                was_refused = refused.is_some();
            }
            Ok(None) => {
                let outcome = outcome(current);
                tracing::warn!(outcome, "the configuration does not exist");
                current.metrics.configured(false, Timestamp::now());
            }
            Err(error) => tracing::warn!(%error, "could not watch the configuration; trying again"),
        }
    }
}

/// Puts a configuration in force when it is valid and another one than before; else the fields that are wrong.
fn take(reading: Reading, overrides: &Environment, current: &Current) -> Result<(), String> {
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
            Ok(())
        }
        Err(errors) => {
            // Paths only: a configuration may hold values that do not belong into a log.
            let fields = errors.paths().map(FieldPath::as_str).collect::<Vec<_>>().join(", ");
            tracing::error!(fields, outcome = outcome(current), "the configuration is invalid");
            Err(fields)
        }
    }
}

/// What becomes of the clusters while there is no valid configuration.
fn outcome(current: &Current) -> &'static str {
    match *current.sender.borrow() {
        Some(_) => "the last valid one stays in force",
        None => "waiting for a valid one; no cluster is looked at before",
    }
}

/// Events for whoever looks at the object: it is refused, or it is in force again.
async fn tell(about: &ObjectReference, refused: Option<&str>, was_refused: bool, current: &Current) {
    match refused {
        Some(fields) => {
            let note = format!("the configuration is invalid in {fields}; {}", outcome(current));
            current.events.warning(about, Reason::Invalid, note).await;
        }
        None if was_refused => {
            current.events.normal(about, Reason::Update, "the configuration is valid and in force").await;
        }
        None => {}
    }
}
