//! Whose fields they are: upstream's operator wrote with `Update`, we apply, and a field that it owns stays when we no
//! longer ask for it.
//!
//! Asked by the operator before it first applies an object, and of every answer. Upstream's entry becomes part of ours;
//! the next apply then removes what is not wanted. A newcomer would not guess that the two have one name: the API server
//! names a manager after its program where it gives no other name, and upstream's program is `postgres-operator`, too.
//! Entries of anybody else (kubectl, a GitOps tool, Patroni, a controller) are left as they are.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
use serde_json::{Map, Value};

use super::Kind;

/// The name under which this operator applies, and under which upstream's updates.
pub const MANAGER: &str = "postgres-operator";

const APPLY: &str = "Apply";
const UPDATE: &str = "Update";
const METADATA: &str = "f:metadata";

/// Upstream names the namespace in its templates, too, where it means nothing. It stays upstream's: without it the
/// template of a Deployment would be another one, and adopting a cluster would replace the pods of its poolers.
const NAMESPACES_OF_TEMPLATES: [&[&str]; 2] = [
    &["f:spec", "f:template", METADATA, "f:namespace"],
    &["f:spec", "f:jobTemplate", "f:spec", "f:template", METADATA, "f:namespace"],
];

/// The entries after the object has been taken over; `None` where there is nothing to take over.
pub fn taken_over(entries: &[ManagedFieldsEntry], kind: Kind) -> Option<Vec<ManagedFieldsEntry>> {
    let mut kept = Vec::new();
    let mut ours: Option<ManagedFieldsEntry> = None;
    let mut found = false;
    for entry in entries {
        if is_ours(entry) {
            join(&mut ours, entry, fields(entry));
        } else if is_upstreams(entry) {
            let (taken, left) = parted(fields(entry), kind);
            if taken.is_empty() {
                kept.push(entry.clone());
                continue;
            }
            found = true;
            join(&mut ours, entry, taken);
            if !left.is_empty() {
                kept.push(with_fields(entry.clone(), left));
            }
        } else {
            kept.push(entry.clone());
        }
    }
    kept.extend(ours);
    found.then_some(kept)
}

/// Whether others fill such objects, too: of those only the metadata is ours, never a password or an address.
fn is_filled_by_others(kind: Kind) -> bool {
    match kind {
        Kind::Secret | Kind::Endpoints | Kind::ServiceAccount => true,
        Kind::RoleBinding | Kind::Service | Kind::PodDisruptionBudget | Kind::StatefulSet => false,
        Kind::Deployment | Kind::CronJob | Kind::FabricEventStream => false,
    }
}

fn is_ours(entry: &ManagedFieldsEntry) -> bool {
    is_by(entry, APPLY)
}

fn is_upstreams(entry: &ManagedFieldsEntry) -> bool {
    is_by(entry, UPDATE)
}

fn is_by(entry: &ManagedFieldsEntry, operation: &str) -> bool {
    let of_the_object = entry.subresource.as_deref().unwrap_or_default().is_empty();
    of_the_object
        && entry.manager.as_deref() == Some(MANAGER)
        && entry.operation.as_deref() == Some(operation)
}

fn fields(entry: &ManagedFieldsEntry) -> Map<String, Value> {
    entry.fields_v1.as_ref().and_then(|fields| fields.0.as_object()).cloned().unwrap_or_default()
}

fn with_fields(entry: ManagedFieldsEntry, fields: Map<String, Value>) -> ManagedFieldsEntry {
    ManagedFieldsEntry { fields_v1: Some(FieldsV1(Value::Object(fields))), ..entry }
}

/// What is taken over, and what is left.
fn parted(mut fields: Map<String, Value>, kind: Kind) -> (Map<String, Value>, Map<String, Value>) {
    if !is_filled_by_others(kind) {
        let mut left = Map::new();
        for path in NAMESPACES_OF_TEMPLATES {
            unite(&mut left, cut(&mut fields, path).unwrap_or_default());
        }
        return (fields, left);
    }
    let metadata = fields.remove(METADATA).map(|metadata| (METADATA.to_owned(), metadata));
    (metadata.into_iter().collect(), fields)
}

/// Takes a leaf out; what is taken, with the way to it.
fn cut(fields: &mut Map<String, Value>, path: &[&str]) -> Option<Map<String, Value>> {
    let (first, rest) = path.split_first()?;
    let below = if rest.is_empty() {
        fields.remove(*first)?
    } else {
        let child = fields.get_mut(*first)?.as_object_mut()?;
        let below = cut(child, rest)?;
        if child.is_empty() {
            fields.remove(*first);
        }
        Value::Object(below)
    };
    Some(Map::from_iter([((*first).to_owned(), below)]))
}

