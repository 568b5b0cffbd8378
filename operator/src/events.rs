//! Events: what a user should see about a cluster in `kubectl describe`.
//!
//! The reconcile reports through this and never fails because of it: an event that cannot be written is logged and
//! forgotten. The reasons are a fixed list, because people and tools filter by them; the words are those of the
//! operator whose API we keep.

use std::hash::{DefaultHasher, Hash, Hasher};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

/// The component that stands behind our events.
const COMPONENT: &str = "postgres-operator";

/// The API server refuses longer notes.
const MAX_NOTE: usize = 1024;

/// Why an event is written: a fixed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A cluster is made.
    Create,
    /// Endpoints were made.
    Endpoints,
    /// Services were made.
    Services,
    /// Secrets were made.
    Secrets,
    /// The StatefulSet was made, or its pods are ready.
    StatefulSet,
    /// Something about a cluster changes: a rolling update, a restart.
    Update,
    /// A periodic look found something wrong.
    Sync,
    /// The primary moves.
    Switchover,
    /// A cluster is taken down.
    Delete,
    /// Resources were raised to the configured minimum.
    ResourceLimits,
    /// Postgres moves to a new major version.
    MajorVersionUpgrade,
    /// The manifest cannot be understood.
    Invalid,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 12] = [
        Self::Create,
        Self::Endpoints,
        Self::Services,
        Self::Secrets,
        Self::StatefulSet,
        Self::Update,
        Self::Sync,
        Self::Switchover,
        Self::Delete,
        Self::ResourceLimits,
        Self::MajorVersionUpgrade,
        Self::Invalid,
    ];

    /// The reason as it stands in the event.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "Create",
            Self::Endpoints => "Endpoints",
            Self::Services => "Services",
            Self::Secrets => "Secrets",
            Self::StatefulSet => "StatefulSet",
            Self::Update => "Update",
            Self::Sync => "Sync",
            Self::Switchover => "Switchover",
            Self::Delete => "Delete",
            Self::ResourceLimits => "ResourceLimits",
            Self::MajorVersionUpgrade => "Major Version Upgrade",
            Self::Invalid => "Invalid",
        }
    }
}

/// Writes events. Cheap to clone.
#[derive(Clone)]
pub struct Events {
    recorder: Recorder,
}

impl Events {
    /// `instance` is the operator's pod, when it knows its name.
    pub fn new(client: Client, instance: Option<String>) -> Self {
        Self { recorder: Recorder::new(client, Reporter { controller: COMPONENT.to_owned(), instance }) }
    }

    /// Something happened that a user wants to know.
    pub async fn normal(&self, about: &ObjectReference, reason: Reason, note: impl Into<String>) {
        self.publish(about, reason, EventType::Normal, note.into()).await;
    }

    /// Something is wrong.
    pub async fn warning(&self, about: &ObjectReference, reason: Reason, note: impl Into<String>) {
        self.publish(about, reason, EventType::Warning, note.into()).await;
    }

    /// Writes the event, or logs that it could not be written.
    async fn publish(&self, about: &ObjectReference, reason: Reason, type_: EventType, note: String) {
        let event = Event {
            type_,
            reason: reason.as_str().to_owned(),
            action: action(reason, &note),
            note: Some(bounded(note)),
            secondary: None,
        };
        if let Err(error) = self.recorder.publish(&event, about).await {
            tracing::warn!(%error, reason = reason.as_str(), "could not write an event");
        }
    }
}

/// The action, different for each note. The recorder makes a series of events that differ in nothing but their notes, and
/// keeps the note of the first: what came later would never be read.
fn action(reason: Reason, note: &str) -> String {
    let mut hasher = DefaultHasher::new();
    note.hash(&mut hasher);
    format!("{}-{:016x}", reason.as_str().replace(' ', ""), hasher.finish())
}

/// The note, cut at the length that the API server takes.
fn bounded(mut note: String) -> String {
    if note.len() > MAX_NOTE {
        let end = (0..=MAX_NOTE - '…'.len_utf8()).rev().find(|at| note.is_char_boundary(*at)).unwrap_or(0);
        note.truncate(end);
        note.push('…');
    }
    note
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_one_reason_and_different_notes_are_different_actions() {
        let of = |note| action(Reason::MajorVersionUpgrade, note);
        assert_eq!(of("a"), of("a"));
        assert_ne!(of("a"), of("b"));
        assert!(of("a").starts_with("MajorVersionUpgrade-"));
    }

    #[test]
    fn a_long_note_is_cut_between_two_characters() {
        let note = bounded("ä".repeat(MAX_NOTE));
        assert!(note.len() <= MAX_NOTE, "{}", note.len());
        assert!(note.ends_with('…'));
        assert_eq!(bounded("short".to_owned()), "short");
    }
}
