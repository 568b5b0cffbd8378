//! `certs ensure` and `certs show`.

use std::error::Error;
use std::process::ExitCode;

use certs::args::{Args, Command};
use certs::ensure;
use clap::Parser;
use tracing_subscriber::EnvFilter;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let done = match Args::parse().command {
        Command::Ensure(target) => ensure::ensure(&target).await,
        Command::Show(target) => ensure::show(&target).await.map(|text| println!("{text}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("certs: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// The error and its causes on one line, outermost first.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
