//! What a person reads, line by line.

use shared::plan::{Change, Effect};

use super::done::{Built, Done};

/// What was said.
#[derive(Debug)]
pub(super) struct Said {
    /// The lines.
    pub(super) lines: Vec<String>,
    /// The worst effect.
    pub(super) effect: Effect,
    /// Whether every part of what happens is told, or only the worst of each option.
    in_full: bool,
    rolling: bool,
    restart: bool,
    reload: bool,
    sql: bool,
    grows: bool,
    /// EC2 is to enlarge disks: the claims stay as they are.
    enlarges: bool,
    replaced: bool,
}

impl Said {
    pub(super) fn of_manifest(changes: &[Change]) -> Self {
        Self::of(changes, true)
    }

    pub(super) fn of_configuration(changes: &[Change]) -> Self {
        Self::of(changes, false)
    }

    fn of(changes: &[Change], in_full: bool) -> Self {
        let acts = || changes.iter().filter(|change| change.effect != Effect::Ignored);
        let says =
            |words: &[&str]| acts().any(|change| words.iter().any(|word| change.message.contains(word)));
        Self {
            lines: changes.iter().map(ToString::to_string).collect(),
            effect: acts().map(|change| change.effect).max().unwrap_or(Effect::Ignored),
            in_full,
            rolling: says(&["rolling update of", "pod is recreated", "old pod is recreated"]),
            restart: says(&["PostgreSQL restarts"]),
            reload: says(&["PostgreSQL reads its configuration again", "Patroni takes it over"]),
            sql: says(&["by SQL:", "SQL is run"]),
            grows: says(&["each volume grows"]),
            enlarges: says(&["EC2 enlarges the disks"]),
            replaced: says(&["the StatefulSet is replaced"]),
        }
    }

    /// Where the words and the deeds are not the same.
    pub(super) fn disagrees(&self, built: &Built, done: &Done) -> Vec<String> {
        let mut complaints = Vec::new();
        let mut same = |what: &str, said: String, done: String| {
            if said != done {
                complaints.push(format!("{what}: said {said}, done {done}"));
            }
        };
        let (before, after) = built.members;
        let pods = |those: bool, count: i32| -> Vec<String> {
            (0..count).filter(|_| those).map(|ordinal| format!("demo-{ordinal}")).collect()
        };
        let survivors = before.min(after);
        let recreated = pods(self.rolling, survivors);
        same("recreated pods", format!("{recreated:?}"), format!("{:?}", done.recreated));
        let switchovers = usize::from(self.rolling && survivors > 0 && after > 1);
        same("switchovers", switchovers.to_string(), done.switchovers.to_string());
        let restarted = pods(self.restart && !self.rolling && before > 0, after);
        same("restarted members", format!("{restarted:?}"), format!("{:?}", done.restarted));
        // What only a new cluster reads is told as nothing, and is nothing to anybody.
        let nothing = self.effect == Effect::Ignored && done.is_nothing();
        if !nothing && self.effect < Effect::MajorUpgrade {
            same("effect", format!("{:?}", self.effect), format!("{:?}", done.effect()));
        }
        if self.in_full {
            same("SQL", self.sql.to_string(), (!done.statements.is_empty()).to_string());
            let grown = if self.grows { before } else { 0 };
            same("grown claims", grown.to_string(), done.grown.len().to_string());
            same(
                "replaced StatefulSet",
                (self.replaced || self.grows || self.enlarges).to_string(),
                done.replaced.to_string(),
            );
            let patched = after > 0 && done.patched > 0;
            if patched {
                same("a patch", (self.reload || self.restart || self.rolling).to_string(), "true".to_owned());
            } else if after > 0 {
                same(
                    "a patch",
                    (self.reload || (self.restart && !self.rolling)).to_string(),
                    "false".to_owned(),
                );
            }
        }
        if self.effect == Effect::Ignored && !done.is_nothing() {
            complaints.push("nothing was said".to_owned());
        }
        complaints.extend((!done.settled).then(|| "it never came to an end".to_owned()));
        complaints
    }
}
