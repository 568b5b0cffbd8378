//! What is stored and would be refused if it came today.
//!
//! The webhook asks at its start and after every change of the configuration. The categories are few, whatever a
//! manifest holds, because they become labels of a metric.

use serde_json::Value;

use crate::config::OperatorConfig;
use crate::field::{FieldErrors, FieldPath};
use crate::schema;

/// The category of what is neither in the metadata nor in a known field of the spec.
const OTHER: &str = "other";

/// Everything that would keep a stored manifest from being accepted today.
pub fn audit(manifest: &Value, config: &OperatorConfig) -> FieldErrors {
    super::examine(None, manifest, config).errors
}

/// What an error is about: `metadata`, or the field of the spec that it stands in or below.
pub fn category(path: &FieldPath) -> &'static str {
    let mut parts = path.as_str().split(['.', '[']);
    match parts.next() {
        Some("metadata") => "metadata",
        Some("spec") => parts.next().and_then(known).unwrap_or(OTHER),
        _ => OTHER,
    }
}

/// A field of the spec, by the name that the definition has for it.
fn known(field: &str) -> Option<&'static str> {
    let fields = schema::root().pointer("/properties/spec/properties").and_then(Value::as_object);
    fields.into_iter().flatten().map(|(name, _)| name.as_str()).find(|name| *name == field)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_stored_is_judged_as_if_it_came_today() {
        let manifest = json!({
            "apiVersion": "acid.zalan.do/v1", "kind": "postgresql",
            "metadata": {"name": "Acid", "namespace": "default"},
            "spec": {
                "teamId": "acid", "numberOfInstances": 1, "volume": {"size": "big"}, "postgresql": {"version": "17"},
            },
        });
        let errors = audit(&manifest, &OperatorConfig::default());
        let mut categories: Vec<&str> = errors.paths().map(category).collect();
        categories.sort_unstable();
        categories.dedup();
        assert_eq!(categories, ["metadata", "volume"]);
    }

    #[test]
    fn a_category_is_never_made_of_what_a_user_wrote() {
        for (path, expected) in [
            (FieldPath::spec().field("users").key("x"), "users"),
            (FieldPath::spec().field("x"), "other"),
            (FieldPath::spec(), "other"),
            (FieldPath::new("x").field("users"), "other"),
        ] {
            assert_eq!(category(&path), expected, "{path}");
        }
    }
}
