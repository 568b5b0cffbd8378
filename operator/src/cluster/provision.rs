//! Roles and databases, and what is inside the databases, once a primary answers.
//!
//! Pure questions to `shared::roles` with reads and writes around them: first the server, in one connection, then each
//! database that has to be visited, in one of its own. Surprising: nothing here is all or nothing. A role whose Secret is
//! not there yet is made at the next look, and whatever fails is told while the rest goes on.

use std::collections::BTreeSet;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use kube::runtime::reflector::ObjectRef;
use shared::build::PASSWORD_KEY;
use shared::cluster::Cluster;
use shared::names::{self, MemberRole};
use shared::roles::{
    self, Catalog, DatabaseName, Passwords, RoleName, RoleSet, Skipped, Statement, Surplus, contents,
    password, rotation,
};

use crate::context::Context;
use crate::database::{Binding, DatabaseError, Endpoint, Failure};

use super::credentials;
use super::logins::{self, Logins};
use super::observe::Seen;
use super::{Error, told};

/// How many databases of one cluster are looked into at once.
const AT_ONCE: usize = 4;

/// How far it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Provisioned {
    /// The database holds everything that is wanted, publications for event streams included.
    Everything {
        /// What it grants beyond that, and keeps.
        beyond: Vec<String>,
        /// Whether a role waits for its Secret.
        awaited: bool,
    },
    /// Nothing was done: there is no primary yet, or the cluster's databases are none of our business.
    Nothing,
}

/// Makes what the server and its databases lack.
///
/// # Errors
/// Everything that could not be made, told in one go; what could be made has been.
pub(super) async fn database(cluster: &Cluster, seen: &Seen, ctx: &Context) -> Result<Provisioned, Error> {
    if cluster.is_standby() || !cluster.policy().database_access {
        return Ok(Provisioned::Nothing);
    }
    let Some(at) = endpoint(cluster, seen) else { return Ok(Provisioned::Nothing) };
    let Server { catalog, mut problems, beyond, awaited } = server(cluster, seen, &at, ctx).await?;
    problems.extend(left_out(cluster.roles(), &catalog));
    let visits = contents::visits(cluster.roles(), &catalog);
    let inside = |name| inside(cluster.roles(), name, &catalog, &at, ctx).boxed();
    let visits: Vec<BoxFuture<'_, Vec<String>>> = visits.iter().map(inside).collect();
    let visited: Vec<Vec<String>> = stream::iter(visits).buffered(AT_ONCE).collect().await;
    problems.extend(visited.into_iter().flatten());
    if problems.is_empty() {
        Ok(Provisioned::Everything { beyond, awaited })
    } else {
        Err(Error::Provision(problems))
    }
}

fn failed(act: &'static str) -> impl FnOnce(DatabaseError) -> Error {
    move |source| Error::Database { act, source }
}

/// A server whose roles and databases were made.
struct Server {
    /// The catalog as it is after that.
    catalog: Catalog,
    /// What could not be made.
    problems: Vec<String>,
    /// What it grants beyond the manifest, and keeps.
    beyond: Vec<String>,
    /// Whether a role waits for its Secret.
    awaited: bool,
}

/// Makes roles and databases.
async fn server(cluster: &Cluster, seen: &Seen, at: &Endpoint, ctx: &Context) -> Result<Server, Error> {
    let read = "read the catalog";
    let catalog = ctx.database.catalog(at).await.map_err(failed(read))?;
    let logins = logins::read(cluster, seen, ctx)?;
    let wanted = rotation::with_stand_ins(cluster.roles(), &logins.of, &catalog);
    let known = format!("{}/{}", cluster.identity().namespace, cluster.identity().name);
    let passwords = passwords(cluster, &logins, &catalog, &known, ctx)?;
    let mut statements = roles::plan(&wanted, &passwords, &catalog);
    remember(&logins, &statements, &catalog, &known, ctx);
    statements.extend(rotation::expired(&wanted, &logins.of, &catalog, cluster.rotation(), ctx.now()));
    let surplus = roles::surplus(&wanted, &catalog, &former_users(cluster, &wanted, &catalog, ctx));
    let (revoked, kept) =
        if cluster.policy().strict_revocation { (surplus, Vec::new()) } else { (Vec::new(), surplus) };
    statements.extend(revoked.iter().map(Surplus::revoked));
    let failures = run(at, &statements, ctx).await?;
    let awaited = logins.awaited;
    let written = logins.write(&failures, ctx).await;
    let mut problems: Vec<String> = failures.iter().map(|failure| told(failure)).collect();
    problems.extend(logins.problems);
    problems.extend(written.err().map(|error| told(&error)));
    let catalog = match statements.as_slice() {
        [] => catalog,
        _ => ctx.database.catalog(at).await.map_err(failed(read))?,
    };
    Ok(Server { catalog, problems, beyond: kept.iter().map(ToString::to_string).collect(), awaited })
}

