//! An application that writes all the time, and remembers what it was promised.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{SOON, Session, Stop, Told, until};

/// What the client's pod runs.
const SCRIPT: &str = include_str!("../../fixtures/e2e/writer.py");

/// A client that inserts numbered rows through the Service, one after the other, until it is stopped.
pub struct Writer<'a> {
    session: Session<'a>,
}

/// What became of the rows.
#[derive(Debug, PartialEq)]
pub struct Written {
    /// How many rows the database acknowledged.
    pub acknowledged: usize,
    /// Acknowledged rows that are not there.
    pub lost: Vec<u64>,
    /// The longest time without an acknowledgement.
    pub longest_pause: Duration,
}

impl<'a> Writer<'a> {
    /// Begins to write, and waits for the first rows.
    ///
    /// # Errors
    /// When none is acknowledged.
    pub async fn begin(session: Session<'a>) -> Told<Self> {
        let mut command = vec!["env".to_owned()];
        command.extend(session.environment());
        let background = "rm -f /tmp/writer.*; nohup python3 -c \"$0\" >/tmp/writer.log 2>&1 &";
        command.extend(["sh", "-c", background, SCRIPT].map(str::to_owned));
        session.stage().in_client(&command).await?;
        let writer = Self { session };
        until("the writer has written", SOON, async || match writer.acknowledged().await?.len() {
            0..5 => Stop::failed(writer.shell("tail -n 3 /tmp/writer.log").await?),
            _ => Ok(()),
        })
        .await?;
        Ok(writer)
    }

    async fn shell(&self, script: &str) -> Told<String> {
        self.session.stage().in_client(&["sh", "-c", script].map(str::to_owned)).await
    }

    async fn acknowledged(&self) -> Told<Vec<(u64, f64)>> {
        Ok(read(&self.shell("cat /tmp/writer.acknowledged").await?))
    }

    /// Waits until something was written after now: the cluster takes writes.
    ///
    /// # Errors
    /// When nothing is.
    pub async fn until_written_again(&self) -> Told {
        let before = self.acknowledged().await?.len();
        until("the writer writes again", SOON, async || match self.acknowledged().await?.len() {
            now if now > before + 1 => Ok(()),
            _ => Stop::failed(self.shell("tail -n 3 /tmp/writer.log").await?),
        })
        .await
    }

    /// Stops writing and counts.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub async fn stop(self) -> Told<Written> {
        self.shell("touch /tmp/writer.stop").await?;
        until("the writer has stopped", SOON, async || self.shell("cat /tmp/writer.done").await).await?;
        let acknowledged = self.acknowledged().await?;
        let rows = self.session.until_sql("SELECT id FROM written").await?;
        let stored: BTreeSet<u64> = rows.lines().filter_map(|line| line.parse().ok()).collect();
        Ok(account(&acknowledged, &stored))
    }
}

fn read(text: &str) -> Vec<(u64, f64)> {
    let line = |line: &str| {
        let (number, at) = line.split_once(' ')?;
        Some((number.parse().ok()?, at.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}

fn account(acknowledged: &[(u64, f64)], stored: &BTreeSet<u64>) -> Written {
    let lost =
        acknowledged.iter().map(|(number, _)| *number).filter(|number| !stored.contains(number)).collect();
    let times = acknowledged.iter().map(|(_, at)| at);
    let pauses = times.clone().zip(times.skip(1)).map(|(one, next)| next - one);
    let longest = pauses.fold(0.0, f64::max);
    Written {
        acknowledged: acknowledged.len(),
        lost,
        longest_pause: Duration::try_from_secs_f64(longest).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledged_row_that_is_not_there_is_lost() {
        let acknowledged = read("1 10.0\n2 10.5\n4 13.5\n");
        let written = account(&acknowledged, &BTreeSet::from([1, 3, 4]));
        let longest_pause = Duration::from_secs(3);
        assert_eq!(written, Written { acknowledged: 3, lost: vec![2], longest_pause });
    }
}
