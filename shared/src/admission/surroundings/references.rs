//! Whether what a manifest names is there: Secrets, ConfigMaps, a PriorityClass, the source of a clone.
//!
//! Of Secrets and ConfigMaps only names are known. A Secret that the operator makes for the cluster itself is not
//! missed, nor is one that the manifest calls optional.

use serde_json::Value;

use super::{Built, Findings, Named, Scene};
use crate::field::FieldPath;
use crate::names;

/// Keys under which Kubernetes' types name a Secret or a ConfigMap, and the key of the name.
const SECRETS: &[(&str, &str)] = &[("secretKeyRef", "name"), ("secretRef", "name"), ("secret", "secretName")];
const CONFIG_MAPS: &[(&str, &str)] =
    &[("configMapKeyRef", "name"), ("configMapRef", "name"), ("configMap", "name")];
/// Sections of the manifest whose contents are Kubernetes' own types.
const SECTIONS: &[&str] = &["env", "envFrom", "sidecars", "initContainers", "additionalVolumes"];

/// A name and where it stands.
type Reference = (FieldPath, String);

/// Every Secret and ConfigMap that the manifest names exists.
pub(super) fn objects(scene: &Scene<'_>, findings: &mut Findings) {
    let (secrets, config_maps) = (&scene.around.secrets, &scene.around.config_maps);
    if secrets.is_none() && config_maps.is_none() {
        return;
    }
    let spec = &scene.new.spec;
    let (mut named_secrets, mut named_maps) = (Vec::new(), Vec::new());
    if let Some(tls) = &spec.tls {
        let path = FieldPath::spec().field("tls");
        for (field, name) in
            [("secretName", Some(&tls.secret_name)), ("caSecretName", tls.ca_secret_name.as_ref())]
        {
            named_secrets.extend(name.map(|name| (path.field(field), name.clone())));
        }
    }
    let json = serde_json::to_value(spec).unwrap_or_default();
    for section in SECTIONS {
        if let Some(value) = json.get(section) {
            let path = FieldPath::spec().field(section);
            collect(value, &path, SECRETS, &mut named_secrets);
            collect(value, &path, CONFIG_MAPS, &mut named_maps);
        }
    }
    let own = own_secrets(scene);
    named_secrets.retain(|(_, name)| !own(name));
    for (kind, known, named) in [("Secret", secrets, named_secrets), ("ConfigMap", config_maps, named_maps)] {
        missing(kind, known.as_ref(), named, findings);
    }
}

fn missing(kind: &str, known: Option<&Named<()>>, named: Vec<Reference>, findings: &mut Findings) {
    let Some(known) = known else { return };
    for (path, name) in named {
        if !name.is_empty() && !known.contains_key(&name) {
            findings
                .warn(path, format!("there is no {kind} \"{name}\" in the namespace now; pods wait for it"));
        }
    }
}

/// Whether a Secret has a name that the operator gives to those of this cluster.
fn own_secrets(scene: &Scene<'_>) -> impl Fn(&str) -> bool {
    // What stands around the user's name; the user is whoever has a Secret.
    let mark = "\u{0}";
    let pattern = names::secret(&scene.config.kubernetes.secret_name_template, mark, &scene.name());
    let (before, after) = pattern
        .split_once(mark)
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap_or((pattern, String::new()));
    move |name| name.len() > before.len() + after.len() && name.starts_with(&before) && name.ends_with(&after)
}

/// Adds the names under `keys` anywhere in `value`, unless they are optional.
fn collect(value: &Value, path: &FieldPath, keys: &[(&str, &str)], found: &mut Vec<Reference>) {
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(item, &path.index(index), keys, found);
            }
        }
        Value::Object(fields) => {
            for (key, inner) in fields {
                let path = path.field(key);
                let reference = keys.iter().find(|(known, _)| known == key);
                let optional = inner.get("optional").and_then(Value::as_bool).unwrap_or(false);
                match reference.and_then(|(_, name)| Some((name, inner.get(name)?.as_str()?))) {
                    Some((field, name)) if !optional => found.push((path.field(field), name.to_owned())),
                    Some(_) => {}
                    None => collect(inner, &path, keys, found),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A clone without a point in time copies a running cluster of the namespace. (One with a time reads an archive, which
/// may outlive its cluster.)
pub(super) fn clone_source(scene: &Scene<'_>, findings: &mut Findings) {
    let (Some(clusters), Some(clone), None) = (&scene.around.clusters, &scene.new.spec.clone, scene.old)
    else {
        return;
    };
    let archived = clone.timestamp.as_ref().is_some_and(|timestamp| !timestamp.is_empty());
    let source = &clone.cluster;
    if !archived && !source.is_empty() && !clusters.contains_key(source) {
        let message = format!(
            "there is no cluster \"{source}\" in the namespace now; the members cannot copy its data"
        );
        findings.warn(FieldPath::spec().field("clone").field("cluster"), message);
    }
}

/// The PriorityClass exists: without it, no pod is even made.
pub(super) fn priority_class(scene: &Scene<'_>, built: &Built, findings: &mut Findings) {
    let (Some(classes), Some(name)) = (&scene.around.priority_classes, &built.pod.priority_class_name) else {
        return;
    };
    if !name.is_empty() && !classes.contains_key(name) {
        let path = FieldPath::spec().field("podPriorityClassName");
        findings.warn(path, format!("there is no PriorityClass \"{name}\" now; no pod can be made"));
    }
}
