//! What an administrator refuses beyond what is wrong: containers of one's own, kinds of volumes, registries, privileges.
//!
//! The webhook and its command line ask, with what their flags say; nothing is refused by default. A newcomer would not
//! guess that what stood in the manifest before is only warned of, as long as it is left as it was: a policy that becomes
//! stricter must not lock the manifests that are stored, and yet must not let an old exception become another one.

use serde_json::Value;

use crate::field::{FieldErrors, FieldPath};
use crate::plan::Change;
use crate::validation;

/// What is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Manifests bring no sidecars.
    pub refuse_sidecars: bool,
    /// Manifests bring no init containers.
    pub refuse_init_containers: bool,
    /// Containers of manifests get no more privileges than others.
    pub refuse_privileges: bool,
    /// The kinds of volumes that manifests may bring, such as `configMap`. Without any, every kind.
    pub allowed_volumes: Vec<String>,
    /// Where images may come from: registries, or parts of them such as `registry.example.com/team`. Without any, from
    /// anywhere.
    pub allowed_registries: Vec<String>,
}

/// What a policy says of a manifest.
#[derive(Debug, Default)]
pub struct Judgement {
    /// What keeps it from being accepted.
    pub refused: FieldErrors,
    /// What it has had before and may keep as it is, as warnings.
    pub kept: Vec<Change>,
}

/// Lists of containers that a manifest brings.
const CONTAINERS: &[&str] = &["sidecars", "initContainers"];

/// One thing that the policy refuses.
struct Finding<'a> {
    path: FieldPath,
    message: String,
    /// The container, volume source or image; it may be kept only as it is.
    cause: &'a Value,
}

/// What the policy says of a manifest, or of a change from `old`.
pub fn judge(old: Option<&Value>, new: &Value, policy: &Policy) -> Judgement {
    let before = old.map(|old| findings(old, policy)).unwrap_or_default();
    let (mut refused, mut kept) = (FieldErrors::default(), FieldErrors::default());
    for Finding { path, message, cause } in findings(new, policy) {
        // By its words, not its path: it may stand at another place of its list now.
        let stood = before.iter().any(|known| known.message == message && known.cause == cause);
        if stood { &mut kept } else { &mut refused }.forbidden(path, message);
    }
    Judgement { refused, kept: super::still_wrong(&kept) }
}

/// A kind of volume as `--allowed-volumes` names it.
///
/// # Errors
/// In words, when a pod can have no such volume.
pub fn volume_kind(kind: &str) -> Result<String, String> {
    let words = "is no kind of volume; write it as in a pod, for example configMap, emptyDir, secret";
    if validation::is_volume_kind(kind) { Ok(kind.to_owned()) } else { Err(words.to_owned()) }
}

/// A registry, or a part of one, as `--allowed-registries` names it.
///
/// # Errors
/// In words, when no image could be from there.
pub fn registry(text: &str) -> Result<String, String> {
    let host = text.split('/').next().unwrap_or_default();
    if text.contains("//") || text.contains(char::is_whitespace) || !is_registry(host) {
        let words = "names no registry; write its host, with a path if only a part of it is meant, for example \
                     registry.example.com or docker.io/library";
        return Err(words.to_owned());
    }
    Ok(text.to_owned())
}

fn findings<'a>(manifest: &'a Value, policy: &Policy) -> Vec<Finding<'a>> {
    let mut found = Vec::new();
    let Some(spec) = manifest.get("spec") else { return found };
    if policy.refuse_sidecars {
        containers(spec, "sidecars", "sidecar", "--refuse-sidecars", &mut found);
    }
    if policy.refuse_init_containers {
        containers(spec, "initContainers", "init container", "--refuse-init-containers", &mut found);
    }
    if !policy.allowed_registries.is_empty() {
        images(spec, policy, &mut found);
    }
    if !policy.allowed_volumes.is_empty() {
        volumes(spec, policy, &mut found);
    }
    if policy.refuse_privileges {
        privileges(spec, &mut found);
    }
    found
}

/// The elements of a list of the spec, each with its place.
fn items<'a>(spec: &'a Value, name: &'a str) -> impl Iterator<Item = (FieldPath, &'a Value)> {
    let list = spec.get(name).and_then(Value::as_array).into_iter().flatten().enumerate();
    list.map(move |(index, item)| (FieldPath::spec().field(name).index(index), item))
}

