//! A Prometheus of one test: a process on loopback that scrapes what it is told, every second, and answers questions.
//!
//! Program and tool are Debian's package `prometheus`. Questions go through `promtool`, so that no test needs to know the
//! server's API.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::control_plane::{Daemon, Folder};

/// How long it may take until it has scraped everything, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Something to scrape.
#[derive(Clone, Debug)]
pub struct Target {
    /// What its series say of where they come from.
    pub job: &'static str,
    /// `address:port`.
    pub address: String,
    /// The path of its figures.
    pub path: String,
}

/// A series that a question found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

/// A running Prometheus; dropping it ends the process and removes its files.
#[derive(Debug)]
pub struct Prometheus {
    address: String,
    process: Daemon,
    _folder: Folder,
}

impl Prometheus {
    /// Starts one, with rules if there are any, and waits until it has scraped all of the targets.
    ///
    /// # Errors
    /// What kept it from that, or the end of its log.
    pub fn start(targets: &[Target], rules: Option<&Path>) -> io::Result<Self> {
        let folder = Folder::new()?;
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let configuration = folder.path().join("prometheus.yaml");
        fs::write(&configuration, configuration_of(targets, rules).to_string())?;
        let address = format!("127.0.0.1:{port}");
        let flags = [
            format!("--config.file={}", configuration.display()),
            format!("--storage.tsdb.path={}", folder.path().join("data").display()),
            format!("--web.listen-address={address}"),
            "--log.level=warn".to_owned(),
        ];
        let program = program("prometheus")?;
        let process = Daemon::start("prometheus", &program, &flags, folder.path())?;
        let mut prometheus = Self { address, process, _folder: folder };
        prometheus.until_scraped(targets.len())?;
        Ok(prometheus)
    }

    fn until_scraped(&mut self, targets: usize) -> io::Result<()> {
        let begun = Instant::now();
        loop {
            self.process.check_alive()?;
            let up = self.query("count(up == 1)");
            let scraped = up.as_ref().ok().and_then(|found| found.first()).map_or(0.0, |found| found.value);
            if usize::try_from(scraped as i64) == Ok(targets) {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                let (found, log) = (self.query("up"), self.process.end_of_log());
                return Err(io::Error::other(format!("not all targets are up: {found:?}, {up:?}; {log}")));
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// What a question finds now.
    ///
    /// # Errors
    /// What the server says is wrong with it.
    pub fn query(&self, question: &str) -> io::Result<Vec<Found>> {
        let server = format!("http://{}", self.address);
        let output = promtool(&["query", "instant", "-o", "json", &server, question])?;
        if !output.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        let answer: Value = serde_json::from_slice(&output.stdout)?;
        Ok(answer.as_array().into_iter().flatten().filter_map(found).collect())
    }
}

fn found(series: &Value) -> Option<Found> {
    let labels = serde_json::from_value(series.get("metric")?.clone()).ok()?;
    let value = series.pointer("/value/1")?.as_str()?.parse().ok()?;
    Some(Found { labels, value })
}

fn configuration_of(targets: &[Target], rules: Option<&Path>) -> Value {
    // Several pods may be of one job, whose name a configuration may have once.
    let mut jobs: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for Target { job, address, path } in targets {
        let labels = json!({ "namespace": "test", "pod": job, "__metrics_path__": path });
        jobs.entry(job).or_default().push(json!({ "targets": [address], "labels": labels }));
    }
    let scrapes = jobs.iter().map(|(job, targets)| json!({ "job_name": job, "static_configs": targets }));
    json!({
        "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
        "rule_files": rules.into_iter().collect::<Vec<_>>(),
        "scrape_configs": scrapes.collect::<Vec<_>>(),
    })
}

/// Runs Prometheus' tool.
///
/// # Errors
/// That it cannot be run.
pub fn promtool(arguments: &[&str]) -> io::Result<Output> {
    Command::new(program("promtool")?).args(arguments).output()
}

/// Where a program of Debian's package is.
fn program(name: &str) -> io::Result<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.exists());
    found.ok_or_else(|| io::Error::other(format!("there is no {name}; Debian's package prometheus has it")))
}
