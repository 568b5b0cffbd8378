//! The certificate that PostgreSQL serves: Secrets that can exist, and a CA that is read from somewhere.

use crate::api::Postgresql;
use crate::config::OperatorConfig;
use crate::field::{FieldErrors, FieldPath};
use crate::plan::{Change, Effect};

use super::text;

fn path() -> FieldPath {
    FieldPath::spec().field("tls")
}

/// The section is consistent. An empty `secretName` switches it off.
pub(super) fn section(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let Some(tls) = manifest.spec.tls.as_ref().filter(|tls| !tls.secret_name.is_empty()) else { return };
    for (field, name) in
        [("secretName", Some(&tls.secret_name)), ("caSecretName", tls.ca_secret_name.as_ref())]
    {
        if let Some(name) = name.filter(|name| !name.is_empty() && !text::is_dns_1123_subdomain(name)) {
            errors.invalid(path().field(field), format!("\"{name}\" cannot be the name of a Secret"));
        }
    }
    if text::given(&tls.ca_secret_name).is_some() && text::given(&tls.ca_file).is_none() {
        let message =
            "is required with caSecretName: the key of the CA certificate in it, for example ca.crt";
        errors.required(path().field("caFile"), message);
    }
}

/// Without a group of its own the key is not readable for PostgreSQL.
pub(super) fn unreadable_key(manifest: &Postgresql, config: &OperatorConfig, changes: &mut Vec<Change>) {
    let on = manifest.spec.tls.as_ref().is_some_and(|tls| !tls.secret_name.is_empty());
    if on && manifest.spec.spilo_fs_group.or(config.kubernetes.spilo_fsgroup).is_none() {
        let message = "PostgreSQL may be unable to read the key; set spiloFSGroup (103 for Spilo)".to_owned();
        changes.push(Change { field: path(), effect: Effect::Ignored, message });
    }
}
