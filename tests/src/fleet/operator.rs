//! The operator as a process of its own, and what it costs: CPU time and memory as the kernel counts them.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use tokio::process::{Child, Command};

use super::Outcome;
use crate::control_plane::get;

/// The user under which it asks the API server.
pub(super) const USER: &str = "operator";
/// Its own namespace, and the name of its configuration.
pub(super) const NAMESPACE: &str = "postgres-operator";
const DEPLOYMENT: &str = include_str!("../../../deploy/base/operator/deployment.yaml");
/// Ticks of the kernel's clock in a second: always this many on Linux, where programs can see them.
const TICKS: f64 = 100.0;
/// How long it may take to end.
const END: Duration = Duration::from_secs(60);

/// How it is started.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) path: PathBuf,
    pub(super) kubeconfig: PathBuf,
    pub(super) port: u16,
    pub(super) log: PathBuf,
}

/// It, running. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Operator {
    process: Child,
    port: u16,
}

/// What a process has cost up to now.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Cost {
    /// Seconds of CPU time.
    pub cpu_seconds: f64,
    /// Resident memory in MiB.
    pub memory: f64,
    /// The most it has been.
    pub peak_memory: f64,
}

impl Program {
    /// Where the program is: as told, or what cargo builds.
    pub(super) fn path(told: Option<&Path>) -> Outcome<PathBuf> {
        if let Some(path) = told {
            return Ok(path.to_owned());
        }
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = std::process::Command::new(cargo)
            .args(["build", "--locked", "--quiet", "--workspace", "--bin", "operator"])
            .arg("--message-format=json")
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
            .stderr(Stdio::inherit())
            .output()?;
        let messages = String::from_utf8_lossy(&built.stdout);
        let mut messages =
            messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let program = messages.find_map(|message| message.get("executable")?.as_str().map(PathBuf::from));
        program.ok_or_else(|| "cargo could not build the operator".into())
    }

    /// Starts it.
    pub(super) fn start(&self) -> io::Result<Operator> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let process = Command::new(&self.path)
            .env("KUBECONFIG", &self.kubeconfig)
            .envs(shipped_environment())
            .env("OPERATOR_NAMESPACE", NAMESPACE)
            .env("POD_NAME", "operator-0")
            .env("LISTEN", format!("127.0.0.1:{}", self.port))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        Ok(Operator { process, port: self.port })
    }
}

/// The variables that the shipped Deployment sets, where they are the same in every pod.
fn shipped_environment() -> impl Iterator<Item = (String, String)> {
    let deployment: Deployment = serde_saphyr::from_str(DEPLOYMENT).unwrap_or_default();
    let pod = deployment.spec.and_then(|deployment| deployment.template.spec);
    let variables = pod.into_iter().flat_map(|pod| pod.containers).flat_map(|container| container.env);
    variables.flatten().filter_map(|variable| Some((variable.name, variable.value?)))
}

impl Operator {
    /// What it has cost up to now.
    pub(super) fn cost(&self) -> Outcome<Cost> {
        let id = self.process.id().ok_or("the operator has ended")?;
        cost_of(id)
    }

    /// How many looks at clusters it has taken; `None` while it does not answer.
    pub(super) async fn looks(&self) -> Option<u64> {
        let answer = get(self.port, "/metrics").await?;
        let looks = answer.lines().filter(|line| line.starts_with("postgres_operator_reconciles_total{"));
        Some(looks.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum())
    }

    /// Ends it as Kubernetes does, and waits until it has.
    pub(super) async fn stop(mut self) -> Outcome<()> {
        let id = self.process.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        kill_process(id.ok_or("the operator has ended")?, Signal::TERM)?;
        tokio::time::timeout(END, self.process.wait()).await??;
        Ok(())
    }
}

/// What a process has cost up to now.
pub(super) fn cost_of(id: u32) -> Outcome<Cost> {
    let of_process = |file: &str| fs::read_to_string(format!("/proc/{id}/{file}"));
    cost(&of_process("stat")?, &of_process("status")?).ok_or_else(|| "the kernel says something else".into())
}

/// `/proc/ID/stat` and `/proc/ID/status`.
fn cost(stat: &str, status: &str) -> Option<Cost> {
    // The name in parentheses may hold anything; after it, user and system time are the twelfth and thirteenth.
    let mut times = stat.rsplit_once(')')?.1.split_whitespace().skip(11).map(str::parse::<f64>);
    let (user, system) = (times.next()?.ok()?, times.next()?.ok()?);
    let memory = |name: &str| -> Option<f64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().strip_suffix(" kB")?.parse::<f64>().ok()? / 1024.0)
    };
    let cpu_seconds = (user + system) / TICKS;
    Some(Cost { cpu_seconds, memory: memory("VmRSS:")?, peak_memory: memory("VmHWM:")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_is_started_as_it_is_shipped() {
        let variables: Vec<String> =
            shipped_environment().map(|(name, value)| format!("{name}={value}")).collect();
        let expected =
            ["POSTGRES_OPERATOR_CONFIGURATION_OBJECT=postgres-operator", "MIMALLOC_PURGE_DELAY=10"];
        assert_eq!(variables, expected);
    }

    #[test]
    fn time_and_memory_are_read_as_the_kernel_writes_them() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194560 900 0 0 0 150 50 0 0 20 0 9 0 100 0 0";
        let status = "Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t  1024 kB\n";
        let cost = cost(stat, status).unwrap();
        assert_eq!((cost.cpu_seconds, cost.memory, cost.peak_memory), (2.0, 1.0, 2.0));
    }
}
