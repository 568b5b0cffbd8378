//! The few settings whose default in an `OperatorConfiguration` is not the ConfigMap's.

use super::{NamespacedName, OperatorConfig};

impl OperatorConfig {
    /// What an empty `OperatorConfiguration` means.
    ///
    /// Upstream has two sets of defaults here: the schema's, and others when a whole group is left out (empty name
    /// formats, a load balancer for nobody, a move timeout of 10 minutes, bounds of 0 instances). Those others break
    /// clusters, so a group that is left out has the schema's defaults too.
    pub fn default_of_resource() -> Self {
        let mut config = Self::default();
        config.users.password_rotation_user_retention = 120;
        config.kubernetes.oauth_token_secret_name = NamespacedName::local("postgres-operator");
        config.load_balancer.enable_master_load_balancer = false;
        config.teams_api.enable_teams_api = false;
        config.teams_api.enable_postgres_team_crd = true;
        config
    }
}
