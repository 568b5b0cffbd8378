//! Commands in pods, as the operator's port sees them.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use operator::exec::{Exec, ExecError, Output, Target};

/// Pods in which no command can be run: the stories need none.
pub(crate) struct NoExec;

impl Exec for NoExec {
    fn run<'a>(
        &'a self,
        at: &'a Target,
        _: &'a [String],
        _: Duration,
    ) -> BoxFuture<'a, Result<Output, ExecError>> {
        let lost =
            ExecError::Lost { pod: at.pod.clone(), reason: "no pod of the stories has a shell".to_owned() };
        async move { Err(lost) }.boxed()
    }
}
