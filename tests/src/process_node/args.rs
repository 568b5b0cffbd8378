//! What a process node is told when it starts. `tests/local-cluster` sets all of it.

use std::path::PathBuf;

use clap::Parser;

/// Runs pods as processes on loopback addresses.
#[derive(Clone, Debug, Parser)]
#[command(name = "process-node", version, about)]
pub struct Args {
    /// Name of a node to be; may be repeated.
    #[arg(long, default_value = "node1", value_name = "NAME")]
    pub node: Vec<String>,
    /// Folder for pods' files and logs. The folder `scripts` in it holds the database image's scripts.
    #[arg(long, value_name = "FOLDER")]
    pub state: PathBuf,
    /// First two numbers of the pods' addresses.
    #[arg(long, default_value = "127.64", value_name = "N.N")]
    pub network: String,
    /// Program to run for an image; may be repeated.
    #[arg(long, value_name = "IMAGE=PATH")]
    pub binary: Vec<String>,
    /// File with further lines `IMAGE=PATH`, read at each start of a pod.
    #[arg(long, value_name = "FILE")]
    pub programs: Option<PathBuf>,
}
