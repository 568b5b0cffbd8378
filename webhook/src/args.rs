//! Flags and environment variables.
//!
//! The operator's configuration is named by the variables that upstream's operator uses, with its precedence:
//! an `OperatorConfiguration` before a `ConfigMap`, and built-in defaults when neither is named.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use shared::admission::policy::{self, Policy};

use crate::configuration::{Place, Source};
use crate::offline::report::Format;
use crate::surroundings::Reach;

/// The admission webhook of the Postgres operator.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The things this program does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Answer the API server's reviews.
    Serve(Serve),
    /// Judge manifests in files, with no cluster, in the same words.
    Validate(Validate),
    /// Say what changed manifests will do to their clusters, with no cluster, in the words of the warnings.
    Plan(Plan),
}

/// How to serve.
#[derive(Clone, Debug, clap::Args)]
pub struct Serve {
    /// Address for reviews (HTTPS).
    #[arg(long, env = "WEBHOOK_LISTEN", default_value = "0.0.0.0:8443")]
    pub listen: SocketAddr,
    /// Address for probes and metrics (HTTP).
    #[arg(long, env = "WEBHOOK_PROBES", default_value = "0.0.0.0:8080")]
    pub probes: SocketAddr,
    /// Directory with tls.crt and tls.key.
    #[arg(long, env = "WEBHOOK_TLS_DIR", default_value = "/etc/webhook/tls")]
    pub tls_dir: PathBuf,
    /// Namespace of the configuration, unless it names its own.
    #[arg(long, env = "OPERATOR_NAMESPACE", default_value = "postgres-operator")]
    pub namespace: String,
    /// Name of the OperatorConfiguration.
    #[arg(long, env = "POSTGRES_OPERATOR_CONFIGURATION_OBJECT", default_value = "")]
    pub configuration_object: String,
    /// Name of the ConfigMap, `[namespace/]name`; ignored when an OperatorConfiguration is named.
    #[arg(long, env = "CONFIG_MAP_NAME", default_value = "")]
    pub config_map: String,
    /// The namespace whose objects are watched, for warnings and previews; `*` or nothing for all.
    #[arg(long, env = "WATCHED_NAMESPACE", default_value = "")]
    pub watched_namespace: String,
    /// Also watch the names of Secrets, to warn of those that are missing. Needs the right to list Secrets in all
    /// namespaces, which includes the right to read them.
    #[arg(long, env = "WEBHOOK_WATCH_SECRETS", default_value_t = false)]
    pub watch_secrets: bool,
    /// What is refused beyond what is wrong.
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// Seconds between "not ready" and closing the listeners, for others to learn of it.
    #[arg(long, env = "WEBHOOK_DRAIN_SECONDS", default_value_t = 5)]
    pub drain_seconds: u64,
}

/// What is refused beyond what is wrong; nothing by default. What a manifest has had before is only warned of.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct PolicyArgs {
    /// Refuse manifests with sidecars.
    #[arg(long, env = "WEBHOOK_REFUSE_SIDECARS")]
    pub refuse_sidecars: bool,
    /// Refuse manifests with init containers.
    #[arg(long, env = "WEBHOOK_REFUSE_INIT_CONTAINERS")]
    pub refuse_init_containers: bool,
    /// Refuse containers that are privileged, may become so, or add capabilities.
    #[arg(long, env = "WEBHOOK_REFUSE_PRIVILEGES")]
    pub refuse_privileges: bool,
    /// The kinds of volumes that additionalVolumes may have, for example configMap,emptyDir,secret; every kind without it.
    #[arg(long, env = "WEBHOOK_ALLOWED_VOLUMES", value_delimiter = ',', value_name = "KINDS")]
    #[arg(value_parser = policy::volume_kind)]
    pub allowed_volumes: Vec<String>,
    /// Where images may come from: registries, or parts of them such as registry.example.com/team; anywhere without it.
    #[arg(long, env = "WEBHOOK_ALLOWED_REGISTRIES", value_delimiter = ',', value_name = "REGISTRIES")]
    #[arg(value_parser = policy::registry)]
    pub allowed_registries: Vec<String>,
}

impl PolicyArgs {
    /// The policy that they ask for.
    pub fn policy(&self) -> Policy {
        Policy {
            refuse_sidecars: self.refuse_sidecars,
            refuse_init_containers: self.refuse_init_containers,
            refuse_privileges: self.refuse_privileges,
            allowed_volumes: self.allowed_volumes.clone(),
            allowed_registries: self.allowed_registries.clone(),
        }
    }
}

impl Serve {
    /// How far to look.
    pub fn reach(&self) -> Reach {
        let one =
            (!matches!(self.watched_namespace.as_str(), "" | "*")).then(|| self.watched_namespace.clone());
        Reach { namespace: one, secrets: self.watch_secrets }
    }

    /// Where the operator's configuration comes from.
    pub fn source(&self) -> Source {
        match (self.configuration_object.as_str(), self.config_map.as_str()) {
            ("", "") => Source::Defaults,
            ("", map) => Source::ConfigMap(Place::read(map, &self.namespace)),
            (object, _) => Source::Object(Place::read(object, &self.namespace)),
        }
    }
}

/// What to judge.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Validate {
    /// File or folder with manifests, teams or an operator configuration; `-` for standard input. May be repeated.
    #[arg(short, long, value_name = "PATH")]
    pub file: Vec<PathBuf>,
    /// More of them: hooks append the files that are committed.
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// File or folder with the objects as they are stored, for what the change is going to do.
    #[arg(long, value_name = "PATH", conflicts_with = "against")]
    pub old: Option<PathBuf>,
    /// A kubeconfig: the objects as they are stored in its cluster.
    #[arg(long, value_name = "KUBECONFIG")]
    pub against: Option<PathBuf>,
    /// File with the operator configuration (either kind); the built-in defaults without it.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The form of the report.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
    /// Pass over files that are no YAML, and be content when there is nothing to judge.
    #[arg(long)]
    pub pass_over: bool,
    /// What is refused beyond what is wrong.
    #[command(flatten)]
    pub policy: PolicyArgs,
}

impl Validate {
    /// Everything that is to be judged.
    pub fn files(&self) -> Vec<PathBuf> {
        self.file.iter().chain(&self.paths).cloned().collect()
    }
}

/// What to compare.
#[derive(Clone, Debug, clap::Args)]
pub struct Plan {
    /// File with the manifests as they shall be; `-` for standard input.
    #[arg(short, long, value_name = "FILE")]
    pub file: PathBuf,
    /// File with the manifests as they are.
    #[arg(long, value_name = "FILE")]
    pub old: PathBuf,
    /// File with the operator configuration (either kind); the built-in defaults without it.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What is refused beyond what is wrong.
    #[command(flatten)]
    pub policy: PolicyArgs,
}
