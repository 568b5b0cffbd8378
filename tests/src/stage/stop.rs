//! Why a story ended before its end: it failed, or this machine cannot play it.

use std::error::Error;
use std::fmt;

/// How a story, or a part of one, ended.
pub type Told<T = ()> = Result<T, Stop>;

/// Why a story stopped. Not an `Error` itself, so that `?` can turn any error into one.
#[derive(Debug)]
pub enum Stop {
    /// Something is not as it should be.
    Failed(String),
    /// The story needs what is not here.
    Skipped(String),
}

impl Stop {
    /// Something is not as it should be.
    pub fn failed<T>(what: impl Into<String>) -> Told<T> {
        Err(Self::Failed(what.into()))
    }

    /// The story cannot be played here.
    pub fn skipped<T>(why: impl Into<String>) -> Told<T> {
        Err(Self::Skipped(why.into()))
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(what) | Self::Skipped(what) => f.write_str(what),
        }
    }
}

impl<E: Error> From<E> for Stop {
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !text.contains(&cause_text) {
                text.push_str(": ");
                text.push_str(&cause_text);
            }
            source = cause.source();
        }
        // The API server's status repeats, as a structure, what its message has said.
        Self::Failed(text.split(" (Status {").next().unwrap_or_default().to_owned())
    }
}
