//! The default roles of prepared databases: owner, reader and writer, for the database and for each of its schemas.
//!
//! `desired` adds them. For a database `app` with one schema `data`, an arrow being "is a member of":
//!
//! ```text
//! app_owner_user → app_owner ──(admin of)──► app_reader, app_writer, app_data_owner
//! app_writer_user → app_writer → app_reader ← app_reader_user
//!                   app_data_owner ──(admin of)──► app_data_reader, app_data_writer; app_data_writer → app_data_reader
//! ```
//!
//! Surprising: two of them can be too long for PostgreSQL although the database's name is not; they are reported.

use std::collections::BTreeMap;

use super::flags::{Attribute, RoleFlags};
use super::name::{DatabaseName, ExtensionName, RoleName, SchemaName};
use super::parameter::{ParameterName, ParameterValue};
use super::{Keeper, Origin, Role, Skipped};

/// The prepared databases of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PreparedDatabases {
    /// The admin of every database's owner.
    pub admin: Option<RoleName>,
    /// `spec.preparedDatabases`, its defaults filled in.
    pub databases: BTreeMap<DatabaseName, PreparedDatabase>,
}

/// A database that comes with roles and schemas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PreparedDatabase {
    /// Its schemas.
    pub schemas: BTreeMap<SchemaName, PreparedSchema>,
    /// Whether each of the database's default roles has a login role.
    pub default_users: bool,
    /// Its extensions, each with its schema.
    pub extensions: BTreeMap<ExtensionName, SchemaName>,
    /// The namespace of its login roles' Secrets, where that is not the cluster's.
    pub secret_namespace: Option<String>,
}

/// Which roles a schema of a prepared database has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreparedSchema {
    /// None of its own: the database's serve it.
    NoRoles,
    /// Owner, reader and writer.
    Roles,
    /// These, and a login role for each.
    RolesAndUsers,
}

/// One of the three roles that a prefix gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Owner,
    Reader,
    Writer,
}

impl Part {
    const ALL: [Part; 3] = [Part::Owner, Part::Reader, Part::Writer];

    fn suffix(self) -> &'static str {
        match self {
            Part::Owner => "owner",
            Part::Reader => "reader",
            Part::Writer => "writer",
        }
    }
}

/// The role that owns a prepared database.
pub(super) fn owner(database: &DatabaseName) -> Result<RoleName, Skipped> {
    named(format!("{database}_owner"))
}

/// Whether a default role counts as a database owner: the owners, and their login roles.
pub(super) fn is_owner(role: &Role) -> bool {
    let name = role.name.as_str();
    role.origin == Origin::Prepared && (name.ends_with("_owner") || name.ends_with("_owner_user"))
}

/// Every default role, or why there is none.
pub(super) fn roles(prepared: &PreparedDatabases) -> Vec<Result<Role, Skipped>> {
    let mut roles = Vec::new();
    for (name, database) in &prepared.databases {
        let schemas = database.schemas.keys().map(SchemaName::to_string).collect();
        let namespace = &database.secret_namespace;
        let level = Level { prefix: name.to_string(), admin: prepared.admin.clone(), schemas, namespace };
        roles.extend(level.roles(database.default_users));
        for (schema, kind) in &database.schemas {
            let (prefix, admin) = (format!("{name}_{schema}"), owner(name).ok());
            let level = Level { prefix, admin, schemas: vec![schema.to_string()], namespace };
            match kind {
                PreparedSchema::NoRoles => {}
                PreparedSchema::Roles => roles.extend(level.roles(false)),
                PreparedSchema::RolesAndUsers => roles.extend(level.roles(true)),
            }
        }
    }
    roles
}

/// A database, or one of its schemas, while its roles are made.
struct Level<'a> {
    prefix: String,
    /// The admin of its owner; its owner is the admin of the others.
    admin: Option<RoleName>,
    schemas: Vec<String>,
    /// The namespace of its login roles' Secrets.
    namespace: &'a Option<String>,
}

impl Level<'_> {
    fn roles(&self, users: bool) -> Vec<Result<Role, Skipped>> {
        let groups = Part::ALL.into_iter().map(|part| self.group(part));
        let logins = Part::ALL.into_iter().filter(|_| users).map(|part| self.user(part));
        groups.chain(logins).collect()
    }

    fn name(&self, part: Part) -> Result<RoleName, Skipped> {
        named(format!("{}_{}", self.prefix, part.suffix()))
    }

    fn group(&self, part: Part) -> Result<Role, Skipped> {
        let member_of = if part == Part::Writer { vec![self.name(Part::Reader)?] } else { Vec::new() };
        self.role(self.name(part)?, part, member_of, false)
    }

    fn user(&self, part: Part) -> Result<Role, Skipped> {
        let group = self.name(part)?;
        self.role(named(format!("{group}_user"))?, part, vec![group], true)
    }

    fn role(
        &self,
        name: RoleName,
        part: Part,
        member_of: Vec<RoleName>,
        login: bool,
    ) -> Result<Role, Skipped> {
        let path = std::iter::once("$user".to_owned()).chain(self.schemas.iter().cloned()).collect();
        let admin = if part == Part::Owner { self.admin.clone() } else { Some(self.name(Part::Owner)?) };
        Ok(Role {
            name,
            flags: RoleFlags::new([(Attribute::Login, login)]),
            member_of,
            admin,
            parameters: BTreeMap::from([(ParameterName::new("search_path"), ParameterValue::List(path))]),
            origin: Origin::Prepared,
            wants_password: login,
            keeper: Keeper::Operator,
            owns_databases: false,
            secret_namespace: self.namespace.clone().filter(|_| login),
        })
    }
}

