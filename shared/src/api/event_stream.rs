//! The kind `FabricEventStream` of `zalando.org/v1`: what another operator turns into a running stream of events.
//!
//! It is not ours: we write such objects for `spec.streams` where its definition is installed, and ship no definition
//! of it. Upstream always writes `recovery.sink`, as null where there is none; we leave it out, which the other
//! operator reads alike.

use kube::CustomResource;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

/// All tables that one application follows in one cluster.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "zalando.org",
    version = "v1",
    kind = "FabricEventStream",
    plural = "fabriceventstreams",
    singular = "fabriceventstream",
    shortname = "fes",
    category = "all",
    namespaced,
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default"
)]
#[serde(rename_all = "camelCase")]
pub struct FabricEventStreamSpec {
    /// The application that follows the tables.
    pub application_id: String,
    /// One entry per table.
    pub event_streams: Vec<EventStream>,
}

/// The way of one table's changes: from where, how, to where, and what if that fails.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EventStream {
    /// How a change becomes an event.
    pub flow: EventStreamFlow,
    /// Where events go.
    pub sink: EventStreamSink,
    /// Where changes come from.
    pub source: EventStreamSource,
    /// What becomes of an event that cannot be delivered.
    pub recovery: EventStreamRecovery,
}

/// How a change becomes an event.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventStreamFlow {
    /// The kind of flow, `PostgresWalToGenericNakadiEvent`.
    #[serde(rename = "type")]
    pub flow_type: String,
    /// The column that holds the event's body.
    pub payload_column: Option<String>,
}

/// Where events go.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventStreamSink {
    /// The kind of sink, `Nakadi`.
    #[serde(rename = "type")]
    pub sink_type: String,
    /// The type of the events.
    pub event_type: Option<String>,
    /// Events per batch.
    pub max_batch_size: Option<u32>,
}

/// Where changes come from.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventStreamSource {
    /// The kind of source, `PostgresLogicalReplication`.
    #[serde(rename = "type")]
    pub source_type: String,
    /// The schema of the table; `public` where absent.
    pub schema: Option<String>,
    /// The table.
    pub table: EventStreamTable,
    /// A JSONPath that rows must match.
    pub filter: Option<String>,
    /// How the database is reached.
    pub jdbc_connection: EventStreamConnection,
}

/// A table that is followed.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventStreamTable {
    /// Its name, without the schema.
    pub name: String,
    /// The column that identifies a row.
    pub id_column: Option<String>,
}

/// How the database is reached.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventStreamConnection {
    /// Address, database and user.
    pub jdbc_url: String,
    /// The logical replication slot.
    pub slot_name: String,
    /// The output plugin of the slot, `pgoutput`.
    pub plugin_type: Option<String>,
    /// The publication, where it is not called as the slot.
    pub publication_name: Option<String>,
    /// The user's password.
    pub database_authentication: EventStreamAuthentication,
}

/// Where the user's password is found.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventStreamAuthentication {
    /// The kind of place, `DatabaseAuthenticationSecret`.
    #[serde(rename = "type")]
    pub authentication_type: String,
    /// The Secret.
    pub name: Option<String>,
    /// The key of the user's name in it.
    pub user_key: Option<String>,
    /// The key of the password in it.
    pub password_key: Option<String>,
}

/// What becomes of an event that cannot be delivered.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EventStreamRecovery {
    /// `None`, `Ignore` or `DeadLetter`.
    #[serde(rename = "type")]
    pub recovery_type: String,
    /// Where it goes then.
    pub sink: Option<EventStreamSink>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_upstream_wrote_is_read_and_written_alike() {
        let spec = json!({
            "applicationId": "app",
            "eventStreams": [{
                "flow": { "type": "PostgresWalToGenericNakadiEvent", "payloadColumn": "b" },
                "sink": { "type": "Nakadi", "eventType": "e", "maxBatchSize": 5 },
                "source": {
                    "type": "PostgresLogicalReplication", "schema": "public",
                    "table": { "name": "t", "idColumn": "id" },
                    "jdbcConnection": {
                        "jdbcUrl": "jdbc:postgresql://c.n/db", "slotName": "fes_db_app", "pluginType": "pgoutput",
                        "databaseAuthentication": {
                            "type": "DatabaseAuthenticationSecret", "name": "s",
                            "userKey": "username", "passwordKey": "password",
                        },
                    },
                },
                "recovery": { "type": "None", "sink": null },
            }],
        });
        let read: FabricEventStreamSpec = serde_json::from_value(spec.clone()).unwrap();
        let mut wanted = spec;
        wanted["eventStreams"][0]["recovery"] = json!({ "type": "None" });
        assert_eq!(serde_json::to_value(&read).unwrap(), wanted);
    }
}
