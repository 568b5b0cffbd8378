//! The groups `users` and `teams_api`: system roles, human roles, password rotation.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The group `users`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Users {
    /// Name of the superuser.
    pub super_username: String,
    /// Name of the role that replicas connect with.
    pub replication_username: String,
    /// Roles that become members of every database owner.
    pub additional_owner_roles: Vec<String>,
    /// Rotate the passwords of login roles from manifests.
    pub enable_password_rotation: bool,
    /// Days between two rotations, at least 1.
    pub password_rotation_interval: u32,
    /// Days after which a rotated-out user is dropped; at least twice password_rotation_interval, or it is
    /// raised to that.
    pub password_rotation_user_retention: u32,
    /// Take away what nobody asks for any more: powers and memberships of the cluster's roles, and the login of users
    /// that left the manifest. Otherwise the status tells them. Nothing is dropped either way.
    pub enable_strict_revocation: bool,
}

impl Default for Users {
    fn default() -> Self {
        Self {
            super_username: "postgres".into(),
            replication_username: "standby".into(),
            additional_owner_roles: Vec::new(),
            enable_password_rotation: false,
            password_rotation_interval: 90,
            password_rotation_user_retention: 180,
            enable_strict_revocation: false,
        }
    }
}

/// The group `teams_api`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TeamsApi {
    /// Ask the Teams API for the members of a cluster's team and create their roles.
    pub enable_teams_api: bool,
    /// Address of the Teams API; `teams/<team>` is appended.
    pub teams_api_url: String,
    /// Role parameters of human roles, name to value.
    pub team_api_role_configuration: BTreeMap<String, String>,
    /// Members of the owning team become superusers.
    pub enable_team_superuser: bool,
    /// Role granted to team members, and with its admin option to manifest roles; empty: none.
    pub team_admin_role: Option<String>,
    /// Give the team_admin_role the admin option on roles from manifests.
    pub enable_admin_role_for_users: bool,
    /// Group role of all humans; pg_hba lets its members log in with OAuth.
    pub pam_role_name: String,
    /// Arguments of the OAuth PAM module: token endpoint, uid, realm.
    pub pam_configuration: String,
    /// Names for which no role is created, whoever asks.
    pub protected_role_names: Vec<String>,
    /// Teams whose members are superusers in every cluster.
    pub postgres_superuser_teams: Vec<String>,
    /// Appended to the role name of a former member when enable_team_member_deprecation is on.
    pub role_deletion_suffix: String,
    /// Rename the roles of former members and take away their login.
    pub enable_team_member_deprecation: bool,
    /// Read PostgresTeam resources for additional teams and members.
    pub enable_postgres_team_crd: bool,
    /// Let PostgresTeam resources name additional superuser teams.
    pub enable_postgres_team_crd_superusers: bool,
}

impl Default for TeamsApi {
    fn default() -> Self {
        Self {
            enable_teams_api: true,
            teams_api_url: "https://teams.example.com/api/".into(),
            team_api_role_configuration: BTreeMap::from([("log_statement".into(), "all".into())]),
            enable_team_superuser: false,
            team_admin_role: Some("admin".into()),
            enable_admin_role_for_users: true,
            pam_role_name: "zalandos".into(),
            pam_configuration: "https://info.example.com/oauth2/tokeninfo?access_token= uid realm=/employees"
                .into(),
            protected_role_names: vec!["admin".into(), "cron_admin".into()],
            postgres_superuser_teams: Vec::new(),
            role_deletion_suffix: "_deleted".into(),
            enable_team_member_deprecation: false,
            enable_postgres_team_crd: false,
            enable_postgres_team_crd_superusers: false,
        }
    }
}
