//! Answers requests: the tower service under `kube::Client`.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use http::{Response, StatusCode, header};
use http_body_util::StreamBody;
use hyper::body::Frame;
use kube::client::Body;
use serde_json::{Value, json};

use super::faults::{Failure, When, meets};
use super::fields::{Manager, apply, from_managed_fields, to_managed_fields};
use super::request::{Request, Verb};
use super::reviews;
use super::store::{Deletion, Key, Refusal, Store, metadata};
use super::watch::Watch;
use super::{Call, FakeApi, as_metadata};

/// How long a client waits for a server that does not answer.
const SILENCE: Duration = Duration::from_secs(30);

type Lines = StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;
type Answered = Result<Response<Lines>, std::io::Error>;

impl FakeApi {
    /// A client of this server; `actor` names it in the journal.
    pub fn client(&self, actor: &str) -> kube::Client {
        let (server, actor) = (self.clone(), actor.to_owned());
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let (server, actor) = (server.clone(), actor.clone());
            async move { server.serve(&actor, request).await }
        });
        kube::Client::new(service, "default")
    }

    async fn serve(&self, actor: &str, request: http::Request<Body>) -> Answered {
        let (head, body) = request.into_parts();
        let body = body.collect_bytes().await.map_err(std::io::Error::other)?;
        let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let metadata_only = text(header::ACCEPT).contains("as=PartialObjectMetadata");
        let request = match Request::read(&head.method, &head.uri) {
            Ok(request) => request,
            Err(refusal) => return Ok(answer(refusal.code, &refusal.body())),
        };
        let call = Call {
            actor: actor.to_owned(),
            verb: request.verb,
            key: request.key.clone(),
            subresource: request.subresource.clone(),
            code: 0,
            changed: false,
            at: self.now(),
        };
        let met = meets(&mut self.state().faults, &call);
        if let Some((When::Before, failure)) = met {
            self.state().journal.push(call);
            return fail(failure).await;
        }
        if request.verb == Verb::Watch {
            self.state().journal.push(call);
            let lines = Watch::new(self.clone(), request, metadata_only).lines();
            return Ok(streamed(200, lines.map(|line| Ok(Frame::data(line))).boxed()));
        }
        self.tell(&call, When::Before);
        let before = self.state().store.version();
        let is_dry = request.parameter("dryRun") == "All";
        let result = self.with(|store| {
            // A dry run changes a copy, which nobody sees.
            let mut copy = is_dry.then(|| store.clone());
            carry_out(copy.as_mut().unwrap_or(store), &request, text(header::CONTENT_TYPE), &body)
        });
        let (code, body) = match result {
            Ok((code, body)) if metadata_only => (code, bare(&body)),
            Ok(answered) => answered,
            Err(refusal) => (refusal.code, refusal.body()),
        };
        let changed = self.state().store.version() != before;
        let call = Call { code, changed, ..call };
        self.state().journal.push(call.clone());
        self.tell(&call, When::After);
        match met {
            Some((_, failure)) => fail(failure).await,
            None => Ok(answer(code, &body)),
        }
    }

    /// Tells whoever listens, for calls that can change something.
    fn tell(&self, call: &Call, when: When) {
        let listener = self.state().listener.clone().filter(|_| call.verb.writes());
        if let Some(listener) = listener {
            listener(call, when);
        }
    }
}

/// An object or a list of objects, metadata only.
fn bare(body: &Value) -> Value {
    match body.get("items").and_then(Value::as_array) {
        None => as_metadata(body),
        Some(items) => json!({
            "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList",
            "metadata": body.get("metadata"), "items": items.iter().map(as_metadata).collect::<Vec<_>>(),
        }),
    }
}

