//! Environment variables: names, duplicates, and those the operator owns.
//!
//! An owned variable in a manifest is without effect: the operator's comes first and wins, whatever the case of its
//! letters. Variables about buckets may be overridden, so they are not listed.

use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource};

use crate::api::Postgresql;
use crate::config::OperatorConfig;
use crate::field::{FieldErrors, FieldPath};

use super::text;

/// What the operator always sets in the database's container.
const OWNED: &[&str] = &[
    "DCS_ENABLE_KUBERNETES_API",
    "ENABLE_WAL_PATH_COMPAT",
    "ETCD_HOST",
    "HUMAN_ROLE",
    "KUBERNETES_BOOTSTRAP_LABELS",
    "KUBERNETES_LABELS",
    "KUBERNETES_ROLE_LABEL",
    "KUBERNETES_SCOPE_LABEL",
    "KUBERNETES_USE_CONFIGMAPS",
    "PAM_OAUTH2",
    "PGPASSWORD_STANDBY",
    "PGPASSWORD_SUPERUSER",
    "PGROOT",
    "PGUSER_STANDBY",
    "PGUSER_SUPERUSER",
    "PGVERSION",
    "POD_IP",
    "POD_NAMESPACE",
    "SCOPE",
    "SPILO_CONFIGURATION",
];

/// The variables of the database's container.
pub(super) fn variables(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let spec = &manifest.spec;
    let owned = |name: &str| {
        let is_one_of = |known: &[&str]| known.iter().any(|known| known.eq_ignore_ascii_case(name));
        if is_one_of(OWNED) {
            Some("the operator sets it")
        } else if spec.clone.is_some() && is_one_of(&["CLONE_SCOPE", "CLONE_HOST", "CLONE_TARGET_TIME"]) {
            Some("spec.clone sets it")
        } else {
            None
        }
    };
    list(&FieldPath::spec().field("env"), spec.env.as_deref().unwrap_or_default(), &owned, errors);
}

/// Sources of variables are a ConfigMap or a Secret.
pub(super) fn sources(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    for (index, source) in manifest.spec.env_from.iter().flatten().enumerate() {
        let given = usize::from(source.config_map_ref.is_some()) + usize::from(source.secret_ref.is_some());
        if given != 1 {
            let path = FieldPath::spec().field("envFrom").index(index);
            errors.invalid(path, "needs exactly one of configMapRef and secretRef");
        }
        let path = FieldPath::spec().field("envFrom").index(index);
        if let Some(map) = &source.config_map_ref {
            object_name(&path.field("configMapRef").field("name"), &map.name, "a ConfigMap", errors);
        }
        if let Some(secret) = &source.secret_ref {
            object_name(&path.field("secretRef").field("name"), &secret.name, "a Secret", errors);
        }
        if let Some(prefix) = text::given(&source.prefix).filter(|prefix| !text::is_variable_name(prefix)) {
            let message = format!(
                "\"{prefix}\" cannot begin the name of a variable; use letters, digits and underscores"
            );
            errors.invalid(path.field("prefix"), message);
        }
    }
}

/// The variables of one container. `owner` says who sets a name, if it is not the user.
pub(super) fn list(
    path: &FieldPath,
    variables: &[EnvVar],
    owner: &dyn Fn(&str) -> Option<&'static str>,
    errors: &mut FieldErrors,
) {
    let mut seen: Vec<&str> = Vec::new();
    for (index, variable) in variables.iter().enumerate() {
        let path = path.index(index);
        let name = &variable.name;
        if name.is_empty() {
            errors.required(path.field("name"), "is required");
            continue;
        }
        if !text::is_variable_name(name) {
            let message = format!("\"{name}\" cannot name a variable; use letters, digits and underscores");
            errors.invalid(path.field("name"), message);
        } else if let Some(who) = owner(name) {
            errors.forbidden(path.field("name"), format!("{name} cannot be set: {who}"));
        }
        if seen.iter().any(|other| other.eq_ignore_ascii_case(name)) {
            errors.duplicate(path.field("name"), format!("{name} stands here twice; remove one"));
        }
        seen.push(name);
        if variable.value.as_deref().is_some_and(|value| !value.is_empty()) && variable.value_from.is_some() {
            errors.invalid(path, format!("{name} has both value and valueFrom; keep one of them"));
        } else if let Some(source) = &variable.value_from {
            value_from(&path.field("valueFrom"), source, errors);
        }
    }
}

/// Fields of a pod that a variable can take.
const POD_FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// Where a value is taken from: one place, fully named.
fn value_from(path: &FieldPath, source: &EnvVarSource, errors: &mut FieldErrors) {
    let given = [
        source.config_map_key_ref.is_some(),
        source.field_ref.is_some(),
        source.file_key_ref.is_some(),
        source.resource_field_ref.is_some(),
        source.secret_key_ref.is_some(),
    ];
    if given.into_iter().filter(|given| *given).count() != 1 {
        errors.invalid(path.clone(), "needs exactly one source, for example secretKeyRef or configMapKeyRef");
    }
    let secret = source.secret_key_ref.as_ref().map(|key| ("secretKeyRef", "a Secret", &key.name, &key.key));
    let map =
        source.config_map_key_ref.as_ref().map(|key| ("configMapKeyRef", "a ConfigMap", &key.name, &key.key));
    for (field, what, name, key) in secret.into_iter().chain(map) {
        object_name(&path.field(field).field("name"), name, what, errors);
        let is_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if key.is_empty() {
            errors.required(path.field(field).field("key"), format!("is required: a key of {what}"));
        } else if !key.chars().all(is_key) {
            let message =
                format!("\"{key}\" cannot be a key; use letters, digits, dashes, dots and underscores");
            errors.invalid(path.field(field).field("key"), message);
        }
    }
    if let Some(field) = &source.field_ref {
        let name = field.field_path.as_str();
        let of_map = ["metadata.labels['", "metadata.annotations['"].iter().any(|map| name.starts_with(map))
            && name.ends_with("']");
        if !of_map && !POD_FIELDS.contains(&name) {
            let message = format!(
                "\"{name}\" is no field that a variable can take; choose one of {}",
                POD_FIELDS.join(", ")
            );
            errors.not_supported(path.field("fieldRef").field("fieldPath"), message);
        }
    }
}

/// The name of a Secret or ConfigMap that is referred to.
fn object_name(path: &FieldPath, name: &str, what: &str, errors: &mut FieldErrors) {
    if name.is_empty() {
        errors.required(path.clone(), format!("is required: the name of {what}"));
    } else if !text::is_dns_1123_subdomain(name) {
        errors.invalid(
            path.clone(),
            format!(
                "\"{name}\" cannot be the name of {what}; use lower-case letters, digits, dashes and dots"
            ),
        );
    }
}
