//! The garbage collector: what is owned by an object that is gone goes, too.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::fake_api::{Deletion, Key, Store};

/// Deletes what has owners, none of which is there any more.
pub(super) fn collect(store: &mut Store) {
    let uid = |object: &Value| object.pointer("/metadata/uid").and_then(Value::as_str).map(str::to_owned);
    let present: BTreeSet<String> = store.everything().filter_map(|(_, object)| uid(object)).collect();
    let is_left_behind = |object: &Value| {
        let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        let owners = owners.map(Vec::as_slice).unwrap_or_default();
        let is_gone =
            |owner: &Value| owner.get("uid").and_then(Value::as_str).is_none_or(|uid| !present.contains(uid));
        !owners.is_empty() && owners.iter().all(is_gone)
    };
    let left_behind: Vec<Key> = store
        .everything()
        .filter(|(_, object)| {
            is_left_behind(object) && object.pointer("/metadata/deletionTimestamp").is_none()
        })
        .map(|(key, _)| key.clone())
        .collect();
    for key in left_behind {
        // Whoever was quicker has spared us the work.
        let _ = store.delete(&key, &Deletion::default());
    }
}
