//! The objects that a manifest or the configuration names, already read.
//!
//! The operator reads them; the webhook has no right to read Secrets and works with [`References::unread`], on both
//! sides of a preview, so that what it cannot see cancels out.

use std::collections::BTreeMap;

use crate::roles::team::People;
use crate::roles::{GivenRole, RoleName};

/// What was found behind the names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    /// The keys of the configured pod environment Secret. Values stay in the Secret.
    pub environment_secret_keys: Vec<String>,
    /// The keys of the configured Secret with the logical backups' environment.
    pub backup_secret_keys: Vec<String>,
    /// The data of the configured pod environment ConfigMap.
    pub environment_config_map: BTreeMap<String, String>,
    /// The roles that every cluster has.
    pub infrastructure_roles: BTreeMap<RoleName, GivenRole>,
    /// Whether there may be more of them: a Secret or ConfigMap could not be read, or not as a whole.
    pub lacks_infrastructure_roles: bool,
    /// The members of the cluster's teams.
    pub people: People,
}

impl References {
    /// Nothing read.
    pub fn unread() -> Self {
        Self::default()
    }
}
