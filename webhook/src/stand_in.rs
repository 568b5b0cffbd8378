//! Stands in for `shared::{admission, config, plan}` until they are there: same signatures, toy rules.

#![allow(missing_docs, clippy::missing_errors_doc, clippy::unnecessary_wraps)]

use std::collections::BTreeMap;

use serde_json::{Value, json};
use shared::field::{FieldErrors, FieldPath};

#[derive(Clone, Debug, Default)]
pub struct OperatorConfig {
    _private: (),
}

impl OperatorConfig {
    pub fn from_resource(resource: &Value) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::default();
        let field = FieldPath::new("configuration");
        for (key, value) in resource.get("configuration").and_then(Value::as_object).into_iter().flatten() {
            if key == "workers" && !value.is_u64() {
                errors.invalid(field.field(key), "must be a whole number");
            }
        }
        errors.into_result().map(|()| Self::default())
    }

    pub fn from_config_map(data: &BTreeMap<String, String>) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::default();
        if data.get("workers").is_some_and(|workers| workers.parse::<u32>().is_err()) {
            errors.invalid(FieldPath::new("data").field("workers"), "must be a whole number");
        }
        errors.into_result().map(|()| Self::default())
    }
}

pub mod admission {
    use super::*;

    pub fn mutate(manifest: &Value, _config: &OperatorConfig) -> Result<Value, FieldErrors> {
        check(manifest)?;
        let mut after = manifest.clone();
        if let Some(spec) = after.get_mut("spec").and_then(Value::as_object_mut) {
            spec.entry("standIn").or_insert_with(|| json!(true));
        }
        Ok(after)
    }

    pub fn review(
        old: Option<&Value>,
        new: &Value,
        _config: &OperatorConfig,
    ) -> Result<Vec<String>, FieldErrors> {
        check(new)?;
        Ok(old.map(|_| "spec.numberOfInstances: one pod is added".to_owned()).into_iter().collect())
    }

    pub fn review_deletion(
        manifest: &Value,
        _config: &OperatorConfig,
        today: jiff::civil::Date,
    ) -> Result<(), FieldErrors> {
        let mut errors = FieldErrors::default();
        let dated = manifest.pointer("/metadata/annotations/delete-date").and_then(Value::as_str);
        if dated.is_some_and(|dated| dated != today.to_string()) {
            let path = FieldPath::new("metadata").field("annotations").key("delete-date");
            errors.forbidden(path, "must be today's date");
        }
        errors.into_result()
    }

    fn check(manifest: &Value) -> Result<(), FieldErrors> {
        let mut errors = FieldErrors::default();
        let spec = FieldPath::spec();
        let text = |pointer: &str| manifest.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        if text("/spec/teamId").is_empty() {
            errors.required(spec.field("teamId"), "is required");
        }
        if !text("/spec/volume/size").ends_with("Gi") {
            errors.invalid(spec.field("volume").field("size"), "is no quantity; write for example \"10Gi\"");
        }
        if manifest.pointer("/spec/numberOfInstances").and_then(Value::as_i64).is_none_or(|n| n < 0) {
            errors.invalid(spec.field("numberOfInstances"), "must not be negative");
        }
        if !matches!(text("/spec/postgresql/version"), "14" | "15" | "16" | "17" | "18") {
            errors.not_supported(spec.field("postgresql").field("version"), "must be one of 14 to 18");
        }
        for (user, flags) in manifest.pointer("/spec/users").and_then(Value::as_object).into_iter().flatten()
        {
            for (index, flag) in flags.as_array().into_iter().flatten().enumerate() {
                if flag == "flying" {
                    let path = spec.field("users").key(user).index(index);
                    errors.not_supported(path, "is no role flag");
                }
            }
        }
        errors.into_result()
    }
}
