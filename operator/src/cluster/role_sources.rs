//! Roles that others give a cluster: infrastructure roles and people, as far as they can be read.
//!
//! Surprising: nothing here fails a reconcile. What cannot be read is told, and the rest of the cluster goes on.

use std::collections::BTreeMap;

use shared::api::Postgresql;
use shared::cluster::References;
use shared::config::OperatorConfig;
use shared::roles::infrastructure;
use shared::roles::team::{self, Answer};

use crate::context::Context;
use crate::team::{Answers, token};

/// Fills in the roles and people; what could not be read.
pub(super) async fn fill_in(
    references: &mut References,
    manifest: &Postgresql,
    config: &OperatorConfig,
    ctx: &Context,
) -> Vec<String> {
    if manifest.spec.standby.is_some() {
        return Vec::new(); // it has its source's roles
    }
    let sources = &ctx.stores.role_sources;
    let definitions = infrastructure::definitions(config);
    let read: Vec<_> = definitions
        .into_iter()
        .map(|definition| {
            let secret = &definition.secretname;
            let sources = sources.infrastructure(secret.namespace_or(&ctx.namespace), &secret.name);
            (definition, sources)
        })
        .collect();
    let given = infrastructure::read(read.iter().map(|(definition, sources)| (definition, sources)));
    references.infrastructure_roles = given.roles;
    references.lacks_infrastructure_roles = !given.problems.is_empty();
    let mut problems = given.problems;

    let teams = &config.teams_api;
    // Where the kind is not installed nothing is read, and that is no problem of a cluster.
    let (directory, unreadable) = sources.directory().map(|read| (read.directory, read.unreadable)).unzip();
    let unreadable = unreadable.unwrap_or_default();
    problems
        .extend(unreadable.iter().map(|place| format!("PostgresTeam {place} cannot be read; correct it")));
    let asked = team::asked(&manifest.spec.team_id, directory.as_ref(), teams);
    let answers = if team::has_api(teams) {
        let secret = &config.kubernetes.oauth_token_secret_name;
        let token = async || token(&ctx.client, secret, &ctx.namespace).await;
        let Answers { of, problems: failed } =
            ctx.teams.answers(&teams.teams_api_url, asked.keys(), token).await;
        problems.extend(failed);
        of
    } else {
        BTreeMap::<String, Answer>::new()
    };
    references.people = team::people(&asked, directory.as_ref(), &answers, teams);
    references.people.complete &= unreadable.is_empty();
    problems
}