fn name_of(item: &Value) -> &str {
    item.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// Every container of a list that must be empty.
fn containers<'a>(spec: &'a Value, list: &'a str, noun: &str, flag: &str, found: &mut Vec<Finding<'a>>) {
    for (path, container) in items(spec, list) {
        let name = name_of(container);
        let message =
            format!("{noun} \"{name}\" is refused here ({flag} of the webhook): none are allowed; remove it");
        found.push(Finding { path, message, cause: container });
    }
}

/// Every image that a manifest names.
fn images<'a>(spec: &'a Value, policy: &Policy, found: &mut Vec<Finding<'a>>) {
    let mut named = vec![
        (FieldPath::spec().field("dockerImage"), spec.get("dockerImage")),
        (
            FieldPath::spec().field("connectionPooler").field("dockerImage"),
            spec.pointer("/connectionPooler/dockerImage"),
        ),
    ];
    for (path, container) in CONTAINERS.iter().flat_map(|list| items(spec, list)) {
        named.push((path.field("image"), container.get("image")));
    }
    for (path, volume) in items(spec, "additionalVolumes") {
        let image = volume.pointer("/volumeSource/image/reference");
        named.push((path.field("volumeSource").field("image").field("reference"), image));
    }
    for (path, cause) in named {
        let Some((cause, image)) = cause.and_then(|cause| Some((cause, cause.as_str()?))) else { continue };
        if !image.is_empty() && !policy.allowed_registries.iter().any(|registry| is_from(image, registry)) {
            let message = format!(
                "\"{image}\" is from elsewhere than {} (--allowed-registries of the webhook); use an image from there",
                policy.allowed_registries.join(", ")
            );
            found.push(Finding { path, message, cause });
        }
    }
}

/// Whether the first part of an image's name is a registry. One that names none is from Docker Hub, as for Kubernetes.
fn is_registry(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost"
}

