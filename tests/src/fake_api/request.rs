//! What a request asks for, read from its method, path and parameters.
//!
//! Generic over kinds: the path names group, plural, namespace and name, and nothing here knows what they mean.

use std::collections::BTreeMap;

use http::Method;

use super::selector::Selector;
use super::store::{Key, Refusal};

/// The kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// One object is read.
    Get,
    /// Many are read.
    List,
    /// Changes are followed.
    Watch,
    /// An object is made.
    Create,
    /// An object is replaced.
    Replace,
    /// An object is changed in part, or applied.
    Patch,
    /// An object is deleted.
    Delete,
}

impl Verb {
    /// Whether such a call can change anything.
    pub fn writes(self) -> bool {
        match self {
            Self::Get | Self::List | Self::Watch => false,
            Self::Create | Self::Replace | Self::Patch | Self::Delete => true,
        }
    }
}

/// A request, taken apart.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) verb: Verb,
    pub(super) key: Key,
    pub(super) subresource: String,
    pub(super) api_version: String,
    pub(super) selector: Selector,
    pub(super) parameters: BTreeMap<String, String>,
}

impl Request {
    /// Reads a request.
    ///
    /// # Errors
    /// A path that names no object and no list of objects.
    pub(super) fn read(method: &Method, uri: &http::Uri) -> Result<Self, Refusal> {
        let unknown = || Refusal::new(404, "NotFound", format!("no such path: {}", uri.path()));
        let parameters: BTreeMap<String, String> =
            form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
        let mut parts = uri.path().trim_matches('/').split('/');
        let (group, version) = match parts.next() {
            Some("api") => ("", parts.next().ok_or_else(unknown)?),
            Some("apis") => (parts.next().ok_or_else(unknown)?, parts.next().ok_or_else(unknown)?),
            _ => return Err(unknown()),
        };
        let rest: Vec<&str> = parts.collect();
        let (namespace, rest) = match rest.as_slice() {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            rest => ("", rest),
        };
        let (resource, name, subresource) = match rest {
            [resource] => (*resource, "", ""),
            [resource, name] => (*resource, *name, ""),
            [resource, name, subresource] => (*resource, *name, *subresource),
            _ => return Err(unknown()),
        };
        let parameter = |name: &str| parameters.get(name).map(String::as_str).unwrap_or_default();
        let watches = parameter("watch") == "true" || parameter("watch") == "1";
        let verb = match (method.as_str(), name.is_empty()) {
            ("GET", true) if watches => Verb::Watch,
            ("GET", true) => Verb::List,
            ("GET", false) => Verb::Get,
            ("POST", true) => Verb::Create,
            ("PUT", false) => Verb::Replace,
            ("PATCH", false) => Verb::Patch,
            ("DELETE", false) => Verb::Delete,
            _ => return Err(Refusal::new(405, "MethodNotAllowed", format!("{method} {}", uri.path()))),
        };
        Ok(Self {
            verb,
            key: Key::new(group, resource, namespace, name),
            subresource: subresource.to_owned(),
            api_version: if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") },
            selector: Selector::parse(parameter("labelSelector"), parameter("fieldSelector")),
            parameters,
        })
    }

    /// A parameter, empty where it is missing.
    pub(super) fn parameter(&self, name: &str) -> &str {
        self.parameters.get(name).map(String::as_str).unwrap_or_default()
    }
}
