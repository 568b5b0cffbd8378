//! What is shipped for monitoring agrees with what the services expose: figures, alerts, dashboard, documentation.
//!
//! Both services run in this process as far as their figures go. `promtool` and `prometheus` are Debian's package
//! `prometheus`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may be blunt")]

mod documentation;
mod figures;
mod files;
mod questions;
mod scraped;
mod services;

use std::fs;
use std::path::{Path, PathBuf};

/// A file of this repository, by its path from the root.
pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap().join(name)
}

pub(crate) fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Compares a file that is made of something else; `UPDATE_GOLDEN=1` makes it anew.
#[track_caller]
pub(crate) fn assert_made(name: &str, text: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path(name), text).unwrap();
    }
    assert!(read(name) == text, "{name} is out of date; UPDATE_GOLDEN=1 makes it anew:\n{text}");
}
