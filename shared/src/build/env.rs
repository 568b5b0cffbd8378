//! The environment of the database container, which is how Spilo is told everything.
//!
//! Order and names are upstream's. Of two variables with one name (in any case) the first stays, so that a manifest
//! cannot take a variable from the operator.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, ObjectFieldSelector, SecretKeySelector};

use crate::cluster::{Cluster, Origin};

use super::storage_env;
use super::{PASSWORD_KEY, spilo};

/// All variables of the database container, in order.
pub(super) fn database(cluster: &Cluster) -> Vec<EnvVar> {
    let environment = &cluster.pod.environment;
    let mut all = identity(cluster);
    all.extend(spilo_settings(cluster));
    all.extend(configuration_store(cluster));
    add(&mut all, environment.manifest.iter().cloned());
    match &cluster.origin {
        Origin::Fresh => {}
        Origin::Clone(source) => add(&mut all, storage_env::clone(cluster, source)),
        Origin::Standby(source) => add(&mut all, storage_env::standby(cluster, source)),
    }
    if let Some((name, keys)) = &environment.secret {
        add(&mut all, keys.iter().map(|key| secret_ref(key, name, key)));
    }
    add(&mut all, environment.config_map.iter().map(|(name, value)| literal(name, value)));
    add(&mut all, storage_env::archives(cluster));
    add(&mut all, tls(cluster));
    all
}

/// Adds what is not there yet.
fn add(all: &mut Vec<EnvVar>, further: impl IntoIterator<Item = EnvVar>) {
    for variable in further {
        if !has(all, &variable.name) {
            all.push(variable);
        }
    }
}

/// Whether a variable of that name, in any case, is there.
pub(super) fn has(all: &[EnvVar], name: &str) -> bool {
    all.iter().any(|variable| variable.name.eq_ignore_ascii_case(name))
}

/// Who the member is, and as whom Patroni works.
fn identity(cluster: &Cluster) -> Vec<EnvVar> {
    let users = &cluster.users;
    vec![
        literal("SCOPE", &cluster.identity.name),
        literal("PGROOT", "/home/postgres/pgdata/pgroot"),
        field_ref("POD_IP", "status.podIP"),
        field_ref("POD_NAMESPACE", "metadata.namespace"),
        literal("PGUSER_SUPERUSER", &users.superuser),
        literal("KUBERNETES_SCOPE_LABEL", cluster.labels.name_key()),
        literal("KUBERNETES_ROLE_LABEL", cluster.labels.role_key()),
        secret_ref("PGPASSWORD_SUPERUSER", &cluster.secret_name(&users.superuser), PASSWORD_KEY),
        literal("PGUSER_STANDBY", &users.replication),
        secret_ref("PGPASSWORD_STANDBY", &cluster.secret_name(&users.replication), PASSWORD_KEY),
        literal("PAM_OAUTH2", &cluster.pod.environment.pam_configuration),
        literal("HUMAN_ROLE", &cluster.pod.environment.human_role),
    ]
}

/// Version, labels and configuration for Spilo's own scripts.
fn spilo_settings(cluster: &Cluster) -> Vec<EnvVar> {
    let mut all = Vec::new();
    if cluster.pod.environment.wal_path_compat {
        all.push(literal("ENABLE_WAL_PATH_COMPAT", "true"));
    }
    if cluster.postgres.version_by_environment {
        all.push(literal("PGVERSION", &cluster.postgres.version.to_string()));
    }
    all.push(literal("KUBERNETES_LABELS", &json(&cluster.labels.common())));
    all.push(literal(spilo::CONFIGURATION, &json(&spilo::configuration(cluster))));
    all
}

/// Where Patroni keeps its state.
fn configuration_store(cluster: &Cluster) -> Vec<EnvVar> {
    let network = &cluster.network;
    let mut all = Vec::new();
    match &network.etcd_host {
        Some(host) => all.push(literal("ETCD_HOST", host)),
        None => {
            all.push(literal("DCS_ENABLE_KUBERNETES_API", "true"));
            if cluster.budgets.bootstrap_labels {
                let labels = BTreeMap::from([(crate::labels::CRITICAL_OPERATION, "true")]);
                all.push(literal("KUBERNETES_BOOTSTRAP_LABELS", &json(&labels)));
            }
        }
    }
    if network.config_maps {
        all.push(literal("KUBERNETES_USE_CONFIGMAPS", "true"));
    }
    all
}

fn tls(cluster: &Cluster) -> Vec<EnvVar> {
    let Some(tls) = &cluster.pod.tls else { return Vec::new() };
    let ca = tls.ca.iter().map(|path| literal("SSL_CA_FILE", path));
    [literal("SSL_CERTIFICATE_FILE", &tls.certificate), literal("SSL_PRIVATE_KEY_FILE", &tls.private_key)]
        .into_iter()
        .chain(ca)
        .collect()
}

/// `name=value`.
pub(super) fn literal(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value.to_owned()), value_from: None }
}

/// A value from the pod itself.
pub(super) fn field_ref(name: &str, path: &str) -> EnvVar {
    let field = ObjectFieldSelector { api_version: Some("v1".to_owned()), field_path: path.to_owned() };
    from(name, EnvVarSource { field_ref: Some(field), ..EnvVarSource::default() })
}

/// A value from a Secret.
pub(super) fn secret_ref(name: &str, secret: &str, key: &str) -> EnvVar {
    let selector = SecretKeySelector { name: secret.to_owned(), key: key.to_owned(), optional: None };
    from(name, EnvVarSource { secret_key_ref: Some(selector), ..EnvVarSource::default() })
}

fn from(name: &str, source: EnvVarSource) -> EnvVar {
    EnvVar { name: name.to_owned(), value: None, value_from: Some(source) }
}

/// JSON of a value that always has one: maps with text keys and our own structs.
fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
