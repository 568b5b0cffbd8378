//! One process that runs until it is dropped, and what processes on this machine answer.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A process and its log.
#[derive(Debug)]
pub(crate) struct Daemon {
    name: &'static str,
    process: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts a program; what it says goes to a log in the folder.
    pub(crate) fn start(
        name: &'static str,
        program: &Path,
        flags: &[String],
        folder: &Path,
    ) -> io::Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let output = File::create(&log)?;
        let process = Command::new(program)
            .args(flags)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        Ok(Self { name, process, log })
    }

    /// # Errors
    /// That it has ended, and its last words.
    pub(crate) fn check_alive(&mut self) -> io::Result<()> {
        match self.process.try_wait()? {
            None => Ok(()),
            Some(status) => {
                Err(io::Error::other(format!("{} has ended ({status}): {}", self.name, self.end_of_log())))
            }
        }
    }

    /// The last lines of its log.
    pub(crate) fn end_of_log(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(20).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill(); // it may have ended already
        let _ = self.process.wait();
    }
}

/// What a program on loopback answers over plain HTTP, with the lines before it; `None` while it does not.
pub(crate) async fn get(port: u16, path: &str) -> Option<String> {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    connection.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await.ok()?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.ok()?;
    Some(answer)
}
