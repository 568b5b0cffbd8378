//! Which roles and databases a cluster should have, and the SQL that makes it so.
//!
//! The operator asks in this order: [`desired`] says what should be, its database adapter fills a [`Catalog`] with what
//! is, [`plan`] gives the difference as typed [`Statement`]s. What is inside each database comes after that
//! ([`contents`]). Surprising: nothing here drops or takes away what a user could miss. A role, flag or membership that
//! left the manifest stays in the database; only a flag written in its `NO…` form is removed, and what is left over is
//! told ([`surplus`]) or, where the configuration asks for that, revoked.

pub mod catalog;
pub mod contents;
pub mod desired;
pub mod flags;
pub mod former;
pub mod infrastructure;
pub mod inputs;
pub mod name;
pub mod parameter;
pub mod password;
pub mod plan;
pub mod prepared;
mod quote;
pub mod rotation;
pub mod statement;
pub mod surplus;
pub mod team;

use std::collections::BTreeMap;
use std::fmt;

use crate::field::FieldError;

pub use catalog::Catalog;
pub use contents::{ContentStatement, Contents};
pub use desired::desired;
pub use flags::{Attribute, RoleFlags};
pub use former::Former;
pub use infrastructure::GivenRole;
pub use inputs::RoleInputs;
pub use name::{DatabaseName, ExtensionName, PublicationName, RoleName, SchemaName, TableName};
pub use parameter::{ParameterName, ParameterValue};
pub use password::{Passwords, Verifier};
pub use plan::plan;
pub use prepared::{PreparedDatabase, PreparedDatabases, PreparedSchema};
pub use rotation::Rotation;
pub use statement::Statement;
pub use surplus::{Surplus, surplus};
pub use team::Humans;

/// Every role and database a cluster wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleSet {
    /// The roles, sorted by name; a name occurs once.
    pub roles: Vec<Role>,
    /// The databases, sorted by name; a name occurs once.
    pub databases: Vec<Database>,
    /// What is inside them.
    pub contents: Contents,
    /// What becomes of people who left their team; `None` where nothing does.
    pub former: Option<Former>,
    /// What was asked for and will not be done, for the status and the log.
    pub skipped: Vec<Skipped>,
    /// Whether roles may be wanted that are not here, because what asks for them could not be read.
    pub lacks_some: bool,
}

impl RoleSet {
    /// The role of that name, if it is wanted.
    pub fn role(&self, name: &RoleName) -> Option<&Role> {
        self.roles.iter().find(|role| role.name == *name)
    }
}

/// A role that should exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Its name in the database.
    pub name: RoleName,
    /// The attributes that are asked for; an attribute that is not mentioned is left as it is.
    pub flags: RoleFlags,
    /// The roles it should be a member of, sorted.
    pub member_of: Vec<RoleName>,
    /// The role that should be a member of this one with the right to grant it on.
    pub admin: Option<RoleName>,
    /// Its settings (`ALTER ROLE … SET`).
    pub parameters: BTreeMap<ParameterName, ParameterValue>,
    /// Who asked for it.
    pub origin: Origin,
    /// Whether it logs in with a password, and so has a Secret.
    pub wants_password: bool,
    /// Who creates and alters it.
    pub keeper: Keeper,
    /// Whether it is an owner of databases or schemas, whose password is not rotated unless it is named.
    pub owns_databases: bool,
    /// The namespace of its Secret, where that is not the cluster's.
    pub secret_namespace: Option<String>,
}

/// Who asked for a role. Ordered: when two ask for the same name, the larger one wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// `spec.users`.
    Manifest,
    /// A Secret or ConfigMap named in the operator configuration.
    Infrastructure,
    /// A member of a team.
    Team,
    /// The superuser and the replication user.
    System,
    /// A default role of a prepared database.
    Prepared,
    /// The connection pooler's user.
    Pooler,
    /// The event streams' user.
    Stream,
}

/// Who creates and alters a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Keeper {
    /// The operator, by SQL.
    Operator,
    /// Patroni, from the pod's environment: the plan never touches such a role.
    Patroni,
}

/// A database that should exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// Its name.
    pub name: DatabaseName,
    /// The role that owns it.
    pub owner: RoleName,
}

/// Something asked for that will not be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// A user whose name belongs to the superuser, to Patroni or to the operator.
    ReservedUser(RoleName),
    /// A database whose owner no one defines.
    UnknownOwner(Database),
    /// A role of a prepared database whose name PostgreSQL would refuse or cut.
    UnfitName(String),
    /// A part of the manifest that cannot be read, and has been stored before anybody checked it.
    Unreadable(FieldError),
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedUser(name) => write!(f, "user {name} is left out, its name is reserved"),
            Self::UnknownOwner(Database { name, owner }) => {
                write!(f, "database {name} is not made: its owner {owner} is no user of this cluster")
            }
            Self::UnfitName(name) => {
                write!(f, "role {name} is not made: PostgreSQL keeps 63 bytes of a name")
            }
            Self::Unreadable(error) => write!(f, "{error}; it is left out"),
        }
    }
}
