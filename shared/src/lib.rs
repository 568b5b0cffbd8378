//! What should be, what is wrong, and what happens next: the decisions of both services, as pure functions.
//!
//! `webhook` and `operator` only read, ask this crate, and write. Nothing here is async, does I/O, reads a clock or
//! throws dice; time, passwords and fetched objects are arguments. The modules stand in reading order: each uses
//! only what stands above it.

pub mod field;
pub mod quantity;
mod spelling;
pub mod version;

pub mod settings;

pub mod api;
pub mod config;
pub mod schema;

pub mod annotations;
pub mod labels;
pub mod names;

pub mod patroni;
pub mod roles;

pub mod cluster;
pub mod defaults;
pub mod validation;

pub mod build;
pub mod observed;
pub mod plan;
pub mod rollout;
pub mod status;

pub mod admission;
pub mod redaction;

#[cfg(test)]
#[path = "../../tests/src/catalogue.rs"]
mod catalogue;
