//! Starts the operator: reads the command line, and says how it ended.

use std::process::ExitCode;

use clap::Parser;
use kube::Client;
use operator::activity::Activity;
use operator::args::{Adopt, Args, Command, CommandLine};
use operator::{service, telemetry};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

type Fatal = Box<dyn std::error::Error + Send + Sync>;

/// Objects are made of many small texts and maps, which this one gives and takes faster than the C library's. It is built not
/// to ask for huge pages (`no_thp`): a few bytes in each of many keep two megabytes apiece.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let line = CommandLine::parse();
    // Where huge pages are given without being asked for, too. A kernel that has none refuses, and that is as well.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let args = match line.command {
        None => line.run,
        Some(Command::Run(args)) => *args,
        Some(Command::Render(render)) => return print(operator::render::render(&render)),
        Some(Command::Adopt(adopt)) => return foresee(&adopt).await,
    };
    let run = async {
        let activity = Activity::default();
        telemetry::init(&activity)?;
        operate(args, activity).await
    };
    match run.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("operator: {}", operator::cluster::told(&*error));
            ExitCode::FAILURE
        }
    }
}

/// Prints what an adoption would change: 0 when nothing needs attention, 1 when something does, 2 when nothing can be told.
async fn foresee(adopt: &Adopt) -> ExitCode {
    match operator::adopt::check(adopt).await {
        Ok(report) => {
            print!("{report}");
            if report.needs_attention() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Err(error) => {
            eprintln!("operator: {}", operator::cluster::told(&error));
            ExitCode::from(2)
        }
    }
}

/// Prints what was rendered, or why it could not be.
fn print(rendered: Result<String, operator::render::RenderError>) -> ExitCode {
    match rendered {
        Ok(documents) => {
            print!("{documents}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{}", operator::cluster::told(&error));
            ExitCode::FAILURE
        }
    }
}

/// Until a signal, or until it may not act any more.
async fn operate(args: Args, activity: Activity) -> Result<(), Fatal> {
    // From the first moment on: the first process of a container that handles no signal is not ended by any.
    let stop = stopped()?;
    Ok(service::run(Client::try_default().await?, args, activity, stop).await?)
}

/// True from the first SIGTERM or SIGINT on.
fn stopped() -> Result<watch::Receiver<bool>, Fatal> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (sender, stop) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        sender.send_replace(true);
        sender.closed().await;
    });
    Ok(stop)
}
