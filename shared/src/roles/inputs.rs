//! What decides about the roles and databases of a cluster: the manifest's, the configuration's, and other people's word.
//!
//! `Cluster::resolve` fills it in, `desired` reads it. Surprising: the same name may come from several places; which of
//! them wins is `Origin`'s order, not this list's.

use std::collections::{BTreeMap, BTreeSet};

use super::contents::{Lookup, Publications};
use super::flags::RoleFlags;
use super::infrastructure::GivenRole;
use super::name::{DatabaseName, RoleName};
use super::prepared::PreparedDatabases;
use super::team::Humans;

/// What decides about the roles and databases of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleInputs {
    /// `spec.users`.
    pub users: BTreeMap<RoleName, RoleFlags>,
    /// `spec.databases`: each with its owner.
    pub databases: BTreeMap<DatabaseName, RoleName>,
    /// `super_username`; Patroni creates it.
    pub superuser: RoleName,
    /// `replication_username`; Patroni creates it.
    pub replication_user: RoleName,
    /// `protected_role_names`: no manifest may define them.
    pub protected: BTreeSet<RoleName>,
    /// `team_admin_role`, when `enable_admin_role_for_users` is on: the admin of every manifest user.
    pub users_admin: Option<RoleName>,
    /// `additional_owner_roles`: every database owner becomes a member of them.
    pub additional_owner_roles: BTreeSet<RoleName>,
    /// The pooler's lookup function, and with it its user, when a pooler is wanted.
    pub pooler: Option<Lookup>,
    /// The event streams' user, when a stream is wanted.
    pub stream_user: Option<RoleName>,
    /// What event streams read from.
    pub publications: Publications,
    /// `enable_cross_namespace_secret`: the Secret of a user `namespace.name` is in that namespace.
    pub users_name_namespaces: bool,
    /// `spec.preparedDatabases`.
    pub prepared: PreparedDatabases,
    /// Roles that every cluster has.
    pub infrastructure: BTreeMap<RoleName, GivenRole>,
    /// The members of teams.
    pub humans: Humans,
}

impl RoleInputs {
    /// Nothing but Patroni's two roles.
    pub fn bare(superuser: RoleName, replication_user: RoleName) -> Self {
        Self {
            users: BTreeMap::new(),
            databases: BTreeMap::new(),
            superuser,
            replication_user,
            protected: BTreeSet::new(),
            users_admin: None,
            additional_owner_roles: BTreeSet::new(),
            pooler: None,
            stream_user: None,
            publications: Publications::default(),
            users_name_namespaces: false,
            prepared: PreparedDatabases::default(),
            infrastructure: BTreeMap::new(),
            humans: Humans::default(),
        }
    }
}
