//! The major version: supported, and never falling.
//!
//! PostgreSQL cannot read a data directory of a later version, so a downgrade would only stop the upgrade logic.

use crate::api::Postgresql;
use crate::config::OperatorConfig;
use crate::field::{FieldErrors, FieldPath};
use crate::version::PostgresVersion;

fn path() -> FieldPath {
    FieldPath::spec().field("postgresql").field("version")
}

/// The version is one of those we can run.
pub(super) fn supported(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let version = &manifest.spec.postgresql.version;
    if version.is_empty() {
        errors.required(
            path(),
            format!("is required; choose one of {}", PostgresVersion::SUPPORTED.join(", ")),
        );
    } else if let Err(error) = version.parse::<PostgresVersion>() {
        errors.not_supported(path(), format!("\"{version}\" {error}"));
    }
}

/// The version rises or stays.
pub(super) fn may_not_fall(old: &Postgresql, new: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let number = |manifest: &Postgresql| manifest.spec.postgresql.version.parse::<PostgresVersion>();
    if let (Ok(from), Ok(to)) = (number(old), number(new))
        && to < from
    {
        errors.forbidden(
            path(),
            format!("cannot go down from {from} to {to}; restore a backup into a new cluster instead"),
        );
    }
}
