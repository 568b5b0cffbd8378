//! Roles and databases, once a primary answers.
//!
//! Two pure questions to `shared::roles` with a read and a write around them. A role whose Secret is not there yet is
//! made at the next look.

use k8s_openapi::api::core::v1::Secret;
use shared::build::PASSWORD_KEY;
use shared::cluster::Cluster;
use shared::names::{self, MemberRole};
use shared::roles::{self, Passwords, password};

use crate::context::Context;
use crate::database::{Binding, DatabaseError, Endpoint};

use super::observe::Seen;
use super::{Error, told};

/// Makes what the database lacks.
pub(super) async fn database(cluster: &Cluster, seen: &Seen, ctx: &Context) -> Result<(), Error> {
    if cluster.is_standby() || !cluster.policy().database_access {
        return Ok(());
    }
    let Some(at) = endpoint(cluster, seen) else { return Ok(()) };
    let catalog = ctx.database.catalog(&at).await.map_err(failed("read the catalog"))?;
    let statements = roles::plan(cluster.roles(), &passwords(cluster, seen)?, &catalog);
    if statements.is_empty() {
        return Ok(());
    }
    tracing::info!(statements = statements.len(), "changing roles and databases");
    let failures = ctx.database.run(&at, &statements).await.map_err(failed("change roles and databases"))?;
    let Some((first, others)) = failures.split_first() else { return Ok(()) };
    others.iter().for_each(|failure| tracing::warn!(error = told(failure), "a statement failed"));
    Err(Error::Statements { first: told(first), others: others.len() })
}

fn failed(act: &'static str) -> impl FnOnce(DatabaseError) -> Error {
    move |source| Error::Database { act, source }
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
        password: text(seen.secrets.get(&cluster.secret_name(user))?, PASSWORD_KEY)?,
        server_name: format!("{service}.{}.svc", identity.namespace),
        binding: Binding::Preferred,
    })
}

/// The passwords in the Secrets, each with fresh salt should its role need a new verifier.
fn passwords(cluster: &Cluster, seen: &Seen) -> Result<Passwords, Error> {
    let mut passwords = Passwords::default();
    for role in cluster.roles().roles.iter().filter(|role| role.wants_password) {
        let secret = seen.secrets.get(&cluster.secret_name(role.name.as_str()));
        let Some(password) = secret.and_then(|secret| text(secret, PASSWORD_KEY)) else { continue };
        let mut salt = [0_u8; 16];
        getrandom::fill(&mut salt).map_err(Error::Random)?;
        passwords.of.insert(role.name.clone(), password::Credential { password, salt });
    }
    Ok(passwords)
}

fn text(secret: &Secret, key: &str) -> Option<String> {
    String::from_utf8(secret.data.as_ref()?.get(key)?.0.clone()).ok()
}
