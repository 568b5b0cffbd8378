//! Server-side apply: which manager owns which fields, and what an apply makes of an object.
//!
//! The store asks at each write. Lists are atomic except those whose every item is an object with a `name`; real schemas
//! also key by port, mount path and type, so whatever leans on more than this is tested on a real API server.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// The way to a field: names, and the `name` of an item of a keyed list.
pub(super) type Path = Vec<Segment>;

/// One part of a way to a field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Segment {
    /// A key of an object.
    Field(String),
    /// The item of this name.
    Item(String),
}

/// The fields of one manager.
pub(super) type FieldSet = BTreeSet<Path>;

/// Who wrote, and how: `Apply` and `Update` of one name are two managers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Manager {
    /// The field manager's name.
    pub name: String,
    /// Whether it wrote by server-side apply.
    pub applies: bool,
    /// The subresource it wrote through, empty for the object itself.
    pub subresource: String,
}

/// Which manager owns which fields of one object.
pub(super) type Owners = BTreeMap<Manager, FieldSet>;

/// What server-side apply makes of an object, and who owns its fields then.
///
/// # Errors
/// The fields that another manager owns with another value, unless `force`.
pub(super) fn apply(
    live: Option<&Value>,
    owners: &mut Owners,
    applied: &Value,
    manager: &Manager,
    force: bool,
) -> Result<Value, Vec<String>> {
    let wanted = leaves(applied);
    let empty = json!({});
    let live = live.unwrap_or(&empty);
    let differs = |path: &Path| at(live, path) != at(applied, path);
    let conflicts: Vec<Path> = owners
        .iter()
        .filter(|(other, _)| *other != manager)
        .flat_map(|(_, fields)| fields.intersection(&wanted).filter(|path| differs(path)).cloned())
        .collect();
    if !conflicts.is_empty() && !force {
        return Err(conflicts.iter().map(|path| shown(path)).collect());
    }
    for (_, fields) in owners.iter_mut().filter(|(other, _)| *other != manager) {
        fields.retain(|path| !conflicts.contains(path));
    }
    let before = owners.insert(manager.clone(), wanted.clone()).unwrap_or_default();
    let mut result = merged(live, applied);
    for path in before.difference(&wanted) {
        let owned = |fields: &FieldSet| fields.contains(path);
        if !owners.values().any(owned) {
            remove(&mut result, path, owners);
        }
    }
    owners.retain(|_, fields| !fields.is_empty());
    Ok(result)
}

/// Takes note of a write that was no apply: what changed is the writer's, what went is nobody's.
pub(super) fn update(before: Option<&Value>, after: &Value, owners: &mut Owners, manager: &Manager) {
    let now = leaves(after);
    let changed: FieldSet = now
        .iter()
        .filter(|path| before.is_none_or(|old| at(old, path) != at(after, path)))
        .cloned()
        .collect();
    for (other, fields) in owners.iter_mut() {
        fields.retain(|path| now.contains(path) && (other == manager || !changed.contains(path)));
    }
    owners.entry(manager.clone()).or_default().extend(changed);
    owners.retain(|_, fields| !fields.is_empty());
}

/// Every field that can be owned: leaves, empty objects, atomic lists; not what identifies an object or is the server's.
pub(super) fn leaves(object: &Value) -> FieldSet {
    let mut found = FieldSet::new();
    let Some(fields) = object.as_object() else { return found };
    for (name, value) in fields {
        match name.as_str() {
            "apiVersion" | "kind" => {}
            "metadata" => {
                let owned = ["annotations", "labels", "finalizers", "ownerReferences"];
                for part in owned {
                    if let Some(value) = value.get(part) {
                        collect(value, vec![field("metadata"), field(part)], &mut found);
                    }
                }
            }
            _ => collect(value, vec![field(name)], &mut found),
        }
    }
    found
}

fn field(name: &str) -> Segment {
    Segment::Field(name.to_owned())
}

fn collect(value: &Value, path: Path, found: &mut FieldSet) {
    let below = |segment: Segment| path.iter().cloned().chain([segment]).collect::<Path>();
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            fields.iter().for_each(|(name, value)| collect(value, below(field(name)), found));
        }
        Value::Array(items) if is_keyed(items) => {
            items.iter().for_each(|item| collect(item, below(Segment::Item(name_of(item))), found));
        }
        _ => drop(found.insert(path)),
    }
}

