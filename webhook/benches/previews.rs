//! What a change of the configuration costs to preview while ten thousand manifests are known, and what those weigh.
//!
//! `cargo bench --package webhook --bench previews` prints a table for docs/fleet.md. The manifests are the examples of
//! the documentation, over and over under names of their own, as a fleet has them. Nothing is asserted.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a measurement may be blunt")]

use std::fs;
use std::time::Instant;

use serde_json::{Value, json};
use shared::admission::surroundings::StoredManifest;
use webhook::configuration::{self, Held};
use webhook::surroundings::World;

const MANIFESTS: usize = 10_000;
const NAMESPACES: usize = 100;
/// Of each preview the best of these is told.
const ROUNDS: usize = 5;

const EXAMPLES: &[&str] = &[
    include_str!("../../docs/examples/minimal.yaml"),
    include_str!("../../docs/examples/high-availability.yaml"),
    include_str!("../../docs/examples/pooler.yaml"),
    include_str!("../../docs/examples/resources-and-volume.yaml"),
    include_str!("../../docs/examples/sidecars.yaml"),
];

fn main() {
    // As a test of all targets it only has to start.
    let manifests = if std::env::args().any(|argument| argument == "--bench") { MANIFESTS } else { 10 };
    let before = resident();
    let world = World::default();
    world.clusters.fill((0..manifests).map(stored));
    println!("{manifests} manifests: {:.1} MiB beyond {before:.1} MiB\n", resident() - before);
    println!("| configuration change | preview | lines | memory, at most |\n|---|---|---|---|");
    for (name, change) in changes() {
        let old = configuration(&json!({}));
        let new = configuration(&change);
        let mut best = f64::INFINITY;
        let mut lines = 0;
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            let config = configuration::read(&old).config.unwrap();
            let held = Held { in_force: Some(&config), clusters: world.manifests(), now: None };
            lines = configuration::review(Some(&old), &new, &held)
                .map_or_else(|errors| errors.iter().count(), |lines| lines.len());
            best = best.min(begun.elapsed().as_secs_f64());
        }
        println!("| {name} | {:.0} ms | {lines} | {:.0} MiB |", best * 1e3, memory("VmHWM:"));
    }
}

fn changes() -> Vec<(&'static str, Value)> {
    vec![
        ("another image", json!({"docker_image": "spilo:next"})),
        ("what no cluster feels", json!({"resync_period": "45m"})),
        (
            "a label that clusters are found by, refused",
            json!({"kubernetes": {"cluster_name_label": "other"}}),
        ),
        (
            "ten settings at once",
            json!({
                "docker_image": "spilo:next", "enable_crd_validation": false, "workers": 16,
                "enable_shm_volume": false, "max_instances": 9, "resync_period": "45m",
                "kubernetes": {"pod_priority_class_name": "high", "enable_pod_antiaffinity": true,
                    "pod_management_policy": "parallel", "spilo_privileged": true},
            }),
        ),
    ]
}

fn configuration(change: &Value) -> Value {
    json!({"apiVersion": "acid.zalan.do/v1", "kind": "OperatorConfiguration",
        "metadata": {"name": "postgres-operator", "namespace": "default"}, "configuration": change})
}

fn stored(number: usize) -> (String, String, StoredManifest) {
    let mut object: Value = serde_saphyr::from_str(EXAMPLES[number % EXAMPLES.len()]).unwrap();
    let (namespace, name) = (format!("team-{}", number % NAMESPACES), format!("acid-cluster-{number}"));
    object["metadata"]["namespace"] = json!(namespace);
    object["metadata"]["name"] = json!(name);
    object["metadata"]["uid"] = json!(format!("00000000-0000-0000-0000-{number:012}"));
    let manifest = StoredManifest::of(&object);
    (namespace, name, manifest)
}

/// Resident memory in MiB.
fn resident() -> f64 {
    memory("VmRSS:")
}

fn memory(line: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let kilobytes = status.lines().find_map(|found| found.strip_prefix(line)).unwrap();
    kilobytes.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}
