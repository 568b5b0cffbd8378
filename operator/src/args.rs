//! What the operator is told when it starts. The environment variables are upstream's.

use clap::Parser;
use shared::config::Environment;

/// Keeps PostgreSQL clusters as their manifests say.
#[derive(Clone, Debug, Parser)]
#[command(name = "operator", version, about)]
pub struct Args {
    /// Read the configuration from this `OperatorConfiguration` in the operator's namespace.
    #[arg(long, env = "POSTGRES_OPERATOR_CONFIGURATION_OBJECT")]
    pub configuration_object: Option<String>,
    /// Read the configuration from this ConfigMap, `[namespace/]name`. Not looked at where an object is named.
    #[arg(long, env = "CONFIG_MAP_NAME")]
    pub config_map: Option<String>,
    /// The operator's own namespace.
    #[arg(long, env = "OPERATOR_NAMESPACE", default_value = "default")]
    pub namespace: String,
    /// The namespace whose manifests are served, `*` for all. Wins over the configuration.
    #[arg(long, env = "WATCHED_NAMESPACE")]
    pub watched_namespace: Option<String>,
    /// Serve only manifests whose annotation `acid.zalan.do/controller` holds this.
    #[arg(long, env = "CONTROLLER_ID")]
    pub controller_id: Option<String>,
    /// Do not connect to databases.
    #[arg(long = "nodatabaseaccess")]
    pub no_database_access: bool,
    /// Do not ask the Teams API.
    #[arg(long = "noteamsapi")]
    pub no_teams_api: bool,
    /// Where probes and metrics are served.
    #[arg(long, env = "LISTEN", default_value = "[::]:8080")]
    pub listen: String,
    /// Wait for the lease before acting; off for an operator that is known to be alone.
    #[arg(long, env = "LEADER_ELECTION", default_value_t = true, action = clap::ArgAction::Set)]
    pub leader_election: bool,
    /// Who we are in the lease: the pod's name.
    #[arg(long, env = "POD_NAME", default_value = "operator")]
    pub identity: String,
    /// API key of the deprecated Scalyr sidecar.
    #[arg(long, env = "SCALYR_API_KEY", hide = true, hide_env_values = true)]
    pub scalyr_api_key: Option<String>,
}

impl Args {
    /// What overrides the configuration, whatever it says.
    pub fn overrides(&self) -> Environment {
        Environment {
            watched_namespace: self.watched_namespace.clone(),
            scalyr_api_key: self.scalyr_api_key.clone(),
            no_database_access: self.no_database_access,
            no_teams_api: self.no_teams_api,
        }
    }
}
