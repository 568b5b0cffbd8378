//! The roles that prepared databases bring along, as far as their names matter to checks.
//!
//! `<db>_owner`, `_reader`, `_writer`, the same for each schema, and a login role `…_user` for each where asked for.

use std::borrow::Cow;

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
pub(super) fn databases(manifest: &Postgresql) -> Vec<(FieldPath, Cow<'_, str>, Cow<'_, PreparedDatabase>)> {
    let path = FieldPath::spec().field("preparedDatabases");
    let Some(section) = &manifest.spec.prepared_databases else { return Vec::new() };
    if section.is_empty() {
        let name = manifest.name_any().replace('-', "_");
        return vec![(path, name.into(), Cow::default())];
    }
    let named = section.iter();
    named.map(|(name, database)| (path.key(name), name.into(), Cow::Borrowed(database))).collect()
}

/// Every role that the prepared databases make.
pub(super) fn roles(manifest: &Postgresql) -> Vec<PreparedRole> {
    let mut roles = Vec::new();
    for (path, name, database) in databases(manifest) {
        add(&mut roles, &path, &name, database.default_users == Some(true));
        let mut schemas = database.schemas.iter().flatten().peekable();
        if schemas.peek().is_none() {
            add(&mut roles, &path, &format!("{name}_data"), false);
        }
        for (schema, settings) in schemas {
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
