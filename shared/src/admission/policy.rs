//! What an administrator refuses beyond what is wrong: containers of one's own, kinds of volumes, registries, privileges.
//!
//! The webhook asks, with what its flags say; nothing is refused by default. A newcomer would not guess that an update is
//! refused only for what it brings in: a policy that becomes stricter must not lock the manifests that are stored.

use serde_json::Value;

use crate::field::{FieldErrors, FieldPath};

/// What is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Manifests bring no sidecars.
    pub refuse_sidecars: bool,
    /// Manifests bring no init containers.
    pub refuse_init_containers: bool,
    /// Containers of manifests get no more privileges than others.
    pub refuse_privileges: bool,
    /// The kinds of volumes that manifests may not bring, such as `hostPath`.
    pub refused_volumes: Vec<String>,
    /// Where images may come from: registries, or parts of them such as `registry.example.com/team`. Without any, from
    /// anywhere.
    pub allowed_registries: Vec<String>,
}

/// Lists of containers that a manifest brings.
const CONTAINERS: &[&str] = &["sidecars", "initContainers"];

/// What the policy refuses of a manifest, or of a change from `old`.
pub fn refusals(old: Option<&Value>, new: &Value, policy: &Policy) -> FieldErrors {
    let (mut errors, before) = (FieldErrors::default(), old.map(|old| all(old, policy)).unwrap_or_default());
    for error in &all(new, policy) {
        // By its words: what stood there may stand at another place of its list now.
        let stood = before.iter().any(|known| known.reason == error.reason && known.message == error.message);
        if !stood {
            errors.push(error.path.clone(), error.reason, error.message.clone());
        }
    }
    errors
}

fn all(manifest: &Value, policy: &Policy) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let Some(spec) = manifest.get("spec") else { return errors };
    let switches = [policy.refuse_sidecars, policy.refuse_init_containers];
    for ((name, flag), refused) in
        CONTAINERS.iter().zip(["--refuse-sidecars", "--refuse-init-containers"]).zip(switches)
    {
        if refused && items(spec, name).next().is_some() {
            let message = format!("are refused here ({flag} of the webhook); remove them");
            errors.forbidden(FieldPath::spec().field(name), message);
        }
    }
    if !policy.allowed_registries.is_empty() {
        images(spec, policy, &mut errors);
    }
    volumes(spec, policy, &mut errors);
    if policy.refuse_privileges {
        privileges(spec, &mut errors);
    }
    errors
}

/// The elements of a list of the spec, each with its place.
fn items<'a>(spec: &'a Value, name: &'a str) -> impl Iterator<Item = (FieldPath, &'a Value)> {
    let list = spec.get(name).and_then(Value::as_array).into_iter().flatten().enumerate();
    list.map(move |(index, item)| (FieldPath::spec().field(name).index(index), item))
}

/// Every image that a manifest names.
fn images(spec: &Value, policy: &Policy, errors: &mut FieldErrors) {
    let pooler = FieldPath::spec().field("connectionPooler").field("dockerImage");
    let mut named = vec![
        (FieldPath::spec().field("dockerImage"), spec.get("dockerImage")),
        (pooler, spec.pointer("/connectionPooler/dockerImage")),
    ];
    for (path, container) in CONTAINERS.iter().flat_map(|name| items(spec, name)) {
        named.push((path.field("image"), container.get("image")));
    }
    for (path, image) in named {
        let Some(image) = image.and_then(Value::as_str).filter(|image| !image.is_empty()) else { continue };
        if !policy.allowed_registries.iter().any(|registry| is_from(image, registry)) {
            let message = format!(
                "\"{image}\" is from elsewhere than {} (--allowed-registries of the webhook); use an image from there",
                policy.allowed_registries.join(", ")
            );
            errors.forbidden(path, message);
        }
    }
}

/// Whether an image is below this part of a registry. One that names no registry is from Docker Hub, as for Kubernetes.
fn is_from(image: &str, registry: &str) -> bool {
    let names_one = |first: &str| first.contains(['.', ':']) || first == "localhost";
    let whole = match image.split_once('/') {
        Some((first, _)) if names_one(first) => image.to_owned(),
        Some(_) => format!("docker.io/{image}"),
        None => format!("docker.io/library/{image}"),
    };
    let registry = registry.trim_end_matches('/');
    let is_repository = registry.contains('/');
    whole.strip_prefix(registry).is_some_and(|rest| match rest.chars().next() {
        Some('/') => true,
        // A tag or a digest; behind a registry's name a colon would be a port.
        Some(':' | '@') | None => is_repository,
        Some(_) => false,
    })
}

fn volumes(spec: &Value, policy: &Policy, errors: &mut FieldErrors) {
    for (path, volume) in items(spec, "additionalVolumes") {
        let kinds = volume.get("volumeSource").and_then(Value::as_object).into_iter().flatten();
        for (kind, _) in kinds.filter(|(kind, _)| policy.refused_volumes.contains(kind)) {
            let name = volume.get("name").and_then(Value::as_str).unwrap_or_default();
            let message = format!(
                "a {kind} as \"{name}\" is refused here (--refuse-volumes of the webhook); use another kind of volume"
            );
            errors.forbidden(path.field("volumeSource").field(kind), message);
        }
    }
}