/// Whether an image is below this part of a registry.
fn is_from(image: &str, registry: &str) -> bool {
    let whole = match image.split_once('/') {
        Some((first, _)) if is_registry(first) => image.to_owned(),
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

fn volumes<'a>(spec: &'a Value, policy: &Policy, found: &mut Vec<Finding<'a>>) {
    for (path, volume) in items(spec, "additionalVolumes") {
        let kinds = volume.get("volumeSource").and_then(Value::as_object).into_iter().flatten();
        for (kind, cause) in kinds.filter(|(kind, _)| !policy.allowed_volumes.contains(kind)) {
            let message = format!(
                "a {kind} as \"{}\" is refused here (--allowed-volumes of the webhook): allowed are {}; use one of these",
                name_of(volume),
                policy.allowed_volumes.join(", ")
            );
            found.push(Finding { path: path.field("volumeSource").field(kind), message, cause });
        }
    }
}

fn privileges<'a>(spec: &'a Value, found: &mut Vec<Finding<'a>>) {
    for (path, container) in CONTAINERS.iter().flat_map(|list| items(spec, list)) {
        let Some(security) = container.get("securityContext") else { continue };
        let (name, path) = (name_of(container), path.field("securityContext"));
        let refused = "is refused here (--refuse-privileges of the webhook): none are allowed; remove it";
        for field in ["privileged", "allowPrivilegeEscalation"] {
            if security.get(field) == Some(&Value::Bool(true)) {
                let message = format!("{field} of \"{name}\" {refused}");
                found.push(Finding { path: path.field(field), message, cause: container });
            }
        }
        let added = security.pointer("/capabilities/add").and_then(Value::as_array).into_iter().flatten();
        let added: Vec<&str> = added.filter_map(Value::as_str).collect();
        if !added.is_empty() {
            let message = format!("{} for \"{name}\" {refused}", added.join(" "));
            found.push(Finding { path: path.field("capabilities").field("add"), message, cause: container });
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
                {"name": "host", "mountPath": "/host", "volumeSource": {"hostPath": {"path": "/var/log"}}},
                {"name": "tmp", "mountPath": "/scratch", "volumeSource": {"emptyDir": {}}},
                {"name": "files", "mountPath": "/files", "volumeSource": {"image": {"reference": "evil.org/x"}}},
            ],
        }})
    }

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|&name| name.to_owned()).collect()
    }

    fn told(old: Option<&Value>, new: &Value, policy: &Policy) -> Vec<String> {
        judge(old, new, policy).refused.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn nothing_is_refused_by_default() {
        assert_eq!(told(None, &manifest(), &Policy::default()), Vec::<String>::new());
    }

    #[test]
    fn each_rule_names_its_field_its_flag_and_what_is_allowed() {
        let none = Policy::default;
        for (policy, expected) in [
            (
                Policy { refuse_sidecars: true, ..none() },
                vec![
                    "spec.sidecars[0]: sidecar \"exporter\" is refused here (--refuse-sidecars of the webhook): none are \
                     allowed; remove it",
                ],
            ),
            (
                Policy { refuse_init_containers: true, ..none() },
                vec![
                    "spec.initContainers[0]: init container \"tune\" is refused here (--refuse-init-containers of the \
                     webhook): none are allowed; remove it",
                ],
            ),
            (
                Policy { allowed_volumes: names(&["emptyDir", "image"]), ..none() },
                vec![
                    "spec.additionalVolumes[0].volumeSource.hostPath: a hostPath as \"host\" is refused here \
                     (--allowed-volumes of the webhook): allowed are emptyDir, image; use one of these",
                ],
            ),
            (
                Policy { refuse_privileges: true, ..none() },
                vec![
                    "spec.initContainers[0].securityContext.privileged: privileged of \"tune\" is refused here \
                     (--refuse-privileges of the webhook): none are allowed; remove it",
                    "spec.initContainers[0].securityContext.capabilities.add: SYS_ADMIN for \"tune\" is refused here \
                     (--refuse-privileges of the webhook): none are allowed; remove it",
                ],
            ),
        ] {
            assert_eq!(told(None, &manifest(), &policy), expected);
        }
    }

    #[test]
    fn images_come_from_registries_that_are_listed() {
        let allowed_registries = names(&["registry.example.com", "docker.io/library"]);
        let policy = Policy { allowed_registries, ..Policy::default() };
        let refused = "is from elsewhere than registry.example.com, docker.io/library (--allowed-registries of the \
                       webhook); use an image from there";
        assert_eq!(
            told(None, &manifest(), &policy),
            [
                format!("spec.sidecars[0].image: \"quay.io/exporter:1\" {refused}"),
                format!("spec.additionalVolumes[2].volumeSource.image.reference: \"evil.org/x\" {refused}"),
            ]
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
    fn an_update_is_refused_for_what_it_brings_in_and_warned_of_what_it_keeps() {
        let policy = Policy {
            refuse_sidecars: true,
            refuse_init_containers: true,
            refuse_privileges: true,
            allowed_volumes: names(&["secret"]),
            allowed_registries: names(&["registry.example.com"]),
        };
        let old = manifest();
        let mut new = manifest();
        new["spec"]["numberOfInstances"] = json!(3);
        // At another place of its list.
        new["spec"]["additionalVolumes"].as_array_mut().unwrap().reverse();
        assert_eq!(told(Some(&old), &new, &policy), Vec::<String>::new());
        let kept = judge(Some(&old), &new, &policy).kept;
        assert_eq!(kept.len(), told(None, &new, &policy).len());
        assert!(kept[0].to_string().starts_with("spec.sidecars[0]: is still wrong: sidecar"), "{}", kept[0]);
    }

    #[test]
    fn an_old_exception_does_not_become_another_one() {
        let host = "/spec/additionalVolumes/0/volumeSource/hostPath/path";
        let volumes = Policy { allowed_volumes: names(&["emptyDir", "image"]), ..Policy::default() };
        let privileges = Policy { refuse_privileges: true, ..Policy::default() };
        let sidecars = Policy { refuse_sidecars: true, ..Policy::default() };
        for (policy, place, value, refused) in [
            (&volumes, host, "/", 1),
            (&privileges, "/spec/initContainers/0/image", "evil.org/x", 2),
            (&sidecars, "/spec/sidecars/0/image", "evil.org/x", 1),
            (&sidecars, "/spec/dockerImage", "evil.org/x", 0),
        ] {
            let (old, mut new) = (manifest(), manifest());
            *new.pointer_mut(place).unwrap() = json!(value);
            assert_eq!(told(Some(&old), &new, policy).len(), refused, "{place}");
        }
    }

    #[test]
    fn a_flag_that_could_never_fit_is_told_at_once() {
        for (kind, is_right) in
            [("hostPath", true), ("configMap", true), ("hostpath", false), ("name", false), ("", false)]
        {
            assert_eq!(volume_kind(kind).is_ok(), is_right, "{kind}");
        }
        for (text, is_right) in [
            ("registry.example.com", true),
            ("localhost:5000/team", true),
            ("docker.io/library", true),
            ("team", false),
            ("https://registry.example.com", false),
            ("", false),
        ] {
            assert_eq!(registry(text).is_ok(), is_right, "{text}");
        }
    }
}
