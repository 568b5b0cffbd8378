//! What a further volume is made of: one source, of a kind that Kubernetes has, with what that kind cannot do without.
//!
//! The CRD takes anything here, as upstream's does, so nobody else looks before the API server refuses the pods.

use serde_json::{Map, Value};

use crate::api::Postgresql;
use crate::config::OperatorConfig;
use crate::field::{FieldErrors, FieldPath};
use crate::quantity::Amount;
use crate::spelling;

use super::text;

/// Every kind of source, and the fields it needs.
const KINDS: &[(&str, &[&str])] = &[
    ("awsElasticBlockStore", &["volumeID"]),
    ("azureDisk", &["diskName", "diskURI"]),
    ("azureFile", &["secretName", "shareName"]),
    ("cephfs", &["monitors"]),
    ("cinder", &["volumeID"]),
    ("configMap", &["name"]),
    ("csi", &["driver"]),
    ("downwardAPI", &[]),
    ("emptyDir", &[]),
    ("ephemeral", &["volumeClaimTemplate"]),
    ("fc", &[]),
    ("flexVolume", &["driver"]),
    ("gcePersistentDisk", &["pdName"]),
    ("glusterfs", &["endpoints", "path"]),
    ("hostPath", &["path"]),
    ("image", &[]),
    ("iscsi", &["targetPortal", "iqn", "lun"]),
    ("nfs", &["server", "path"]),
    ("persistentVolumeClaim", &["claimName"]),
    ("projected", &["sources"]),
    ("rbd", &["monitors", "image"]),
    ("secret", &["secretName"]),
];

/// Fields that name an object, by the kind of source.
const NAMES: &[(&str, &str, &str)] = &[
    ("configMap", "name", "a ConfigMap"),
    ("secret", "secretName", "a Secret"),
    ("persistentVolumeClaim", "claimName", "a PersistentVolumeClaim"),
];

const HOST_PATH_TYPES: &[&str] =
    &["", "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice"];

/// Whether a pod can have such a volume.
pub(crate) fn is_kind(kind: &str) -> bool {
    KINDS.iter().any(|(known, _)| *known == kind)
}

/// Every volume is something.
pub(super) fn sources(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    for (index, volume) in manifest.spec.additional_volumes.iter().flatten().enumerate() {
        let path = FieldPath::spec().field("additionalVolumes").index(index).field("volumeSource");
        match &volume.volume_source.0 {
            Value::Null => errors.required(path, "is required, for example emptyDir: {}"),
            Value::Object(kinds) if kinds.len() == 1 => {
                kinds.iter().for_each(|(kind, fields)| source(&path, kind, fields, errors));
            }
            _ => errors.invalid(path, "must be exactly one volume source, for example emptyDir: {}"),
        }
    }
}

fn source(path: &FieldPath, kind: &str, fields: &Value, errors: &mut FieldErrors) {
    let path = path.field(kind);
    let Some((_, needed)) = KINDS.iter().find(|(known, _)| *known == kind) else {
        let message = match spelling::closest(kind, KINDS.iter().map(|(known, _)| *known)) {
            Some(meant) => format!("is no kind of volume; did you mean {meant}?"),
            None => {
                "is no kind of volume; use for example emptyDir, configMap, secret or persistentVolumeClaim"
                    .to_owned()
            }
        };
        return errors.not_supported(path, message);
    };
    let nothing = Map::new();
    let fields = match fields {
        Value::Object(fields) => fields,
        Value::Null if needed.is_empty() => &nothing,
        _ => return errors.invalid(path, "must be a map; write {} when there is nothing to say"),
    };
    for name in *needed {
        let absent = match fields.get(*name) {
            None | Some(Value::Null) => true,
            Some(value) => value.as_str() == Some(""),
        };
        if absent {
            errors.required(path.field(name), "is required");
        }
    }
    named_object(&path, kind, fields, errors);
    match kind {
        "emptyDir" => empty_dir(&path, fields, errors),
        "hostPath" => host_path(&path, fields, errors),
        _ => {}
    }
    mode(&path, fields, errors);
}

fn named_object(path: &FieldPath, kind: &str, fields: &Map<String, Value>, errors: &mut FieldErrors) {
    for (_, field, what) in NAMES.iter().filter(|(known, ..)| *known == kind) {
        let name = fields.get(*field).and_then(Value::as_str).filter(|name| !name.is_empty());
        if let Some(name) = name.filter(|name| !text::is_dns_1123_subdomain(name)) {
            errors.invalid(
                path.field(field),
                format!(
                    "\"{name}\" cannot be the name of {what}; use lower-case letters, digits, dashes and dots"
                ),
            );
        }
    }
}

fn empty_dir(path: &FieldPath, fields: &Map<String, Value>, errors: &mut FieldErrors) {
    let known = |medium: &str| ["", "Memory"].contains(&medium) || medium.starts_with("HugePages");
    if let Some(medium) = fields.get("medium").and_then(Value::as_str).filter(|medium| !known(medium)) {
        let message = format!("\"{medium}\" is not supported; write Memory or leave it out");
        errors.not_supported(path.field("medium"), message);
    }
    let limit = fields.get("sizeLimit").and_then(Value::as_str);
    if let Some(Err(error)) = limit.map(str::parse::<Amount>) {
        errors.invalid(path.field("sizeLimit"), format!("\"{}\" {error}", limit.unwrap_or_default()));
    }
}

fn host_path(path: &FieldPath, fields: &Map<String, Value>, errors: &mut FieldErrors) {
    if let Some(kind) =
        fields.get("type").and_then(Value::as_str).filter(|kind| !HOST_PATH_TYPES.contains(kind))
    {
        let known: Vec<&str> = HOST_PATH_TYPES.iter().copied().filter(|kind| !kind.is_empty()).collect();
        errors.not_supported(
            path.field("type"),
            format!("\"{kind}\" is not supported; choose {}", known.join(", ")),
        );
    }
    let place = fields.get("path").and_then(Value::as_str).unwrap_or_default();
    if place.split('/').any(|step| step == "..") {
        errors.invalid(path.field("path"), format!("\"{place}\" must not contain .."));
    }
}

/// The mode of files: YAML reads `0644` as octal or as text, and `644` as something else.
fn mode(path: &FieldPath, fields: &Map<String, Value>, errors: &mut FieldErrors) {
    match fields.get("defaultMode") {
        None | Some(Value::Null) => {}
        Some(value) if value.as_i64().is_some_and(|mode| (0..=0o777).contains(&mode)) => {}
        Some(value) => {
            let message = format!(
                "{value} is no file mode; write a number up to 511 (octal 0777), for example 420 for 0644"
            );
            errors.invalid(path.field("defaultMode"), message);
        }
    }
}
