//! Roles that the operator itself needs, and where people come from.

use crate::config::OperatorConfig;
use crate::config::reading::Findings;
use crate::settings::{self, Context};
use crate::version::PostgresVersion;

/// The longest name that PostgreSQL keeps whole.
const LONGEST_ROLE: usize = 63;

/// How much a name may grow by when its owner has left.
const LONGEST_SUFFIX: usize = 20;

/// The three system roles are three, and nobody is kept from creating them.
pub(super) fn system_roles(config: &OperatorConfig, findings: &mut Findings) {
    let (superuser, replication) = (&config.users.super_username, &config.users.replication_username);
    let pooler = &config.connection_pooler.user;
    if superuser == replication {
        findings.error("replication_username", "is also super_username; they must be two roles");
    }
    for (other, name) in [("super_username", superuser), ("replication_username", replication)] {
        if pooler == name {
            let message = format!("is also {other}; a pooler must not own that role's rights");
            findings.error("connection_pooler_user", message);
        }
    }
    if config.teams_api.protected_role_names.contains(pooler) {
        findings
            .error("connection_pooler_user", "is among protected_role_names, so it would never be created");
    }
    for (leaf, name) in [
        ("super_username", superuser),
        ("replication_username", replication),
        ("connection_pooler_user", pooler),
        ("connection_pooler_schema", &config.connection_pooler.schema),
        ("pam_role_name", &config.teams_api.pam_role_name),
    ] {
        if name.len() > LONGEST_ROLE || name.trim() != name {
            findings.error(leaf, format!("is {name:?}; write a name of at most {LONGEST_ROLE} bytes"));
        }
    }
}

/// What is made of people: names that stay names when one leaves, parameters that roles can have.
pub(super) fn team_roles(config: &OperatorConfig, findings: &mut Findings) {
    let teams = &config.teams_api;
    let suffix = &teams.role_deletion_suffix;
    if suffix.len() > LONGEST_SUFFIX || suffix.contains(char::is_whitespace) {
        let message =
            format!("is {suffix:?}; write at most {LONGEST_SUFFIX} characters without blanks, like _deleted");
        findings.error("role_deletion_suffix", message);
    }
    for (leaf, roles) in [
        ("protected_role_names", &teams.protected_role_names),
        ("postgres_superuser_teams", &teams.postgres_superuser_teams),
        ("additional_owner_roles", &config.users.additional_owner_roles),
    ] {
        for name in roles {
            if name.len() > LONGEST_ROLE || name.contains(char::is_whitespace) {
                findings.error(
                    leaf,
                    format!("has {name:?}; write names of at most {LONGEST_ROLE} bytes without blanks"),
                );
            }
        }
    }
    for (name, value) in &teams.team_api_role_configuration {
        let leaf = "team_api_role_configuration";
        match settings::find(name, PostgresVersion::NEWEST) {
            None if name.contains('.') => {}
            None => {
                let meant = settings::closest(name, PostgresVersion::NEWEST);
                let meant = meant.map_or_else(String::new, |meant| format!("; did you mean {meant}?"));
                findings.error(leaf, format!("has {name}, which is no parameter of PostgreSQL{meant}"));
            }
            Some(setting) if setting.context != Context::Reload => {
                findings.error(leaf, format!("has {name}, which cannot be set for a role; remove it"));
            }
            Some(setting) => {
                if let Err(message) = setting.read(value) {
                    findings.error(leaf, format!("has {name}:{value}: {value:?} {message}"));
                }
            }
        }
    }
}

/// The Teams API has an address.
pub(super) fn teams_api(config: &OperatorConfig, findings: &mut Findings) {
    let url = &config.teams_api.teams_api_url;
    if !url.starts_with("http://") && !url.starts_with("https://") {
        findings.error(
            "teams_api_url",
            format!("is {url:?}; write an address like https://teams.example.com/api/"),
        );
    }
}