fn privileges(spec: &Value, errors: &mut FieldErrors) {
    for (path, container) in CONTAINERS.iter().flat_map(|name| items(spec, name)) {
        let Some(security) = container.get("securityContext") else { continue };
        let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
        let path = path.field("securityContext");
        let refused = "is refused here (--refuse-privileges of the webhook); remove it";
        for field in ["privileged", "allowPrivilegeEscalation"] {
            if security.get(field) == Some(&Value::Bool(true)) {
                errors.forbidden(path.field(field), format!("{field} of \"{name}\" {refused}"));
            }
        }
        let added = security.pointer("/capabilities/add").and_then(Value::as_array).into_iter().flatten();
        let added: Vec<&str> = added.filter_map(Value::as_str).collect();
        if !added.is_empty() {
            let message = format!("{} for \"{name}\" {refused}", added.join(" "));
            errors.forbidden(path.field("capabilities").field("add"), message);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn manifest() -> Value {
        json!({"spec": {
            "dockerImage": "registry.example.com/spilo:17",
            "connectionPooler": {"dockerImage": "pgbouncer"},
            "sidecars": [{"name": "exporter", "image": "quay.io/exporter:1"}],
            "initContainers": [{"name": "tune", "image": "busybox", "securityContext": {
                "privileged": true, "capabilities": {"add": ["SYS_ADMIN"]},
            }}],
            "additionalVolumes": [
                {"name": "host", "mountPath": "/host", "volumeSource": {"hostPath": {"path": "/"}}},
                {"name": "tmp", "mountPath": "/scratch", "volumeSource": {"emptyDir": {}}},
            ],
        }})
    }

    fn told(old: Option<&Value>, policy: &Policy) -> Vec<String> {
        refusals(old, &manifest(), policy).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn nothing_is_refused_by_default() {
        assert_eq!(told(None, &Policy::default()), Vec::<String>::new());
    }

    #[test]
    fn each_rule_names_its_field_and_its_flag() {
        let none = Policy::default;
        for (policy, expected) in [
            (
                Policy { refuse_sidecars: true, ..none() },
                vec!["spec.sidecars: are refused here (--refuse-sidecars of the webhook); remove them"],
            ),
            (
                Policy { refuse_init_containers: true, ..none() },
                vec![
                    "spec.initContainers: are refused here (--refuse-init-containers of the webhook); remove them",
                ],
            ),
            (
                Policy { refused_volumes: vec!["hostPath".to_owned()], ..none() },
                vec![
                    "spec.additionalVolumes[0].volumeSource.hostPath: a hostPath as \"host\" is refused here \
                     (--refuse-volumes of the webhook); use another kind of volume",
                ],
            ),
            (
                Policy { refuse_privileges: true, ..none() },
                vec![
                    "spec.initContainers[0].securityContext.privileged: privileged of \"tune\" is refused here \
                     (--refuse-privileges of the webhook); remove it",
                    "spec.initContainers[0].securityContext.capabilities.add: SYS_ADMIN for \"tune\" is refused here \
                     (--refuse-privileges of the webhook); remove it",
                ],
            ),
        ] {
            assert_eq!(told(None, &policy), expected);
        }
    }

    #[test]
    fn images_come_from_registries_that_are_listed() {
        let registries = ["registry.example.com", "docker.io/library"].map(str::to_owned).into();
        let policy = Policy { allowed_registries: registries, ..Policy::default() };
        assert_eq!(
            told(None, &policy),
            ["spec.sidecars[0].image: \"quay.io/exporter:1\" is from elsewhere than registry.example.com, \
                 docker.io/library (--allowed-registries of the webhook); use an image from there"]
        );
        for (image, registry, expected) in [
            ("registry.example.com.evil.org/x", "registry.example.com", false),
            ("registry.example.com:5000/x", "registry.example.com:5000", true),
            ("registry.example.com:5000/x", "registry.example.com", false),
            ("ghcr.io/team/x:1", "ghcr.io/team/x", true),
            ("localhost/x:1", "localhost", true),
            ("busybox", "docker.io", true),
            ("team/x", "docker.io/library", false),
            ("ghcr.io/team-b/x", "ghcr.io/team", false),
            ("ghcr.io/team/x@sha256:0", "ghcr.io/team/", true),
        ] {
            assert_eq!(is_from(image, registry), expected, "{image} of {registry}");
        }
    }

    #[test]
    fn an_update_is_refused_only_for_what_it_brings_in() {
        let policy = Policy {
            refuse_sidecars: true,
            refuse_init_containers: true,
            refuse_privileges: true,
            refused_volumes: vec!["hostPath".to_owned(), "emptyDir".to_owned()],
            ..Policy::default()
        };
        let mut old = manifest();
        assert_eq!(told(Some(&old), &policy), Vec::<String>::new());
        // The same volume stood at another place, and the other one is new.
        let volumes = old["spec"]["additionalVolumes"].as_array_mut().unwrap();
        volumes.pop();
        volumes.insert(0, json!({"name": "first", "volumeSource": {"secret": {}}}));
        let told = told(Some(&old), &policy);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("spec.additionalVolumes[1].volumeSource.emptyDir: "), "{told:?}");
    }
}
