//! What a database server has, as plain data: the side of the comparison that was read, not wished.
//!
//! The operator's adapter fills it in one pass, `plan` reads it. Surprising: it holds password verifiers, which are
//! enough to log in elsewhere, so their `Debug` shows nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::flags::Attribute;
use super::name::{DatabaseName, RoleName};
use super::parameter::ParameterName;
use super::password::Verifier;

/// Every role and database of one server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    /// All roles but PostgreSQL's own (`pg_…`).
    pub roles: BTreeMap<RoleName, ExistingRole>,
    /// All databases.
    pub databases: BTreeMap<DatabaseName, ExistingDatabase>,
}

/// A role as the server has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExistingRole {
    /// The attributes it has; one that is not listed is off.
    pub attributes: BTreeSet<Attribute>,
    /// The roles it is a direct member of.
    pub member_of: BTreeMap<RoleName, Membership>,
    /// Its settings for all databases, as text (`pg_db_role_setting` without a database).
    pub parameters: BTreeMap<ParameterName, String>,
    /// What `COMMENT ON ROLE` says.
    pub comment: Option<String>,
    /// What is stored instead of its password.
    pub verifier: Option<Verifier>,
    /// Whether anything in any database belongs to it or is granted to it, so that it cannot be dropped.
    pub has_belongings: bool,
}

/// How a role is a member of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// It has the other role's rights.
    Member,
    /// It may also grant them on.
    Admin,
}

/// A database as the server has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExistingDatabase {
    /// The role that owns it.
    pub owner: RoleName,
    /// Whether it can be connected to and is none of the two that `initdb` makes to copy from.
    pub can_be_visited: bool,
}
