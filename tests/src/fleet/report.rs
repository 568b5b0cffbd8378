//! The figures: as JSON, as Markdown for the documentation, and as a plot.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::Serialize;

use super::Outcome;
use super::audit::{self, Requests};
use super::changes::Latency;
use super::operator::Cost;
use super::plot::{self, Curve};

/// Everything that was measured.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Where.
    pub machine: Machine,
    /// How many clusters.
    pub clusters: usize,
    /// Members of each.
    pub members: usize,
    /// What the control plane needs alone.
    pub floor: Floor,
    /// New clusters.
    pub creation: Creation,
    /// Changes while all is well.
    pub changes: Latency,
    /// Nothing to do.
    pub rest: Rest,
    /// A new operator beside clusters that are as they should be.
    pub restart: Restart,
    /// Changes beside clusters that are stuck.
    pub stuck: Stuck,
    /// The webhook beside them all.
    pub webhook: Option<Cost>,
}

/// The machine, and how busy others kept it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Machine {
    /// Processors that can be used.
    pub processors: usize,
    /// The operator's program.
    pub program: String,
    /// Load averages over one, five and fifteen minutes, before.
    pub load_before: String,
    /// The same, after.
    pub load_after: String,
}

/// The same objects by a bare loader.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Floor {
    /// Until every pod was ready.
    pub seconds: f64,
    /// Objects of one cluster, without its manifest and without what all clusters of a namespace share.
    pub objects_each: usize,
    /// When each pod became ready.
    pub pods_ready_at: Vec<f64>,
}

/// New clusters.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Creation {
    /// Seconds until all manifests were stored.
    pub stored: f64,
    /// Seconds until all said `Running`.
    pub seconds: f64,
    /// CPU time of the operator for them.
    pub cpu_seconds: f64,
    /// The operator when it had come to rest.
    pub cost: Cost,
    /// What it asked for.
    pub requests: Requests,
    /// How often it looked at a cluster.
    pub looks: u64,
    /// When each cluster said `Running`.
    pub running_at: Vec<f64>,
    /// When each pod became ready.
    pub pods_ready_at: Vec<f64>,
}

/// A time without anything to do.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Rest {
    /// For how long.
    pub seconds: u64,
    /// CPU time of the operator.
    pub cpu_seconds: f64,
    /// The operator after it.
    pub cost: Cost,
    /// What it asked for.
    pub requests: Requests,
}

/// A new operator.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Restart {
    /// Seconds from its start until the first look at a cluster was done.
    pub first_look: f64,
    /// Seconds until every cluster was looked at and nothing was left to do.
    pub quiet: f64,
    /// Requests that change something, the lease apart.
    pub writes: usize,
    /// The operator then.
    pub cost: Cost,
    /// What it asked for.
    pub requests: Requests,
}

/// Changes beside stuck clusters.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Stuck {
    /// How many are stuck.
    pub clusters: usize,
    /// The changes of the others.
    pub changes: Latency,
    /// How many clusters say what, after it.
    pub words: BTreeMap<String, usize>,
    /// The operator after it.
    pub cost: Cost,
    /// What it asked for, from the first change on.
    pub requests: Requests,
}

impl Machine {
    pub(super) fn now(program: &Path) -> Self {
        Self {
            processors: std::thread::available_parallelism().map_or(0, usize::from),
            program: program.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            load_before: Self::load(),
            load_after: String::new(),
        }
    }

    pub(super) fn load() -> String {
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        load.split(' ').take(3).collect::<Vec<_>>().join(" ")
    }
}

impl Report {
    /// Requests of the operator for one new cluster, watches and lease apart.
    pub fn requests_each(&self) -> f64 {
        ratio(audit::work(&self.creation.requests), self.clusters)
    }

    /// What was asked for at rest beyond watches and the lease.
    pub fn requests_at_rest(&self) -> usize {
        audit::work(&self.rest.requests)
    }

    pub(super) fn write(&self, folder: &Path) -> Outcome<()> {
        fs::write(folder.join("fleet.json"), serde_json::to_string_pretty(self)?)?;
        fs::write(folder.join("fleet.md"), self.markdown())?;
        fs::write(folder.join("fleet.svg"), self.plot())?;
        Ok(())
    }

    /// The figures as a table.
    pub fn markdown(&self) -> String {
        let machine = &self.machine;
        let mut text = format!(
            "{} clusters of {} members; {} processors, load {} before and {} after.\n\n| figure | value |\n|---|---|\n",
            self.clusters, self.members, machine.processors, machine.load_before, machine.load_after
        );
        let [of_creation, of_stuck] = if self.creation.seconds > 0.0 {
            [self.of_creation(), self.of_stuck()]
        } else {
            [Vec::new(), Vec::new()] // all but one are copies
        };
        for (figure, value) in of_creation.into_iter().chain(self.of_what_follows()).chain(of_stuck) {
            let _ = writeln!(text, "| {figure} | {value} |"); // writing into a String does not fail
        }
        text + &self.requests_by_stage()
    }

