//! A folder of YAML, as `kubectl get --output yaml` writes it, as an API server that can only be read.
//!
//! So the check of an adoption is one program, whatever it reads from: the same watches fill the same stores. Surprising:
//! a watch never says anything and never ends, because files do not change.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use http::{Method, Request, Response, StatusCode};
use http_body_util::StreamBody;
use hyper::body::Frame;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

use super::AdoptError;

type Lines = StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

/// A client whose API server is this folder.
///
/// # Errors
/// A file that cannot be read, or is no YAML.
pub(super) fn client(folder: &Path, namespace: &str) -> Result<Client, AdoptError> {
    let objects = Arc::new(objects(folder)?);
    let service = tower::service_fn(move |request: Request<Body>| {
        let objects = Arc::clone(&objects);
        async move { Ok::<_, Infallible>(answer(&objects, request.method(), request.uri())) }
    });
    Ok(Client::new(service, namespace))
}

/// Every object in the files of a folder; what is in a list counts by itself.
fn objects(folder: &Path) -> Result<Vec<Value>, AdoptError> {
    let read = |source| AdoptError::Read { path: folder.to_owned(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(read)? {
        paths.push(entry.map_err(read)?.path());
    }
    paths.sort();
    let is_yaml =
        |path: &Path| path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    let mut objects = Vec::new();
    for path in paths.iter().filter(|path| is_yaml(path)) {
        let text = std::fs::read_to_string(path)
            .map_err(|source| AdoptError::Read { path: path.clone(), source })?;
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text)
            .map_err(|error| AdoptError::Yaml { path: path.clone(), words: error.to_string() })?;
        documents.into_iter().for_each(|document| flatten(document, &mut objects));
    }
    Ok(objects)
}

fn flatten(mut document: Value, into: &mut Vec<Value>) {
    match document.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => items.into_iter().for_each(|item| flatten(item, into)),
        _ if document.is_object() => into.push(document),
        _ => {}
    }
}

/// The last part of the path of a kind's objects.
fn plural(kind: &str) -> String {
    let lower = kind.to_lowercase();
    if lower.ends_with('s') { lower } else { format!("{lower}s") }
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn answer(objects: &[Value], method: &Method, uri: &http::Uri) -> Response<Lines> {
    if method != Method::GET {
        return refused(StatusCode::FORBIDDEN, "files are only read");
    }
    let parameters = parameters(uri.query().unwrap_or_default());
    let parameter = |name: &str| parameters.get(name).map(String::as_str).unwrap_or_default();
    if parameter("watch") == "true" {
        return respond(StatusCode::OK, stream::pending().boxed());
    }
    let (namespace, rest) = within(uri.path());
    let of_kind = |object: &&Value| {
        rest.first().is_some_and(|wanted| plural(text(object, "/kind")) == **wanted)
            && namespace.is_none_or(|namespace| text(object, "/metadata/namespace") == namespace)
    };
    if let Some(name) = rest.get(1) {
        let found = objects.iter().filter(of_kind).find(|object| text(object, "/metadata/name") == *name);
        return match found {
            Some(object) => whole(StatusCode::OK, object),
            None => refused(StatusCode::NOT_FOUND, "not in the files"),
        };
    }
    let selected = |object: &&Value| {
        selects(parameter("labelSelector"), object) && is_named(parameter("fieldSelector"), object)
    };
    let items: Vec<&Value> = objects.iter().filter(of_kind).filter(selected).collect();
    let list =
        json!({ "kind": "List", "apiVersion": "v1", "metadata": { "resourceVersion": "1" }, "items": items });
    whole(StatusCode::OK, &list)
}

/// The namespace of a path, if it names one, and what comes after it: plural and name.
fn within(path: &str) -> (Option<&str>, Vec<&str>) {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    // `/api/v1/…` or `/apis/group/version/…`
    let skipped = if parts.next() == Some("api") { 1 } else { 2 };
    let parts: Vec<&str> = parts.skip(skipped).collect();
    match parts.as_slice() {
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some(namespace), rest.to_vec()),
        rest => (None, rest.to_vec()),
    }
}