async fn fail(failure: Failure) -> Answered {
    match failure {
        Failure::Broken => Err(std::io::Error::other("connection reset")),
        Failure::Silence => {
            tokio::time::sleep(SILENCE).await;
            Err(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer"))
        }
        Failure::Status(code) => {
            let reason = match code {
                409 => "Conflict",
                429 => "TooManyRequests",
                422 => "Invalid",
                403 => "Forbidden",
                _ => "InternalError",
            };
            Ok(answer(code, &Refusal::new(code, reason, format!("made to fail with {code}")).body()))
        }
    }
}

fn answer(code: u16, body: &Value) -> Response<Lines> {
    let bytes = Bytes::from(body.to_string());
    streamed(code, futures::stream::iter([Ok(Frame::data(bytes))]).boxed())
}

fn streamed(code: u16, lines: BoxStream<'static, Result<Frame<Bytes>, Infallible>>) -> Response<Lines> {
    let mut response = Response::new(StreamBody::new(lines));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

/// Carries out a call that is no watch. The status and the body of the answer.
fn carry_out(
    store: &mut Store,
    request: &Request,
    content_type: &str,
    body: &Bytes,
) -> Result<(u16, Value), Refusal> {
    let read = || {
        serde_json::from_slice::<Value>(body)
            .map_err(|error| Refusal::new(400, "BadRequest", format!("the body is no JSON: {error}")))
    };
    let key = &request.key;
    let done = |object: std::sync::Arc<Value>| Ok((200, (*object).clone()));
    match request.verb {
        Verb::Get => done(store.expect(key)?.clone()),
        Verb::List | Verb::Watch => Ok((200, list(store, request))),
        Verb::Create => {
            let (object, manager) = (read()?, manager(request, false));
            if let Some(answered) = reviews::answer(key, &object) {
                return Ok((201, answered));
            }
            let key = named(key, &object, store.version())?;
            store.create(key, object, Some(&manager)).map(|object| (201, (*object).clone()))
        }
        Verb::Replace => {
            let (new, manager) = (read()?, manager(request, false));
            done(store.change(key, Some(&manager), |old| Ok(part(request, old, new)))?)
        }
        Verb::Patch => patch(store, request, content_type, read()?),
        Verb::Delete => {
            let options = if body.is_empty() { json!({}) } else { read()? };
            let text = |pointer: &str| options.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
            let options = Deletion {
                uid: text("/preconditions/uid"),
                version: text("/preconditions/resourceVersion"),
                orphans: text("/propagationPolicy").as_deref() == Some("Orphan"),
            };
            done(store.delete(key, &options)?)
        }
    }
}

fn list(store: &Store, request: &Request) -> Value {
    let Key { group, resource, namespace, .. } = &request.key;
    let all = store.all(group, resource, namespace).map(|(_, object)| object);
    let items: Vec<Value> =
        all.filter(|object| request.selector.selects(object)).map(|object| (**object).clone()).collect();
    json!({"kind": "List", "apiVersion": request.api_version,
        "metadata": {"resourceVersion": store.version().to_string()}, "items": items})
}

/// The name under which an object is made.
fn named(key: &Key, object: &Value, version: u64) -> Result<Key, Refusal> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let made_up = || text("/metadata/generateName").map(|prefix| format!("{prefix}{version:05}"));
    let name = text("/metadata/name").or_else(made_up);
    let name = name.ok_or_else(|| Refusal::new(422, "Invalid", "metadata.name: Required value"))?;
    Ok(Key { name, ..key.clone() })
}

fn manager(request: &Request, applies: bool) -> Manager {
    let name = request.parameter("fieldManager");
    Manager {
        name: if name.is_empty() { "unknown".to_owned() } else { name.to_owned() },
        applies,
        subresource: request.subresource.clone(),
    }
}

/// Through a subresource only the part of that name changes.
fn part(request: &Request, old: &Value, mut new: Value) -> Value {
    let name = request.subresource.as_str();
    if name.is_empty() {
        return new;
    }
    let mut result = old.clone();
    if let (Some(fields), Some(value)) = (result.as_object_mut(), new.get_mut(name).map(Value::take)) {
        fields.insert(name.to_owned(), value);
    }
    let version = new.pointer("/metadata/resourceVersion").cloned();
    version.map(|version| metadata(&mut result).insert("resourceVersion".to_owned(), version));
    result
}

fn patch(
    store: &mut Store,
    request: &Request,
    content_type: &str,
    patch: Value,
) -> Result<(u16, Value), Refusal> {
    let by = manager(request, false);
    let changed = match content_type {
        "application/apply-patch+yaml" => return server_side_apply(store, request, patch),
        "application/merge-patch+json" => store.change(&request.key, Some(&by), |old| {
            let mut new = old.clone();
            json_patch::merge(&mut new, &patch);
            Ok(part(request, old, new))
        }),
        "application/json-patch+json" => store.change(&request.key, Some(&by), |old| {
            let invalid = |error: &dyn std::fmt::Display| Refusal::new(422, "Invalid", error.to_string());
            let operations: json_patch::Patch =
                serde_json::from_value(patch).map_err(|error| invalid(&error))?;
            let mut new = old.clone();
            json_patch::patch(&mut new, &operations).map_err(|error| invalid(&error))?;
            Ok(part(request, old, new))
        }),
        other => Err(Refusal::new(415, "UnsupportedMediaType", format!("no patch of type {other}"))),
    };
    changed.map(|object| (200, (*object).clone()))
}

fn server_side_apply(store: &mut Store, request: &Request, wish: Value) -> Result<(u16, Value), Refusal> {
    let (key, by) = (&request.key, manager(request, true));
    if request.parameter("fieldManager").is_empty() {
        return Err(Refusal::new(400, "BadRequest", "fieldManager: Required value for apply patch"));
    }
    let force = request.parameter("force") == "true";
    let make = |old: Option<&Value>| {
        let entries = old.and_then(|old| old.pointer("/metadata/managedFields")).unwrap_or(&Value::Null);
        let mut owners = from_managed_fields(entries);
        let mut new = apply(old, &mut owners, &wish, &by, force).map_err(|fields| {
            let text = format!("Apply failed with {} conflict(s): {}", fields.len(), fields.join(", "));
            Refusal::new(409, "Conflict", text)
        })?;
        let version = wish.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
        metadata(&mut new).insert("managedFields".to_owned(), to_managed_fields(&owners, version));
        Ok(new)
    };
    if store.get(key).is_none() {
        let object = make(None)?;
        return store.create(key.clone(), object, None).map(|object| (201, (*object).clone()));
    }
    store.change(key, Some(&by), |old| make(Some(old))).map(|object| (200, (*object).clone()))
}
