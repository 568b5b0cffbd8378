//! Whatever is sent or written, nobody panics: reviews to the router, files to `webhook validate`, configurations to what
//! reads them. Everything starts from the golden cases and the catalogue, and is harmed.
//!
//! `FUZZ_SECONDS` says for how long (3 by default; a minute in `make test`), `FUZZ_SEED` repeats a draw: each run has
//! another one, which is told. A failure prints what was sent.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests may be blunt")]

#[path = "../../tests/src/catalogue.rs"]
mod catalogue;
mod harm;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::body::Body;
use axum::http::{Request, StatusCode};
use catalogue::Subject;
use clap::ValueEnum;
use harm::harm;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use shared::admission::configuration::Fleet;
use shared::api::Postgresql;
use shared::build::build;
use shared::cluster::{Cluster, References};
use shared::config::OperatorConfig;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tower::ServiceExt;
use webhook::args::Validate;
use webhook::configuration::{self, Held, Place, Source};
use webhook::metrics::Metrics;
use webhook::offline;
use webhook::offline::report::Format;
use webhook::routes::{App, reviews};
use webhook::surroundings::World;

/// A target: what it is called, and what is done with one draw. It says whether the draw was understood.
type Target = (&'static str, fn(&Ground, Draw) -> Attempt);

const TARGETS: &[Target] = &[("reviews", a_review), ("files", a_file), ("configurations", a_configuration)];

/// Where draws come from.
struct Ground {
    runtime: Runtime,
    manifests: Vec<Value>,
    configurations: Vec<Value>,
    file: PathBuf,
}

/// What is drawn.
type Draw = (Index, Index, u8, harm::Harm);

/// What was tried: what was sent, and what came of it when it is carried out.
struct Attempt {
    sent: Vec<u8>,
    run: Box<Run>,
}

/// Carries it out; whether the bytes were understood.
type Run = dyn Fn(&Ground, &[u8]) -> bool;

fn main() -> ExitCode {
    // An argument is a name of a test, for cargo's sake; there are none here.
    let seconds = number("FUZZ_SECONDS").unwrap_or(3);
    let clock = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let seed = number("FUZZ_SEED").unwrap_or_else(clock);
    let each = Duration::from_secs(seconds) / u32::try_from(TARGETS.len()).unwrap();
    let ground = Ground::new();
    let mut failed = 0;
    for (name, target) in TARGETS {
        match fuzzed(&ground, *target, each, seed) {
            Ok((tried, understood)) => {
                println!("ok     fuzz {name}: {tried} tried, {understood} understood, seed {seed}");
            }
            Err(sent) => {
                failed += 1;
                println!("FAILED fuzz {name} (FUZZ_SEED={seed}): {}", String::from_utf8_lossy(&sent));
            }
        }
    }
    let _ = fs::remove_file(&ground.file);
    println!("{} passed, {failed} failed", TARGETS.len() - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}; it must be a number")))
}

/// How many were tried and how many of these could be understood; or what made somebody panic.
fn fuzzed(
    ground: &Ground,
    target: fn(&Ground, Draw) -> Attempt,
    time: Duration,
    seed: u64,
) -> Result<(u64, u64), Vec<u8>> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config { failure_persistence: None, ..Config::default() }, rng);
    let draws = (any::<Index>(), any::<Index>(), any::<u8>(), harm());
    let (begun, mut tried, mut understood) = (Instant::now(), 0, 0);
    // At least some, however little time there is.
    while tried < 20 || begun.elapsed() < time {
        let Attempt { sent, run } = target(ground, draws.new_tree(&mut runner).unwrap().current());
        match catch_unwind(AssertUnwindSafe(|| run(ground, &sent))) {
            Ok(was_understood) => understood += u64::from(was_understood),
            Err(_) => return Err(sent),
        }
        tried += 1;
    }
    Ok((tried, understood))
}

impl Ground {
    fn new() -> Self {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/golden");
        let yaml = |folder: &str| -> Vec<Value> {
            let files = fs::read_dir(golden.join(folder)).unwrap().map(|file| file.unwrap().path());
            files.map(|file| serde_saphyr::from_str(&fs::read_to_string(file).unwrap()).unwrap()).collect()
        };
        let (mut manifests, mut configurations) = (yaml("manifests"), yaml("configurations"));
        for case in catalogue::accepted().into_iter().chain(catalogue::refused()) {
            match case.subject {
                Subject::Manifest { new, .. } | Subject::Deletion(new) => manifests.push(new),
                Subject::Team { new, .. } => manifests.push(object("PostgresTeam", "spec", new)),
                Subject::Resource(_, new) => {
                    configurations.push(object("OperatorConfiguration", "configuration", new))
                }
                Subject::ConfigMap(_, data) => configurations.push(object("ConfigMap", "data", json!(data))),
            }
        }
        // A read of a directory has no order, and a seed must mean the same everywhere.
        manifests.sort_by_key(Value::to_string);
        configurations.sort_by_key(Value::to_string);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let file = std::env::temp_dir().join(format!("webhook-fuzz-{}.yaml", std::process::id()));
        Self { runtime, manifests, configurations, file }
    }
}

