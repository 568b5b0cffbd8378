//! What one look at a cluster costs: resolve the manifest, build every object, compare with what is there.
//!
//! `cargo bench -p shared --bench plan`. The figure and the machine it was measured on stand in `docs/performance.md`.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a benchmark may be blunt")]

#[path = "../tests/cases/mod.rs"]
mod cases;
mod manifests;
#[path = "../tests/stored/mod.rs"]
mod stored;

use divan::{Bencher, black_box};
use manifests::{MANIFESTS, written};
use shared::api::Postgresql;
use shared::build::build;
use shared::cluster::{Cluster, References};
use shared::config::OperatorConfig;
use shared::plan;
use stored::stored;

/// As in the operator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

fn configuration() -> OperatorConfig {
    cases::configuration("custom")
}

/// A manifest as it is stored.
fn manifest(name: &str) -> Postgresql {
    let mut manifest = written(name);
    manifest.metadata.uid = Some("42".into());
    manifest.metadata.namespace = Some("default".into());
    manifest
}

fn resolved(manifest: &Postgresql, config: &OperatorConfig) -> Cluster {
    match Cluster::resolve(manifest, config, &References::unread()) {
        Ok(cluster) => cluster,
        Err(errors) => unreachable!("{errors}"),
    }
}

/// Everything, as in a reconcile of a cluster that is as it should be.
#[divan::bench(args = MANIFESTS)]
fn resolve_build_and_compare(bencher: Bencher<'_, '_>, name: &str) {
    let (manifest, config) = (manifest(name), configuration());
    let current = stored(&build(&resolved(&manifest, &config)));
    bencher.bench_local(|| {
        let desired = build(&resolved(black_box(&manifest), &config));
        plan::between(&current, &desired)
    });
}

#[divan::bench(args = MANIFESTS)]
fn resolve(bencher: Bencher<'_, '_>, name: &str) {
    let (manifest, config) = (manifest(name), configuration());
    bencher.bench_local(|| resolved(black_box(&manifest), &config));
}

#[divan::bench(args = MANIFESTS)]
fn build_objects(bencher: Bencher<'_, '_>, name: &str) {
    let cluster = resolved(&manifest(name), &configuration());
    bencher.bench_local(|| build(black_box(&cluster)));
}

#[divan::bench(args = MANIFESTS)]
fn compare(bencher: Bencher<'_, '_>, name: &str) {
    let resources = build(&resolved(&manifest(name), &configuration()));
    let current = stored(&resources);
    assert_eq!(plan::between(&current, &resources), []);
    bencher.bench_local(|| plan::between(black_box(&current), black_box(&resources)));
}
