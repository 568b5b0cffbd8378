//! The commands, run by a real shell beside a record in a folder of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::*;

/// A folder that stands for the volume, and for the container's own.
struct Pod(PathBuf);

impl Pod {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("upgrade-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    /// The script that is run in the image's stead: says that it has begun, and waits to be let go.
    fn begin(&self, attempt: &Attempt, then: &str) -> Child {
        let wait = format!("touch begun; until [ -e go ]; do sleep 0.01; done; {then}");
        let command = as_postgres(&format!("{RUN}({wait}) 2>&1 | tee -p last_upgrade.log"), attempt);
        self.command(&command).stdout(Stdio::piped()).spawn().unwrap()
    }

    fn wait_until_begun(&self) {
        while !self.0.join("begun").exists() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    fn let_go(&self) {
        std::fs::write(self.0.join("go"), "").unwrap();
    }

    /// `AS_POSTGRES` without the change of user: here nobody may become postgres.
    fn command(&self, command: &[String]) -> Command {
        let mut run = Command::new("/bin/bash");
        run.args(["-c", &command[4]]).env("ATTEMPT", &command[5]).env("PGROOT", &self.0);
        run.current_dir(&self.0);
        run
    }

    fn ask(&self, attempt: &Attempt) -> Script {
        answer(&finished(self.command(&question(attempt)))).unwrap()
    }

    fn run_again(&self, attempt: &Attempt) -> End {
        end(&finished(self.command(&as_postgres(&format!("{RUN}echo ran"), attempt))))
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all::<&Path>(&self.0);
    }
}

fn finished(mut command: Command) -> Output {
    said(command.output().unwrap())
}

fn said(output: std::process::Output) -> Output {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Output { status: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn attempt(number: u8) -> Attempt {
    Attempt::parse(&format!("17 2026-01-0{number}T00:00:00Z demo-0")).unwrap()
}

#[test]
fn a_script_that_runs_is_seen_and_no_other_runs_beside_it() {
    let pod = Pod::new("runs");
    let child = pod.begin(&attempt(1), "echo; echo done; echo");
    pod.wait_until_begun();
    assert_eq!(pod.ask(&attempt(1)), Script::Running);
    let refused = pod.run_again(&attempt(2));
    assert_eq!(refused, End::Unseen("refused: another major upgrade is under way here".to_owned()));
    pod.let_go();
    assert_eq!(end(&said(child.wait_with_output().unwrap())), End::Well);
    assert_eq!(pod.ask(&attempt(1)), Script::Over { last_line: "done".to_owned() });
}

#[test]
fn an_attempt_is_run_once() {
    let pod = Pod::new("once");
    assert_eq!(pod.run_again(&attempt(1)), End::Well);
    let again = pod.run_again(&attempt(1));
    assert_eq!(again, End::Unseen("refused: it was run or given up before".to_owned()));
    assert_eq!(pod.run_again(&attempt(2)), End::Well, "a person has asked for another one");
}

#[test]
fn an_attempt_that_was_given_up_is_never_run() {
    let pod = Pod::new("never");
    assert_eq!(pod.ask(&attempt(1)), Script::NeverRun);
    assert!(matches!(pod.run_again(&attempt(1)), End::Unseen(_)));
    assert_eq!(pod.run_again(&attempt(2)), End::Well);
}

#[test]
fn a_script_whose_shell_was_killed_still_counts_as_running() {
    let pod = Pod::new("orphan");
    let mut child = pod.begin(&attempt(1), "true");
    pod.wait_until_begun();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(pod.ask(&attempt(1)), Script::Running);
    pod.let_go();
    while pod.ask(&attempt(1)) == Script::Running {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(pod.ask(&attempt(1)), Script::Over { last_line: String::new() });
}

#[test]
fn a_script_that_fails_says_why_in_its_last_line() {
    let pod = Pod::new("fails");
    pod.let_go();
    let child = pod.begin(&attempt(1), "echo no space left; exit 3");
    let end = end(&said(child.wait_with_output().unwrap()));
    assert_eq!(end, End::Badly("the script ended with 3: no space left".to_owned()));
}

#[test]
fn where_no_record_can_be_kept_nothing_is_run() {
    let pod = Pod::new("no-record");
    let mut command = pod.command(&as_postgres(&format!("{RUN}echo ran"), &attempt(1)));
    command.env("PGROOT", "/proc/no-such-folder");
    assert!(matches!(end(&finished(command)), End::Unseen(why) if why.ends_with("cannot be written")));
    let mut asked = pod.command(&question(&attempt(1)));
    asked.env("PGROOT", "/proc/no-such-folder");
    assert!(answer(&finished(asked)).unwrap_err().contains("no-such-folder"));
}

#[test]
fn the_command_keeps_the_script_and_the_attempt_apart_from_the_shell_that_reads_them() {
    let command = run(&attempt(1), 2);
    let mut shell = Command::new(&command[0]);
    let echo = format!("{}\necho \"$ATTEMPT\"", "true");
    shell.args([
        &command[1],
        &AS_POSTGRES.replace("su postgres -s /bin/bash", "/bin/bash"),
        &command[3],
        &echo,
        &command[5],
    ]);
    assert_eq!(finished(shell).stdout.trim(), attempt(1).to_string());
    assert!(
        command[4].ends_with("/scripts/inplace_upgrade.py 2 2>&1 | tee -p last_upgrade.log"),
        "{}",
        command[4]
    );
}
