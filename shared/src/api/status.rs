//! What the operator says of a cluster, for `kubectl`, Argo CD, Flux and people.
//!
//! Argo CD ships a health script that reads the one word and calls every word it does not know Degraded, so the list
//! of words is closed and none is ever empty. Flux reads `observedGeneration` and the conditions.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_with::skip_serializing_none;

/// The state of a cluster in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum StatusWord {
    /// Its objects are being made for the first time.
    Creating,
    /// A change is under way.
    Updating,
    /// As the manifest says, and no error is open.
    Running,
    /// It could not be made within the deadline.
    CreateFailed,
    /// A change could not be carried out within the deadline.
    UpdateFailed,
    /// The periodic comparison found something that could not be repaired.
    SyncFailed,
    /// The manifest cannot be acted upon.
    Invalid,
}

impl StatusWord {
    /// Every word there is.
    pub const ALL: [Self; 7] = [
        Self::Creating,
        Self::Updating,
        Self::Running,
        Self::CreateFailed,
        Self::UpdateFailed,
        Self::SyncFailed,
        Self::Invalid,
    ];

    /// The word as it stands in the status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "Creating",
            Self::Updating => "Updating",
            Self::Running => "Running",
            Self::CreateFailed => "CreateFailed",
            Self::UpdateFailed => "UpdateFailed",
            Self::SyncFailed => "SyncFailed",
            Self::Invalid => "Invalid",
        }
    }
}

impl fmt::Display for StatusWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The status of a `postgresql`.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PostgresqlStatus {
    /// The state in one word: Creating, Updating, Running, CreateFailed, UpdateFailed, SyncFailed or Invalid. The name
    /// is upstream's.
    // No enumeration in the schema: a word that upstream left there would keep the whole manifest from being changed.
    #[serde(rename = "PostgresClusterStatus")]
    #[schemars(with = "Option<String>")]
    pub postgres_cluster_status: Option<StatusWord>,
    /// The generation of the manifest that this status speaks of.
    pub observed_generation: Option<i64>,
    /// How many members are wanted, after the configured bounds.
    pub number_of_instances: Option<i32>,
    /// Which pods belong to the cluster, for `kubectl scale` and autoscalers.
    pub label_selector: Option<String>,
    /// `Ready`, and `Reconciling` or `Stalled` while they are true.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Option<Vec<Condition>>,
    /// The last disruptive step, and when it was taken. Never what is left to do.
    pub last_step: Option<LastStep>,
}

/// One disruptive act of the operator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LastStep {
    /// What was done, for example `recreate demo-1`.
    pub what: String,
    /// When, RFC 3339 in UTC.
    pub at: String,
}

/// The status as it is read: early versions of upstream wrote the bare word instead of an object.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FullStatus {
    #[serde(rename = "PostgresClusterStatus", default, deserialize_with = "known_word")]
    postgres_cluster_status: Option<StatusWord>,
    observed_generation: Option<i64>,
    number_of_instances: Option<i32>,
    label_selector: Option<String>,
    conditions: Option<Vec<Condition>>,
    last_step: Option<LastStep>,
}

/// A word we do not know (upstream can write an empty one) is no word: it will be written anew.
fn known_word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<StatusWord>, D::Error> {
    let word = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(word).ok())
}

impl<'de> Deserialize<'de> for PostgresqlStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Full(FullStatus),
            Word(#[serde(deserialize_with = "known_word")] Option<StatusWord>),
        }
        Ok(match Either::deserialize(deserializer)? {
            Either::Word(postgres_cluster_status) => Self { postgres_cluster_status, ..Self::default() },
            Either::Full(full) => Self {
                postgres_cluster_status: full.postgres_cluster_status,
                observed_generation: full.observed_generation,
                number_of_instances: full.number_of_instances,
                label_selector: full.label_selector,
                conditions: full.conditions,
                last_step: full.last_step,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word_of(json: &str) -> Option<StatusWord> {
        serde_json::from_str::<PostgresqlStatus>(json).unwrap().postgres_cluster_status
    }

    #[test]
    fn upstreams_old_and_new_status_are_both_read() {
        assert_eq!(word_of(r#""Running""#), Some(StatusWord::Running));
        assert_eq!(word_of(r#"{"PostgresClusterStatus":"CreateFailed"}"#), Some(StatusWord::CreateFailed));
    }

    #[test]
    fn an_unknown_or_empty_word_is_no_word() {
        assert_eq!(word_of(r#"{"PostgresClusterStatus":""}"#), None);
        assert_eq!(word_of(r#""Dreaming""#), None);
    }
}
