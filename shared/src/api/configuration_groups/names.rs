//! `namespace/name`, as settings that point to a Secret or ConfigMap are written.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The name of an object, and its namespace when one was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamespacedName {
    /// Where the object is; nothing means the operator's own namespace (`in_namespace`).
    pub namespace: Option<String>,
    /// What it is called.
    pub name: String,
}

impl NamespacedName {
    /// A name without a namespace.
    pub fn local(name: &str) -> Self {
        Self { namespace: None, name: name.to_owned() }
    }

    /// Where the object is, given the operator's own namespace.
    pub fn namespace_or<'a>(&'a self, operator_namespace: &'a str) -> &'a str {
        self.namespace.as_deref().unwrap_or(operator_namespace)
    }
}

/// A text that is no `name` or `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not the name of an object; write name or namespace/name")]
pub struct NotANamespacedName;

impl FromStr for NamespacedName {
    type Err = NotANamespacedName;

    fn from_str(text: &str) -> Result<Self, NotANamespacedName> {
        let (namespace, name) = match text.split_once('/') {
            Some((namespace, name)) => (Some(namespace), name),
            None => (None, text),
        };
        if !is_object_name(name) || !namespace.is_none_or(is_object_name) {
            return Err(NotANamespacedName);
        }
        Ok(Self { namespace: namespace.map(str::to_owned), name: name.to_owned() })
    }
}

/// A DNS subdomain: lower-case letters, digits, dots and dashes, alphanumeric at both ends.
fn is_object_name(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= 253
        && text.starts_with(alphanumeric)
        && text.ends_with(alphanumeric)
        && text.chars().all(|c| alphanumeric(c) || c == '-' || c == '.')
}

impl fmt::Display for NamespacedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl Serialize for NamespacedName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NamespacedName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for NamespacedName {
    fn schema_name() -> Cow<'static, str> {
        "NamespacedName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}
