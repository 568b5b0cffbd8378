//! A watch: what happened since a version, as a stream of lines, until its time is over.
//!
//! It reads the store's list of events. Events may be shown late, which is how a cache grows stale. A newcomer would not
//! guess that an object which stops matching a selector arrives as deleted, although it is still there.

use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::request::Request;
use super::store::Event;
use super::{FakeApi, as_metadata};

/// How often a quiet watch tells how far it is.
const BOOKMARK: Duration = Duration::from_secs(60);

/// One watch.
pub(super) struct Watch {
    api: FakeApi,
    request: Request,
    metadata_only: bool,
    shown: u64,
    ends: Instant,
    bookmark: Instant,
    changed: watch::Receiver<u64>,
}

/// What there is to send.
enum Next {
    Lines(Vec<Value>),
    Later(Duration),
    Nothing,
    Gone,
}

impl Watch {
    pub(super) fn new(api: FakeApi, request: Request, metadata_only: bool) -> Self {
        let seconds = request.parameter("timeoutSeconds").parse().unwrap_or(300);
        let shown = request.parameter("resourceVersion").parse().unwrap_or_default();
        let changed = api.changes();
        let now = Instant::now();
        let ends = now + Duration::from_secs(seconds);
        Self { api, request, metadata_only, shown, ends, bookmark: now + BOOKMARK, changed }
    }

    /// The lines, for as long as the watch lives.
    pub(super) fn lines(self) -> impl Stream<Item = Bytes> + Send + 'static {
        futures::stream::unfold(Some(self), async |watch| {
            let mut watch = watch?;
            let (lines, goes_on) = watch.next().await?;
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            Some((Bytes::from(text), goes_on.then_some(watch)))
        })
    }

    /// The next lines, and whether more may come; nothing when the time is over.
    async fn next(&mut self) -> Option<(Vec<Value>, bool)> {
        loop {
            self.changed.mark_unchanged();
            let pause = match self.look() {
                Next::Lines(lines) if lines.is_empty() => continue,
                Next::Lines(lines) => return Some((lines, true)),
                Next::Gone => return Some((vec![gone()], false)),
                Next::Later(pause) => Some(pause),
                Next::Nothing => None,
            };
            let wake =
                pause.map_or(self.ends, |pause| Instant::now() + pause).min(self.ends).min(self.bookmark);
            tokio::select! {
                () = tokio::time::sleep_until(wake) => {}
                _ = self.changed.changed() => {}
            }
            let now = Instant::now();
            if now >= self.ends || self.api.watches_are_cut(self.shown) {
                return None;
            }
            if now >= self.bookmark {
                self.bookmark = now + BOOKMARK;
                return Some((vec![self.mark()], true));
            }
        }
    }

    /// What has happened since, as far as it may be shown already.
    fn look(&mut self) -> Next {
        let (now, lag) = (self.api.now(), self.api.lag(&self.request.key.resource));
        let lag = SignedDuration::try_from(lag).unwrap_or_default();
        let shared = self.api.state();
        if self.shown < shared.store.forgotten {
            return Next::Gone;
        }
        let begin = shared.store.events.partition_point(|event| event.version <= self.shown);
        let Some(first) = shared.store.events.get(begin) else { return Next::Nothing };
        let mut lines = Vec::new();
        for event in shared.store.events.iter().skip(begin) {
            let due = event.at + lag;
            if due > now {
                break;
            }
            self.shown = event.version;
            lines.extend(self.line(event));
        }
        if self.shown < first.version {
            let pause = Duration::try_from((first.at + lag).duration_since(now)).unwrap_or_default();
            return Next::Later(pause);
        }
        Next::Lines(lines)
    }

    /// How an event looks to whoever watches these objects.
    fn line(&self, event: &Event) -> Option<Value> {
        let wanted = &self.request.key;
        let here = wanted.namespace.is_empty() || wanted.namespace == event.key.namespace;
        if !here || wanted.resource != event.key.resource || wanted.group != event.key.group {
            return None;
        }
        let selects = |object: &Value| self.request.selector.selects(object);
        let before = event.before.as_deref().filter(|object| selects(object));
        let after = event.after.as_deref().filter(|object| selects(object));
        let (kind, object) = match (before, after) {
            (None, None) => return None,
            (None, Some(after)) => ("ADDED", after),
            (Some(_), Some(after)) => ("MODIFIED", after),
            // One that merely stopped matching bears the version of the write by which it did.
            (Some(before), None) => ("DELETED", event.after.as_deref().unwrap_or(before)),
        };
        let object = if self.metadata_only { as_metadata(object) } else { object.clone() };
        Some(json!({"type": kind, "object": object}))
    }

    fn mark(&self) -> Value {
        json!({"type": "BOOKMARK", "object": {
            "kind": "Bookmark", "apiVersion": self.request.api_version, "spec": {}, "status": {},
            "metadata": {"resourceVersion": self.shown.to_string(), "name": "", "creationTimestamp": null},
        }})
    }
}

fn gone() -> Value {
    json!({"type": "ERROR", "object": {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "too old resource version", "reason": "Expired", "code": 410,
    }})
}
