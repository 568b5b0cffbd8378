//! Typed SQL: the only place that turns names and values into text.
//!
//! `plan` makes statements, the operator's adapter runs what [`Statement::to_sql`] renders. Surprising: two renderings
//! exist. The one for logs ([`Statement::redacted`], also `Display` and `Debug`) never holds a password's verifier.

use std::fmt;

use super::flags::RoleFlags;
use super::name::{DatabaseName, RoleName};
use super::parameter::{ParameterName, ParameterValue};
use super::password::Verifier;

/// One SQL statement.
#[derive(Clone, PartialEq, Eq)]
pub enum Statement {
    /// `CREATE ROLE`.
    CreateRole {
        /// The new role.
        name: RoleName,
        /// Its attributes; what is not mentioned gets PostgreSQL's default.
        flags: RoleFlags,
        /// Its password; `None` means it can never log in by password.
        verifier: Option<Verifier>,
    },
    /// `ALTER ROLE` for attributes.
    AlterRoleFlags {
        /// The role.
        name: RoleName,
        /// The attributes that change.
        flags: RoleFlags,
    },
    /// `ALTER ROLE … PASSWORD`.
    AlterRolePassword {
        /// The role.
        name: RoleName,
        /// Its new password.
        verifier: Verifier,
    },
    /// `GRANT <role> TO <member>`.
    GrantMembership {
        /// The role whose rights are given.
        role: RoleName,
        /// The role that gets them.
        member: RoleName,
    },
    /// `GRANT <role> TO <admin> WITH ADMIN OPTION`.
    GrantAdmin {
        /// The role whose rights are given.
        role: RoleName,
        /// The role that gets them and may grant them on.
        admin: RoleName,
    },
    /// `REVOKE <role> FROM <member>`.
    RevokeMembership {
        /// The role whose rights are taken.
        role: RoleName,
        /// The role that loses them.
        member: RoleName,
    },
    /// `ALTER ROLE … SET`.
    SetParameter {
        /// The role.
        role: RoleName,
        /// The setting.
        parameter: ParameterName,
        /// Its new value.
        value: ParameterValue,
    },
    /// `CREATE DATABASE`; it cannot run inside a transaction.
    CreateDatabase {
        /// The new database.
        name: DatabaseName,
        /// Its owner.
        owner: RoleName,
    },
    /// `ALTER DATABASE … OWNER TO`.
    AlterDatabaseOwner {
        /// The database.
        name: DatabaseName,
        /// Its new owner.
        owner: RoleName,
    },
}

impl Statement {
    /// The SQL, passwords included: for the database only.
    pub fn to_sql(&self) -> String {
        self.render(|verifier| literal(verifier.as_str()))
    }

    /// The SQL without passwords: for logs, events and the status.
    pub fn redacted(&self) -> String {
        self.render(|_| "'…'".to_owned())
    }

    fn render(&self, secret: impl Fn(&Verifier) -> String) -> String {
        match self {
            Self::CreateRole { name, flags, verifier } => {
                let password = verifier.as_ref().map_or_else(|| "NULL".to_owned(), secret);
                let flags = if flags.is_empty() { String::new() } else { format!("{flags} ") };
                format!("CREATE ROLE {} {flags}PASSWORD {password}", identifier(name.as_str()))
            }
            Self::AlterRoleFlags { name, flags } => {
                format!("ALTER ROLE {} {flags}", identifier(name.as_str()))
            }
            Self::AlterRolePassword { name, verifier } => {
                format!("ALTER ROLE {} PASSWORD {}", identifier(name.as_str()), secret(verifier))
            }
            Self::GrantMembership { role, member } => {
                format!("GRANT {} TO {}", identifier(role.as_str()), identifier(member.as_str()))
            }
            Self::GrantAdmin { role, admin } => {
                let (role, admin) = (identifier(role.as_str()), identifier(admin.as_str()));
                format!("GRANT {role} TO {admin} WITH ADMIN OPTION")
            }
            Self::RevokeMembership { role, member } => {
                format!("REVOKE {} FROM {}", identifier(role.as_str()), identifier(member.as_str()))
            }
            Self::SetParameter { role, parameter, value } => {
                format!(
                    "ALTER ROLE {} SET {} TO {}",
                    identifier(role.as_str()),
                    setting(parameter),
                    setting_value(value)
                )
            }
            Self::CreateDatabase { name, owner } => {
                format!("CREATE DATABASE {} OWNER {}", identifier(name.as_str()), identifier(owner.as_str()))
            }
            Self::AlterDatabaseOwner { name, owner } => {
                let (name, owner) = (identifier(name.as_str()), identifier(owner.as_str()));
                format!("ALTER DATABASE {name} OWNER TO {owner}")
            }
        }
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

/// A name in double quotes.
fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text in single quotes; with a backslash in it, in the form that means the same whatever
/// `standard_conforming_strings` says.
fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if text.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

/// A setting's name: each part of `extension.setting` by itself.
fn setting(name: &ParameterName) -> String {
    name.as_str().split('.').map(identifier).collect::<Vec<_>>().join(".")
}

fn setting_value(value: &ParameterValue) -> String {
    match value {
        ParameterValue::Text(text) => literal(text),
        ParameterValue::List(members) if members.is_empty() => literal(""),
        ParameterValue::List(members) => members.iter().map(|m| literal(m)).collect::<Vec<_>>().join(", "),
    }
}
