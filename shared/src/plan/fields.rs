//! Which fields of a manifest differ, and a manifest in which one of them alone has changed.
//!
//! `explain` asks. An entry of a map (`users`, `parameters`) and a list are one field each; so is a section that comes
//! or goes as a whole, because half a section means nothing. Which is which stands in the CRD's schema.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::api::Postgresql;
use crate::field::FieldPath;
use crate::schema;

/// Of the metadata only these are read by the operator.
const METADATA: &[&str] = &["annotations", "labels"];

/// A field that differs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    /// Its path as Kubernetes writes it.
    pub(super) path: FieldPath,
    /// The keys that lead to it.
    keys: Vec<String>,
    /// What stands there before the change; `None` when the key is absent.
    pub(super) old: Option<Value>,
    /// What stands there after the change.
    pub(super) new: Option<Value>,
}

impl Field {
    /// The manifest `old` with this field alone changed.
    pub(super) fn applied_to(&self, old: &Value) -> Option<Postgresql> {
        self.placed(old, self.new.as_ref())
    }

    /// The manifest `new` with this field alone as it was before.
    pub(super) fn undone_in(&self, new: &Value) -> Option<Postgresql> {
        self.placed(new, self.old.as_ref())
    }

    fn placed(&self, manifest: &Value, value: Option<&Value>) -> Option<Postgresql> {
        let mut manifest = manifest.clone();
        place(&mut manifest, &self.keys, value);
        serde_json::from_value(manifest).ok()
    }
}

/// Puts a value where the keys lead, or takes it away; sections on the way are made.
fn place(value: &mut Value, keys: &[String], wanted: Option<&Value>) {
    let Some((key, rest)) = keys.split_first() else { return };
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    let Some(object) = value.as_object_mut() else { return };
    match (rest.is_empty(), wanted) {
        (true, Some(wanted)) => drop(object.insert(key.clone(), wanted.clone())),
        (true, None) => drop(object.remove(key)),
        (false, _) => place(object.entry(key.clone()).or_insert(Value::Null), rest, wanted),
    }
}

/// The fields in which two manifests differ.
pub(super) fn changed(old: &Value, new: &Value) -> Vec<Field> {
    let mut found = Vec::new();
    let part = |of: &Value, key: &str| of.get(key).cloned().unwrap_or_default();
    let (before, after) = (part(old, "metadata"), part(new, "metadata"));
    for key in METADATA {
        let place = Place { path: FieldPath::new("metadata").field(key), keys: keys(&["metadata", key]) };
        entries(&place, (before.get(key), after.get(key)), &mut found);
    }
    let place = Place { path: FieldPath::spec(), keys: keys(&["spec"]) };
    let spec = schema::root().pointer("/properties/spec").unwrap_or(&Value::Null);
    section(spec, &place, (&part(old, "spec"), &part(new, "spec")), &mut found);
    found
}

