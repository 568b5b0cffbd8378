//! PostgreSQL and Patroni: version, parameters, bootstrap by clone or standby, TLS.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::version::PostgresVersion;

/// PostgreSQL's version and parameters.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = super::schema::require_what_has_no_default)]
#[serde(rename_all = "camelCase")]
pub struct PostgresqlParam {
    /// The major version. May rise (an upgrade), never fall.
    #[serde(default)]
    #[schemars(extend("enum" = PostgresVersion::SUPPORTED))]
    pub version: String,
    /// Parameters of `postgresql.conf`, all as strings.
    pub parameters: Option<BTreeMap<String, String>>,
}

/// Patroni's settings. What is absent is Spilo's default.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Patroni {
    /// Options of `initdb`. Read only when the cluster is created.
    pub initdb: Option<BTreeMap<String, String>>,
    /// Lines of `pg_hba.conf`; replaces Spilo's.
    pub pg_hba: Option<Vec<String>>,
    /// Seconds until a leader that stays silent loses its lock.
    #[schemars(range(min = 0))]
    pub ttl: Option<i64>,
    /// Seconds between two rounds of Patroni's loop.
    #[schemars(range(min = 0))]
    pub loop_wait: Option<i64>,
    /// Seconds that Patroni retries the Kubernetes API and PostgreSQL.
    #[schemars(range(min = 0))]
    pub retry_timeout: Option<i64>,
    /// Bytes that a replica may lag behind and still be promoted.
    pub maximum_lag_on_failover: Option<i64>,
    /// Commit only when a standby has it too.
    pub synchronous_mode: Option<bool>,
    /// Refuse writes when there is no synchronous standby.
    pub synchronous_mode_strict: Option<bool>,
    /// How many synchronous standbys; 1 where absent.
    #[schemars(range(min = 0))]
    pub synchronous_node_count: Option<i64>,
    /// Keep the primary when the Kubernetes API is away but all members answer.
    pub failsafe_mode: Option<bool>,
    /// Permanent replication slots.
    pub slots: Option<BTreeMap<String, BTreeMap<String, String>>>,
}

/// The cluster to start as a copy of.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = super::schema::require_what_has_no_default)]
pub struct CloneDescription {
    /// The name of the source cluster.
    #[serde(default)]
    pub cluster: String,
    /// The UID of the source's manifest; part of the path of its WAL archive.
    #[schemars(extend("format" = "uuid"))]
    pub uid: Option<String>,
    /// The moment to restore to, RFC 3339 with a numeric offset. Restores from the archive instead of a base backup.
    pub timestamp: Option<String>,
    /// The WAL archive on S3, where it is not the configured bucket.
    pub s3_wal_path: Option<String>,
    /// The S3 endpoint of the archive.
    pub s3_endpoint: Option<String>,
    /// The access key of the archive, in clear text. Prefer the pod's environment secret.
    pub s3_access_key_id: Option<String>,
    /// The secret key of the archive, in clear text. Prefer the pod's environment secret.
    pub s3_secret_access_key: Option<String>,
    /// Address the bucket by path.
    pub s3_force_path_style: Option<bool>,
}

/// The cluster to follow.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StandbyDescription {
    /// The host to stream from.
    pub standby_host: Option<String>,
    /// The port to stream from.
    pub standby_port: Option<String>,
    /// The replication slot on that host.
    pub standby_primary_slot_name: Option<String>,
    /// The WAL archive on S3 to replay.
    pub s3_wal_path: Option<String>,
    /// The WAL archive on Google Cloud Storage to replay.
    pub gs_wal_path: Option<String>,
}

/// Where the certificate that PostgreSQL serves comes from.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = super::schema::require_what_has_no_default)]
#[serde(rename_all = "camelCase")]
pub struct TlsDescription {
    /// The Secret with certificate and key. Empty switches the section off.
    #[serde(default)]
    pub secret_name: String,
    /// The certificate's key in the Secret; `tls.crt` where absent.
    pub certificate_file: Option<String>,
    /// The private key's key in the Secret; `tls.key` where absent.
    pub private_key_file: Option<String>,
    /// The CA certificate's key, in the Secret or in `caSecretName`.
    pub ca_file: Option<String>,
    /// Another Secret that holds the CA certificate.
    pub ca_secret_name: Option<String>,
}
