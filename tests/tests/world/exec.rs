//! Commands in pods, as the operator's port sees them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use operator::exec::{Exec, ExecError, Output, Target};

/// What became of commands.
#[derive(Debug, Default)]
pub(crate) struct Commands {
    /// Whether they can be run; else no pod has a shell.
    pub(crate) works: bool,
    /// The pods in which they ran.
    pub(crate) ran: Vec<String>,
}

/// Pods in which a command does nothing and succeeds, or cannot be run.
#[derive(Clone, Default)]
pub(crate) struct Shells(pub(crate) Arc<Mutex<Commands>>);

impl Exec for Shells {
    fn run<'a>(
        &'a self,
        at: &'a Target,
        _: &'a [String],
        _: Duration,
    ) -> BoxFuture<'a, Result<Output, ExecError>> {
        let mut commands = self.0.lock().unwrap();
        let answer = if commands.works {
            commands.ran.push(at.pod.clone());
            Ok(Output::default())
        } else {
            let reason = "no pod of the stories has a shell".to_owned();
            Err(ExecError::Lost { pod: at.pod.clone(), reason })
        };
        async move { answer }.boxed()
    }
}
