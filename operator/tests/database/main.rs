//! Roles, databases and what is inside them, and settings, against every real PostgreSQL server on this machine.
//!
//! More versions than the installed ones: `POSTGRESQL_SERVERS` names folders (separated by `:`) that hold
//! `<version>/bin`, as `/usr/lib/postgresql` does. Without any server these tests fail: passing would say nothing.

// Clippy exempts test functions, not the helpers beside them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod hostile;
mod inside;
mod manifests;
mod roles;
mod rotation;
mod settings;
mod teams;
mod temporary_server;

use std::collections::{BTreeMap, BTreeSet};

use operator::database::{Database, DatabaseError, Endpoint, Limits, Postgres};
use shared::roles::contents::{self, Existing, Lookup, Publications};
use shared::roles::password::{Credential, Encryption};
use shared::roles::{
    Catalog, Passwords, PreparedDatabase, PreparedDatabases, PreparedSchema, RoleFlags, RoleInputs, RoleSet,
    Statement, plan,
};

use temporary_server::{TemporaryServer, installed};

const HOSTILE: &str = "Robert\"; DROP ROLE postgres; -- '\\ ü";

/// A real server, and the operator's way to it.
struct Running {
    postgres: Postgres,
    at: Endpoint,
    server: TemporaryServer,
}

/// Runs a story on each version.
async fn on_every_server(story: impl AsyncFn(&Running)) {
    let servers = installed();
    assert!(
        !servers.is_empty(),
        "no PostgreSQL server on this machine: install Debian's package postgresql, or say where one is in \
         POSTGRESQL_SERVERS"
    );
    for binaries in servers {
        println!("with {}", binaries.display());
        let server = TemporaryServer::start(&binaries);
        let postgres = Postgres::new(Limits { connections: 4, ..Limits::default() }).unwrap();
        story(&Running { postgres, at: server.endpoint(), server }).await;
    }
}

fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn flags(list: &[&str]) -> RoleFlags {
    RoleFlags::parse(list).unwrap()
}

fn inputs() -> RoleInputs {
    let schemas =
        [(name("data"), PreparedSchema::RolesAndUsers), (name("History"), PreparedSchema::Roles)].into();
    let prepared = PreparedDatabase { schemas, default_users: true, ..PreparedDatabase::default() };
    RoleInputs {
        users: BTreeMap::from([
            (name("zalando"), flags(&["superuser", "createdb"])),
            (name("foo_user"), flags(&[])),
            (name("reporting"), flags(&["nologin", "bypassrls"])),
            (name("replica"), flags(&["replication", "noinherit"])),
            (name(HOSTILE), flags(&["createrole"])),
        ]),
        databases: BTreeMap::from([(name("foo"), name("zalando")), (name(HOSTILE), name(HOSTILE))]),
        superuser: name("postgres"),
        replication_user: name("standby"),
        protected: BTreeSet::new(),
        users_admin: Some(name("admin")),
        additional_owner_roles: BTreeSet::from([name("cron_admin")]),
        pooler: Some(Lookup { schema: name("pooler"), user: name("pooler"), owner: name("postgres") }),
        stream_user: Some(name("fes_user")),
        publications: Publications::default(),
        users_name_namespaces: false,
        prepared: PreparedDatabases { admin: None, databases: [(name("bar"), prepared)].into() },
        infrastructure: BTreeMap::new(),
        humans: Default::default(),
    }
}

fn passwords(roles: &RoleSet, password: impl Fn(&str) -> String) -> Passwords {
    let credential = |role: &str| Credential { password: password(role), salt: [7; 16], proven: None };
    let wanting = roles.roles.iter().filter(|role| role.wants_password);
    let of = wanting.map(|role| (role.name.clone(), credential(role.name.as_str()))).collect();
    Passwords { encryption: Encryption::default(), of }
}

fn created(role: &str, list: &[&str]) -> Statement {
    Statement::CreateRole { name: name(role), flags: flags(list), verifier: None }
}

async fn catalog(postgres: &Postgres, at: &Endpoint) -> Catalog {
    postgres.catalog(at).await.unwrap()
}

impl Running {
    /// What a database holds.
    async fn contents(&self, database: &str) -> Existing {
        self.postgres.contents(&self.at.in_database(&name(database))).await.unwrap()
    }

    /// One look of the operator: roles and databases, then every database that has to be visited. What was run, and
    /// what of it failed.
    async fn look(&self, roles: &RoleSet, passwords: &Passwords) -> (Vec<Statement>, Vec<String>) {
        let statements = plan(roles, passwords, &catalog(&self.postgres, &self.at).await);
        let mut failures = self.postgres.run(&self.at, &statements).await.unwrap();
        let (mut done, catalog) = (statements, catalog(&self.postgres, &self.at).await);
        for database in contents::visits(roles, &catalog) {
            let at = self.at.in_database(&database);
            let existing = self.postgres.contents(&at).await.unwrap();
            let wanted = contents::wanted(roles, &database);
            let inside: Vec<Statement> =
                contents::plan(&wanted, &catalog, &existing).into_iter().map(Statement::Inside).collect();
            failures.extend(self.postgres.run(&at, &inside).await.unwrap());
            done.extend(inside);
        }
        (done, failures.iter().map(|failure| format!("{failure}: {:?}", failure.source)).collect())
    }

    /// A look in which nothing fails, and the SQL that was run.
    async fn settle(&self, roles: &RoleSet) -> Vec<String> {
        let (done, failures) = self.look(roles, &passwords(roles, |_| "secret".into())).await;
        assert!(failures.is_empty(), "{failures:#?}");
        done.iter().map(Statement::to_sql).collect()
    }

    /// A look, and a second one that finds nothing to do.
    async fn settle_for_good(&self, roles: &RoleSet) -> Vec<String> {
        let first = self.settle(roles).await;
        assert_eq!(self.settle(roles).await, [""; 0], "a second look must find nothing");
        first
    }
}

/// Plans, runs, and returns what was run; nothing may fail.
async fn sync(postgres: &Postgres, at: &Endpoint, roles: &RoleSet, passwords: &Passwords) -> Vec<Statement> {
    let statements = plan(roles, passwords, &catalog(postgres, at).await);
    let failures = postgres.run(at, &statements).await.unwrap();
    assert!(failures.is_empty(), "{failures:#?}");
    statements
}

/// Logs in and comes back; the operator's own catalog is for the superuser only, so being refused there is enough. A
/// wrong password is 28P01, a role that may not log in 28000.
async fn logs_in(postgres: &Postgres, at: &Endpoint, user: &str, password: &str, database: &str) -> bool {
    let at =
        Endpoint { user: user.into(), password: password.into(), database: database.into(), ..at.clone() };
    match postgres.run(&at, &[created("intruder", &[])]).await {
        Ok(_) => true,
        Err(DatabaseError::Rejected { code, .. }) if code == "28P01" || code == "28000" => false,
        Err(other) => panic!("{other:?}"),
    }
}
