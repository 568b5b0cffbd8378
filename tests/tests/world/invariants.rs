//! What must hold at every moment of every story, read from what happened to the objects.
//!
//! The status contract: the word, `observedGeneration` and the conditions change together; what Argo CD reads from the
//! word and what Flux reads from the conditions is the same; `Running` never stands beside an error; the observed
//! generation only grows; no message holds a password. And a password that was made once stays.

use base64::Engine;
use serde_json::Value;
use tests::fake_api::Event;

use crate::world::World;

/// What a tool makes of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Good,
    UnderWay,
    Failed,
}

/// Checks everything that has happened since the world was made or went on from a copy.
pub(crate) fn hold(world: &World, story: &str) {
    let state = world.api.state();
    let passwords: Vec<String> = state
        .store
        .all("", "secrets", "")
        .filter_map(|(_, secret)| secret["data"]["password"].as_str())
        .map(|text| String::from_utf8(base64::prelude::BASE64_STANDARD.decode(text).unwrap()).unwrap())
        .collect();
    for event in &state.store.events {
        match event.key.resource.as_str() {
            "secrets" => password_stays(event, story),
            "postgresqls" => {
                let Some(after) = event.after.as_deref().filter(|after| after["status"].is_object()) else {
                    continue;
                };
                status_is_consistent(after, story);
                status_goes_on(event, story);
                let text = after["status"].to_string();
                assert!(
                    !passwords.iter().any(|password| text.contains(password)),
                    "{story}: a password in {text}"
                );
            }
            _ => {}
        }
    }
}

fn password_stays(event: &Event, story: &str) {
    if let (Some(before), Some(after)) = (&event.before, &event.after) {
        let same = before["data"]["password"] == after["data"]["password"];
        assert!(same, "{story}: the password in {} became another one", event.key.name);
    }
}

fn status_is_consistent(manifest: &Value, story: &str) {
    let status = &manifest["status"];
    let (observed, generation) =
        (status["observedGeneration"].as_i64(), manifest["metadata"]["generation"].as_i64());
    assert!(observed.is_some() && observed <= generation, "{story}: observed {observed:?} of {generation:?}");
    for condition in status["conditions"].as_array().into_iter().flatten() {
        assert_eq!(condition["observedGeneration"].as_i64(), observed, "{story}: written apart: {status:#}");
    }
    if observed == generation {
        assert_eq!(by_word(status), by_conditions(status), "{story}: Argo CD and Flux disagree: {status:#}");
    }
}

fn status_goes_on(event: &Event, story: &str) {
    let (Some(before), Some(after)) = (&event.before, &event.after) else { return };
    let observed = |manifest: &Value| manifest["status"]["observedGeneration"].as_i64();
    assert!(observed(before) <= observed(after), "{story}: the observed generation went back");
}

/// Argo CD's health check of this kind.
fn by_word(status: &Value) -> Health {
    match status["PostgresClusterStatus"].as_str().unwrap_or_default() {
        "Running" => Health::Good,
        "Creating" | "Updating" => Health::UnderWay,
        _ => Health::Failed,
    }
}

/// The rules of kstatus, by which Flux and `kubectl wait` tools judge.
fn by_conditions(status: &Value) -> Health {
    let is = |kind: &str, value: &str| {
        let conditions = status["conditions"].as_array().into_iter().flatten();
        conditions.into_iter().any(|one| one["type"] == kind && one["status"] == value)
    };
    match () {
        () if is("Stalled", "True") => Health::Failed,
        () if is("Reconciling", "True") || is("Ready", "False") || is("Ready", "Unknown") => Health::UnderWay,
        () => Health::Good,
    }
}
