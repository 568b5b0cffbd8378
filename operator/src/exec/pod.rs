//! The real thing: the `pods/exec` subresource, over a WebSocket.
//!
//! The exit status comes last and as a Kubernetes `Status`, not as a number: `Failure` with a cause named `ExitCode` is
//! a command that ran and failed, anything else is one that never ran.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{AttachParams, AttachedProcess};
use kube::{Api, Client};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{Exec, ExecError, Output, Target};

/// How much is kept of each stream.
const KEPT: usize = 64 * 1024;

/// Commands in the pods of a cluster.
#[derive(Clone)]
pub struct PodExec {
    client: Client,
}

impl PodExec {
    /// Commands through this client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Runs the command to its end.
    async fn run_to_end(&self, at: &Target, command: &[String]) -> Result<Output, ExecError> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &at.namespace);
        let params = AttachParams::default().container(&at.container).stdin(false).stdout(true).stderr(true);
        let start = |source| ExecError::Start { pod: at.pod.clone(), source };
        let process = pods.exec(&at.pod, command, &params).await.map_err(start)?;
        let (stdout, stderr, status) = drain(process).await;
        let lost = |reason: String| ExecError::Lost { pod: at.pod.clone(), reason };
        let status = status.ok_or_else(|| lost("no exit status".to_owned()))?;
        Ok(Output { status: exit_status(&status).map_err(lost)?, stdout, stderr })
    }
}

impl Exec for PodExec {
    fn run<'a>(
        &'a self,
        at: &'a Target,
        command: &'a [String],
        within: Duration,
    ) -> BoxFuture<'a, Result<Output, ExecError>> {
        let run = tokio::time::timeout(within, self.run_to_end(at, command));
        async move { run.await.unwrap_or_else(|_| Err(ExecError::Deadline { pod: at.pod.clone(), within })) }
            .boxed()
    }
}

/// Both streams and the status. They are read together: a full pipe would stop the command.
async fn drain(mut process: AttachedProcess) -> (String, String, Option<Status>) {
    let (stdout, stderr, status) = (process.stdout(), process.stderr(), process.take_status());
    let status = async {
        match status {
            Some(status) => status.await,
            None => None,
        }
    };
    futures::join!(tail(stdout), tail(stderr), status)
}

/// The end of a stream.
async fn tail(stream: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut stream) = stream else { return String::new() };
    let mut kept: Vec<u8> = Vec::new();
    let mut chunk = vec![0; 8 * 1024];
    while let Ok(read @ 1..) = stream.read(&mut chunk).await {
        kept.extend_from_slice(chunk.get(..read).unwrap_or_default());
        kept.drain(..kept.len().saturating_sub(KEPT));
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// The command's exit status; what Kubernetes says instead when it never ran.
fn exit_status(status: &Status) -> Result<i32, String> {
    if status.status.as_deref() == Some("Success") {
        return Ok(0);
    }
    let causes = status.details.iter().flat_map(|details| details.causes.iter().flatten());
    causes
        .filter(|cause| cause.reason.as_deref() == Some("ExitCode"))
        .find_map(|cause| cause.message.as_deref()?.parse().ok())
        .ok_or_else(|| status.message.clone().unwrap_or_else(|| "no reason given".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(json: serde_json::Value) -> Status {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn the_exit_status_is_a_cause_of_the_answer() {
        assert_eq!(exit_status(&status(serde_json::json!({"metadata": {}, "status": "Success"}))), Ok(0));
        let failed = status(serde_json::json!({
            "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
            "message": "command terminated with non-zero exit code: exit status 3",
            "details": {"causes": [{"reason": "ExitCode", "message": "3"}]},
        }));
        assert_eq!(exit_status(&failed), Ok(3));
    }

    #[test]
    fn a_command_that_never_ran_has_no_exit_status() {
        let never = status(serde_json::json!({
            "metadata": {}, "status": "Failure", "reason": "InternalError", "message": "container not found",
        }));
        assert_eq!(exit_status(&never), Err("container not found".to_owned()));
    }

    #[tokio::test]
    async fn only_the_end_of_a_long_output_is_kept() {
        let mut long = vec![b'a'; KEPT];
        long.extend_from_slice(b"the end");
        let kept = tail(Some(long.as_slice())).await;
        assert_eq!(kept.len(), KEPT);
        assert!(kept.ends_with("the end"));
        assert_eq!(tail(None::<&[u8]>).await, "");
    }
}
