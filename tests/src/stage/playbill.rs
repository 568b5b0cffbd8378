//! Plays stories: a few side by side, those that touch what they share alone, and says how each ended.
//!
//! Not libtest, because it knows no "skipped": a story that a machine cannot play must never be counted as passed.
//! The arguments are parts of names, as with `cargo test`; `--list` shows the names.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use kube::Client;

use super::{Operator, Stage, Stop, Told};

/// One story.
pub struct Story {
    /// A sentence that says what it shows.
    pub name: &'static str,
    /// Whether it touches what all stories share: the operator under test, its configuration, admission. A story with an
    /// operator of its own ([`Stage::with_own_operator`]) does not.
    pub is_alone: bool,
    /// Plays it.
    pub play: for<'a> fn(&'a Stage) -> LocalBoxFuture<'a, Told>,
}

#[derive(Default)]
struct Tally {
    passed: usize,
    failed: Vec<&'static str>,
    skipped: usize,
}

/// Plays the stories that the arguments ask for, and ends with a line that counts them.
pub fn perform(stories: &[Story]) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted =
        |story: &&Story| wanted.is_empty() || wanted.iter().any(|part| story.name.contains(part.as_str()));
    let (alone, together): (Vec<&Story>, Vec<&Story>) =
        stories.iter().filter(is_wanted).partition(|story| story.is_alone);
    if arguments.iter().any(|argument| argument == "--list") {
        together.iter().chain(&alone).for_each(|story| println!("{}: test", story.name));
        return ExitCode::SUCCESS;
    }
    // What a failed assertion says is told with its story.
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("    failed at {}", panic.location().map(ToString::to_string).unwrap_or_default());
    }));
    let tally = Mutex::new(Tally::default());
    play_side_by_side(&together, side_by_side(), &tally);
    play_side_by_side(&alone, 1, &tally);
    let tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    tally.failed.iter().for_each(|name| eprintln!("failed: {name}"));
    eprintln!("e2e: {} passed, {} failed, {} skipped", tally.passed, tally.failed.len(), tally.skipped);
    if tally.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// How many stories are played at once.
fn side_by_side() -> usize {
    let asked = std::env::var("E2E_SIDE_BY_SIDE").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or(3).max(1)
}

fn play_side_by_side(stories: &[&Story], places: usize, tally: &Mutex<Tally>) {
    let queue = Mutex::new(stories.iter());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next().copied();
    std::thread::scope(|scope| {
        for _ in 0..places.min(stories.len()) {
            scope.spawn(|| {
                while let Some(story) = next() {
                    let (ending, took) = timed(story);
                    tally.lock().unwrap_or_else(PoisonError::into_inner).note(story.name, ending, took);
                }
            });
        }
    });
}

fn timed(story: &Story) -> (Told, Duration) {
    let begun = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ending = match runtime {
        Ok(runtime) => runtime.block_on(play(story)),
        Err(error) => Err(error.into()),
    };
    (ending, begun.elapsed())
}

impl Tally {
    fn note(&mut self, name: &'static str, ending: Told, took: Duration) {
        let seconds = took.as_secs_f32();
        match ending {
            Ok(()) => {
                self.passed += 1;
                eprintln!("ok: {name} ({seconds:.1} s)");
            }
            Err(Stop::Skipped(why)) => {
                self.skipped += 1;
                eprintln!("skipped: {name}: {why}");
            }
            Err(Stop::Failed(what)) => {
                self.failed.push(name);
                eprintln!("FAILED: {name} ({seconds:.1} s): {what}");
            }
        }
    }
}

/// Sets the stage, plays, and strikes it whatever happened.
async fn play(story: &Story) -> Told {
    if std::env::var_os("KUBECONFIG").is_none() {
        return Stop::skipped("no KUBECONFIG is set");
    }
    let client = Client::try_default().await?;
    Operator::of(client.clone()).is_deployed().await?;
    eprintln!("playing: {}", story.name);
    let begun = Instant::now();
    let stage = Stage::set_up(client, story.name).await?;
    let ending = AssertUnwindSafe((story.play)(&stage)).catch_unwind().await;
    let mut ending = ending.unwrap_or_else(|panic| Stop::failed(text_of(&*panic)));
    if ending.is_ok() {
        ending = keeps_its_secrets(&stage, begun).await;
    }
    if let Err(Stop::Failed(what)) = &ending {
        stage.tell(format!("failed: {what}"));
    }
    let failed = matches!(&ending, Err(Stop::Failed(_)));
    stage.strike(failed).await;
    ending
}

/// Whether no password of the story's Secrets was told to anybody.
async fn keeps_its_secrets(stage: &Stage, begun: Instant) -> Told {
    let seconds = i64::try_from(begun.elapsed().as_secs()).unwrap_or(i64::MAX) + 1;
    match stage.leaks(seconds).await? {
        leaks if leaks.is_empty() => Ok(()),
        leaks => Stop::failed(format!("secrets got out: {}", leaks.join("; "))),
    }
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned()
}
