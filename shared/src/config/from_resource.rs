//! The configuration from an `OperatorConfiguration`.
//!
//! The API server has usually checked it against the CRD; the command line has not, and an older CRD knew less. So
//! nothing is taken for granted here. The surprise: a pooler has at least two pods here, with a ConfigMap only one.

use serde_json::{Map, Value};

use super::OperatorConfig;
use super::keys::{self, KEYS, Source};
use super::reading::{self, Findings, Reading};
use crate::api::OperatorConfiguration;
use crate::field::{FieldErrors, FieldPath};

impl OperatorConfig {
    /// The configuration that a resource describes.
    ///
    /// # Errors
    /// Every setting that is wrong, with its path.
    pub fn from_resource(resource: &OperatorConfiguration) -> Result<Self, FieldErrors> {
        read_resource(resource).config
    }
}

/// The configuration that a resource describes, and what should be looked at in it.
pub fn read_resource(resource: &OperatorConfiguration) -> Reading {
    let mut findings = Findings::of(Source::Resource);
    let settings = settings(&resource.configuration, &mut findings);
    two_poolers(reading::finish(OperatorConfig::default_of_resource(), settings, findings))
}

/// The settings that stand where they belong.
pub(super) fn settings<'a>(
    configuration: &'a Map<String, Value>,
    findings: &mut Findings,
) -> Vec<(&'a str, Value)> {
    let mut settings = Vec::new();
    for (name, value) in configuration {
        if !keys::is_group(name) {
            settings.extend(setting(None, name, value, findings));
            continue;
        }
        match value {
            Value::Object(group) => {
                for (leaf, value) in group {
                    settings.extend(setting(Some(name), leaf, value, findings));
                }
            }
            Value::Null => {}
            _ => findings.error(name, "is a group of settings; write a map"),
        }
    }
    settings
}

/// A setting where it belongs; anything else becomes a warning.
fn setting<'a>(
    group: Option<&str>,
    leaf: &'a str,
    value: &Value,
    findings: &mut Findings,
) -> Option<(&'a str, Value)> {
    let root = FieldPath::new("configuration");
    let path = group.map_or(root.clone(), |group| root.field(group)).field(leaf);
    match KEYS.get(leaf) {
        Some(key) if key.group.as_deref() == group => return Some((leaf, value.clone())),
        Some(_) => {
            let place = Source::Resource.path(leaf);
            findings.warn_at(path, format!("is ignored here; it belongs at {place}"));
        }
        None => findings.warn_at(path, keys::unknown(leaf)),
    }
    None
}

/// Raises the pods of a pooler to two, as upstream does for this source.
fn two_poolers(mut reading: Reading) -> Reading {
    if let Ok(config) = &mut reading.config {
        let pods = &mut config.connection_pooler.number_of_instances;
        if *pods < 2 {
            *pods = 2;
            let path = Source::Resource.path("connection_pooler_number_of_instances");
            reading.warnings.push(reading::Warning {
                path,
                message: "is raised to 2, so that a pooler survives a node; a manifest may ask for 1".into(),
            });
        }
    }
    reading
}
