//! Every manifest of the fixtures: made on a real server, and nothing left to do at the second look.

use std::fs;
use std::path::{Path, PathBuf};

use shared::api::{OperatorConfiguration, Postgresql};
use shared::cluster::{Cluster, References};
use shared::config::OperatorConfig;

use super::{Running, name, on_every_server};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/golden")
}

fn configuration(name: &str) -> OperatorConfig {
    let text = fs::read_to_string(golden().join("configurations").join(name)).unwrap();
    let resource: OperatorConfiguration = serde_saphyr::from_str(&text).unwrap();
    OperatorConfig::from_resource(&resource).unwrap()
}

fn manifests() -> Vec<(String, Postgresql)> {
    let paths = fs::read_dir(golden().join("manifests")).unwrap().map(|entry| entry.unwrap().path());
    let mut manifests: Vec<(String, Postgresql)> = paths
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path.display().to_string(), serde_saphyr::from_str(&text).unwrap())
        })
        .collect();
    manifests.sort_by(|(one, _), (other, _)| one.cmp(other));
    manifests
}

/// What Spilo leaves in a fresh database, as far as roles are concerned.
async fn as_spilo_leaves_it(running: &Running) {
    let roles = "CREATE ROLE admin NOLOGIN CREATEDB; CREATE ROLE cron_admin NOLOGIN; \
                 CREATE ROLE standby REPLICATION LOGIN";
    running.server.sql("postgres", "postgres", roles).await;
}

#[tokio::test]
async fn a_second_look_at_any_manifest_finds_nothing_to_do() {
    on_every_server(async |running| {
        as_spilo_leaves_it(running).await;
        let (mut made, mut seen) = (0, Vec::new());
        for config in ["default.yaml", "custom.yaml"].map(configuration) {
            for (path, manifest) in manifests() {
                let cluster = Cluster::resolve(&manifest, &config, &References::unread()).unwrap();
                let mut roles = cluster.roles().clone();
                for prepared in roles.contents.prepared.values_mut() {
                    // Not part of a plain server.
                    prepared.extensions.retain(|extension, _| *extension != name("pg_partman"));
                }
                if seen.contains(&roles) {
                    continue;
                }
                println!("{path}");
                made += running.settle_for_good(&roles).await.len();
                seen.push(roles);
            }
        }
        assert!(made > 100, "the fixtures ask for something: {made}");
    })
    .await;
}
