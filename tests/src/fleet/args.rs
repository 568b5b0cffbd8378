//! What a measurement is told when it starts.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// Measures a fleet of clusters on a control plane of its own, on loopback.
#[derive(Clone, Debug, Parser)]
#[command(name = "fleet", version, about)]
pub struct Args {
    /// How many clusters.
    #[arg(short = 'n', long, default_value_t = 200)]
    pub clusters: usize,
    /// Members of each.
    #[arg(long, default_value_t = 2)]
    pub members: usize,
    /// How many changes are timed, once while all is well and once beside stuck clusters.
    #[arg(long, default_value_t = 200)]
    pub changes: usize,
    /// Changes a second.
    #[arg(long, default_value_t = 10)]
    pub pace: u32,
    /// Of a hundred clusters, how many more are made that get stuck: their pods fit on no node.
    #[arg(long, default_value_t = 10)]
    pub stuck: usize,
    /// Lets the operator make one cluster and copies it in etcd: for many thousands. There are no controllers then, and what a
    /// new cluster costs and what stuck ones do is not measured.
    #[arg(long)]
    pub copied: bool,
    /// The webhook's program: also measures what it costs to know every manifest.
    #[arg(long, value_name = "PATH")]
    pub webhook: Option<PathBuf>,
    /// Seconds at rest for which requests are counted.
    #[arg(long, default_value_t = 600)]
    pub rest: u64,
    /// The operator's `workers`; its default where not given.
    #[arg(long)]
    pub workers: Option<u32>,
    /// First two numbers of the pods' addresses: a loopback network of its own.
    #[arg(long, default_value = "127.90", value_name = "N.N")]
    pub network: String,
    /// The operator's program. Built by cargo, without optimisation, where not given.
    #[arg(long, value_name = "PATH")]
    pub operator: Option<PathBuf>,
    /// A folder for the figures (`fleet.json`, `fleet.md`), the plot (`fleet.svg`) and the operator's log.
    #[arg(long, default_value = "target/fleet", value_name = "FOLDER")]
    pub output: PathBuf,
}

impl Args {
    /// For how long requests at rest are counted.
    pub fn at_rest(&self) -> Duration {
        Duration::from_secs(self.rest)
    }

    /// How many more clusters get stuck.
    pub fn stuck_clusters(&self) -> usize {
        self.clusters * self.stuck / 100
    }
}
