//! Stories in memory: the real operator over an API server, Patroni and databases that are simulated, in virtual time.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may be blunt")]

mod accuracy;
mod canaries;
mod contents;
mod crash_points;
mod database;
mod delete;
mod disks;
mod exec;
mod faults;
mod invariants;
mod leaders;
mod nodes;
mod requests;
mod rest_api;
mod rollout;
mod secrets;
mod upgrade;
mod world;
