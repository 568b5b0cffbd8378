//! The kind `PostgresTeam`: who belongs to a team, where no team service says it.
//!
//! All of them in the watched namespaces are read together: the same team may be named in several, and what they say
//! adds up. A value may be null, which upstream's own kind does not take.

#![allow(clippy::duplicated_attributes, reason = "kube's derive is named for each item")]

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

/// Further members and further teams of teams.
#[skip_serializing_none]
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "acid.zalan.do",
    version = "v1",
    kind = "PostgresTeam",
    plural = "postgresteams",
    singular = "postgresteam",
    shortname = "pgteam",
    category = "all",
    namespaced,
    status = "super::schema::Anything",
    derive = "PartialEq",
    derive = "Default",
    doc = "Members and teams that are added to the teams of PostgreSQL clusters.",
    label("app.kubernetes.io/name", "postgres-operator"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct PostgresTeamSpec {
    /// For a team, the teams whose members are superusers in its clusters.
    pub additional_superuser_teams: Option<BTreeMap<String, Option<Vec<String>>>>,
    /// For a team, the teams whose members also get roles in its clusters.
    pub additional_teams: Option<BTreeMap<String, Option<Vec<String>>>>,
    /// For a team, the users who also get roles in its clusters.
    pub additional_members: Option<BTreeMap<String, Option<Vec<String>>>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::CustomResourceExt;

    #[test]
    fn the_kind_is_known_by_its_old_names() {
        let crd = PostgresTeam::crd();
        assert_eq!(crd.metadata.name.as_deref(), Some("postgresteams.acid.zalan.do"));
        assert_eq!(crd.spec.names.short_names, Some(vec!["pgteam".to_owned()]));
    }

    #[test]
    fn members_are_read_as_users_write_them() {
        let team: PostgresTeam = serde_saphyr::from_str(
            "apiVersion: acid.zalan.do/v1\nkind: PostgresTeam\nmetadata: {name: all}\n\
             spec: {additionalMembers: {acid: [elephant], empty: }, additionalTeams: {acid: [ops]}}",
        )
        .unwrap();
        let members = team.spec.additional_members.unwrap();
        assert_eq!(members.get("acid"), Some(&Some(vec!["elephant".to_owned()])));
        assert_eq!(members.get("empty"), Some(&None));
        assert_eq!(team.spec.additional_superuser_teams, None);
    }
}
