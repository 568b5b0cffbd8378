//! The members' volumes: a size that parses, and that never shrinks.
//!
//! Kubernetes cannot shrink a claim; upstream logs a line and replaces the StatefulSet all the same.

use crate::api::Postgresql;
use crate::config::OperatorConfig;
use crate::field::{FieldErrors, FieldPath};
use crate::plan::{Change, Effect, LEAST_IOPS, LEAST_THROUGHPUT};
use crate::quantity::Amount;

use super::resources::LEAST_BYTES;
use super::text;

/// The types of volume that AWS knows; the operator changes a volume's type nowhere else.
const VOLUME_TYPES: &[&str] = &["gp2", "gp3", "io1", "io2", "sc1", "st1", "standard"];

fn path() -> FieldPath {
    FieldPath::spec().field("volume")
}

/// The size is a positive quantity.
pub(super) fn size(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let size = &manifest.spec.volume.size;
    let path = path().field("size");
    if size.is_empty() {
        errors.required(path, "is required, for example 10Gi");
        return;
    }
    match size.parse::<Amount>() {
        Err(error) => errors.invalid(path, format!("\"{size}\" {error}")),
        Ok(amount) if amount <= Amount::default() => {
            errors.invalid(
                path,
                format!("\"{size}\" holds nothing; ask for a positive size, for example 10Gi"),
            );
        }
        Ok(amount) if amount.units() < LEAST_BYTES => {
            errors.invalid(path, format!("\"{size}\" is less than 1Mi; is a unit missing, as in 10Gi?"));
        }
        Ok(_) => {}
    }
}

/// What only some volumes can have, within what they can have.
pub(super) fn performance(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let volume = &manifest.spec.volume;
    for (name, number, most) in [("iops", volume.iops, 80_000), ("throughput", volume.throughput, 2_000)] {
        if let Some(number) = number.filter(|number| !(0..=most).contains(number)) {
            errors.invalid(path().field(name), format!("{number} is out of range; write at most {most}"));
        }
    }
}

/// The class is named as a class can be, the type as the cloud names it.
pub(super) fn class(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let volume = &manifest.spec.volume;
    if let Some(class) =
        text::given(&volume.storage_class).filter(|class| !text::is_dns_1123_subdomain(class))
    {
        let message =
            format!("\"{class}\" cannot be the name of a StorageClass; kubectl get storageclass lists them");
        errors.invalid(path().field("storageClass"), message);
    }
    if let Some(kind) = text::given(&volume.volume_type).filter(|kind| !VOLUME_TYPES.contains(kind)) {
        let message =
            format!("\"{kind}\" is no type of EBS volume; choose one of {}", VOLUME_TYPES.join(", "));
        errors.not_supported(path().field("type"), message);
    }
}

/// Values that a volume of the type that has them starts at.
pub(super) fn performance_ignored(manifest: &Postgresql, _: &OperatorConfig, changes: &mut Vec<Change>) {
    let volume = &manifest.spec.volume;
    for (name, number, least) in
        [("iops", volume.iops, LEAST_IOPS), ("throughput", volume.throughput, LEAST_THROUGHPUT)]
    {
        if let Some(number) = number.filter(|number| *number < least) {
            let message = format!("{number} has no effect: volumes start at {least}");
            changes.push(Change { field: path().field(name), effect: Effect::Ignored, message });
        }
    }
}

/// What the claims of existing members cannot change.
pub(super) fn may_not_move(old: &Postgresql, new: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let (from, to) = (&old.spec.volume, &new.spec.volume);
    for (name, changed) in [
        ("storageClass", from.storage_class != to.storage_class),
        ("selector", from.selector != to.selector),
        ("subPath", from.sub_path != to.sub_path),
        ("isSubPathExpr", from.is_sub_path_expr != to.is_sub_path_expr),
    ] {
        if changed {
            let message =
                "cannot change: the members' data would stay behind; clone into a new cluster instead";
            errors.forbidden(path().field(name), message);
        }
    }
}

/// A volume grows or stays.
pub(super) fn may_not_shrink(
    old: &Postgresql,
    new: &Postgresql,
    _: &OperatorConfig,
    errors: &mut FieldErrors,
) {
    let (from, to) = (&old.spec.volume.size, &new.spec.volume.size);
    if let (Ok(before), Ok(after)) = (from.parse::<Amount>(), to.parse::<Amount>())
        && after < before
    {
        errors.forbidden(
            path().field("size"),
            format!(
                "cannot shrink from {from} to {to}; clone into a new cluster with smaller volumes instead"
            ),
        );
    }
}
