//! `SPILO_CONFIGURATION`: what Spilo merges over its own configuration of Patroni.
//!
//! Half of it is read only when the cluster is created (`bootstrap`); that half never makes a pod outdated, see
//! `plan::pod_template`.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::patroni::config::Bootstrap;

/// The variable's name.
pub(crate) const CONFIGURATION: &str = "SPILO_CONFIGURATION";

/// Options of `initdb` that stand alone, without a value.
const INITDB_FLAGS: &[&str] = &["data-checksums", "debug", "no-locale", "noclean", "nosync", "sync-only"];

#[derive(Serialize)]
pub(super) struct Configuration {
    postgresql: LocalPostgres,
    bootstrap: BootstrapSection,
}

#[derive(Serialize)]
struct LocalPostgres {
    #[serde(skip_serializing_if = "Option::is_none")]
    bin_dir: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    parameters: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pg_hba: Vec<String>,
}

#[derive(Serialize)]
struct BootstrapSection {
    initdb: Vec<Value>,
    dcs: Bootstrap,
}

/// The configuration of a cluster.
pub(super) fn configuration(cluster: &Cluster) -> Configuration {
    let postgres = &cluster.postgres;
    Configuration {
        postgresql: LocalPostgres {
            bin_dir: (!postgres.version_by_environment)
                .then(|| format!("/usr/lib/postgresql/{}/bin", postgres.version)),
            parameters: postgres.local_parameters.clone(),
            pg_hba: postgres.pg_hba.clone(),
        },
        bootstrap: BootstrapSection { initdb: initdb(&postgres.initdb), dcs: postgres.dynamic.bootstrap() },
    }
}

/// The operator's options first; a user's option of the same name takes their place.
fn initdb(options: &BTreeMap<String, String>) -> Vec<Value> {
    let defaults = [("auth-host", "scram-sha-256"), ("auth-local", "trust")];
    let ours = defaults.iter().map(|(name, default)| {
        let value = options.get(*name).map_or(*default, String::as_str);
        json!({ *name: value })
    });
    let theirs = options.iter().filter(|(name, _)| defaults.iter().all(|(ours, _)| ours != name)).map(
        |(name, value)| {
            let is_flag = INITDB_FLAGS.contains(&name.as_str()) && value == "true";
            if is_flag { json!(name) } else { json!({ name: value }) }
        },
    );
    ours.chain(theirs).collect()
}
