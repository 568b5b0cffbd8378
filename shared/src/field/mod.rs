//! Where in a manifest something is wrong, and what would be right.
//!
//! Every check in `validation`, every parser in `config` and `Cluster::resolve` report through these types.
//! Errors are collected, never returned one by one: a user fixes a manifest once, not once per error.

mod error;
mod path;

pub use error::{FieldError, FieldErrors, Reason};
pub use path::FieldPath;
