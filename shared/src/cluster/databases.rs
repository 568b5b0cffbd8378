//! The users and databases that a manifest names, prepared databases among them.
//!
//! Only names and flags: what the database makes of them is `roles`' business. A standby has none of its own.

use std::collections::BTreeMap;

use crate::api::{self, Postgresql, PostgresqlSpec};
use crate::config::OperatorConfig;
use crate::field::{FieldErrors, FieldPath};
use crate::roles::prepared::{PreparedDatabase, PreparedDatabases, PreparedSchema};
use crate::roles::{DatabaseName, ExtensionName, RoleFlags, RoleName, SchemaName};

/// What a manifest itself asks for.
#[derive(Default)]
pub(super) struct Own {
    pub(super) users: BTreeMap<RoleName, RoleFlags>,
    pub(super) databases: BTreeMap<DatabaseName, RoleName>,
    pub(super) prepared: PreparedDatabases,
}

/// The users and databases of a manifest; none on a standby, which takes them from its source.
pub(super) fn own(manifest: &Postgresql, config: &OperatorConfig, errors: &mut FieldErrors) -> Own {
    let spec = &manifest.spec;
    if spec.standby.is_some() {
        return Own::default();
    }
    Own {
        users: manifest_users(spec, errors),
        databases: manifest_databases(spec, errors),
        prepared: PreparedDatabases {
            admin: config.teams_api.team_admin_role.as_ref().and_then(|name| name.parse().ok()),
            databases: prepared_databases(manifest, config, errors),
        },
    }
}

/// The prepared databases. A section that is there but empty asks for one, named as the cluster.
fn prepared_databases(
    manifest: &Postgresql,
    config: &OperatorConfig,
    errors: &mut FieldErrors,
) -> BTreeMap<DatabaseName, PreparedDatabase> {
    let own = manifest.metadata.namespace.as_deref();
    let elsewhere = |namespace: &String| {
        config.kubernetes.enable_cross_namespace_secret
            && Some(namespace.as_str()) != own
            && !namespace.is_empty()
    };
    let path = FieldPath::spec().field("preparedDatabases");
    let Some(section) = &manifest.spec.prepared_databases else { return BTreeMap::new() };
    let mut named = section.clone();
    if named.is_empty() {
        let name = manifest.metadata.name.clone().unwrap_or_default().replace('-', "_");
        named.insert(name, api::PreparedDatabase::default());
    }
    let mut databases = BTreeMap::new();
    for (text, database) in &named {
        let secret_namespace = database.secret_namespace.clone().filter(elsewhere);
        let prepared = prepared(database, &path.key(text), errors);
        match text.parse() {
            Ok(name) => _ = databases.insert(name, PreparedDatabase { secret_namespace, ..prepared }),
            Err(error) => errors.invalid(path.key(text), format!("{text:?} {error}")),
        }
    }
    databases
}

fn prepared(
    database: &api::PreparedDatabase,
    path: &FieldPath,
    errors: &mut FieldErrors,
) -> PreparedDatabase {
    let mut sections = database.schemas.clone().unwrap_or_default();
    if sections.is_empty() {
        sections.insert("data".to_owned(), api::PreparedSchema::default());
    }
    let mut schemas: BTreeMap<SchemaName, PreparedSchema> = BTreeMap::new();
    for (text, schema) in &sections {
        match text.parse() {
            Ok(name) => _ = schemas.insert(name, roles_of(schema)),
            Err(error) => errors.invalid(path.field("schemas").key(text), format!("{text:?} {error}")),
        }
    }
    PreparedDatabase {
        schemas,
        default_users: database.default_users == Some(true),
        extensions: extensions(database, &path.field("extensions"), errors),
        secret_namespace: None,
    }
}

