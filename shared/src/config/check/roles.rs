//! Roles that the operator itself needs, and where people come from.

use crate::config::OperatorConfig;
use crate::config::reading::Findings;

/// The longest name that PostgreSQL keeps whole.
const LONGEST_ROLE: usize = 63;

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