    fn of_creation(&self) -> Vec<(&'static str, String)> {
        let (creation, objects) = (&self.creation, self.floor.objects_each);
        vec![
            ("the control plane alone, until all pods are ready", format!("{:.1} s", self.floor.seconds)),
            ("all manifests stored", format!("{:.1} s", creation.stored)),
            (
                "all clusters `Running`",
                format!(
                    "{:.1} s, {:.2} × the control plane alone",
                    creation.seconds,
                    creation.seconds / self.floor.seconds
                ),
            ),
            (
                "requests per new cluster",
                format!(
                    "{:.1}, for {objects} objects: {:.2} ×",
                    self.requests_each(),
                    self.requests_each() / ratio(objects, 1)
                ),
            ),
            ("CPU for new clusters", format!("{:.1} s, {} looks", creation.cpu_seconds, creation.looks)),
            ("memory with new clusters", memory(&creation.cost)),
        ]
    }

    fn of_what_follows(&self) -> Vec<(&'static str, String)> {
        vec![
            ("change → observed", latency(&self.changes)),
            (
                "at rest",
                format!(
                    "{} requests beyond watches and lease in {} s; {:.2} s of CPU",
                    self.requests_at_rest(),
                    self.rest.seconds,
                    self.rest.cpu_seconds
                ),
            ),
            (
                "restart",
                format!(
                    "first look after {:.1} s, quiet after {:.1} s, {} writes, {:.1} s of CPU",
                    self.restart.first_look,
                    self.restart.quiet,
                    self.restart.writes,
                    self.restart.cost.cpu_seconds
                ),
            ),
            ("memory after the restart", memory(&self.restart.cost)),
            ("memory at rest", memory(&self.rest.cost)),
            ("the webhook's memory", self.webhook.as_ref().map_or_else(|| "not measured".to_owned(), memory)),
        ]
    }

    fn of_stuck(&self) -> Vec<(&'static str, String)> {
        vec![
            (
                "change → observed beside stuck clusters",
                format!("{}; {} stuck", latency(&self.stuck.changes), self.stuck.clusters),
            ),
            ("memory after it", memory(&self.stuck.cost)),
        ]
    }

    fn requests_by_stage(&self) -> String {
        let stages =
            [&self.creation.requests, &self.rest.requests, &self.restart.requests, &self.stuck.requests];
        let kinds: std::collections::BTreeSet<&String> =
            stages.iter().flat_map(|stage| stage.keys()).collect();
        let mut text = "\n| request | new clusters | of it each | at rest | restart | beside stuck ones |\n|---|---|---|---|---|---|\n".to_owned();
        for kind in kinds {
            let count = |stage: &Requests| stage.get(kind).copied().unwrap_or_default();
            let [creation, rest, restart, stuck] = stages.map(count);
            let each = ratio(creation, self.clusters);
            let _ = writeln!(text, "| {kind} | {creation} | {each:.2} | {rest} | {restart} | {stuck} |");
        }
        text
    }

    fn plot(&self) -> String {
        let pods = self.clusters * self.members;
        plot::svg(
            &format!("{} new clusters", self.clusters),
            &[
                Curve {
                    name: "pods ready, control plane alone",
                    colour: "#888888",
                    at: &self.floor.pods_ready_at,
                    all: pods,
                },
                Curve { name: "pods ready", colour: "#3572b0", at: &self.creation.pods_ready_at, all: pods },
                Curve {
                    name: "clusters Running",
                    colour: "#c0392b",
                    at: &self.creation.running_at,
                    all: self.clusters,
                },
            ],
        )
    }
}

/// A part of how many. Counts are far below what a float holds exactly.
#[allow(clippy::cast_precision_loss, reason = "counts of requests and clusters")]
pub(super) fn ratio(part: usize, of: usize) -> f64 {
    part as f64 / of.max(1) as f64
}

/// How long changes took.
fn latency(latency: &Latency) -> String {
    let (seen, done) = (&latency.observed, &latency.settled);
    format!(
        "p50 {:.0} ms, p99 {:.0} ms; carried out p50 {:.0} ms, p99 {:.0} ms ({} changes)",
        seen.percentile(50) * 1e3,
        seen.percentile(99) * 1e3,
        done.percentile(50) * 1e3,
        done.percentile(99) * 1e3,
        seen.0.len()
    )
}

fn memory(cost: &Cost) -> String {
    format!("{:.1} MiB, at most {:.1} MiB", cost.memory, cost.peak_memory)
}