fn keys(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Where the comparison stands.
struct Place {
    path: FieldPath,
    keys: Vec<String>,
}

impl Place {
    fn field(&self, key: &str) -> Self {
        Self { path: self.path.field(key), keys: [self.keys.as_slice(), &keys(&[key])].concat() }
    }

    fn differs(&self, old: Option<&Value>, new: Option<&Value>) -> Field {
        Field { path: self.path.clone(), keys: self.keys.clone(), old: old.cloned(), new: new.cloned() }
    }
}

/// Two values of a section with fixed fields.
fn section(schema: &Value, place: &Place, (old, new): (&Value, &Value), found: &mut Vec<Field>) {
    for key in names([Some(old), Some(new)]) {
        let place = place.field(&key);
        let schema = schema.pointer("/properties").and_then(|all| all.get(&key)).unwrap_or(&Value::Null);
        let (before, after) = (old.get(&key), new.get(&key));
        if comes_empty(before, after) || comes_empty(after, before) {
            found.push(place.differs(before, after));
        } else if schema.get("additionalProperties").is_some() && schema.get("properties").is_none() {
            entries(&place, (before, after), found);
        } else if let (Some(old @ Value::Object(_)), Some(new @ Value::Object(_))) = (before, after) {
            if schema.get("properties").is_some() {
                section(schema, &place, (old, new), found);
            } else if old != new {
                found.push(place.differs(before, after));
            }
        } else if !(before == after || is_nothing(before) && is_nothing(after)) {
            found.push(place.differs(before, after));
        }
    }
}

/// Two maps whose keys a user chooses: an entry that is there without a value is still there.
fn entries(place: &Place, (old, new): (Option<&Value>, Option<&Value>), found: &mut Vec<Field>) {
    for key in names([old, new]) {
        let (before, after) = (old.and_then(|map| map.get(&key)), new.and_then(|map| map.get(&key)));
        let same = before.is_some() == after.is_some() && is_nothing(before) && is_nothing(after);
        if before != after && !same {
            let mut entry = place.field(&key);
            entry.path = place.path.key(&key);
            found.push(entry.differs(before, after));
        }
    }
}

fn names(objects: [Option<&Value>; 2]) -> BTreeSet<String> {
    objects.into_iter().flatten().filter_map(Value::as_object).flat_map(Map::keys).cloned().collect()
}

/// Whether a section is there on one side only, with nothing in it: that may ask for something (`connectionPooler: {}`,
/// `preparedDatabases: {}`).
fn comes_empty(without: Option<&Value>, with: Option<&Value>) -> bool {
    let empty = with.and_then(Value::as_object).is_some_and(Map::is_empty);
    empty && without.is_none_or(Value::is_null)
}

/// What means the same as an absent field.
fn is_nothing(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(fields)) => fields.is_empty(),
        Some(Value::Bool(_) | Value::Number(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn paths(old: &Value, new: &Value) -> Vec<String> {
        changed(&json!({ "spec": old }), &json!({ "spec": new }))
            .iter()
            .map(|field| field.path.to_string())
            .collect()
    }

    #[test]
    fn fields_entries_lists_and_sections_are_one_change_each() {
        let old = json!({
            "postgresql": {"version": "16", "parameters": {"work_mem": "4MB", "jit": "on"}},
            "users": {"foo": null, "bar": []},
            "resources": {"requests": {"cpu": "1", "memory": "1Gi"}},
            "standby": {"standby_host": "a", "standby_port": "1"},
            "tolerations": [{"key": "a"}],
        });
        let new = json!({
            "postgresql": {"version": "17", "parameters": {"work_mem": "8MB", "jit": "on"}},
            "users": {"foo": [], "baz": null},
            "resources": {"requests": {"cpu": "2", "memory": "2Gi"}},
            "tolerations": [{"key": "b"}, {"key": "c"}],
        });
        assert_eq!(
            paths(&old, &new),
            [
                "spec.postgresql.parameters[work_mem]",
                "spec.postgresql.version",
                "spec.resources.requests.cpu",
                "spec.resources.requests.memory",
                "spec.standby",
                "spec.tolerations",
                "spec.users[bar]",
                "spec.users[baz]",
            ]
        );
    }

    #[test]
    fn nothing_in_other_words_is_no_change() {
        let old = json!({"users": null, "env": [], "dockerImage": ""});
        assert_eq!(paths(&old, &json!({})), [""; 0]);
        let empty = json!({"preparedDatabases": {}, "connectionPooler": {}});
        let sections = ["spec.connectionPooler", "spec.preparedDatabases"];
        assert_eq!(paths(&empty, &json!({})), sections, "to be there may ask for something");
        assert_eq!(paths(&json!({"preparedDatabases": null}), &empty), sections);
    }

    #[test]
    fn a_field_is_changed_alone_and_back() {
        let old = json!({"metadata": {"name": "a"}, "spec": {"numberOfInstances": 1}});
        let new =
            json!({"metadata": {"name": "a"}, "spec": {"numberOfInstances": 2, "users": {"foo": null}}});
        let fields = changed(&old, &new);
        let only_user = fields[1].applied_to(&old).unwrap();
        assert_eq!((only_user.spec.number_of_instances, only_user.spec.users.unwrap().len()), (1, 1));
        let no_user = fields[1].undone_in(&new).unwrap();
        assert_eq!((no_user.spec.number_of_instances, no_user.spec.users.unwrap().len()), (2, 0));
    }
}