/// The roles that nobody asks for any more and that have a Secret of this cluster: they were its users.
fn former_users(cluster: &Cluster, wanted: &RoleSet, catalog: &Catalog, ctx: &Context) -> BTreeSet<RoleName> {
    let namespace = cluster.identity().namespace.as_str();
    let has_secret = |role: &&RoleName| {
        let secret = ObjectRef::new(&cluster.secret_name(role.as_str())).within(namespace);
        ctx.stores.secrets.get(&secret).is_some_and(|secret| credentials::belongs(&secret, cluster))
    };
    let unasked = catalog.roles.keys().filter(|role| wanted.role(role).is_none());
    unasked.filter(has_secret).cloned().collect()
}

async fn run(at: &Endpoint, statements: &[Statement], ctx: &Context) -> Result<Vec<Failure>, Error> {
    if statements.is_empty() {
        return Ok(Vec::new());
    }
    tracing::info!(statements = statements.len(), database = at.database, "changing the database");
    let failures = ctx.database.run(at, statements).await.map_err(failed("change the database"))?;
    failures.iter().for_each(|failure| tracing::warn!(error = told(failure), "a statement failed"));
    Ok(failures)
}

/// Makes what one database lacks; what could not be made.
async fn inside(
    roles: &RoleSet,
    name: &DatabaseName,
    catalog: &Catalog,
    server: &Endpoint,
    ctx: &Context,
) -> Vec<String> {
    let at = server.in_database(name);
    let existing = match ctx.database.contents(&at).await.map_err(failed("look into it")) {
        Ok(existing) => existing,
        Err(error) => return vec![format!("database {name}: {}", told(&error))],
    };
    let statements = contents::plan(&contents::wanted(roles, name), catalog, &existing);
    let statements: Vec<Statement> = statements.into_iter().map(Statement::Inside).collect();
    match run(&at, &statements, ctx).await {
        Ok(failures) => {
            failures.iter().map(|failure| format!("database {name}: {}", told(failure))).collect()
        }
        Err(error) => vec![format!("database {name}: {}", told(&error))],
    }
}

/// What was asked for and will never be made. A reserved user is not among it: that role exists, by another's hand.
fn left_out(roles: &RoleSet, catalog: &Catalog) -> Vec<String> {
    let missing = roles.skipped.iter().filter(|skipped| match skipped {
        Skipped::ReservedUser(_) => false,
        Skipped::UnfitName(_) | Skipped::Unreadable(_) => true,
        Skipped::UnknownOwner(database) => {
            catalog.databases.get(&database.name).is_none_or(|existing| existing.owner != database.owner)
        }
    });
    missing.map(ToString::to_string).collect()
}

/// The primary, as the superuser; `None` while no primary runs, or the superuser has no Secret.
fn endpoint(cluster: &Cluster, seen: &Seen) -> Option<Endpoint> {
    let leader = seen.observed.patroni.as_ref()?.members.leader().filter(|leader| leader.state.is_up())?;
    let pod = seen.observed.pod(&leader.name).filter(|pod| pod.running && !pod.terminating)?;
    let (identity, user) = (cluster.identity(), cluster.superuser());
    let service = names::service(&identity.name, MemberRole::Primary);
    Some(Endpoint {
        host: pod.address.clone()?,
        port: 5432,
        database: "postgres".to_owned(),
        user: user.to_owned(),
        password: logins::text(seen.secrets.get(&cluster.secret_name(user))?, PASSWORD_KEY)?,
        server_name: format!("{service}.{}.svc", identity.namespace),
        binding: Binding::Preferred,
    })
}

/// The passwords, each with fresh salt should its role need a new verifier.
fn passwords(
    cluster: &Cluster,
    logins: &Logins,
    catalog: &Catalog,
    known: &str,
    ctx: &Context,
) -> Result<Passwords, Error> {
    let mut passwords = Passwords { encryption: cluster.password_encryption(), ..Passwords::default() };
    for (role, password) in &logins.passwords {
        let mut salt = [0_u8; 16];
        getrandom::fill(&mut salt).map_err(Error::Random)?;
        let stored = catalog.roles.get(role).and_then(|existing| existing.verifier.clone());
        let proven = stored.filter(|stored| ctx.proofs.knows(known, role, password, stored));
        let credential = password::Credential { password: password.clone(), salt, proven };
        passwords.of.insert(role.clone(), credential);
    }
    Ok(passwords)
}

/// Remembers which verifiers were found to fit: those of roles that need no other password.
fn remember(logins: &Logins, statements: &[Statement], catalog: &Catalog, known: &str, ctx: &Context) {
    let changed: BTreeSet<&RoleName> = statements
        .iter()
        .filter_map(|statement| match statement {
            Statement::AlterRolePassword { name, .. } => Some(name),
            _ => None,
        })
        .collect();
    let fitting =
        logins.passwords.iter().filter(|(role, _)| !changed.contains(role)).filter_map(|(role, password)| {
            let stored = catalog.roles.get(role)?.verifier.as_ref()?;
            Some((role, password.as_str(), stored))
        });
    ctx.proofs.remember(known, fitting);
}