fn named(name: String) -> Result<RoleName, Skipped> {
    name.parse().map_err(|_| Skipped::UnfitName(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
        text.parse().unwrap()
    }

    fn prepared(
        database: &str,
        schemas: &[(&str, PreparedSchema)],
        default_users: bool,
    ) -> PreparedDatabases {
        let schemas = schemas.iter().map(|(schema, kind)| (name(schema), *kind)).collect();
        let database =
            (name(database), PreparedDatabase { schemas, default_users, ..PreparedDatabase::default() });
        PreparedDatabases { admin: Some(name("admin")), databases: [database].into() }
    }

    fn table(prepared: &PreparedDatabases) -> Vec<String> {
        let line = |role: Role| {
            let parents: Vec<&str> = role.member_of.iter().map(RoleName::as_str).collect();
            let login = if role.wants_password { "LOGIN" } else { "NOLOGIN" };
            assert_eq!(role.flags.to_string(), login);
            format!("{} {login} in [{}] admin {}", role.name, parents.join(" "), role.admin.unwrap())
        };
        roles(prepared).into_iter().map(|role| line(role.unwrap())).collect()
    }

    #[test]
    fn a_database_and_its_schema_have_owner_reader_and_writer() {
        let expected = [
            "acid_minimal_cluster_owner NOLOGIN in [] admin admin",
            "acid_minimal_cluster_reader NOLOGIN in [] admin acid_minimal_cluster_owner",
            "acid_minimal_cluster_writer NOLOGIN in [acid_minimal_cluster_reader] admin acid_minimal_cluster_owner",
            "acid_minimal_cluster_data_owner NOLOGIN in [] admin acid_minimal_cluster_owner",
            "acid_minimal_cluster_data_reader NOLOGIN in [] admin acid_minimal_cluster_data_owner",
            "acid_minimal_cluster_data_writer NOLOGIN in [acid_minimal_cluster_data_reader] \
             admin acid_minimal_cluster_data_owner",
        ];
        assert_eq!(
            table(&prepared("acid_minimal_cluster", &[("data", PreparedSchema::Roles)], false)),
            expected
        );
    }

    #[test]
    fn login_roles_are_members_of_what_they_are_named_after() {
        let lines = table(&prepared("d", &[("s", PreparedSchema::RolesAndUsers)], true));
        let users: Vec<&String> = lines.iter().filter(|line| line.contains(" LOGIN ")).collect();
        let expected = [
            "d_owner_user LOGIN in [d_owner] admin admin",
            "d_reader_user LOGIN in [d_reader] admin d_owner",
            "d_writer_user LOGIN in [d_writer] admin d_owner",
            "d_s_owner_user LOGIN in [d_s_owner] admin d_owner",
            "d_s_reader_user LOGIN in [d_s_reader] admin d_s_owner",
            "d_s_writer_user LOGIN in [d_s_writer] admin d_s_owner",
        ];
        assert_eq!(users, expected.iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_search_path_names_the_schemas_in_a_fixed_order() {
        let prepared = prepared("d", &[("z", PreparedSchema::NoRoles), ("a", PreparedSchema::Roles)], false);
        let path = |role: &Role| role.parameters[&ParameterName::new("search_path")].clone();
        let roles: Vec<Role> = roles(&prepared).into_iter().map(Result::unwrap).collect();
        assert_eq!(roles.len(), 6);
        assert_eq!(path(&roles[0]), ParameterValue::List(["$user", "a", "z"].map(str::to_owned).into()));
        assert_eq!(path(&roles[3]), ParameterValue::List(["$user", "a"].map(str::to_owned).into()));
    }

    #[test]
    fn a_name_that_grows_too_long_is_reported() {
        let database = "d".repeat(57);
        let skipped: Vec<Skipped> =
            roles(&prepared(&database, &[], false)).into_iter().filter_map(Result::err).collect();
        assert_eq!(skipped.len(), 2);
        assert_eq!(skipped[0], Skipped::UnfitName(format!("{database}_reader")));
    }
}