fn extensions(
    database: &api::PreparedDatabase,
    path: &FieldPath,
    errors: &mut FieldErrors,
) -> BTreeMap<ExtensionName, SchemaName> {
    let mut extensions = BTreeMap::new();
    for (text, schema) in database.extensions.iter().flatten() {
        match (text.parse(), schema.parse()) {
            (Ok(name), Ok(schema)) => drop(extensions.insert(name, schema)),
            (Err(error), _) => errors.invalid(path.key(text), format!("{text:?} {error}")),
            (_, Err(error)) => errors.invalid(path.key(text), format!("{schema:?} {error}")),
        }
    }
    extensions
}

fn roles_of(schema: &api::PreparedSchema) -> PreparedSchema {
    match (schema.default_roles, schema.default_users) {
        (Some(false), _) => PreparedSchema::NoRoles,
        (_, Some(true)) => PreparedSchema::RolesAndUsers,
        (_, None | Some(false)) => PreparedSchema::Roles,
    }
}

/// A role's name, or an error at `path`.
pub(super) fn role_name(text: &str, path: FieldPath, errors: &mut FieldErrors) -> Option<RoleName> {
    text.parse().map_err(|error| errors.invalid(path, format!("{text:?} {error}"))).ok()
}

fn manifest_users(spec: &PostgresqlSpec, errors: &mut FieldErrors) -> BTreeMap<RoleName, RoleFlags> {
    let path = FieldPath::spec().field("users");
    let mut users = BTreeMap::new();
    for (text, flags) in spec.users.iter().flatten() {
        let name = role_name(text, path.key(text), errors);
        match (name, RoleFlags::parse(flags.as_deref().unwrap_or_default())) {
            (Some(name), Ok(flags)) => drop(users.insert(name, flags)),
            (_, Err(wrong)) => {
                wrong.iter().for_each(|error| errors.invalid(path.key(text), error.to_string()))
            }
            (None, Ok(_)) => {}
        }
    }
    users
}

fn manifest_databases(spec: &PostgresqlSpec, errors: &mut FieldErrors) -> BTreeMap<DatabaseName, RoleName> {
    let path = FieldPath::spec().field("databases");
    let mut databases = BTreeMap::new();
    for (text, owner) in spec.databases.iter().flatten() {
        let owner = role_name(owner, path.key(text), errors);
        match (text.parse::<DatabaseName>(), owner) {
            (Ok(name), Some(owner)) => drop(databases.insert(name, owner)),
            (Err(error), _) => errors.invalid(path.key(text), format!("{text:?} {error}")),
            (Ok(_), None) => {}
        }
    }
    databases
}

#[cfg(test)]
mod tests {
    use crate::cluster::{Cluster, References};
    use crate::config::OperatorConfig;

    #[test]
    fn what_upstream_stored_unchecked_is_left_out_and_told_and_the_cluster_goes_on() {
        let manifest = serde_saphyr::from_str(
            "
            apiVersion: acid.zalan.do/v1
            kind: postgresql
            metadata: {name: acid-old, namespace: default}
            spec:
              teamId: acid
              numberOfInstances: 2
              volume: {size: 1Gi}
              postgresql: {version: '17'}
              users: {app: [], broken: [superuserr], reader: [login]}
              databases: {app: app, '': app}
              preparedDatabases: {shop: {extensions: {'': public}}}
            ",
        )
        .unwrap();
        let cluster = Cluster::resolve(&manifest, &OperatorConfig::default(), &References::unread()).unwrap();
        let roles = cluster.roles();
        assert!(roles.lacks_some, "a user is left out, and is no former one");
        let named = |name: &str| roles.role(&name.parse().unwrap()).is_some();
        assert!(named("app") && named("reader") && named("shop_owner") && !named("broken"));
        let told: Vec<String> = roles.skipped.iter().map(ToString::to_string).collect();
        for path in
            ["spec.users[broken]: ", "spec.databases[]: ", "spec.preparedDatabases[shop].extensions[]: "]
        {
            let of_path = told.iter().find(|line| line.starts_with(path));
            assert!(of_path.is_some_and(|line| line.ends_with("; it is left out")), "{path}: {told:?}");
        }
    }
}
