//! `certs ensure`, `certs show` and `certs rotate`.

use std::error::Error;
use std::io::IsTerminal;
use std::process::ExitCode;

use certs::args::{Args, Command};
use certs::ensure::{self, EnsureError};
use certs::publish::PublishError;
use certs::rotate;
use clap::Parser;
use jiff::Timestamp;
use kube::Client;
use tracing_subscriber::EnvFilter;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let terminal = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(terminal).with_writer(std::io::stderr).init();
    match run(Args::parse().command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("certs: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<(), EnsureError> {
    let client = Client::try_default().await.map_err(PublishError::Connect)?;
    match command {
        Command::Ensure(target) => ensure::ensure(&client, &target, Timestamp::now()).await.map(drop),
        Command::Show(target) => {
            println!("{}", ensure::show(&client, &target, Timestamp::now()).await?);
            Ok(())
        }
        Command::Rotate(rotate) => rotate::rotate(&client, &rotate, Timestamp::now).await,
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
