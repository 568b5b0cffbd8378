//! Events: what a user should see about a cluster in `kubectl describe`.
//!
//! The reconcile reports through this and never fails because of it: an event that cannot be written is logged and
//! forgotten. The reasons are a fixed list, because people and tools filter by them; the words are those of the
//! operator whose API we keep.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

/// The component that stands behind our events.
const COMPONENT: &str = "postgres-operator";

/// The API server refuses longer notes.
const MAX_NOTE: usize = 1024;

/// The API server refuses longer actions. Events of one reason and action are counted as one, which keeps the first note:
/// the action is what the note says, or of an upgrade only its beginning would be told.
const MAX_ACTION: usize = 128;

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
            action: bounded(note.clone(), MAX_ACTION),
            note: Some(bounded(note, MAX_NOTE)),
            secondary: None,
        };
        if let Err(error) = self.recorder.publish(&event, about).await {
            tracing::warn!(%error, reason = reason.as_str(), "could not write an event");
        }
    }
}

/// The text, cut at the length that the API server takes.
fn bounded(mut text: String, most: usize) -> String {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most.saturating_sub('…'.len_utf8())));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_note_is_cut_between_two_characters() {
        let note = bounded("ä".repeat(MAX_NOTE), MAX_NOTE);
        assert!(note.len() <= MAX_NOTE, "{}", note.len());
        assert!(note.ends_with('…'));
        assert_eq!(bounded("short".to_owned(), MAX_ACTION), "short");
    }
}
