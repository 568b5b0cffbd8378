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
            errors.invalid(
                path().field(field),
                format!(
                    "\"{name}\" cannot be the name of a Secret; use lower-case letters, digits and dashes"
                ),
            );
        } else if let Some(name) = name.filter(|name| name.len() > 63 || name.contains('.')) {
            let message = format!(
                "\"{name}\" names a volume of the pods too: use at most 63 lower-case letters, digits and dashes"
            );
            errors.invalid(path().field(field), message);
        }
    }
    if text::given(&tls.ca_secret_name).is_some() && text::given(&tls.ca_file).is_none() {
        let message =
            "is required with caSecretName: the key of the CA certificate in it, for example ca.crt";
        errors.required(path().field("caFile"), message);
    }
}

/// The files are keys of the Secrets: file names, and three different ones.
pub(super) fn files(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let Some(tls) = manifest.spec.tls.as_ref().filter(|tls| !tls.secret_name.is_empty()) else { return };
    let files = [
        ("certificateFile", &tls.certificate_file, "tls.crt"),
        ("privateKeyFile", &tls.private_key_file, "tls.key"),
        ("caFile", &tls.ca_file, "ca.crt"),
    ];
    let is_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    for (name, file, sample) in files {
        // A path from the root is taken as it is, as upstream does.
        if let Some(file) =
            text::given(file).filter(|file| !file.starts_with('/') && !file.chars().all(is_key))
        {
            let message = format!("\"{file}\" cannot be a key of a Secret; write for example {sample}");
            errors.invalid(path().field(name), message);
        }
    }
    let certificate = text::given(&tls.certificate_file).unwrap_or("tls.crt");
    if text::given(&tls.private_key_file).unwrap_or("tls.key") == certificate {
        let message =
            format!("is the certificate's file too (\"{certificate}\"); name the key's, for example tls.key");
        errors.duplicate(path().field("privateKeyFile"), message);
    }
    if text::given(&tls.ca_secret_name) == Some(tls.secret_name.as_str()) {
        let message = "is secretName too; leave it out when one Secret holds everything";
        errors.duplicate(path().field("caSecretName"), message);
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
