//! Patroni's dynamic configuration as a manifest wants it.
//!
//! `build` makes a [`DynamicConfig`]; the builder of Spilo's environment asks for its [`Bootstrap`] form, `rollout` for
//! the patch. A newcomer would not guess that the bootstrap form is read once, when the first member of a cluster makes
//! the data directory: afterwards only a patch changes anything.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::settings::{self, Place};

/// What a manifest wants to stand in Patroni's store. `None` and absent mean: not ours to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DynamicConfig {
    /// Seconds until the leader lock expires.
    pub ttl: Option<u32>,
    /// Seconds between two looks at the cluster.
    pub loop_wait: Option<u32>,
    /// Seconds during which the store or Postgres may fail without consequence.
    pub retry_timeout: Option<u32>,
    /// Bytes a replica may lag and still be promoted.
    pub maximum_lag_on_failover: Option<u64>,
    /// Whether a commit waits for a replica.
    pub synchronous_mode: bool,
    /// Whether a commit waits even when there is no replica to wait for.
    pub synchronous_mode_strict: bool,
    /// For how many replicas a commit waits; Patroni's default is 1.
    pub synchronous_node_count: Option<u32>,
    /// Whether the primary stays when the store is gone but all members answer.
    pub failsafe_mode: Option<bool>,
    /// Permanent replication slots: name → type, database, plugin.
    pub slots: BTreeMap<String, BTreeMap<String, String>>,
    /// Postgres settings that live in the store ([`super::Place::Store`]); others are passed over.
    pub parameters: BTreeMap<String, String>,
    /// Lines of `pg_hba.conf`. Without effect while the pod's environment holds lines, too, because that wins.
    pub pg_hba: Option<Vec<String>>,
    /// The cluster that this one follows.
    pub standby_cluster: Option<StandbyCluster>,
}

/// The other cluster that a standby cluster follows, as Patroni wants it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StandbyCluster {
    /// The ways to make the first copy, in order of preference.
    pub create_replica_methods: Vec<String>,
    /// How to fetch WAL from the archive.
    pub restore_command: Option<String>,
    /// The host to stream from.
    pub host: Option<String>,
    /// Its port.
    pub port: Option<String>,
    /// The slot to use there.
    pub primary_slot_name: Option<String>,
}

/// The keys we have written into Patroni's store: kept with the cluster (as JSON in an annotation), because a key that
/// leaves the manifest must leave the store, and a key that somebody else wrote must stay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedKeys {
    /// Top-level keys, for example `ttl`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub options: BTreeSet<String>,
    /// Postgres settings.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub parameters: BTreeSet<String>,
    /// Replication slots.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub slots: BTreeSet<String>,
}

impl DynamicConfig {
    /// The keys this configuration sets: what to remember once its patch has been sent.
    pub fn keys(&self) -> AppliedKeys {
        let standby = self.standby_cluster.iter().map(|_| "standby_cluster");
        AppliedKeys {
            options: self
                .options()
                .into_iter()
                .map(|(key, _)| key)
                .chain(standby)
                .map(str::to_owned)
                .collect(),
            parameters: self.stored_parameters().map(|(name, _)| name.clone()).collect(),
            slots: self.slots.keys().cloned().collect(),
        }
    }

    /// The top-level keys the manifest speaks about, except the synchronous ones, which it always speaks about.
    pub(super) fn options(&self) -> Vec<(&'static str, Value)> {
        let positive = |value: Option<u32>| value.filter(|value| *value > 0).map(Value::from);
        [
            ("ttl", positive(self.ttl)),
            ("loop_wait", positive(self.loop_wait)),
            ("retry_timeout", positive(self.retry_timeout)),
            ("maximum_lag_on_failover", self.maximum_lag_on_failover.filter(|lag| *lag > 0).map(Value::from)),
            ("failsafe_mode", self.failsafe_mode.map(Value::from)),
        ]
        .into_iter()
        .filter_map(|(key, value)| value.map(|value| (key, value)))
        .collect()
    }

    /// The parameters that live in the store.
    pub(super) fn stored_parameters(&self) -> impl Iterator<Item = (&String, &String)> {
        self.parameters.iter().filter(|(name, _)| settings::place(name) == Place::Store)
    }
}

