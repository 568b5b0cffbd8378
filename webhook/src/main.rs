//! `webhook serve`, `webhook validate` and `webhook plan`.

use std::error::Error;
use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;
use webhook::args::{Args, Command};
use webhook::{offline, serve};

/// Reviews are made of many small texts and maps, which this one gives and takes twice as fast as a C library's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match Args::parse().command {
        Command::Serve(args) => run(args),
        Command::Validate(args) => print(validate(&args)),
        Command::Plan(args) => print(offline::plan(&args)),
    }
}

fn print(judged: Result<offline::Report, offline::OfflineError>) -> ExitCode {
    match judged {
        Ok(report) => {
            println!("{}", report.text);
            if report.valid { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => failed(&error),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn validate(args: &webhook::args::Validate) -> Result<offline::Report, offline::OfflineError> {
    offline::validate(args).await
}

#[tokio::main]
async fn run(args: webhook::args::Serve) -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // The same switch as upstream's operator.
    if std::env::var("ENABLE_JSON_LOGGING").is_ok_and(|value| value == "true") {
        log.json().init();
    } else {
        log.init();
    }
    match serve::serve(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

/// Prints the error and its causes on one line, outermost first. A failure to judge is 2, an invalid file 1.
fn failed(error: &dyn Error) -> ExitCode {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    eprintln!("webhook: {text}");
    ExitCode::from(2)
}
