//! The webhook's program beside a control plane: whoever measures it as it is shipped starts it here.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use super::{free_ports, get};

/// How long it may take until it knows all that there is.
const PATIENCE: Duration = Duration::from_secs(120);

/// The program, running. Dropping it ends it.
#[derive(Debug)]
pub struct WebhookProgram {
    process: Child,
    port: u16,
}

impl WebhookProgram {
    /// Starts it with the `tls.crt` and `tls.key` of a folder, and waits until it has read everything.
    ///
    /// # Errors
    /// When it cannot be started or does not become ready.
    pub async fn start(program: &Path, kubeconfig: &Path, tls: &Path, flags: &[&str]) -> io::Result<Self> {
        let [port, probes] = free_ports()?;
        let process = Command::new(program)
            .arg("serve")
            .args(["--listen", &format!("127.0.0.1:{port}"), "--probes", &format!("127.0.0.1:{probes}")])
            .arg("--tls-dir")
            .arg(tls)
            .args(flags)
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let ready = async {
            while !get(probes, "/readyz").await.is_some_and(|answer| answer.contains(" 200 ")) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let late = |_| io::Error::other("the webhook does not become ready");
        tokio::time::timeout(PATIENCE, ready).await.map_err(late)?;
        Ok(Self { process, port })
    }

    /// Where it answers reviews, on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process; `None` if it has ended.
    pub fn id(&self) -> Option<u32> {
        self.process.id()
    }
}