/// `bootstrap.dcs` of Spilo's configuration: the same wishes as they are written into a new cluster's store. The order
/// of the fields is the order in which upstream writes them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Bootstrap {
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    loop_wait: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_timeout: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maximum_lag_on_failover: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    synchronous_mode: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    synchronous_mode_strict: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    synchronous_node_count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    postgresql: Option<BootstrapPostgres>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    slots: BTreeMap<String, BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failsafe_mode: Option<bool>,
}

/// The part below `postgresql`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct BootstrapPostgres {
    parameters: BTreeMap<String, String>,
}

impl DynamicConfig {
    /// The same wishes for a cluster that does not exist yet. Zero, `false` and empty are left out, except for
    /// `failsafe_mode`; `pg_hba` and the standby section reach a new cluster through the pod's environment.
    pub fn bootstrap(&self) -> Bootstrap {
        let parameters: BTreeMap<_, _> =
            self.stored_parameters().map(|(name, value)| (name.clone(), value.clone())).collect();
        Bootstrap {
            ttl: self.ttl.filter(|value| *value > 0),
            loop_wait: self.loop_wait.filter(|value| *value > 0),
            retry_timeout: self.retry_timeout.filter(|value| *value > 0),
            maximum_lag_on_failover: self.maximum_lag_on_failover.filter(|value| *value > 0),
            synchronous_mode: self.synchronous_mode.then_some(true),
            synchronous_mode_strict: self.synchronous_mode_strict.then_some(true),
            synchronous_node_count: self.synchronous_node_count.filter(|value| *value > 0),
            postgresql: (!parameters.is_empty()).then_some(BootstrapPostgres { parameters }),
            slots: self.slots.clone(),
            failsafe_mode: self.failsafe_mode,
        }
    }
}

impl AppliedKeys {
    /// The keys from the annotation's text; none when it cannot be read, so that nothing of unknown origin is removed.
    pub fn parse(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// These keys and those.
    pub fn join(mut self, other: &Self) -> Self {
        self.options.extend(other.options.iter().cloned());
        self.parameters.extend(other.parameters.iter().cloned());
        self.slots.extend(other.slots.iter().cloned());
        self
    }

    /// The annotation's text.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bootstrap_form_is_what_upstream_writes() {
        let slot = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let full = DynamicConfig {
            ttl: Some(30),
            loop_wait: Some(10),
            retry_timeout: Some(10),
            maximum_lag_on_failover: Some(33_554_432),
            synchronous_mode: true,
            synchronous_node_count: Some(1),
            slots: BTreeMap::from([
                (
                    "logical_1".to_owned(),
                    slot(&[("type", "logical"), ("database", "foo"), ("plugin", "pgoutput")]),
                ),
                ("physical_1".to_owned(), slot(&[("type", "physical")])),
            ]),
            failsafe_mode: Some(true),
            pg_hba: Some(vec!["local all all trust".to_owned()]),
            ..DynamicConfig::default()
        };
        assert_eq!(
            serde_json::to_string(&full.bootstrap()).unwrap(),
            r#"{"ttl":30,"loop_wait":10,"retry_timeout":10,"maximum_lag_on_failover":33554432,"synchronous_mode":true,"synchronous_node_count":1,"slots":{"logical_1":{"database":"foo","plugin":"pgoutput","type":"logical"},"physical_1":{"type":"physical"}},"failsafe_mode":true}"#
        );
        let parameters = DynamicConfig {
            parameters: slot(&[
                ("max_connections", "50"),
                ("log_statement", "all"),
                ("shared_buffers", "64MB"),
            ]),
            failsafe_mode: Some(false),
            ..DynamicConfig::default()
        };
        assert_eq!(
            serde_json::to_string(&parameters.bootstrap()).unwrap(),
            r#"{"postgresql":{"parameters":{"log_statement":"all","max_connections":"50"}},"failsafe_mode":false}"#
        );
        assert_eq!(serde_json::to_string(&DynamicConfig::default().bootstrap()).unwrap(), "{}");
    }

    #[test]
    fn remembered_keys_survive_their_annotation() {
        let keys = AppliedKeys {
            options: ["ttl".to_owned()].into(),
            slots: ["cdc".to_owned()].into(),
            ..AppliedKeys::default()
        };
        assert_eq!(keys.to_text(), r#"{"options":["ttl"],"slots":["cdc"]}"#);
        assert_eq!(AppliedKeys::parse(&keys.to_text()), keys);
    }
}
