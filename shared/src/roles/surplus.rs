//! What a server grants beyond what the cluster asks for: what an earlier manifest gave, or somebody by hand.
//!
//! The operator asks after each look at a server. It tells what it found in the status, or takes it away where the
//! configuration says `enable_strict_revocation`. Surprising: only what a manifest could have given counts. A role that
//! has no Secret of this cluster, and a membership in a role that is none of the cluster's, are somebody else's business
//! in either case. And while something that asks for roles cannot be read, nobody counts as a former user: one wrong flag
//! must not cost a user the login.

use std::collections::BTreeSet;
use std::fmt;

use super::catalog::{Catalog, ExistingRole, Membership};
use super::flags::{Attribute, RoleFlags};
use super::name::RoleName;
use super::rotation::made_on;
use super::statement::Statement;
use super::{Keeper, Origin, Role, RoleSet};

/// The attributes that give power. `INHERIT` is none, and `LOGIN` is every user's.
const POWERS: [Attribute; 5] = [
    Attribute::Superuser,
    Attribute::CreateRole,
    Attribute::CreateDb,
    Attribute::Replication,
    Attribute::BypassRls,
];

/// Something that the server has and nobody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Surplus {
    /// A role of the cluster has attributes that it is not given.
    Attributes {
        /// The role.
        role: RoleName,
        /// What it has too much.
        attributes: Vec<Attribute>,
    },
    /// A role of the cluster is a member of another one that it is not given.
    Membership {
        /// The role that it is a member of.
        role: RoleName,
        /// The member.
        member: RoleName,
    },
    /// A user that nobody asks for any more can still log in.
    Login {
        /// The user.
        role: RoleName,
    },
}

/// Everything beyond what `desired` asks for, which includes the logins that stand in for users. `formerly` are roles
/// that the cluster has a Secret for: they were its users once.
pub fn surplus(desired: &RoleSet, catalog: &Catalog, formerly: &BTreeSet<RoleName>) -> Vec<Surplus> {
    let mut found = Vec::new();
    let ours = |role: &&Role| role.keeper == Keeper::Operator && role.origin != Origin::System;
    for role in desired.roles.iter().filter(ours) {
        let Some(existing) = catalog.roles.get(&role.name) else { continue };
        found.extend(attributes(role, existing));
        found.extend(memberships(role, existing, desired, formerly));
    }
    if desired.lacks_some {
        return found;
    }
    let left = catalog.roles.iter().filter(|(name, existing)| {
        let stood_in =
            |user: &RoleName| made_on(user, name).is_some() && existing.member_of.contains_key(user);
        let was_ours = formerly.contains(name) || formerly.iter().any(stood_in);
        was_ours && desired.role(name).is_none() && existing.attributes.contains(&Attribute::Login)
    });
    found.extend(left.map(|(name, _)| Surplus::Login { role: name.clone() }));
    found
}

fn attributes(role: &Role, existing: &ExistingRole) -> Option<Surplus> {
    let unasked = |power: &Attribute| existing.attributes.contains(power) && role.flags.get(*power).is_none();
    let attributes: Vec<Attribute> = POWERS.into_iter().filter(unasked).collect();
    (!attributes.is_empty()).then(|| Surplus::Attributes { role: role.name.clone(), attributes })
}

fn memberships(
    role: &Role,
    existing: &ExistingRole,
    desired: &RoleSet,
    formerly: &BTreeSet<RoleName>,
) -> Vec<Surplus> {
    let unasked = existing.member_of.iter().filter(|(parent, how)| {
        // Whoever creates a role becomes its admin (PostgreSQL 16).
        let is_creator = **how == Membership::Admin && desired.role(parent).is_none();
        let admin = desired.role(parent).is_some_and(|parent| parent.admin.as_ref() == Some(&role.name));
        let is_known =
            desired.role(parent).is_some() || parent.as_str().starts_with("pg_") || formerly.contains(parent);
        is_known && !is_creator && !admin && !role.member_of.contains(parent)
    });
    unasked
        .map(|(parent, _)| Surplus::Membership { role: parent.clone(), member: role.name.clone() })
        .collect()
}

impl Surplus {
    /// What takes it away.
    pub fn revoked(&self) -> Statement {
        match self {
            Self::Attributes { role, attributes } => Statement::AlterRoleFlags {
                name: role.clone(),
                flags: RoleFlags::new(attributes.iter().map(|attribute| (*attribute, false))),
            },
            Self::Membership { role, member } => {
                Statement::RevokeMembership { role: role.clone(), member: member.clone() }
            }
            Self::Login { role } => Statement::AlterRoleFlags {
                name: role.clone(),
                flags: RoleFlags::new([(Attribute::Login, false)]),
            },
        }
    }
}

