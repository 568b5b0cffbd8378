//! Passwords that got out: whatever stands in a story's Secrets must stand in no log, event or status.
//!
//! Asked at the end of every story, while its namespace is still there.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Event, Pod, Secret};
use kube::ResourceExt;
use kube::api::{Api, ListParams, LogParams};

use super::{Stage, Told};

/// Shorter values are no secrets, or stand anywhere by chance.
const SHORTEST: usize = 12;

/// Parts of the keys under which secrets stand; under others stand names, dates and addresses.
const SECRET: &[&str] = &["pass", "token", "secret", "key", "list"];

/// Where something was said, and what.
type Said = (String, String);

impl Stage {
    /// Which Secrets' values stand where they should not: by names, never by values.
    pub(super) async fn leaks(&self, seconds: i64) -> Told<Vec<String>> {
        let secrets = self.secrets().await?;
        let mut said = self.logs(seconds).await?;
        let events = self.api::<Event>().list(&ListParams::default()).await?;
        said.extend(events.iter().map(|event| (format!("event {}", event.name_any()), format!("{event:?}"))));
        for manifest in self.manifests().list(&ListParams::default()).await? {
            let status = manifest.data.get("status").cloned().unwrap_or_default();
            said.push((format!("the status of {}", manifest.name_any()), status.to_string()));
        }
        Ok(leaks(&secrets, &said))
    }

    /// The secrets of this namespace: where each stands, and what it is.
    async fn secrets(&self) -> Told<Vec<Said>> {
        let mut found = Vec::new();
        for secret in self.api::<Secret>().list(&ListParams::default()).await? {
            let name = secret.name_any();
            for (key, value) in secret.data.unwrap_or_default() {
                let text = String::from_utf8(value.0).unwrap_or_default();
                let lower = key.to_lowercase();
                if SECRET.iter().any(|part| lower.contains(part)) {
                    found.push((format!("{key} of Secret {name}"), text));
                }
            }
        }
        Ok(found)
    }

    /// What our services logged since the story began.
    async fn logs(&self, seconds: i64) -> Told<Vec<Said>> {
        let operator = self.operator();
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), operator.namespace());
        let params = LogParams { since_seconds: Some(seconds), ..LogParams::default() };
        let mut logs = Vec::new();
        for pod in pods.list(&ListParams::default().labels(&operator.selector())).await? {
            // One that ends, or has not begun, has no log to read; the others' are what counts.
            if let Ok(log) = pods.logs(&pod.name_any(), &params).await {
                logs.push((format!("the log of {}", pod.name_any()), log));
            }
        }
        Ok(logs)
    }
}

/// Which of these secrets stand in what was said.
fn leaks(secrets: &[Said], said: &[Said]) -> Vec<String> {
    let mut found = BTreeSet::new();
    for (secret, value) in secrets.iter().filter(|(_, value)| value.trim().len() >= SHORTEST) {
        let leaking = said.iter().filter(|(_, text)| text.contains(value.trim()));
        found.extend(leaking.map(|(place, _)| format!("{secret} stands in {place}")));
    }
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_wherever_it_stands_and_named_by_its_place_alone() {
        let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
        let secrets =
            [pair("password of Secret a", "correct horse battery"), pair("password of Secret b", "short")];
        let said = [pair("the log", "is it correct horse battery staple?\nshort"), pair("an event", "no")];
        assert_eq!(leaks(&secrets, &said), ["password of Secret a stands in the log"]);
    }
}
