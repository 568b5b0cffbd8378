//! Commands in pods, as the operator's port sees them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use operator::exec::{Exec, ExecError, Output, Target};
use tests::fake_api::{FakeApi, When};
use tests::simulation::patroni::Known;
use tests::simulation::{Nature, clock};

use crate::database::Listener;

/// What became of commands.
#[derive(Debug, Default)]
pub(crate) struct Commands {
    /// Whether file systems can be resized; else no pod has a shell for that.
    pub(crate) works: bool,
    /// The pods in which they were.
    pub(crate) ran: Vec<String>,
    /// How the next commands of upgrades fail, each one time.
    pub(crate) fails: Vec<Broken>,
}

/// How the connection to a command breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Before the command has begun.
    Before,
    /// When it has begun. It goes on.
    After,
    /// When it has come to its end.
    AtTheEnd,
}

/// Pods in which a command does nothing and succeeds or cannot be run; those of upgrades are played.
#[derive(Clone)]
pub(crate) struct Shells {
    pub(crate) commands: Arc<Mutex<Commands>>,
    pub(crate) api: FakeApi,
    pub(crate) nature: Arc<Mutex<Nature>>,
    pub(crate) listener: Listener,
}

impl Exec for Shells {
    fn run<'a>(
        &'a self,
        at: &'a Target,
        command: &'a [String],
        _: Duration,
    ) -> BoxFuture<'a, Result<Output, ExecError>> {
        match command.last().filter(|_| command.iter().any(|word| word.contains("major-upgrades"))) {
            Some(attempt) if command.iter().any(|word| word.contains("inplace_upgrade.py")) => {
                self.upgrade(at, attempt).boxed()
            }
            Some(attempt) => self.ask(at, attempt).boxed(),
            None => {
                let answer = self.resize(at);
                async move { answer }.boxed()
            }
        }
    }
}

impl Shells {
    fn resize(&self, at: &Target) -> Result<Output, ExecError> {
        let mut commands = self.commands.lock().unwrap();
        if !commands.works {
            return Err(lost(at, "no pod of the stories has a shell"));
        }
        commands.ran.push(at.pod.clone());
        Ok(Output::default())
    }

    /// The upgrade script, for as long as it takes.
    async fn upgrade(&self, at: &Target, attempt: &str) -> Result<Output, ExecError> {
        (self.listener)("the upgrade script", When::Before);
        self.breaks(at, Broken::Before)?;
        let begun = {
            let mut nature = self.nature.lock().unwrap();
            let state = self.api.state();
            nature.patroni.upgrade(&state.store, (&at.namespace, &at.pod), attempt, clock::now())
        };
        (self.listener)("the upgrade script", When::After);
        if let Err(why) = begun {
            return Ok(output(75, &format!("refused: {why}")));
        }
        self.breaks(at, Broken::After)?;
        let known = loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let known = self.nature.lock().unwrap().patroni.ask(&at.namespace, &at.pod, attempt, false);
            if known != Some(Known::Running) {
                break known;
            }
        };
        (self.listener)("the end of the upgrade script", When::Before);
        self.breaks(at, Broken::AtTheEnd)?;
        match known {
            Some(Known::Over(status, line)) => Ok(output(status, &line)),
            _ => Err(lost(at, "the pod is gone")),
        }
    }

    /// The question what has become of it.
    async fn ask(&self, at: &Target, attempt: &str) -> Result<Output, ExecError> {
        (self.listener)("the question for the upgrade", When::Before);
        self.breaks(at, Broken::Before)?;
        let known = self.nature.lock().unwrap().patroni.ask(&at.namespace, &at.pod, attempt, true);
        (self.listener)("the question for the upgrade", When::After);
        self.breaks(at, Broken::After)?;
        match known {
            Some(Known::Running) => Ok(output(0, "running")),
            Some(Known::Over(_, line)) => Ok(output(0, &format!("over\n{line}"))),
            Some(Known::Never) => Ok(output(0, "never")),
            None => Err(lost(at, "no such pod")),
        }
    }

    fn breaks(&self, at: &Target, when: Broken) -> Result<(), ExecError> {
        let mut commands = self.commands.lock().unwrap();
        if commands.fails.first() == Some(&when) {
            commands.fails.remove(0);
            return Err(lost(at, "the connection broke"));
        }
        Ok(())
    }
}

fn lost(at: &Target, reason: &str) -> ExecError {
    ExecError::Lost { pod: at.pod.clone(), reason: reason.to_owned() }
}

fn output(status: i32, text: &str) -> Output {
    Output { status, stdout: format!("{text}\n"), stderr: String::new() }
}
