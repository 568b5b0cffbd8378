//! The roles that prepared databases bring along, as far as their names matter to checks.
//!
//! `<db>_owner`, `_reader`, `_writer`, the same for each schema, and a login role `…_user` for each where asked for.

use kube::ResourceExt;

use crate::api::{Postgresql, PreparedDatabase};
use crate::field::FieldPath;

/// A role that a prepared database makes.
pub(super) struct PreparedRole {
    /// The database or schema that asks for it.
    pub path: FieldPath,
    /// Its name.
    pub name: String,
    /// Whether it logs in and so has a Secret.
    pub login: bool,
}

/// The prepared databases by name. A section that is there but empty asks for one, named as the cluster.
pub(super) fn databases(manifest: &Postgresql) -> Vec<(FieldPath, String, PreparedDatabase)> {
    let path = FieldPath::spec().field("preparedDatabases");
    let Some(section) = &manifest.spec.prepared_databases else { return Vec::new() };
    if section.is_empty() {
        return vec![(path, manifest.name_any().replace('-', "_"), PreparedDatabase::default())];
    }
    section.iter().map(|(name, database)| (path.key(name), name.clone(), database.clone())).collect()
}

/// Every role that the prepared databases make.
pub(super) fn roles(manifest: &Postgresql) -> Vec<PreparedRole> {
    let mut roles = Vec::new();
    for (path, name, database) in databases(manifest) {
        add(&mut roles, &path, &name, database.default_users == Some(true));
        let schemas = database.schemas.unwrap_or_default();
        if schemas.is_empty() {
            add(&mut roles, &path, &format!("{name}_data"), false);
        }
        for (schema, settings) in &schemas {
            if settings.default_roles != Some(false) {
                let path = path.field("schemas").key(schema);
                add(&mut roles, &path, &format!("{name}_{schema}"), settings.default_users == Some(true));
            }
        }
    }
    roles
}

/// Adds owner, reader and writer, and their login roles where asked for.
fn add(roles: &mut Vec<PreparedRole>, path: &FieldPath, prefix: &str, login: bool) {
    for kind in ["owner", "reader", "writer"] {
        let name = format!("{prefix}_{kind}");
        if login {
            roles.push(PreparedRole { path: path.clone(), name: format!("{name}_user"), login: true });
        }
        roles.push(PreparedRole { path: path.clone(), name, login: false });
    }
}