/// The parameters of a request, of which selectors have encoded letters.
fn parameters(query: &str) -> BTreeMap<String, String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), decoded(value))).collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits: String = rest.by_ref().take(2).map(char::from).collect();
                bytes.extend(u8::from_str_radix(&digits, 16).ok());
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Label selectors as our own watches write them: `a=b`, `a in (b,c)`, `a`, joined by commas.
fn selects(selector: &str, object: &Value) -> bool {
    let value = |name: &str| object.pointer("/metadata/labels").and_then(|labels| labels.get(name.trim()));
    let mut rest = selector.trim();
    while !rest.is_empty() {
        let end = match (rest.find(','), rest.find('('), rest.find(')')) {
            (Some(comma), Some(open), Some(close)) if open < comma => close + 1,
            (Some(comma), _, _) => comma,
            (None, _, _) => rest.len(),
        };
        let (term, after) = rest.split_at(end.min(rest.len()));
        rest = after.trim_start_matches(',').trim();
        let holds = if let Some((name, list)) = term.split_once(" in ") {
            let list = list.trim().trim_start_matches('(').trim_end_matches(')');
            value(name)
                .and_then(Value::as_str)
                .is_some_and(|value| list.split(',').any(|one| one.trim() == value))
        } else if let Some((name, wanted)) = term.split_once('=') {
            value(name).and_then(Value::as_str) == Some(wanted.trim_start_matches('='))
        } else {
            value(term).is_some()
        };
        if !holds {
            return false;
        }
    }
    true
}

/// Field selectors as our own watches write them: a name.
fn is_named(selector: &str, object: &Value) -> bool {
    selector.strip_prefix("metadata.name=").is_none_or(|name| text(object, "/metadata/name") == name)
}

fn refused(code: StatusCode, message: &str) -> Response<Lines> {
    let reason = code.canonical_reason().unwrap_or_default().replace(' ', "");
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
        "reason": reason, "code": code.as_u16(),
    });
    whole(code, &status)
}

fn whole(code: StatusCode, body: &Value) -> Response<Lines> {
    let bytes = Bytes::from(body.to_string());
    respond(code, stream::once(async move { Ok(Frame::data(bytes)) }).boxed())
}

fn respond(code: StatusCode, lines: BoxStream<'static, Result<Frame<Bytes>, Infallible>>) -> Response<Lines> {
    let mut response = Response::new(StreamBody::new(lines));
    *response.status_mut() = code;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_read_as_our_watches_write_them() {
        let object =
            json!({"metadata": {"name": "demo", "labels": {"application": "spilo", "team": "acid"}}});
        for (selector, expected) in [
            ("", true),
            ("team=acid,application in (spilo,db-connection-pooler),team", true),
            ("application in (spilo,db-connection-pooler),cluster-name", false),
            ("application in (logical-backup)", false),
            ("team=other", false),
        ] {
            assert_eq!(selects(selector, &object), expected, "{selector}");
        }
        assert!(is_named("metadata.name=demo", &object) && !is_named("metadata.name=other", &object));
    }

    #[test]
    fn a_list_counts_as_its_objects_and_kinds_have_their_plurals() {
        let mut objects = Vec::new();
        flatten(
            json!({"kind": "List", "items": [{"kind": "Pod"}, {"kind": "List", "items": [{"kind": "Pod"}]}]}),
            &mut objects,
        );
        assert_eq!(objects.len(), 2);
        let plurals = ["Endpoints", "postgresql", "PodDisruptionBudget", "OperatorConfiguration"].map(plural);
        assert_eq!(plurals, ["endpoints", "postgresqls", "poddisruptionbudgets", "operatorconfigurations"]);
    }
}
