//! The difference between the roles and databases a cluster wants and those its server has.
//!
//! The operator runs what comes out, in this order. Surprising: an unchanged catalog gives an empty list, which is what
//! keeps a settled cluster quiet; so every statement here must make the very difference go away that caused it.

use std::collections::BTreeSet;

use super::catalog::{Catalog, ExistingRole, Membership};
use super::flags::RoleFlags;
use super::former;
use super::name::RoleName;
use super::parameter::ParameterValue;
use super::password::Passwords;
use super::statement::Statement;
use super::{Database, Keeper, Role, RoleSet};

/// What to run so that the server has what is wanted: first the roles, then what needs two of them, then the databases.
///
/// Nothing is dropped and nothing is taken away, but a flag in its `NO…` form; a membership that is the exact reverse of a
/// wanted one, because PostgreSQL refuses the wanted one as long as it stands; and the login of people who left their
/// team (`former`).
///
/// A role that wants a password and has none in `passwords` is not created (it could not log in) and otherwise keeps
/// its password. Its databases wait for it.
pub fn plan(desired: &RoleSet, passwords: &Passwords, catalog: &Catalog) -> Vec<Statement> {
    let ours = || desired.roles.iter().filter(|role| role.keeper == Keeper::Operator);
    let (mut statements, catalog) = former::returning(desired, catalog);
    let catalog = catalog.as_ref();
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
        statements.extend(former::mark(role, catalog));
    }
    let databases = desired.databases.iter().filter(|database| there.contains(&database.owner));
    statements.extend(databases.filter_map(|database| placed(database, catalog)));
    statements.extend(former::leaving(desired, catalog));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roles::catalog::ExistingDatabase;
    use crate::roles::password::{Credential, Encryption, Verifier};
    use crate::roles::{Attribute, Origin, ParameterName};

    fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
        text.parse().unwrap()
    }

    fn role(text: &str, flags: &[&str]) -> Role {
        let flags = RoleFlags::parse(flags).unwrap();
        Role {
            name: name(text),
            wants_password: flags.login(),
            flags,
            member_of: Vec::new(),
            admin: None,
            parameters: Default::default(),
            origin: Origin::Manifest,
            keeper: Keeper::Operator,
            owns_databases: false,
            secret_namespace: None,
        }
    }

    fn wanted(roles: &[Role], databases: &[(&str, &str)]) -> RoleSet {
        let database =
            |(database, owner): &(&str, &str)| Database { name: name(database), owner: name(owner) };
        RoleSet {
            roles: roles.to_vec(),
            databases: databases.iter().map(database).collect(),
            ..RoleSet::default()
        }
    }

    /// A role as `CREATE ROLE` leaves it, with the password `secret`.
    fn existing(attributes: &[Attribute]) -> ExistingRole {
        let attributes = attributes.iter().copied().chain([Attribute::Inherit, Attribute::Login]);
        let verifier = Some(Verifier::scram("secret", b"the stored salt", 2));
        ExistingRole { attributes: attributes.collect(), verifier, ..ExistingRole::default() }
    }

    fn server(roles: &[(&str, ExistingRole)], databases: &[(&str, &str)]) -> Catalog {
        let owned = |owner: &str| ExistingDatabase { owner: name(owner), can_be_visited: true };
        Catalog {
            roles: roles.iter().map(|(role, existing)| (name(role), existing.clone())).collect(),
            databases: databases.iter().map(|(database, owner)| (name(database), owned(owner))).collect(),
        }
    }

    fn member(of: &str, how: Membership) -> ExistingRole {
        ExistingRole { member_of: [(name(of), how)].into(), ..existing(&[]) }
    }

    fn passwords(roles: &[&str]) -> Passwords {
        let credential = Credential { password: "secret".to_owned(), salt: [9; 16], proven: None };
        let of = roles.iter().map(|role| (name(role), credential.clone())).collect();
        Passwords { encryption: Encryption::default(), of }
    }

    /// The plan as logs show it; every role but `secretless` has the password `secret`.
    fn planned(desired: &RoleSet, catalog: &Catalog) -> Vec<String> {
        let names: Vec<&str> = desired.roles.iter().map(|role| role.name.as_str()).collect();
        let known: Vec<&str> = names.into_iter().filter(|name| *name != "secretless").collect();
        plan(desired, &passwords(&known), catalog).iter().map(Statement::redacted).collect()
    }

    #[test]
    fn an_unchanged_server_gets_no_statement() {
        let mut app = role("app", &["createdb", "nosuperuser", "replication", "bypassrls"]);
        app.member_of = vec![name("owners")];
        app.admin = Some(name("admin"));
        let path = ParameterValue::List(vec!["$user".to_owned(), "data".to_owned()]);
        app.parameters = [(ParameterName::new("search_path"), path)].into();
        let mut there = existing(&[Attribute::CreateDb, Attribute::Replication, Attribute::BypassRls]);
        there.member_of = [(name("owners"), Membership::Member), (name("extra"), Membership::Member)].into();
        there.parameters = [("search_path", r#""$user", data"#), ("work_mem", "4MB")]
            .map(|(parameter, value)| (ParameterName::new(parameter), value.to_owned()))
            .into();
        let catalog = server(
            &[("app", there), ("admin", member("app", Membership::Admin)), ("stranger", existing(&[]))],
            &[("foo", "app"), ("strange", "stranger")],
        );
        assert_eq!(planned(&wanted(&[app], &[("foo", "app")]), &catalog), [""; 0]);
    }

    #[test]
    fn an_empty_server_gets_roles_first_then_memberships_then_databases() {
        let mut app = role("app", &["createdb"]);
        app.member_of = vec![name("owners")];
        app.admin = Some(name("owners"));
        let desired = wanted(&[app, role("owners", &["nologin"])], &[("foo", "app")]);
        let expected = [
            r#"CREATE ROLE "app" CREATEDB LOGIN PASSWORD '…'"#,
            r#"CREATE ROLE "owners" NOLOGIN PASSWORD NULL"#,
            r#"GRANT "owners" TO "app""#,
            r#"GRANT "app" TO "owners" WITH ADMIN OPTION"#,
            r#"CREATE DATABASE "foo" OWNER "app""#,
        ];
        assert_eq!(planned(&desired, &server(&[], &[])), expected);
    }

    #[test]
    fn only_what_differs_is_altered() {
        let there = || existing(&[Attribute::CreateDb]);
        let table: &[(&[&str], &str)] = &[
            (&["superuser"], r#"ALTER ROLE "app" SUPERUSER"#),
            (&["nocreatedb"], r#"ALTER ROLE "app" NOCREATEDB"#),
            (&["createdb", "noinherit", "createrole"], r#"ALTER ROLE "app" CREATEROLE NOINHERIT"#),
            (&["nologin"], r#"ALTER ROLE "app" NOLOGIN"#),
        ];
        for (flags, sql) in table {
            let desired = wanted(&[role("app", flags)], &[]);
            assert_eq!(planned(&desired, &server(&[("app", there())], &[])), [*sql], "{flags:?}");
        }
    }

    #[test]
    fn what_the_manifest_no_longer_mentions_is_left_alone() {
        let there = ExistingRole {
            member_of: [(name("old"), Membership::Admin)].into(),
            ..existing(&Attribute::ALL)
        };
        let catalog = server(&[("app", there), ("dropped", existing(&[]))], &[("dropped", "dropped")]);
        assert_eq!(planned(&wanted(&[role("app", &[])], &[]), &catalog), [""; 0]);
    }

    #[test]
    fn a_changed_password_is_set_with_the_new_salt() {
        let other = ExistingRole { verifier: Some(Verifier::scram("other", b"salt", 2)), ..existing(&[]) };
        let none = ExistingRole { verifier: None, ..existing(&[]) };
        let verifier = Verifier::scram("secret", &[9; 16], 4096);
        for there in [other, none] {
            let desired = wanted(&[role("app", &[])], &[]);
            let statements = plan(&desired, &passwords(&["app"]), &server(&[("app", there)], &[]));
            let verifier = verifier.clone();
            assert_eq!(statements, [Statement::AlterRolePassword { name: name("app"), verifier }]);
        }
    }

    #[test]
    fn without_a_secret_a_role_is_not_created_and_keeps_its_password() {
        let desired = wanted(&[role("secretless", &["createdb"])], &[("foo", "secretless")]);
        assert_eq!(planned(&desired, &server(&[], &[])), [""; 0]);
        let catalog = server(&[("secretless", existing(&[]))], &[("foo", "secretless")]);
        assert_eq!(planned(&desired, &catalog), [r#"ALTER ROLE "secretless" CREATEDB"#]);
    }

    #[test]
    fn patronis_roles_are_never_touched_but_may_own_databases() {
        let postgres = Role { keeper: Keeper::Patroni, ..role("postgres", &["replication"]) };
        let desired = wanted(&[postgres], &[("foo", "postgres")]);
        let other = ExistingRole { verifier: None, ..existing(&[]) };
        let sql = [r#"CREATE DATABASE "foo" OWNER "postgres""#];
        assert_eq!(planned(&desired, &server(&[("postgres", other)], &[])), sql);
        assert_eq!(planned(&desired, &server(&[], &[])), [""; 0]);
    }

    #[test]
    fn a_database_changes_its_owner() {
        let desired = wanted(&[role("new", &[])], &[("foo", "new")]);
        let catalog = server(&[("new", existing(&[])), ("old", existing(&[]))], &[("foo", "old")]);
        assert_eq!(planned(&desired, &catalog), [r#"ALTER DATABASE "foo" OWNER TO "new""#]);
    }

    #[test]
    fn the_reverse_of_a_wanted_membership_is_revoked_first_unless_it_is_wanted_too() {
        let mut owner = role("owner", &[]);
        owner.member_of = vec![name("cron_admin")];
        let catalog =
            server(&[("owner", existing(&[])), ("cron_admin", member("owner", Membership::Member))], &[]);
        let desired = wanted(&[owner.clone()], &[]);
        let expected = [r#"REVOKE "owner" FROM "cron_admin""#, r#"GRANT "cron_admin" TO "owner""#];
        assert_eq!(planned(&desired, &catalog), expected);

        let mut circular = role("cron_admin", &[]);
        circular.member_of = vec![name("owner")];
        let desired = wanted(&[owner, circular], &[]);
        assert_eq!(planned(&desired, &catalog), [r#"GRANT "cron_admin" TO "owner""#]);
    }

    #[test]
    fn a_plain_member_becomes_the_admin() {
        let app = Role { admin: Some(name("admin")), ..role("app", &[]) };
        let catalog = server(&[("app", existing(&[])), ("admin", member("app", Membership::Member))], &[]);
        assert_eq!(planned(&wanted(&[app], &[]), &catalog), [r#"GRANT "app" TO "admin" WITH ADMIN OPTION"#]);
    }

    #[test]
    fn a_differing_setting_is_set_and_a_strange_one_stays() {
        let mut app = role("app", &[]);
        let text = |value: &str| ParameterValue::Text(value.to_owned());
        app.parameters = [("work_mem", text("8MB")), ("app.note", text(""))]
            .map(|(parameter, value)| (ParameterName::new(parameter), value))
            .into();
        let mut there = existing(&[]);
        there.parameters = [("work_mem", "4MB"), ("datestyle", "ISO")]
            .map(|(parameter, value)| (ParameterName::new(parameter), value.to_owned()))
            .into();
        let expected =
            [r#"ALTER ROLE "app" SET "app"."note" TO ''"#, r#"ALTER ROLE "app" SET "work_mem" TO '8MB'"#];
        assert_eq!(planned(&wanted(&[app], &[]), &server(&[("app", there)], &[])), expected);
    }
}
