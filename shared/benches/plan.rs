//! What one look at a cluster costs: resolve the manifest, build every object, compare with what is there.
//!
//! `cargo bench -p shared --bench plan`. The figure and the machine it was measured on stand in `docs/performance.md`.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a benchmark may be blunt")]

#[path = "../tests/cases/mod.rs"]
mod cases;
#[path = "../tests/stored/mod.rs"]
mod stored;

use divan::{Bencher, black_box};
use shared::api::Postgresql;
use shared::build::build;
use shared::cluster::{Cluster, References};
use shared::config::OperatorConfig;
use shared::plan;
use stored::stored;

/// The largest manifest of the golden cases, and the configuration that sets most.
const MANIFESTS: &[&str] = &["minimal", "sidecars", "complete"];

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

/// A golden manifest; `complete` is all that can stand in one cluster together, of several of them.
fn written(name: &str) -> Postgresql {
    let read = cases::manifest;
    if name != "complete" {
        return read(name);
    }
    let mut whole = read("sidecars");
    let (users, patroni, resources) = (read("users").spec, read("patroni").spec, read("resources").spec);
    let (parameters, placement, tls) = (read("parameters").spec, read("placement").spec, read("tls").spec);
    let (pooler, backup, env) = (read("pooler-both").spec, read("logical-backup").spec, read("env").spec);
    let spec = &mut whole.spec;
    (spec.users, spec.databases) = (users.users, users.databases);
    (spec.patroni, spec.resources) = (patroni.patroni, resources.resources);
    spec.postgresql = parameters.postgresql;
    (spec.node_affinity, spec.tolerations) = (placement.node_affinity, placement.tolerations);
    (spec.tls, spec.spilo_fs_group) = (tls.tls, Some(103));
    (spec.connection_pooler, spec.enable_connection_pooler) = (pooler.connection_pooler, Some(true));
    (spec.enable_logical_backup, spec.logical_backup_schedule) = (Some(true), backup.logical_backup_schedule);
    (spec.env, spec.env_from) = (env.env, env.env_from);
    whole.metadata.annotations = read("metadata").metadata.annotations;
    whole
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
