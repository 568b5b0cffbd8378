//! PostgreSQL's part of a cluster: version, parameters and Patroni's settings, split by where each of them lives.

use std::collections::BTreeMap;

use crate::api::{self, PostgresqlSpec};
use crate::config::OperatorConfig;
use crate::patroni::settings::{Place, place};
use crate::patroni::{DynamicConfig, StandbyCluster};
use crate::version::PostgresVersion;

use super::stored_form::stored;
use super::streams::{PLUGIN, Stream};

/// Version and settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Postgres {
    pub(crate) version: PostgresVersion,
    /// Name the version by `PGVERSION`; else by Patroni's `bin_dir`.
    pub(crate) version_by_environment: bool,
    /// Parameters that live in the pod's environment.
    pub(crate) local_parameters: BTreeMap<String, String>,
    /// `pg_hba.conf`, empty for Spilo's.
    pub(crate) pg_hba: Vec<String>,
    /// Options of `initdb`, read at bootstrap.
    pub(crate) initdb: BTreeMap<String, String>,
    /// What lives in Patroni's store.
    pub(crate) dynamic: DynamicConfig,
}

/// What a cluster starts from.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    /// Nothing: `initdb`.
    Fresh,
    /// Another cluster's base backup or WAL archive.
    Clone(api::CloneDescription),
    /// Another cluster, which it goes on following.
    Standby(api::StandbyDescription),
}

impl Origin {
    /// What the manifest says. An empty text says nothing.
    pub(crate) fn of(spec: &PostgresqlSpec) -> Self {
        match (&spec.standby, &spec.clone) {
            (Some(standby), _) => Self::Standby(stored(standby.clone())),
            (None, Some(source)) if !source.cluster.is_empty() => Self::Clone(stored(source.clone())),
            (None, _) => Self::Fresh,
        }
    }
}

impl Postgres {
    /// The manifest's settings. `version` has been parsed before.
    pub(crate) fn resolve(
        spec: &PostgresqlSpec,
        version: PostgresVersion,
        streams: &[Stream],
        config: &OperatorConfig,
    ) -> Self {
        let parameters = spec.postgresql.parameters.clone().unwrap_or_default();
        let (dynamic, local) = parameters.into_iter().partition(|(name, _)| place(name) == Place::Store);
        let patroni = spec.patroni.clone().unwrap_or_default();
        Self {
            version,
            version_by_environment: config.general.enable_pgversion_env_var,
            local_parameters: local,
            pg_hba: patroni.pg_hba.clone().unwrap_or_default(),
            initdb: patroni.initdb.clone().unwrap_or_default(),
            dynamic: with_streams(dynamic_config(&patroni, dynamic, spec.standby.as_ref(), config), streams),
        }
    }
}

/// What streams need: a logical slot each, and WAL that can be decoded.
fn with_streams(mut dynamic: DynamicConfig, streams: &[Stream]) -> DynamicConfig {
    for stream in streams {
        let slot = [("database", stream.database.as_str()), ("plugin", PLUGIN), ("type", "logical")];
        let slot = slot.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        dynamic.slots.insert(stream.slot.clone(), slot);
    }
    if !streams.is_empty() {
        dynamic.parameters.insert("wal_level".to_owned(), "logical".to_owned());
    }
    dynamic
}

fn dynamic_config(
    patroni: &api::Patroni,
    parameters: BTreeMap<String, String>,
    standby: Option<&api::StandbyDescription>,
    config: &OperatorConfig,
) -> DynamicConfig {
    let seconds =
        |value: Option<i64>| value.and_then(|seconds| u32::try_from(seconds).ok()).filter(|s| *s > 0);
    DynamicConfig {
        ttl: seconds(patroni.ttl),
        loop_wait: seconds(patroni.loop_wait),
        retry_timeout: seconds(patroni.retry_timeout),
        maximum_lag_on_failover: patroni.maximum_lag_on_failover.and_then(|bytes| u64::try_from(bytes).ok()),
        synchronous_mode: patroni.synchronous_mode.unwrap_or(false),
        synchronous_mode_strict: patroni.synchronous_mode_strict.unwrap_or(false),
        synchronous_node_count: seconds(patroni.synchronous_node_count),
        failsafe_mode: Some(patroni.failsafe_mode.unwrap_or(config.patroni.enable_patroni_failsafe_mode)),
        slots: patroni.slots.clone().unwrap_or_default(),
        parameters,
        pg_hba: None,
        standby_cluster: standby.map(|standby| standby_cluster(&stored(standby.clone()))),
    }
}

/// Patroni's standby section, as upstream writes it.
fn standby_cluster(standby: &api::StandbyDescription) -> StandbyCluster {
    StandbyCluster {
        create_replica_methods: ["bootstrap_standby_with_wale", "basebackup_fast_xlog"]
            .map(str::to_owned)
            .into(),
        restore_command: Some(
            r#"envdir "/run/etc/wal-e.d/env-standby" /scripts/restore_command.sh "%f" "%p""#.to_owned(),
        ),
        host: standby.standby_host.clone(),
        port: standby.standby_port.clone(),
        primary_slot_name: standby.standby_primary_slot_name.clone(),
    }
}