/// Whether a list is keyed by the names of its items.
fn is_keyed(items: &[Value]) -> bool {
    !items.is_empty() && items.iter().all(|item| item.get("name").is_some_and(Value::is_string))
}

fn name_of(item: &Value) -> String {
    item.get("name").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// What stands at a path.
fn at<'a>(object: &'a Value, path: &[Segment]) -> Option<&'a Value> {
    path.iter().try_fold(object, |value, segment| match segment {
        Segment::Field(name) => value.get(name),
        Segment::Item(name) => value.as_array()?.iter().find(|item| name_of(item) == *name),
    })
}

/// `live` with `applied` laid over it.
fn merged(live: &Value, applied: &Value) -> Value {
    match (live, applied) {
        (Value::Object(live), Value::Object(applied)) => {
            let mut result = live.clone();
            for (name, value) in applied {
                let value = live.get(name).map_or_else(|| value.clone(), |old| merged(old, value));
                result.insert(name.clone(), value);
            }
            Value::Object(result)
        }
        (Value::Array(live), Value::Array(applied)) if is_keyed(live) && is_keyed(applied) => {
            let old = |wanted: &Value| live.iter().find(|item| name_of(item) == name_of(wanted));
            let ours =
                applied.iter().map(|item| old(item).map_or_else(|| item.clone(), |old| merged(old, item)));
            let others =
                live.iter().filter(|item| applied.iter().all(|wanted| name_of(wanted) != name_of(item)));
            ours.chain(others.cloned()).collect()
        }
        (_, applied) => applied.clone(),
    }
}

/// Takes a field away, and what is empty without it. An item whose name goes goes whole, unless another owns some of it.
fn remove(object: &mut Value, path: &[Segment], owners: &Owners) {
    if let [above @ .., Segment::Item(item), Segment::Field(last)] = path
        && last == "name"
    {
        let whole: Path = above.iter().cloned().chain([Segment::Item(item.clone())]).collect();
        let shared = owners.values().flatten().any(|owned| owned.starts_with(&whole));
        if !shared {
            take(object, &whole);
        }
        return;
    }
    take(object, path);
}

fn take(value: &mut Value, path: &[Segment]) {
    let Some((first, rest)) = path.split_first() else { return };
    match (first, value) {
        (Segment::Field(name), Value::Object(fields)) if rest.is_empty() => drop(fields.remove(name)),
        (Segment::Field(name), Value::Object(fields)) => {
            let Some(inner) = fields.get_mut(name) else { return };
            take(inner, rest);
            let empty =
                inner.as_object().is_some_and(Map::is_empty) || inner.as_array().is_some_and(Vec::is_empty);
            if empty {
                fields.remove(name);
            }
        }
        (Segment::Item(name), Value::Array(items)) if rest.is_empty() => {
            items.retain(|item| name_of(item) != *name);
        }
        (Segment::Item(name), Value::Array(items)) => {
            let item = items.iter_mut().find(|item| name_of(item) == *name);
            item.into_iter().for_each(|item| take(item, rest));
        }
        _ => {}
    }
}

fn shown(path: &[Segment]) -> String {
    let parts = path.iter().map(|segment| match segment {
        Segment::Field(name) => format!(".{name}"),
        Segment::Item(name) => format!("[name=\"{name}\"]"),
    });
    parts.collect()
}

/// `metadata.managedFields`, as Kubernetes writes it.
pub(super) fn to_managed_fields(owners: &Owners, api_version: &str) -> Value {
    let entries = owners.iter().map(|(manager, fields)| {
        let mut tree = json!({});
        for path in fields {
            insert(&mut tree, path);
        }
        let operation = if manager.applies { "Apply" } else { "Update" };
        let mut entry = json!({
            "manager": manager.name, "operation": operation, "apiVersion": api_version,
            "fieldsType": "FieldsV1", "fieldsV1": tree,
        });
        if let (false, Some(entry)) = (manager.subresource.is_empty(), entry.as_object_mut()) {
            entry.insert("subresource".to_owned(), json!(manager.subresource));
        }
        entry
    });
    entries.collect()
}

