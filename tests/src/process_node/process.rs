//! Processes: started in a group of their own, ended by their ids, and nothing of them left.
//!
//! A fact a newcomer would not guess: Patroni starts PostgreSQL in a session of its own, so ending Patroni's group is not
//! enough. What is left is found by its working directory, which is in the pod's folders.

use std::fs::OpenOptions;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, getuid, kill_process, kill_process_group};
use tokio::process::{Child, Command};

use super::environment::Variables;

/// What to start.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// All of its variables.
    pub variables: Variables,
    /// Where it works.
    pub folder: PathBuf,
    /// Where its output goes.
    pub log: PathBuf,
}

/// The user that databases run as when we are root, because PostgreSQL refuses to run as root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    user: u32,
    group: u32,
}

impl Owner {
    /// `None` where everything runs as the user that we are.
    pub fn of_databases() -> Option<Self> {
        if !getuid().is_root() {
            return None;
        }
        let users = std::fs::read_to_string("/etc/passwd").ok()?;
        let mut fields = users.lines().find_map(|line| line.strip_prefix("postgres:"))?.split(':').skip(1);
        Some(Self { user: fields.next()?.parse().ok()?, group: fields.next()?.parse().ok()? })
    }

    /// Gives a file or a folder to that user.
    ///
    /// # Errors
    /// When it is not there.
    pub fn take(owner: Option<Self>, path: &Path) -> std::io::Result<()> {
        match owner {
            Some(owner) => chown(path, Some(owner.user), Some(owner.group)),
            None => Ok(()),
        }
    }
}

/// A running process.
#[derive(Debug)]
pub struct Running {
    child: Child,
    id: Pid,
}

/// Starts a process, in the place of which only `postgres` may stand when we are root.
///
/// # Errors
/// When the program or its folders are not there.
pub fn start(launch: &Launch, owner: Option<Owner>) -> std::io::Result<Running> {
    let missing = || std::io::Error::other("no process was started");
    let mut command = command(launch, owner).ok_or_else(missing)?;
    let child = command.spawn()?;
    let id = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)).ok_or_else(missing)?;
    Ok(Running { child, id })
}

/// Runs a process to its end.
///
/// # Errors
/// When it cannot be started.
pub async fn run(launch: &Launch, owner: Option<Owner>) -> std::io::Result<ExitStatus> {
    start(launch, owner)?.child.wait().await
}

fn command(launch: &Launch, owner: Option<Owner>) -> Option<Command> {
    let as_user = owner.map(|Owner { user, group }| {
        [
            "setpriv".to_owned(),
            format!("--reuid={user}"),
            format!("--regid={group}"),
            "--clear-groups".to_owned(),
        ]
    });
    let mut words = as_user.into_iter().flatten().chain(launch.command.iter().cloned());
    let mut command = Command::new(words.next()?);
    let log = OpenOptions::new().create(true).append(true).open(&launch.log).ok()?;
    command
        .args(words)
        .env_clear()
        .envs(&launch.variables)
        .current_dir(&launch.folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone().ok()?)
        .stderr(log)
        .process_group(0);
    Some(command)
}

impl Running {
    /// Its number.
    pub fn id(&self) -> i32 {
        self.id.as_raw_nonzero().get()
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// When the system does not tell.
    pub async fn wait(&mut self) -> std::io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Asks it to end, and after `grace` ends its group.
    pub async fn end(&mut self, grace: Duration) {
        let _ = kill_process(self.id, Signal::TERM);
        if tokio::time::timeout(grace, self.child.wait()).await.is_err() {
            let _ = kill_process_group(self.id, Signal::KILL);
            let _ = self.child.wait().await;
        }
    }
}

/// Ends every process that works in one of the folders, and waits until there is none.
pub async fn end_all_in(folders: &[PathBuf]) {
    for _ in 0..100 {
        let left = working_in(folders);
        if left.is_empty() {
            return;
        }
        for id in left {
            let _ = kill_process(id, Signal::KILL);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn working_in(folders: &[PathBuf]) -> Vec<Pid> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ours = processes.filter(|entry| {
        let place = std::fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        folders.iter().any(|folder| place.starts_with(folder))
    });
    ours.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("process-node-test-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn shell(script: &str, folder: &Path) -> Launch {
        Launch {
            command: ["/bin/sh", "-c", script].map(str::to_owned).into(),
            variables: [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into(),
            folder: folder.to_owned(),
            log: folder.join("log"),
        }
    }

    #[tokio::test]
    async fn a_process_is_asked_first_and_its_last_words_are_kept() {
        let folder = folder("polite");
        let mut running =
            start(&shell("trap 'echo bye; exit' TERM; echo up; while :; do sleep 0.05; done", &folder), None)
                .unwrap();
        while !std::fs::read_to_string(folder.join("log")).unwrap().contains("up") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        running.end(Duration::from_secs(5)).await;
        assert_eq!(std::fs::read_to_string(folder.join("log")).unwrap(), "up\nbye\n");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[tokio::test]
    async fn what_left_its_group_is_found_by_its_folder() {
        let folder = folder("leftover");
        let mut running = start(&shell("setsid sleep 1000 & sleep 0.2", &folder), None).unwrap();
        running.wait().await.unwrap();
        assert_eq!(working_in(std::slice::from_ref(&folder)).len(), 1);
        end_all_in(std::slice::from_ref(&folder)).await;
        assert!(working_in(std::slice::from_ref(&folder)).is_empty());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
