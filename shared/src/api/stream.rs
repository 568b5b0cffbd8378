//! Change streams: tables whose changes are published as events.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

/// The tables of one database that one application wants to follow.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = super::schema::require_what_has_no_default)]
#[serde(rename_all = "camelCase")]
pub struct Stream {
    /// The application that follows the tables.
    #[serde(default)]
    pub application_id: String,
    /// The database of the tables.
    #[serde(default)]
    pub database: String,
    /// The tables, `schema.table` or `table`.
    #[serde(default)]
    pub tables: BTreeMap<String, StreamTable>,
    /// A JSONPath per table that rows must match.
    pub filter: Option<BTreeMap<String, String>>,
    /// Events per batch.
    #[schemars(range(min = 0))]
    pub batch_size: Option<i64>,
    /// CPU of the stream's pods.
    pub cpu: Option<String>,
    /// Memory of the stream's pods.
    pub memory: Option<String>,
    /// Send events that cannot be delivered to a dead-letter queue.
    pub enable_recovery: Option<bool>,
}

/// How the changes of one table become events.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = super::schema::require_what_has_no_default)]
#[serde(rename_all = "camelCase")]
pub struct StreamTable {
    /// The type of the events.
    #[serde(default)]
    pub event_type: String,
    /// The type of events that could not be delivered.
    pub recovery_event_type: Option<String>,
    /// Drop events that cannot be delivered.
    pub ignore_recovery: Option<bool>,
    /// The column that identifies a row.
    pub id_column: Option<String>,
    /// The column that holds the event's body.
    pub payload_column: Option<String>,
}
