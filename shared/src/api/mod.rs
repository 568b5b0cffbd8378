//! The kinds of `acid.zalan.do/v1`, as users write them.
//!
//! Types here hold what a manifest says and nothing more: no defaults are filled in and no rule is checked, that is
//! what `defaults`, `validation` and `cluster` do. Fields that the CRD requires still have a serde default, so that an
//! incomplete manifest can be read and *all* that is wrong with it be told.

pub mod configuration_groups;
mod databases;
mod event_stream;
mod maintenance_window;
mod operator_configuration;
mod pooler;
mod postgres;
mod postgresql;
mod schema;
mod status;
mod stream;
mod workload;

pub use databases::{PreparedDatabase, PreparedSchema};
pub use event_stream::{
    EventStream, EventStreamAuthentication, EventStreamConnection, EventStreamFlow, EventStreamRecovery,
    EventStreamSink, EventStreamSource, EventStreamTable, FabricEventStream, FabricEventStreamSpec,
};
pub use maintenance_window::{MaintenanceWindow, NotAMaintenanceWindow};
pub use operator_configuration::OperatorConfiguration;
pub use pooler::ConnectionPooler;
pub use postgres::{CloneDescription, Patroni, PostgresqlParam, StandbyDescription, TlsDescription};
pub use postgresql::{Postgresql, PostgresqlSpec};
pub use schema::Anything;
pub use status::{LastStep, PostgresqlStatus, StatusWord};
pub use stream::{Stream, StreamTable};
pub use workload::{AdditionalVolume, ResourceAmounts, Resources, Sidecar, Volume};

/// The API group of every kind here.
pub const GROUP: &str = "acid.zalan.do";
/// The only version served and stored.
pub const VERSION: &str = "v1";
/// The finalizer that keeps a manifest until its objects are taken down.
pub const FINALIZER: &str = "postgres-operator.acid.zalan.do";
