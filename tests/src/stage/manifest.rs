//! Manifests as users write them: YAML, untyped, so that a story sends what stands in its file and nothing else.

use kube::api::{ApiResource, DynamicObject};
use kube::core::Status;

use super::{Stop, Told};

/// The API of manifests. Written down here and not taken from `shared`: a user types these words.
pub(super) fn manifests() -> ApiResource {
    ApiResource {
        group: "acid.zalan.do".to_owned(),
        version: "v1".to_owned(),
        api_version: "acid.zalan.do/v1".to_owned(),
        kind: "postgresql".to_owned(),
        plural: "postgresqls".to_owned(),
    }
}

/// The object that a YAML document describes.
///
/// # Errors
/// When it is no YAML, or no Kubernetes object.
pub fn from_yaml(yaml: &str) -> Told<DynamicObject> {
    let value: serde_json::Value = serde_saphyr::from_str(yaml)?;
    Ok(serde_json::from_value(value)?)
}

/// What the API server said when it refused an object.
#[derive(Debug)]
pub struct Refusal {
    /// The HTTP status.
    pub code: u16,
    /// The whole text.
    pub message: String,
    /// One entry per error: the field, and what is wrong with it.
    pub causes: Vec<(String, String)>,
}

impl Refusal {
    pub(super) fn of(status: &Status) -> Self {
        let causes = status.details.iter().flat_map(|details| &details.causes);
        Self {
            code: status.code,
            message: status.message.clone(),
            causes: causes.map(|cause| (cause.field.clone(), cause.message.clone())).collect(),
        }
    }

    /// What is wrong with a field.
    ///
    /// # Errors
    /// When nothing was said about it.
    pub fn about(&self, field: &str) -> Told<&str> {
        let found = self.causes.iter().find(|(named, _)| named == field);
        found.map(|(_, message)| message.as_str()).ok_or_else(|| {
            let fields: Vec<&str> = self.causes.iter().map(|(named, _)| named.as_str()).collect();
            Stop::Failed(format!("no cause for {field}; there are {}", fields.join(", ")))
        })
    }
}
