//! PostgreSQL as the operator's port sees it: a catalog per cluster, and statements that change it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::BoxFuture;
use operator::database::{Database, DatabaseError, Endpoint, Failure};
use shared::roles::catalog::{Catalog, ExistingDatabase, ExistingRole, Membership};
use shared::roles::contents::Existing;
use shared::roles::former::MARK;
use shared::roles::{RoleFlags, Statement};
use tests::fake_api::When;

use crate::contents;

/// What is told to whoever listens: before and after statements are run.
pub(crate) type Listener = Arc<dyn Fn(&str, When) + Send + Sync>;

/// The servers of all clusters, by the name in their certificates. Plain data.
#[derive(Clone, Debug, Default)]
pub(crate) struct Servers {
    pub(crate) catalogs: BTreeMap<String, Catalog>,
    /// What is inside each database of a server.
    pub(crate) contents: BTreeMap<(String, String), Existing>,
    /// Statements that were run, without passwords.
    pub(crate) statements: Vec<String>,
    /// Statements that contain this text are refused.
    pub(crate) refuses: Option<String>,
}

impl Servers {
    /// What is inside a database.
    fn inside(&mut self, at: &Endpoint) -> &mut Existing {
        let place = (at.server_name.clone(), at.database.clone());
        self.contents.entry(place).or_insert_with(contents::fresh)
    }
}

/// The port.
pub(crate) struct Databases {
    pub(crate) servers: Arc<Mutex<Servers>>,
    pub(crate) listener: Listener,
}

impl Database for Databases {
    fn catalog<'a>(&'a self, at: &'a Endpoint) -> BoxFuture<'a, Result<Catalog, DatabaseError>> {
        let mut servers = self.servers.lock().unwrap();
        let catalog = servers.catalogs.entry(at.server_name.clone()).or_insert_with(fresh).clone();
        async move { Ok(catalog) }.boxed()
    }

    fn contents<'a>(&'a self, at: &'a Endpoint) -> BoxFuture<'a, Result<Existing, DatabaseError>> {
        let existing = self.servers.lock().unwrap().inside(at).clone();
        async move { Ok(existing) }.boxed()
    }

    fn run<'a>(
        &'a self,
        at: &'a Endpoint,
        statements: &'a [Statement],
    ) -> BoxFuture<'a, Result<Vec<Failure>, DatabaseError>> {
        (self.listener)("statements", When::Before);
        let mut failures = Vec::new();
        {
            let mut servers = self.servers.lock().unwrap();
            for statement in statements {
                let refused =
                    servers.refuses.as_ref().is_some_and(|text| statement.redacted().contains(text));
                let run = match statement {
                    _ if refused => Err("not today"),
                    Statement::Inside(statement) => contents::execute(servers.inside(at), statement),
                    statement => {
                        let catalog = servers.catalogs.entry(at.server_name.clone()).or_insert_with(fresh);
                        execute(catalog, statement)
                    }
                };
                match run {
                    Ok(()) => servers.statements.push(statement.redacted()),
                    Err(why) => {
                        let source = DatabaseError::Refused { code: "42000".into(), message: why.into() };
                        failures.push(Failure { statement: statement.clone(), source });
                    }
                }
            }
        }
        (self.listener)("statements", When::After);
        async move { Ok(failures) }.boxed()
    }
}

/// What Spilo leaves behind when it has made a cluster.
fn fresh() -> Catalog {
    let mut catalog = Catalog::default();
    let made = [
        ("postgres", "superuser,login,inherit"),
        ("standby", "replication,login,inherit"),
        ("admin", "createdb,inherit"),
        ("robot_zmon", "inherit"),
    ];
    for (role, flags) in made {
        let flags: Vec<&str> = flags.split(',').collect();
        let role_flags = RoleFlags::parse(&flags).unwrap();
        let attributes = role_flags.iter().map(|(attribute, _)| attribute).collect::<BTreeSet<_>>();
        catalog.roles.insert(role.parse().unwrap(), ExistingRole { attributes, ..ExistingRole::default() });
    }
    let owner = ExistingDatabase { owner: "postgres".parse().unwrap(), can_be_visited: true };
    catalog.databases.insert("postgres".parse().unwrap(), owner);
    catalog
}

fn execute(catalog: &mut Catalog, statement: &Statement) -> Result<(), &'static str> {
    let missing = "role does not exist";
    match statement {
        Statement::CreateRole { name, flags, verifier } => {
            let role = catalog.roles.entry(name.clone()).or_default();
            set(role, flags);
            role.verifier.clone_from(verifier);
        }
        Statement::AlterRoleFlags { name, flags } => set(catalog.roles.get_mut(name).ok_or(missing)?, flags),
        Statement::AlterRolePassword { name, verifier } => {
            catalog.roles.get_mut(name).ok_or(missing)?.verifier = Some(verifier.clone());
        }
        Statement::GrantMembership { role, member } => {
            let member = catalog.roles.get_mut(member).ok_or(missing)?;
            member.member_of.insert(role.clone(), Membership::Member);
        }
        Statement::GrantAdmin { role, admin } => {
            let admin = catalog.roles.get_mut(admin).ok_or(missing)?;
            admin.member_of.insert(role.clone(), Membership::Admin);
        }
        Statement::RevokeMembership { role, member } => {
            catalog.roles.get_mut(member).ok_or(missing)?.member_of.remove(role);
        }
        Statement::DropRole { name } => drop(catalog.roles.remove(name).ok_or(missing)?),
        Statement::RenameRole { from, to } => {
            let role = catalog.roles.remove(from).ok_or(missing)?;
            catalog.roles.insert(to.clone(), role);
        }
        Statement::MarkRole { name } => {
            catalog.roles.get_mut(name).ok_or(missing)?.comment = Some(MARK.to_owned());
        }
        Statement::Inside(_) => return Err("of another database"),
        Statement::SetParameter { role, parameter, value } => {
            let role = catalog.roles.get_mut(role).ok_or(missing)?;
            role.parameters.insert(parameter.clone(), value.to_text());
        }
        Statement::CreateDatabase { name, owner } | Statement::AlterDatabaseOwner { name, owner } => {
            let made = ExistingDatabase { owner: owner.clone(), can_be_visited: true };
            catalog.databases.insert(name.clone(), made);
        }
    }
    Ok(())
}

fn set(role: &mut ExistingRole, flags: &RoleFlags) {
    for (attribute, on) in flags.iter() {
        if on {
            role.attributes.insert(attribute);
        } else {
            role.attributes.remove(&attribute);
        }
    }
}
