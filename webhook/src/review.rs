//! What the API server asks: an `AdmissionReview`, read as far as decisions need it. Asked by `routes`.
//!
//! Objects stay raw JSON. For a DELETE only `oldObject` is there; with `generateName` a new object has no name yet.

use kube::core::admission::Operation;
use serde::Deserialize;
use serde_json::Value;

use crate::validate::POSTGRESQL;

/// Why a body is no review.
#[derive(Debug, thiserror::Error)]
pub enum BadReview {
    /// It is no text.
    #[error("the body is no AdmissionReview: {0}")]
    Text(#[from] std::str::Utf8Error),
    /// It is not JSON, or not of this shape.
    #[error("the body is no AdmissionReview: {0}")]
    Shape(#[from] serde_json::Error),
    /// Another version of the API.
    #[error("the body is no AdmissionReview of admission.k8s.io/v1 but {kind:?} of {version:?}")]
    Kind {
        /// What it says it is.
        kind: String,
        /// Of which API version.
        version: String,
    },
    /// An answer, or nothing.
    #[error("the AdmissionReview has no request")]
    NoRequest,
    /// An operation without its object.
    #[error("the request has no {0}, which its operation needs")]
    NoObject(&'static str),
}

/// The part of the request that decisions use.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Goes back in the answer.
    pub uid: String,
    /// The kind of the object.
    pub kind: Kind,
    /// `status` or `scale`, when not the object itself is meant.
    #[serde(default)]
    pub sub_resource: Option<String>,
    /// Name of the object; empty when the API server is going to generate one.
    #[serde(default)]
    name: Option<String>,
    /// Namespace of the object.
    #[serde(default)]
    pub namespace: Option<String>,
    /// What is being done.
    pub operation: Operation,
    #[serde(default)]
    object: Value,
    #[serde(default)]
    old_object: Value,
}

/// Group and kind of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Kind {
    /// API group, empty for the core group.
    #[serde(default)]
    pub group: String,
    /// Kind.
    pub kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    request: Option<Request>,
}

impl Request {
    /// Reads a body.
    ///
    /// # Errors
    /// When it is no review that can be answered, with the reason in words.
    pub fn read(body: &[u8]) -> Result<Self, BadReview> {
        // Asked once for the whole body, and not again for each text in it.
        let body = std::str::from_utf8(body)?;
        let envelope: Envelope = serde_json::from_str(body)?;
        if envelope.kind != "AdmissionReview" || envelope.api_version != "admission.k8s.io/v1" {
            return Err(BadReview::Kind { kind: envelope.kind, version: envelope.api_version });
        }
        let request = envelope.request.ok_or(BadReview::NoRequest)?;
        let (needs_new, needs_old) = match request.operation {
            Operation::Create => (true, false),
            Operation::Update => (true, true),
            Operation::Delete => (false, true),
            Operation::Connect => (false, false),
        };
        if needs_new && !request.object.is_object() {
            return Err(BadReview::NoObject("object"));
        }
        if needs_old && !request.old_object.is_object() {
            return Err(BadReview::NoObject("oldObject"));
        }
        Ok(request)
    }

    /// The object as it shall be; absent in a DELETE.
    pub fn object(&self) -> Option<&Value> {
        self.object.is_object().then_some(&self.object)
    }

    /// The object as it is stored; absent in a CREATE.
    pub fn old_object(&self) -> Option<&Value> {
        self.old_object.is_object().then_some(&self.old_object)
    }

    /// The name to show: the object's, or the prefix of the name it is going to get.
    pub fn name(&self) -> &str {
        let metadata = |key: &str| self.object.pointer(key).and_then(Value::as_str);
        match self.name.as_deref().unwrap_or("") {
            "" => metadata("/metadata/name").or_else(|| metadata("/metadata/generateName")).unwrap_or(""),
            name => name,
        }
    }

    /// Whether the object itself is meant and not its status or scale.
    pub fn is_whole(&self) -> bool {
        self.sub_resource.as_deref().unwrap_or("").is_empty()
    }

    /// Whether the object is already being deleted. Then it must be possible to take its finalizers away.
    pub fn is_terminating(&self) -> bool {
        let marked = |object: &Value| {
            object.pointer("/metadata/deletionTimestamp").is_some_and(|timestamp| !timestamp.is_null())
        };
        marked(&self.object) || marked(&self.old_object)
    }

    /// Whether an update leaves the top-level field `key` as it was.
    pub fn leaves(&self, key: &str) -> bool {
        self.operation == Operation::Update && self.object.get(key) == self.old_object.get(key)
    }

    /// Whether the answer tells what a change does, for which clusters are built: the longest of all reviews.
    pub fn is_preview(&self) -> bool {
        self.operation == Operation::Update || self.kind.kind != POSTGRESQL
    }

    /// The operation as a metric label.
    pub fn operation_label(&self) -> &'static str {
        match self.operation {
            Operation::Create => "create",
            Operation::Update => "update",
            Operation::Delete => "delete",
            Operation::Connect => "connect",
        }
    }
}
