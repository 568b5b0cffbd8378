//! Events on pods: what somebody should know who looks at one.

use k8s_openapi::api::core::v1::Pod;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource as _};
use tracing::warn;

/// Publishes events under our name.
#[derive(Clone)]
pub struct Events(Recorder);

impl Events {
    /// With a connection to the API server.
    pub fn new(client: Client) -> Self {
        Self(Recorder::new(client, Reporter { controller: "process-node".to_owned(), instance: None }))
    }

    /// Something that is as it should be.
    pub async fn normal(&self, pod: &Pod, reason: &str, note: impl Into<String>) {
        self.publish(pod, EventType::Normal, reason, note.into()).await;
    }

    /// Something that is not.
    pub async fn warning(&self, pod: &Pod, reason: &str, note: impl Into<String>) {
        self.publish(pod, EventType::Warning, reason, note.into()).await;
    }

    async fn publish(&self, pod: &Pod, type_: EventType, reason: &str, note: String) {
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(note),
            action: "Run".to_owned(),
            secondary: None,
        };
        if let Err(error) = self.0.publish(&event, &pod.object_ref(&())).await {
            warn!(%error, reason, "could not publish an event");
        }
    }
}
