//! What one review of a manifest costs, part by part: the JSON, the schema, the types, and the verdict as a whole.
//!
//! `cargo bench -p shared --bench review`. Over the wire, with TLS and HTTP, it is measured by the webhook's bench
//! `reviews`; the figures and the machine stand in `docs/performance.md`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "a benchmark may be blunt"
)]

#[path = "../tests/cases/mod.rs"]
mod cases;
mod manifests;

use divan::{Bencher, black_box};
use manifests::{MANIFESTS, written};
use serde_json::{Value, json};
use shared::admission;
use shared::api::Postgresql;
use shared::config::OperatorConfig;
use shared::schema;

/// As in the webhook.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

fn manifest(name: &str) -> Value {
    serde_json::to_value(written(name)).unwrap()
}

#[divan::bench(args = MANIFESTS)]
fn read_json(bencher: Bencher<'_, '_>, name: &str) {
    let text = manifest(name).to_string();
    bencher.bench_local(|| serde_json::from_str::<Value>(black_box(&text)));
}

#[divan::bench(args = MANIFESTS)]
fn ask_the_schema(bencher: Bencher<'_, '_>, name: &str) {
    let manifest = manifest(name);
    assert_eq!(schema::violations(&manifest), []);
    bencher.bench_local(|| schema::violations(black_box(&manifest)));
}

#[divan::bench(args = MANIFESTS)]
fn read_into_types(bencher: Bencher<'_, '_>, name: &str) {
    let text = manifest(name).to_string();
    bencher.bench_local(|| serde_json::from_str::<Postgresql>(black_box(&text)).unwrap());
}

#[divan::bench(args = MANIFESTS)]
fn judge_a_new_manifest(bencher: Bencher<'_, '_>, name: &str) {
    let (manifest, config) = (manifest(name), OperatorConfig::default());
    bencher.bench_local(|| admission::review(None, black_box(&manifest), &config).unwrap());
}

#[divan::bench(args = MANIFESTS)]
fn default_a_new_manifest(bencher: Bencher<'_, '_>, name: &str) {
    let (manifest, config) = (manifest(name), OperatorConfig::default());
    bencher.bench_local(|| admission::mutate(black_box(&manifest), &config).unwrap());
}

#[divan::bench(args = MANIFESTS)]
fn preview_one_member_more(bencher: Bencher<'_, '_>, name: &str) {
    let (old, config) = (manifest(name), OperatorConfig::default());
    let mut new = old.clone();
    new["spec"]["numberOfInstances"] = json!(5);
    bencher.bench_local(|| admission::review(Some(black_box(&old)), &new, &config).unwrap());
}
