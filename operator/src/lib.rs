//! Reading and changing the world: the shell around the decisions of `shared`.

pub mod cluster;
pub mod events;
pub mod exec;
pub mod http;
pub mod leader;
pub mod metrics;
pub mod patroni;
pub mod telemetry;

pub mod database;
