//! Stands in for `shared::config::OperatorConfig::{from_resource, from_config_map}` until they are there.
//!
//! Reads one setting, so that the paths of good and bad configurations can be tested.

#![allow(missing_docs, clippy::missing_errors_doc)]

use std::collections::BTreeMap;

use serde_json::Value;
use shared::config::OperatorConfig;
use shared::field::{FieldErrors, FieldPath};

pub fn from_resource(resource: &Value) -> Result<OperatorConfig, FieldErrors> {
    let workers = resource.pointer("/configuration/workers");
    let path = FieldPath::new("configuration").field("workers");
    read(path, workers.is_none_or(Value::is_u64))
}

pub fn from_config_map(data: &BTreeMap<String, String>) -> Result<OperatorConfig, FieldErrors> {
    let workers = data.get("workers");
    let path = FieldPath::new("data").field("workers");
    read(path, workers.is_none_or(|workers| workers.parse::<u32>().is_ok()))
}

fn read(path: FieldPath, valid: bool) -> Result<OperatorConfig, FieldErrors> {
    let mut errors = FieldErrors::default();
    if !valid {
        errors.invalid(path, "must be a whole number");
    }
    errors.into_result().map(|()| OperatorConfig::default())
}
