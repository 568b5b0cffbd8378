//! The commands in the primary's pod: the image's upgrade script, and the question what has become of it.
//!
//! Both keep a record on the volume, beside the data directory, under a lock that the script holds for as long as it
//! runs: a line for each attempt that was run, or never will be. So no two scripts run at once, no attempt is run twice,
//! and whoever asks gets an answer that stays true: an attempt that has not begun by then is entered as if it had, and
//! its script refuses to run. A newcomer would not guess that the script goes on when the connection breaks, and that
//! the volume outlives the container, its log and its processes.

use shared::observed::{Attempt, Script};

use crate::exec::Output;

/// The exit status of a script that refuses to run (`EX_TEMPFAIL`).
const REFUSED: i32 = 75;
/// The first line of such a script.
const REFUSAL: &str = "refused: ";

/// Runs the rest as postgres with the record open. Images begin as root or as postgres; `su` keeps the environment.
const AS_POSTGRES: &str = r#"export ATTEMPT="$2"
if [ "$(id -u)" = 0 ]; then exec su postgres -s /bin/bash -c "$1"; else exec /bin/bash -c "$1"; fi"#;

const RUN: &str = r#"record="$PGROOT/major-upgrades"
exec 9>>"$record" || { echo "refused: $record cannot be written"; exit 75; }
flock -n 9 || { echo "refused: another major upgrade is under way here"; exit 75; }
if grep -qxF -- "$ATTEMPT" "$record"; then echo "refused: it was run or given up before"; exit 75; fi
echo "$ATTEMPT" >&9 || { echo "refused: $record cannot be written"; exit 75; }
set -o pipefail
"#;

const QUESTION: &str = r#"record="$PGROOT/major-upgrades"
exec 9>>"$record" || exit
if ! flock -n 9; then echo running
elif grep -qxF -- "$ATTEMPT" "$record"; then echo over; grep '[^[:space:]]' last_upgrade.log 2>/dev/null | tail -n 1
else echo "$ATTEMPT" >&9 && echo never; fi
exit 0"#;

/// How an attempt ended, as far as its own connection tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The script succeeded.
    Well,
    /// It ran and failed; why.
    Badly(String),
    /// It did not run, or its end was not seen; why.
    Unseen(String),
}

/// Runs the image's script. `tee -p` goes on when nobody listens any more.
pub(super) fn run(attempt: &Attempt, members: usize) -> Vec<String> {
    let script =
        format!("/usr/bin/python3 /scripts/inplace_upgrade.py {members} 2>&1 | tee -p last_upgrade.log");
    as_postgres(&format!("{RUN}{script}"), attempt)
}

/// Asks what has become of an attempt, and sees to it that one that was never run will not be.
pub(super) fn question(attempt: &Attempt) -> Vec<String> {
    as_postgres(QUESTION, attempt)
}

fn as_postgres(script: &str, attempt: &Attempt) -> Vec<String> {
    let attempt = attempt.to_string();
    ["/bin/bash", "-c", AS_POSTGRES, "upgrade", script, &attempt].map(str::to_owned).to_vec()
}

/// How the script ended.
pub(super) fn end(output: &Output) -> End {
    let last_line = output.stdout.lines().rev().find(|line| !line.trim().is_empty());
    match (output.status, last_line) {
        (0, _) => End::Well,
        (REFUSED, Some(line)) if line.starts_with(REFUSAL) => End::Unseen(line.to_owned()),
        (status, line) => {
            End::Badly(format!("the script ended with {status}: {}", line.unwrap_or("it wrote nothing")))
        }
    }
}

/// What a pod answers to the question.
pub(super) fn answer(output: &Output) -> Result<Script, String> {
    let (word, rest) = output.stdout.split_once('\n').unwrap_or((&output.stdout, ""));
    match word {
        "running" => Ok(Script::Running),
        "over" => Ok(Script::Over { last_line: rest.trim().to_owned() }),
        "never" => Ok(Script::NeverRun),
        _ => Err(format!("the question ended with {}: {}", output.status, output.stderr.trim())),
    }
}

#[cfg(test)]
#[path = "script_tests.rs"]
mod tests;
