//! What the operator is told when it starts. The environment variables are upstream's.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use shared::config::Environment;

use crate::config::Source;

/// Keeps PostgreSQL clusters as their manifests say.
#[derive(Clone, Debug, Parser)]
#[command(name = "operator", version, about, args_conflicts_with_subcommands = true)]
pub struct CommandLine {
    /// What to do; without a word, `run`.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The flags of `run`.
    #[command(flatten)]
    pub run: Args,
}

/// What the operator can do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Look after the clusters.
    Run(Box<Args>),
    /// Print the objects that manifests become, with no cluster.
    Render(Render),
    /// Tell what taking over the clusters of Zalando's operator would change. Ends with 1 if something needs attention.
    Adopt(Adopt),
}

/// What to look at before a switch.
#[derive(Clone, Debug, clap::Args)]
pub struct Adopt {
    /// Look and change nothing; there is no other way, because taking over is what the running operator does.
    #[arg(long, required = true)]
    pub check: bool,
    /// Read YAML files from this folder, as `kubectl get --output yaml` writes them, instead of a cluster.
    #[arg(long, value_name = "FOLDER")]
    pub from: Option<PathBuf>,
    /// Also tell which rights this service account lacks, as `namespace:name`.
    #[arg(long, value_name = "ACCOUNT")]
    pub service_account: Option<String>,
    /// Where to look, and by which configuration.
    #[command(flatten)]
    pub place: Place,
}

/// Where the configuration and the clusters are. The same names as those of `run`.
#[derive(Clone, Debug, clap::Args)]
pub struct Place {
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
}

impl Place {
    /// Where the configuration is.
    pub fn source(&self) -> Source {
        Source::named(&self.configuration_object, &self.config_map, &self.namespace)
    }

    /// What overrides the configuration.
    pub fn overrides(&self) -> Environment {
        Environment { watched_namespace: self.watched_namespace.clone(), ..Environment::default() }
    }
}

/// What to print.
#[derive(Clone, Debug, clap::Args)]
pub struct Render {
    /// Files with manifests; `-` for standard input.
    #[arg(short, long = "file", value_name = "FILE", required = true, num_args = 1..)]
    pub files: Vec<PathBuf>,
    /// File with the operator's configuration, of either kind; the ConfigMap's defaults without it.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// How to look after clusters.
#[derive(Clone, Debug, clap::Args)]
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
    /// Answer every question of the REST API to everybody, as upstream does: for tools that send no token, such as
    /// Zalando's UI. Secrets are hidden all the same.
    #[arg(long, env = "OPEN_API")]
    pub open_api: bool,
    /// Wait for the lease before acting; off for an operator that is known to be alone.
    #[arg(long, env = "LEADER_ELECTION", default_value_t = true, action = clap::ArgAction::Set)]
    pub leader_election: bool,
    /// The lease, in the operator's own namespace. Operators that share the namespace and not the work need one each.
    #[arg(long, env = "LEASE_NAME", default_value = "postgres-operator")]
    pub lease: String,
    /// Divide the clusters into so many shards; the operators that run share them. All must be told the same number.
    #[arg(long, env = "SHARDS", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub shards: u32,
    /// Who we are in the lease, different for each process: the pod's name. Without one a name is drawn.
    #[arg(long, env = "POD_NAME")]
    pub identity: Option<String>,
    /// API key of the deprecated Scalyr sidecar.
    #[arg(long, env = "SCALYR_API_KEY", hide = true, hide_env_values = true)]
    pub scalyr_api_key: Option<String>,
}

impl Args {
    /// Who we are, where we were told.
    pub fn identity(&self) -> Option<String> {
        self.identity.clone().filter(|identity| !identity.is_empty())
    }

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

#[cfg(test)]
#[allow(clippy::panic, clippy::unwrap_used, reason = "a test may be blunt")]
mod tests {
    use super::*;

    fn parsed(line: &[&str]) -> CommandLine {
        CommandLine::try_parse_from(line).unwrap()
    }

    #[test]
    fn without_a_word_the_operator_runs() {
        let line = parsed(&["operator", "--namespace", "pg", "--nodatabaseaccess"]);
        assert!(line.command.is_none());
        assert_eq!((line.run.namespace.as_str(), line.run.no_database_access), ("pg", true));
    }

    #[test]
    fn run_takes_the_same_flags() {
        let Some(Command::Run(run)) = parsed(&["operator", "run", "--namespace", "pg"]).command else {
            panic!("not run")
        };
        assert_eq!(run.namespace, "pg");
    }

    #[test]
    fn adopt_only_checks_and_says_so() {
        let line =
            parsed(&["operator", "adopt", "--check", "--from", "dump", "--config-map", "zalando/operator"]);
        let Some(Command::Adopt(adopt)) = line.command else { panic!("not adopt") };
        assert_eq!(adopt.place.source(), Source::ConfigMap("zalando".into(), "operator".into()));
        let error = CommandLine::try_parse_from(["operator", "adopt"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn render_takes_many_files() {
        let line = parsed(&["operator", "render", "-f", "a.yaml", "b.yaml", "--config", "c.yaml"]);
        let Some(Command::Render(render)) = line.command else { panic!("not render") };
        assert_eq!(render.files, [PathBuf::from("a.yaml"), PathBuf::from("b.yaml")]);
        assert!(CommandLine::try_parse_from(["operator", "render"]).is_err());
    }
}
