//! Judges a `PostgresTeam`: what is wrong with it by itself, and the circles that it makes with the others.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::{apart, merged, section, still_wrong};
use crate::api::{PostgresTeam, PostgresTeamSpec};
use crate::field::FieldErrors;
use crate::plan::Change;
use crate::{schema, validation};

/// Whether a `PostgresTeam` can be read, beside the `others` that are stored; and what of it deserves a second look.
///
/// # Errors
/// Everything that is wrong with a new one, or that an update makes wrong.
pub fn review_team(
    old: Option<&Value>,
    new: &Value,
    others: &[PostgresTeam],
) -> Result<Vec<Change>, FieldErrors> {
    if old.is_some_and(|old| old.get("spec") == new.get("spec")) {
        return Ok(Vec::new());
    }
    let (team, found) = examine_team(new);
    let before = old.map(|old| examine_team(old).1).unwrap_or_default();
    let (errors, standing) = apart(found, &before);
    errors.into_result()?;
    let mut changes = still_wrong(&standing);
    changes.extend(validation::circles(&team, others));
    Ok(changes)
}

/// A stored `PostgresTeam` as far as it can be read: what it says counts, whatever else is wrong with it.
pub fn readable_team(team: &Value) -> PostgresTeam {
    examine_team(team).0
}

/// A `PostgresTeam` as far as it can be read, and all that is wrong with it.
fn examine_team(team: &Value) -> (PostgresTeam, FieldErrors) {
    let violations = schema::team_violations(team);
    let mut unreadable = FieldErrors::default();
    let rest = schema::readable_part(team, &violations);
    let metadata = section::<ObjectMeta>(&rest, "metadata", &mut unreadable);
    let spec = section::<PostgresTeamSpec>(&rest, "spec", &mut unreadable);
    let team = PostgresTeam { metadata, spec, status: None };
    let mut checked = FieldErrors::default();
    validation::team(&team, &mut checked);
    (team, merged(violations, unreadable, &checked))
}