fn object(kind: &str, part: &str, content: Value) -> Value {
    let version = if kind == "ConfigMap" { "v1" } else { "acid.zalan.do/v1" };
    json!({
        "apiVersion": version, "kind": kind,
        "metadata": { "name": "postgres-operator", "namespace": "operators" }, part: content,
    })
}

/// One of several.
fn one(of: &[Value], index: Index) -> Value {
    of[index.index(of.len())].clone()
}

/// A review of anything, to either webhook. It must be judged, or told to be none.
fn a_review(ground: &Ground, (first, second, dice, harm): Draw) -> Attempt {
    let from = if dice % 8 == 0 { &ground.configurations } else { &ground.manifests };
    let (old, new) = (one(from, first), one(from, second));
    let (operation, old, new) = match dice % 3 {
        0 => ("CREATE", Value::Null, new),
        1 => ("UPDATE", old, new),
        _ => ("DELETE", old, Value::Null),
    };
    let whole = if new.is_null() { &old } else { &new };
    let group = if whole["kind"] == "ConfigMap" { "" } else { "acid.zalan.do" };
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5", "kind": { "group": group, "version": "v1", "kind": whole["kind"] },
            "name": whole["metadata"]["name"], "namespace": "operators", "operation": operation,
            "object": new, "oldObject": old,
        },
    });
    let path = if dice & 64 == 0 { "/validate" } else { "/mutate" };
    let run = move |ground: &Ground, sent: &[u8]| {
        let request = Request::post(path).body(Body::from(sent.to_vec())).unwrap();
        let code = ground.runtime.block_on(reviews(app()).oneshot(request)).unwrap().status();
        // A panic while judging is answered with 500.
        assert!([StatusCode::OK, StatusCode::BAD_REQUEST].contains(&code), "{code}");
        code == StatusCode::OK
    };
    Attempt { sent: harm.done_to(review, &["/request/object", "/request/oldObject"]), run: Box::new(run) }
}

fn app() -> App {
    let place = Place { namespace: "operators".to_owned(), name: "postgres-operator".to_owned() };
    App {
        configuration: watch::channel(Some(Arc::new(OperatorConfig::default()))).1,
        source: Arc::new(Source::ConfigMap(place)),
        draining: watch::channel(false).1,
        metrics: Arc::new(Metrics::default()),
        world: Arc::new(World::default()),
        clock: || "2026-11-22T08:00:00Z".parse().unwrap(),
    }
}

/// A file with two documents, in any form of a report; what is valid is also built.
fn a_file(ground: &Ground, (first, second, dice, harm): Draw) -> Attempt {
    let (one, other) = (one(&ground.manifests, first), one(&ground.manifests, second));
    let sent = if dice & 1 == 0 {
        let text = |value: &Value| serde_saphyr::to_string(value).unwrap();
        harm.done_to_bytes(format!("{}---\n{}", text(&one), text(&other)).into_bytes())
    } else {
        harm.done_to(json!({ "kind": "List", "items": [one, other] }), &["/items/0", "/items/1"])
    };
    let run = move |ground: &Ground, sent: &[u8]| {
        fs::write(&ground.file, sent).unwrap();
        let formats = Format::value_variants();
        let args = Validate {
            file: vec![ground.file.clone()],
            old: (dice & 2 == 0).then(|| ground.file.clone()),
            output: formats[usize::from(dice >> 2) % formats.len()],
            ..Validate::default()
        };
        let report = ground.runtime.block_on(offline::validate(&args));
        for document in offline::documents::documents(&ground.file, true).unwrap_or_default() {
            built(&document.value, &OperatorConfig::default());
        }
        report.is_ok()
    };
    Attempt { sent, run: Box::new(run) }
}

/// Builds a manifest's cluster, if it is one.
fn built(manifest: &Value, config: &OperatorConfig) {
    let typed: Option<Postgresql> = serde_json::from_value(manifest.clone()).ok();
    let cluster = typed.and_then(|typed| Cluster::resolve(&typed, config, &References::unread()).ok());
    drop(cluster.map(|cluster| build(&cluster)));
}

/// A changed configuration of either form while clusters exist; one that can be read also builds one.
fn a_configuration(ground: &Ground, (first, second, dice, harm): Draw) -> Attempt {
    let (old, new) = (one(&ground.configurations, first), one(&ground.configurations, second));
    let cluster = ground.manifests[usize::from(dice) % ground.manifests.len()].clone();
    let run = move |_: &Ground, sent: &[u8]| {
        let Ok(new) = serde_json::from_slice::<Value>(sent) else { return false };
        let in_force = configuration::read(&old).config.unwrap_or_default();
        let clusters = serde_json::from_value::<Postgresql>(cluster.clone()).ok();
        let clusters = clusters.map(|cluster| Box::new(vec![cluster]) as Box<dyn Fleet>);
        drop(configuration::review(
            Some(&old),
            &new,
            &Held { in_force: Some(&in_force), clusters, now: None },
        ));
        match configuration::read(&new).config {
            Ok(config) => {
                built(&cluster, &config);
                true
            }
            Err(_) => false,
        }
    };
    Attempt { sent: harm.done_to(new, &["/data", "/configuration"]), run: Box::new(run) }
}
