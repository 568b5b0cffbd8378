//! Skeleton.

pub mod database;