impl fmt::Display for Surplus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attributes { role, attributes } => {
                let words: Vec<&str> = attributes.iter().map(|attribute| attribute.word()).collect();
                write!(f, "role {role} has {} that it is not given", words.join(", "))
            }
            Self::Membership { role, member } => {
                write!(f, "role {member} is a member of {role} that it is not given")
            }
            Self::Login { role } => {
                write!(f, "role {role} can still log in though nobody asks for it any more")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> RoleName {
        text.parse().unwrap()
    }

    fn wanted(text: &str, flags: &[&str], member_of: &[&str]) -> Role {
        Role {
            name: name(text),
            flags: RoleFlags::parse(flags).unwrap(),
            member_of: member_of.iter().map(|parent| name(parent)).collect(),
            admin: None,
            parameters: Default::default(),
            origin: Origin::Manifest,
            wants_password: true,
            keeper: Keeper::Operator,
            owns_databases: false,
            secret_namespace: None,
        }
    }

    fn existing(attributes: &[Attribute], member_of: &[(&str, Membership)]) -> ExistingRole {
        ExistingRole {
            attributes: attributes.iter().copied().chain([Attribute::Login, Attribute::Inherit]).collect(),
            member_of: member_of.iter().map(|(parent, how)| (name(parent), *how)).collect(),
            ..ExistingRole::default()
        }
    }

    fn found(roles: Vec<Role>, server: &[(&str, ExistingRole)], formerly: &[&str]) -> Vec<(String, String)> {
        let desired = RoleSet { roles, ..RoleSet::default() };
        let roles = server.iter().map(|(role, existing)| (name(role), existing.clone())).collect();
        let formerly = formerly.iter().map(|role| name(role)).collect();
        let found = surplus(&desired, &Catalog { roles, ..Catalog::default() }, &formerly);
        found.iter().map(|surplus| (surplus.to_string(), surplus.revoked().redacted())).collect()
    }

    fn one(told: &str, revoked: &str) -> Vec<(String, String)> {
        vec![(told.to_owned(), revoked.to_owned())]
    }

    #[test]
    fn a_flag_that_left_the_manifest_is_told_and_one_that_is_in_it_is_not() {
        let app = existing(&[Attribute::CreateDb, Attribute::Superuser], &[]);
        assert_eq!(
            found(vec![wanted("app", &["createdb"], &[])], &[("app", app)], &[]),
            one("role app has SUPERUSER that it is not given", r#"ALTER ROLE "app" NOSUPERUSER"#)
        );
    }

    #[test]
    fn a_membership_counts_when_a_manifest_could_have_given_it() {
        let app = existing(
            &[],
            &[
                ("owners", Membership::Member),
                ("pg_monitor", Membership::Member),
                ("wanted", Membership::Member),
                ("somebody_elses", Membership::Member),
                ("made_by_app", Membership::Admin),
            ],
        );
        let roles =
            vec![wanted("app", &[], &["wanted"]), wanted("owners", &[], &[]), wanted("wanted", &[], &[])];
        let found = found(roles, &[("app", app)], &[]);
        let revoked: Vec<&str> = found.iter().map(|(_, sql)| sql.as_str()).collect();
        assert_eq!(revoked, [r#"REVOKE "owners" FROM "app""#, r#"REVOKE "pg_monitor" FROM "app""#]);
        assert_eq!(found[0].0, "role app is a member of owners that it is not given");
    }

    #[test]
    fn the_admin_of_a_role_is_its_member_rightly() {
        let mut app = wanted("app", &[], &[]);
        app.admin = Some(name("boss"));
        let boss = existing(&[], &[("app", Membership::Admin)]);
        let none: Vec<(String, String)> = Vec::new();
        let server = [("app", existing(&[], &[])), ("boss", boss)];
        assert_eq!(found(vec![app, wanted("boss", &[], &[])], &server, &[]), none);
    }

    #[test]
    fn a_user_that_left_the_manifest_is_known_by_its_secret_and_so_are_its_stand_ins() {
        let app = || existing(&[], &[]);
        let stand_in = existing(&[], &[("app", Membership::Member)]);
        let server = [("app", app()), ("app261122", stand_in), ("stranger", app()), ("app261123", app())];
        let found = found(Vec::new(), &server, &["app"]);
        let revoked: Vec<&str> = found.iter().map(|(_, sql)| sql.as_str()).collect();
        assert_eq!(revoked, [r#"ALTER ROLE "app" NOLOGIN"#, r#"ALTER ROLE "app261122" NOLOGIN"#]);
        assert_eq!(found[0].0, "role app can still log in though nobody asks for it any more");
    }

    #[test]
    fn while_something_that_asks_for_roles_cannot_be_read_nobody_is_a_former_user() {
        let desired = RoleSet { lacks_some: true, ..RoleSet::default() };
        let roles = [(name("app"), existing(&[], &[]))].into();
        let catalog = Catalog { roles, ..Catalog::default() };
        assert_eq!(surplus(&desired, &catalog, &[name("app")].into()), []);
    }

    #[test]
    fn what_patroni_or_the_operator_keep_for_themselves_is_left_alone() {
        let mut superuser = wanted("postgres", &[], &[]);
        superuser.origin = Origin::System;
        let there = existing(&[Attribute::Superuser], &[]);
        assert_eq!(found(vec![superuser], &[("postgres", there)], &[]), Vec::new());
    }
}
