//! Manifests that are wrong in one place, made from right ones. Several tests throw them at `shared`.

use serde_json::Value;

/// The manifest with each of its values in turn removed, or replaced by null, a text, a list or a map.
pub(crate) fn mutants(manifest: &Value) -> Vec<Value> {
    let mut pointers = Vec::new();
    collect(manifest, String::new(), &mut pointers);
    let replacements =
        [Value::Null, "x".into(), Value::Array(Vec::new()), Value::Object(serde_json::Map::new())];
    let mut mutants = Vec::new();
    for pointer in pointers {
        for replacement in &replacements {
            let mut mutant = manifest.clone();
            *mutant.pointer_mut(&pointer).unwrap() = replacement.clone();
            mutants.push(mutant);
        }
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let mut mutant = manifest.clone();
        if let Some(object) = mutant.pointer_mut(parent).and_then(Value::as_object_mut) {
            object.remove(&key.replace("~1", "/").replace("~0", "~"));
            mutants.push(mutant);
        }
    }
    mutants
}

/// The JSON pointers of everything inside `value`.
fn collect(value: &Value, place: String, pointers: &mut Vec<String>) {
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(object) => object.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(list) => list.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    for (key, value) in inner {
        let place = format!("{place}/{}", key.replace('~', "~0").replace('/', "~1"));
        pointers.push(place.clone());
        collect(value, place, pointers);
    }
}
