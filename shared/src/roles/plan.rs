//! The difference between the roles and databases a cluster wants and those its server has.
//!
//! The operator runs what comes out, in this order. Surprising: an unchanged catalog gives an empty list, which is what
//! keeps a settled cluster quiet; so every statement here must make the very difference go away that caused it.

use std::collections::BTreeSet;

use super::catalog::{Catalog, ExistingRole, Membership};
use super::flags::RoleFlags;
use super::name::RoleName;
use super::parameter::ParameterValue;
use super::password::Passwords;
use super::statement::Statement;
use super::{Database, Keeper, Role, RoleSet};

/// What to run so that the server has what is wanted: first the roles, then what needs two of them, then the databases.
///
/// Nothing is dropped and nothing is taken away, but a flag in its `NO…` form, and a membership that is the exact reverse
/// of a wanted one: PostgreSQL refuses the wanted one as long as it stands.
///
/// A role that wants a password and has none in `passwords` is not created (it could not log in) and otherwise keeps
/// its password. Its databases wait for it.
pub fn plan(desired: &RoleSet, passwords: &Passwords, catalog: &Catalog) -> Vec<Statement> {
    let ours = || desired.roles.iter().filter(|role| role.keeper == Keeper::Operator);
    let mut statements = Vec::new();
    let mut there: BTreeSet<&RoleName> = catalog.roles.keys().collect();
    for role in ours() {
        match catalog.roles.get(&role.name) {
            Some(existing) => statements.extend(altered(role, existing, passwords)),
            None => {
                let Some(created) = created(role, passwords) else { continue };
                there.insert(&role.name);
                statements.push(created);
            }
        }
    }
    for role in ours().filter(|role| there.contains(&role.name)) {
        statements.extend(parameters(role, catalog));
        statements.extend(memberships(role, desired, catalog));
    }
    let databases = desired.databases.iter().filter(|database| there.contains(&database.owner));
    statements.extend(databases.filter_map(|database| placed(database, catalog)));
    statements
}

/// The statement that creates a role, unless its password is not known.
fn created(role: &Role, passwords: &Passwords) -> Option<Statement> {
    let verifier = match (role.wants_password, passwords.of.get(&role.name)) {
        (true, credential) => Some(credential?.verifier(passwords.encryption, &role.name)),
        (false, _) => None,
    };
    Some(Statement::CreateRole { name: role.name.clone(), flags: role.flags.clone(), verifier })
}

/// What makes an existing role's attributes and password the wanted ones.
fn altered(role: &Role, existing: &ExistingRole, passwords: &Passwords) -> Vec<Statement> {
    let name = &role.name;
    let differing =
        role.flags.iter().filter(|(attribute, on)| existing.attributes.contains(attribute) != *on);
    let flags = RoleFlags::new(differing);
    let credential = passwords.of.get(name).filter(|credential| {
        let fits = existing.verifier.as_ref().is_some_and(|stored| credential.fits(stored, name));
        role.wants_password && !fits
    });
    let flags = (!flags.is_empty()).then(|| Statement::AlterRoleFlags { name: name.clone(), flags });
    let password = credential.map(|credential| Statement::AlterRolePassword {
        name: name.clone(),
        verifier: credential.verifier(passwords.encryption, name),
    });
    flags.into_iter().chain(password).collect()
}

/// The settings that differ from the wanted ones; settings nobody asked for stay.
fn parameters(role: &Role, catalog: &Catalog) -> Vec<Statement> {
    let existing = catalog.roles.get(&role.name);
    let stored = |parameter| existing.and_then(|existing| existing.parameters.get(parameter));
    let differing = role.parameters.iter().filter(|(parameter, value)| {
        stored(parameter).is_none_or(|text| ParameterValue::parse(parameter, text) != **value)
    });
    let set = |(parameter, value): (&_, &ParameterValue)| Statement::SetParameter {
        role: role.name.clone(),
        parameter: Clone::clone(parameter),
        value: value.clone(),
    };
    differing.map(set).collect()
}

/// The memberships a role lacks, and its admin.
fn memberships(role: &Role, desired: &RoleSet, catalog: &Catalog) -> Vec<Statement> {
    let mut statements = Vec::new();
    for parent in &role.member_of {
        if membership(catalog, &role.name, parent).is_some() {
            continue;
        }
        if membership(catalog, parent, &role.name).is_some() && !wants_membership(desired, parent, &role.name)
        {
            let (role, member) = (role.name.clone(), parent.clone());
            statements.push(Statement::RevokeMembership { role, member });
        }
        statements.push(Statement::GrantMembership { role: parent.clone(), member: role.name.clone() });
    }
    let admin =
        role.admin.iter().filter(|admin| membership(catalog, admin, &role.name) != Some(Membership::Admin));
    statements
        .extend(admin.map(|admin| Statement::GrantAdmin { role: role.name.clone(), admin: admin.clone() }));
    statements
}

fn membership(catalog: &Catalog, member: &RoleName, role: &RoleName) -> Option<Membership> {
    catalog.roles.get(member)?.member_of.get(role).copied()
}

/// Whether the manifest itself asks that `member` be a member of `role`, or its admin.
fn wants_membership(desired: &RoleSet, member: &RoleName, role: &RoleName) -> bool {
    let listed = desired.role(member).is_some_and(|wanted| wanted.member_of.contains(role));
    let admin = desired.role(role).is_some_and(|wanted| wanted.admin.as_ref() == Some(member));
    listed || admin
}

/// What makes a database exist with the wanted owner.
fn placed(database: &Database, catalog: &Catalog) -> Option<Statement> {
    let (name, owner) = (database.name.clone(), database.owner.clone());
    match catalog.databases.get(&name) {
        None => Some(Statement::CreateDatabase { name, owner }),
        Some(existing) if existing.owner != owner => Some(Statement::AlterDatabaseOwner { name, owner }),
        Some(_) => None,
    }
}
