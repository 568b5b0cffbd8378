//! Reading and changing the world: the shell around the decisions of `shared`.
//!
//! In reading order: `service` starts everything, `controller` decides when a cluster is looked at, `cluster` looks at it,
//! the rest are the ports through which it reads and writes.

pub mod activity;
pub mod adopt;
pub mod args;
pub mod config;
pub mod context;
pub mod controller;

pub mod cluster;

pub mod database;
pub mod disks;
pub mod exec;
pub mod patroni;
pub mod team;

pub mod events;
pub mod http;
pub mod leader;
pub mod metrics;
pub mod render;
pub mod rights;
pub mod rolling;
pub mod service;
pub mod telemetry;