fn insert(tree: &mut Value, path: &[Segment]) {
    let Some((first, rest)) = path.split_first() else { return };
    let key = match first {
        Segment::Field(name) => format!("f:{name}"),
        Segment::Item(name) => format!("k:{}", json!({ "name": name })),
    };
    if let Some(fields) = tree.as_object_mut() {
        insert(fields.entry(key).or_insert_with(|| json!({})), rest);
    }
}

/// The owners that `metadata.managedFields` names: a client may rewrite the list.
pub(super) fn from_managed_fields(entries: &Value) -> Owners {
    let text =
        |entry: &Value, key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut owners = Owners::new();
    for entry in entries.as_array().into_iter().flatten() {
        let manager = Manager {
            name: text(entry, "manager"),
            applies: text(entry, "operation") == "Apply",
            subresource: text(entry, "subresource"),
        };
        let mut fields = FieldSet::new();
        if let Some(tree) = entry.get("fieldsV1") {
            read(tree, Vec::new(), &mut fields);
        }
        owners.entry(manager).or_default().extend(fields);
    }
    owners
}

fn read(tree: &Value, path: Path, found: &mut FieldSet) {
    let below = tree.as_object().into_iter().flatten().filter_map(|(key, below)| {
        let segment = match key.split_once(':')? {
            ("f", name) => Segment::Field(name.to_owned()),
            ("k", key) => Segment::Item(name_of(&serde_json::from_str(key).ok()?)),
            _ => return None,
        };
        Some((segment, below))
    });
    let mut is_leaf = true;
    for (segment, below) in below {
        is_leaf = false;
        read(below, path.iter().cloned().chain([segment]).collect(), found);
    }
    if is_leaf && !path.is_empty() {
        found.insert(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manager(name: &str) -> Manager {
        Manager { name: name.to_owned(), applies: true, subresource: String::new() }
    }

    fn env(pairs: &[(&str, &str)]) -> Value {
        let list: Vec<_> = pairs.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        json!({"spec": {"env": list}})
    }

    #[test]
    fn what_an_applier_no_longer_asks_for_goes_and_what_others_own_stays() {
        let mut owners = Owners::new();
        let first =
            apply(None, &mut owners, &env(&[("A", "1"), ("B", "2")]), &manager("ours"), false).unwrap();
        let both = apply(Some(&first), &mut owners, &env(&[("C", "3")]), &manager("theirs"), false).unwrap();
        let less = apply(Some(&both), &mut owners, &env(&[("A", "1")]), &manager("ours"), false).unwrap();
        assert_eq!(less, env(&[("A", "1"), ("C", "3")]));
    }

    #[test]
    fn a_conflict_is_refused_without_force_and_taken_over_with_it() {
        let mut owners = Owners::new();
        let live =
            apply(None, &mut owners, &json!({"spec": {"replicas": 1}}), &manager("theirs"), false).unwrap();
        let wish = json!({"spec": {"replicas": 2}});
        let refused = apply(Some(&live), &mut owners, &wish, &manager("ours"), false).unwrap_err();
        assert_eq!(refused, [".spec.replicas"]);
        assert_eq!(apply(Some(&live), &mut owners, &wish, &manager("ours"), true).unwrap(), wish);
        assert_eq!(owners.keys().map(|owner| owner.name.as_str()).collect::<Vec<_>>(), ["ours"]);
    }

    #[test]
    fn an_update_owns_what_it_changed_and_the_list_survives_its_json() {
        let mut owners = Owners::new();
        let before = apply(None, &mut owners, &env(&[("A", "1")]), &manager("ours"), false).unwrap();
        let person = Manager { applies: false, ..manager("kubectl") };
        update(Some(&before), &env(&[("A", "2")]), &mut owners, &person);
        assert_eq!(from_managed_fields(&to_managed_fields(&owners, "v1")), owners);
        let again =
            apply(Some(&env(&[("A", "2")])), &mut owners, &env(&[("A", "1")]), &manager("ours"), false);
        assert_eq!(again.unwrap_err(), [".spec.env[name=\"A\"].value"]);
    }
}
