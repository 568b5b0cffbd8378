//! The members' volumes: a size that parses, and that never shrinks.
//!
//! Kubernetes cannot shrink a claim; upstream logs a line and replaces the StatefulSet all the same.

use crate::api::Postgresql;
use crate::config::OperatorConfig;
use crate::field::{FieldErrors, FieldPath};
use crate::quantity::Amount;

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
        Ok(_) => {}
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
