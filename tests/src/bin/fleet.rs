//! `fleet`: see `tests::fleet`.

use std::process::ExitCode;

use clap::Parser;
use tests::fleet::args::Args;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,kube_client=off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr).init();
    let args = Args::parse();
    match tests::fleet::run(&args).await {
        Ok(report) => {
            println!("{}", report.markdown());
            eprintln!("written to {}", args.output.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("fleet: {error}");
            ExitCode::FAILURE
        }
    }
}
