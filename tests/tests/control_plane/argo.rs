//! What Argo CD sees after an apply: nothing to do, whatever admission has added.
//!
//! Both of its ways to compare, as its documentation describes them: the three-way one, which looks only at what the
//! user wrote, and the server-side one, which applies once more as a dry run. Over every golden manifest.

use kube::Client;
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use shared::config::OperatorConfig;

use crate::admission::{Webhook, namespace};
use crate::golden;
use crate::manifests::manifests;

/// Argo CD's name among the writers of an object.
const MANAGER: &str = "argocd-controller";

pub(crate) async fn nothing_is_out_of_sync_after_an_apply(client: Client) {
    namespace(&client, "argo", json!({})).await;
    let _webhook = Webhook::for_namespace(&client, "argo", OperatorConfig::default()).await;
    let api = manifests(&client, "argo");
    let apply = PatchParams::apply(MANAGER).force();
    let dry_run = PatchParams { dry_run: true, ..apply.clone() };
    let mut wrong = Vec::new();
    let all = golden::manifests();
    for (file, text) in &all {
        let mut manifest: DynamicObject = serde_saphyr::from_str(text).unwrap();
        manifest.metadata.namespace = None;
        // Names of users without flags, as people write them.
        if let Some(users) = manifest.data.pointer_mut("/spec/users").and_then(Value::as_object_mut) {
            users.insert("without_flags".to_owned(), json!([]));
        }
        let name = manifest.metadata.name.clone().unwrap();
        let live = match api.patch(&name, &apply, &Patch::Apply(&manifest)).await {
            Ok(live) => live,
            Err(error) => {
                wrong.push(format!("{file}: {error}"));
                continue;
            }
        };
        let wanted = serde_json::to_value(&manifest).unwrap();
        let live_value = serde_json::to_value(&live).unwrap();
        let written = only_what_was_written(&wanted, &live_value);
        if written != wanted {
            wrong.push(format!("{file}: the three-way comparison sees {written} for {wanted}"));
        }
        let again = api.patch(&name, &dry_run, &Patch::Apply(&manifest)).await.unwrap();
        if comparable(&again) != comparable(&live) {
            wrong.push(format!("{file}: a second apply would change {}", comparable(&again)));
        }
    }
    assert!(all.len() > 20, "only {} manifests were found", all.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The live object without keys that the user did not write. Elements of lists are compared by their place.
fn only_what_was_written(wanted: &Value, live: &Value) -> Value {
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => wanted
            .iter()
            .filter_map(|(key, wanted)| match live.get(key) {
                Some(live) => Some((key.clone(), only_what_was_written(wanted, live))),
                // A merge patch that takes away what is not there changes nothing.
                None => wanted.is_null().then(|| (key.clone(), Value::Null)),
            })
            .collect::<serde_json::Map<_, _>>()
            .into(),
        (Value::Array(wanted), Value::Array(live)) => {
            let pairs = wanted.iter().map(Some).chain(std::iter::repeat(None)).zip(live);
            pairs
                .map(|(wanted, live)| {
                    wanted.map_or(live.clone(), |wanted| only_what_was_written(wanted, live))
                })
                .collect()
        }
        (_, live) => live.clone(),
    }
}

/// What counts of an object: what the API server notes beside it changes with every write.
fn comparable(object: &DynamicObject) -> Value {
    let mut object = serde_json::to_value(object).unwrap();
    let metadata = object["metadata"].as_object_mut().unwrap();
    for noted in ["managedFields", "resourceVersion", "generation"] {
        metadata.remove(noted);
    }
    object
}
