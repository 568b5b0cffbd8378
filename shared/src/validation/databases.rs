//! Databases and prepared databases: names, owners that exist, roles that fit.
//!
//! Upstream skips a database with a bad name or an unknown owner, logs a line, and reports `Running`.

use kube::ResourceExt;

use crate::api::{Postgresql, PreparedDatabase};
use crate::config::OperatorConfig;
use crate::field::{FieldErrors, FieldPath};
use crate::plan::{Change, Effect};

use super::{prepared, text, users};

/// Databases that `initdb` makes.
const RESERVED: &[&str] = &["postgres", "template0", "template1"];

fn path() -> FieldPath {
    FieldPath::spec().field("databases")
}

/// The names of databases.
pub(super) fn names(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    for name in manifest.spec.databases.iter().flatten().map(|(name, _)| name) {
        database_name(path().key(name), name, errors);
    }
    for (path, name, _) in prepared::databases(manifest) {
        database_name(path, &name, errors);
    }
}

fn database_name(path: FieldPath, name: &str, errors: &mut FieldErrors) {
    if RESERVED.contains(&name) {
        errors.forbidden(path, "is a database of PostgreSQL itself; choose another name");
    } else if !text::is_identifier(name) {
        let message = format!(
            "\"{name}\" cannot name a database; use letters, digits and underscores, not beginning with a digit"
        );
        errors.invalid(path, message);
    } else if name.len() > text::LONGEST_NAME {
        errors.too_long(path, format!("has {} bytes; PostgreSQL keeps 63 of a name", name.len()));
    }
}

/// Whether somebody defines the role `owner`.
fn is_defined(owner: &str, manifest: &Postgresql, config: &OperatorConfig) -> bool {
    manifest.spec.users.as_ref().is_some_and(|users| users.contains_key(owner))
        || users::system_roles(manifest, config).iter().any(|(role, _)| *role == owner)
        || prepared::roles(manifest).iter().any(|role| role.name == owner)
}

/// Every owner is a role that somebody defines.
pub(super) fn owners(manifest: &Postgresql, config: &OperatorConfig, errors: &mut FieldErrors) {
    for (database, owner) in manifest.spec.databases.iter().flatten() {
        if owner.is_empty() {
            errors.required(path().key(database), "needs an owner; name a user of spec.users");
        } else if !is_defined(owner, manifest, config) && !users::others_possible(config) {
            let message = format!("its owner \"{owner}\" is no user of this cluster; add it to spec.users");
            errors.invalid(path().key(database), message);
        }
    }
}

/// Owners that only a Secret or a team could define.
pub(super) fn owners_from_elsewhere(
    manifest: &Postgresql,
    config: &OperatorConfig,
    changes: &mut Vec<Change>,
) {
    for (database, owner) in manifest.spec.databases.iter().flatten() {
        if !is_defined(owner, manifest, config) {
            let message = format!(
                "is made only if \"{owner}\" is an infrastructure role or a team member; it is not in spec.users"
            );
            changes.push(Change { field: path().key(database), effect: Effect::Ignored, message });
        }
    }
}

/// A prepared database belongs to its own owner role.
pub(super) fn one_owner(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    for (_, name, _) in prepared::databases(manifest) {
        let owner = manifest.spec.databases.as_ref().and_then(|databases| databases.get(name.as_ref()));
        if let Some(owner) = owner.filter(|owner| **owner != format!("{name}_owner")) {
            let message = format!(
                "is also a prepared database, which belongs to {name}_owner and not to \"{owner}\"; remove one of the \
                 two or name {name}_owner here"
            );
            errors.invalid(path().key(&name), message);
        }
    }
}

/// Schemas, extensions and namespaces of prepared databases.
pub(super) fn prepared_parts(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    for (path, _, database) in prepared::databases(manifest) {
        schemas(&path, &database, errors);
        for (extension, schema) in database.extensions.iter().flatten() {
            let path = path.field("extensions").key(extension);
            if !text::is_identifier(&extension.replace('-', "_")) {
                errors.invalid(
                    path.clone(),
                    format!(
                        "\"{extension}\" cannot name an extension; write its own name, for example pg_trgm"
                    ),
                );
            }
            if !text::is_identifier(schema) {
                let message =
                    format!("\"{schema}\" cannot name a schema; name the schema to make the extension in");
                errors.invalid(path, message);
            }
        }
        if let Some(namespace) = database.secret_namespace.as_deref().filter(|n| !text::is_dns_1123_label(n))
        {
            errors.invalid(
                path.field("secretNamespace"),
                format!("\"{namespace}\" cannot be a namespace; use lower-case letters, digits and dashes"),
            );
        }
    }
}

fn schemas(path: &FieldPath, database: &PreparedDatabase, errors: &mut FieldErrors) {
    for name in database.schemas.iter().flatten().map(|(name, _)| name) {
        let path = path.field("schemas").key(name);
        if text::is_reserved_by_postgres(name) || name == "information_schema" {
            errors.forbidden(path, "is reserved by PostgreSQL; choose another name");
        } else if !text::is_identifier(name) {
            let message = format!(
                "\"{name}\" cannot name a schema; use letters, digits and underscores, not beginning with a digit"
            );
            errors.invalid(path, message);
        } else if name.len() > text::LONGEST_NAME {
            errors.too_long(path, format!("has {} bytes; PostgreSQL keeps 63 of a name", name.len()));
        }
    }
}

/// Login roles go with the roles of a schema.
pub(super) fn users_without_roles(manifest: &Postgresql, _: &OperatorConfig, changes: &mut Vec<Change>) {
    for (path, _, database) in prepared::databases(manifest) {
        for (name, schema) in database.schemas.iter().flatten() {
            if schema.default_roles == Some(false) && schema.default_users == Some(true) {
                let message = "has no effect with defaultRoles: false".to_owned();
                let field = path.field("schemas").key(name).field("defaultUsers");
                changes.push(Change { field, effect: Effect::Ignored, message });
            }
        }
    }
}

/// The roles of a prepared database fit into PostgreSQL's names.
pub(super) fn prepared_roles_fit(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let mut told = Vec::new();
    for role in prepared::roles(manifest) {
        if role.name.len() > text::LONGEST_NAME && !told.contains(&role.path) {
            let message = format!(
                "makes the role \"{}\" of {} bytes; PostgreSQL keeps 63 of a name",
                role.name,
                role.name.len()
            );
            errors.too_long(role.path.clone(), message);
            told.push(role.path);
        }
    }
}

/// A Secret in another namespace needs the operator's consent.
pub(super) fn secret_namespace_ignored(
    manifest: &Postgresql,
    config: &OperatorConfig,
    changes: &mut Vec<Change>,
) {
    if config.kubernetes.enable_cross_namespace_secret {
        return;
    }
    let own = manifest.namespace();
    for (path, _, database) in prepared::databases(manifest) {
        if database.secret_namespace.is_some() && database.secret_namespace != own {
            let message = "has no effect: the operator makes no Secrets in other namespaces \
                           (enable_cross_namespace_secret)";
            let field = path.field("secretNamespace");
            changes.push(Change { field, effect: Effect::Ignored, message: message.to_owned() });
        }
    }
}
