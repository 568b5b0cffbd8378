//! Label selectors, of pods and of volumes, as the API server would check them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::api::Postgresql;
use crate::config::OperatorConfig;
use crate::field::{FieldErrors, FieldPath};

use super::text;

/// The selector of the volumes that claims may be bound to.
pub(super) fn of_volumes(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    if let Some(given) = &manifest.spec.volume.selector {
        selector(&FieldPath::spec().field("volume").field("selector"), given, errors);
    }
}

/// Labels with their values, and expressions that make sense.
pub(super) fn selector(path: &FieldPath, selector: &LabelSelector, errors: &mut FieldErrors) {
    for (name, value) in selector.match_labels.iter().flatten() {
        let path = path.field("matchLabels").key(name);
        key(&path, name, errors);
        label_value(&path, value, errors);
    }
    for (index, expression) in selector.match_expressions.iter().flatten().enumerate() {
        let path = path.field("matchExpressions").index(index);
        let values = expression.values.as_deref().unwrap_or_default();
        key(&path.field("key"), &expression.key, errors);
        match expression.operator.as_str() {
            "In" | "NotIn" if values.is_empty() => {
                let message = format!("is required with operator {}", expression.operator);
                errors.required(path.field("values"), message);
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                let message = format!("must be absent with operator {}", expression.operator);
                errors.forbidden(path.field("values"), message);
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => {
                let message =
                    format!("\"{other}\" is not supported; choose In, NotIn, Exists or DoesNotExist");
                errors.not_supported(path.field("operator"), message);
            }
        }
        for (at, value) in values.iter().enumerate() {
            label_value(&path.field("values").index(at), value, errors);
        }
    }
}

/// The key of a label.
pub(super) fn key(path: &FieldPath, key: &str, errors: &mut FieldErrors) {
    if key.is_empty() {
        errors.required(path.clone(), "is required: the key of a label");
    } else if !text::is_qualified_name(key) {
        errors.invalid(
            path.clone(),
            format!("\"{key}\" cannot be the key of a label; write name or example.com/name"),
        );
    }
}

/// The value of a label.
pub(super) fn label_value(path: &FieldPath, value: &str, errors: &mut FieldErrors) {
    if !text::is_label_value(value) {
        let message =
            format!("\"{value}\" cannot be the value of a label; use at most 63 letters, digits, -, _ and .");
        errors.invalid(path.clone(), message);
    }
}