/// Adds fields to our entry, which is made from `entry` where there is none yet.
fn join(ours: &mut Option<ManagedFieldsEntry>, entry: &ManagedFieldsEntry, further: Map<String, Value>) {
    let base = ours.take().map(|ours| (fields(&ours), ours));
    let (mut all, ours_now) = base.unwrap_or_else(|| (Map::new(), entry.clone()));
    unite(&mut all, further);
    let applied = ManagedFieldsEntry { operation: Some(APPLY.to_owned()), ..ours_now };
    *ours = Some(with_fields(applied, all));
}

/// The union of two sets of fields. A set is a tree whose leaves are empty.
fn unite(one: &mut Map<String, Value>, other: Map<String, Value>) {
    for (key, theirs) in other {
        match (one.get_mut(&key), theirs) {
            (Some(Value::Object(mine)), Value::Object(theirs)) => unite(mine, theirs),
            (Some(_), _) => {}
            (None, theirs) => drop(one.insert(key, theirs)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(manager: &str, operation: &str, fields: Value) -> ManagedFieldsEntry {
        ManagedFieldsEntry {
            manager: Some(manager.into()),
            operation: Some(operation.into()),
            api_version: Some("apps/v1".into()),
            fields_v1: Some(FieldsV1(fields)),
            ..ManagedFieldsEntry::default()
        }
    }

    #[test]
    fn upstreams_fields_become_ours_and_those_of_others_stay_theirs() {
        let kubectl = entry("kubectl-edit", "Update", json!({"f:spec": {"f:replicas": {}}}));
        let status = ManagedFieldsEntry {
            subresource: Some("status".into()),
            ..entry(MANAGER, "Update", json!({"f:status": {}}))
        };
        let theirs = entry(MANAGER, "Update", json!({"f:spec": {"f:template": {}, "f:replicas": {}}}));
        let taken = taken_over(&[kubectl.clone(), theirs, status.clone()], Kind::StatefulSet).unwrap();
        let ours = entry(MANAGER, "Apply", json!({"f:spec": {"f:template": {}, "f:replicas": {}}}));
        assert_eq!(taken, [kubectl, status, ours]);
        assert_eq!(taken_over(&taken, Kind::StatefulSet), None, "once is enough");
    }

    #[test]
    fn what_we_have_applied_already_is_joined_with_what_upstream_owns() {
        let ours = entry(MANAGER, "Apply", json!({"f:metadata": {"f:labels": {"f:a": {}}}}));
        let theirs = entry(
            MANAGER,
            "Update",
            json!({"f:metadata": {"f:labels": {"f:a": {}, "f:b": {}}}, "f:spec": {}}),
        );
        let taken = taken_over(&[ours, theirs], Kind::Service).unwrap();
        let joined = json!({"f:metadata": {"f:labels": {"f:a": {}, "f:b": {}}}, "f:spec": {}});
        assert_eq!(taken, [entry(MANAGER, "Apply", joined)]);
    }

    #[test]
    fn the_namespace_in_a_template_stays_as_it_is_or_poolers_would_be_replaced() {
        let fields = json!({"f:spec": {"f:replicas": {}, "f:template": {"f:metadata": {"f:namespace": {}, "f:labels": {}}}}});
        let taken = taken_over(&[entry(MANAGER, "Update", fields)], Kind::Deployment).unwrap();
        let left =
            entry(MANAGER, "Update", json!({"f:spec": {"f:template": {"f:metadata": {"f:namespace": {}}}}}));
        let ours = json!({"f:spec": {"f:replicas": {}, "f:template": {"f:metadata": {"f:labels": {}}}}});
        assert_eq!(taken, [left, entry(MANAGER, "Apply", ours)]);
        assert_eq!(taken_over(&taken, Kind::Deployment), None);
    }

    #[test]
    fn a_password_is_never_ours_to_remove() {
        let fields = json!({"f:data": {"f:password": {}}, "f:metadata": {"f:labels": {"f:team": {}}}});
        let taken = taken_over(&[entry(MANAGER, "Update", fields)], Kind::Secret).unwrap();
        let left = entry(MANAGER, "Update", json!({"f:data": {"f:password": {}}}));
        let ours = entry(MANAGER, "Apply", json!({"f:metadata": {"f:labels": {"f:team": {}}}}));
        assert_eq!(taken, [left.clone(), ours]);
        assert_eq!(taken_over(&[left], Kind::Secret), None);
        let addresses = entry(MANAGER, "Update", json!({"f:subsets": {}}));
        assert_eq!(taken_over(&[addresses], Kind::Endpoints), None);
    }
}
