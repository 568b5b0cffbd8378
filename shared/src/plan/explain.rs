//! What changing a manifest, or the operator's configuration, does: a line or two for each field that changes.
//!
//! Admission asks. No table says what a field costs: the manifest is built as it was and with just that field changed,
//! and what lies between is what the operator would do. The surprise: that is done from both ends, because a field may
//! do nothing alone and much together with another one of the same update.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use crate::api::Postgresql;
use crate::config::OperatorConfig;
use crate::field::FieldPath;

use super::facts::{Facts, Side};
use super::{Change, Effect, fields, room_beside, words};

/// What a running cluster goes through when `old` becomes `new`, field by field. Empty when one of them is not valid.
///
/// `now` decides what waits for a maintenance window; where it is not known, every window counts as closed.
pub fn plan(
    old: &Postgresql,
    new: &Postgresql,
    config: &OperatorConfig,
    now: Option<Timestamp>,
) -> Vec<Change> {
    let (Some(before), Some(after)) = (Side::of(old, config), Side::of(new, config)) else {
        return Vec::new();
    };
    let (old, new) = (json(old), json(new));
    let changed = fields::changed(&old, &new);
    let is_alone = changed.len() == 1;
    changed
        .iter()
        .flat_map(|field| {
            let first = || field.applied_to(&old).and_then(|manifest| Side::of(&manifest, config));
            let last = || field.undone_in(&new).and_then(|manifest| Side::of(&manifest, config));
            let by_itself = || {
                worse(
                    first().map(|side| Facts::between(&before, &side)),
                    last().map(|side| Facts::between(&side, &after)),
                )
            };
            // The only change is the whole change. Of several, one that is no valid manifest by itself from either
            // end shares in everything that happens.
            let facts = if is_alone { None } else { by_itself() };
            let facts = facts.unwrap_or_else(|| Facts::between(&before, &after));
            let facts = facts.within(&before, &after, now);
            // A field that does nothing is not worth a line, unless it looks as if it did something.
            let lines = words::sentences(&facts, config, room_beside(&field.path));
            let effect = facts.effect();
            lines.into_iter().map(move |message| Change { field: field.path.clone(), effect, message })
        })
        // Of the metadata, almost everything is none of our business.
        .filter(|change| change.effect != Effect::Ignored || !change.field.as_str().starts_with("metadata"))
        .collect()
}

/// The one with the larger effect; the first when they are equal.
fn worse(first: Option<Facts>, last: Option<Facts>) -> Option<Facts> {
    match (first, last) {
        (Some(first), Some(last)) if last.effect() > first.effect() => Some(last),
        (Some(first), _) => Some(first),
        (None, last) => last,
    }
}

fn json(manifest: &Postgresql) -> Value {
    serde_json::to_value(manifest).unwrap_or_default()
}

/// Which of these clusters each option touches: an option alone, by its name, makes the configuration beside it of `old`.
///
/// Builders read the resolved cluster and nothing else, so that where it stays as it was nothing has to be built.
pub(crate) fn touched(
    old: &OperatorConfig,
    options: &[(&str, OperatorConfig)],
    manifests: &[&Postgresql],
    now: Option<Timestamp>,
) -> Vec<Touched> {
    let mut touched: Vec<Touched> = options.iter().map(|_| Touched::default()).collect();
    for manifest in manifests {
        let Some(before) = Side::of(manifest, old) else { continue };
        for (touched, (_, config)) in touched.iter_mut().zip(options) {
            if let Some(after) = before.becomes(manifest, config) {
                let facts = Facts::between(&before, &after).within(&before, &after, now);
                touched.add(manifest, &facts, before.members());
            }
        }
    }
    touched
}

/// The clusters that one option touches, by effect.
#[derive(Debug, Default)]
pub(crate) struct Touched(BTreeMap<Effect, Clusters>);

/// Clusters of one effect.
#[derive(Debug, Default)]
struct Clusters {
    count: usize,
    pods: i64,
    /// How many wait for a maintenance window.
    waiting: usize,
    first: Vec<String>,
}

impl Touched {
    fn add(&mut self, manifest: &Postgresql, facts: &Facts, members: i32) {
        let effect = facts.effect();
        if effect == Effect::Ignored {
            return;
        }
        let clusters = self.0.entry(effect).or_default();
        clusters.count += 1;
        clusters.pods += i64::from(members);
        clusters.waiting += usize::from(facts.waits.is_some());
        if clusters.first.len() < 2 {
            let metadata = &manifest.metadata;
            let namespace = metadata.namespace.as_deref().unwrap_or("default");
            clusters.first.push(format!("{namespace}/{}", metadata.name.as_deref().unwrap_or_default()));
        }
    }

    /// Adds those of another part of the clusters, which comes after this one.
    pub(crate) fn join(&mut self, later: Self) {
        for (effect, more) in later.0 {
            let clusters = self.0.entry(effect).or_default();
            clusters.count += more.count;
            clusters.pods += more.pods;
            clusters.waiting += more.waiting;
            clusters.first.extend(more.first);
            clusters.first.truncate(2);
        }
    }

    /// The line of an option: its worst effect with clusters, then the others as mere numbers.
    pub(crate) fn change(self, option: &str) -> Option<Change> {
        let mut worst_first = self.0.into_iter().rev();
        let (effect, clusters) = worst_first.next()?;
        let mut message = clusters.told(effect);
        for (effect, clusters) in worst_first {
            message.push_str("; ");
            message.push_str(&clusters.counted(effect));
        }
        Some(Change { field: FieldPath::new(option), effect, message })
    }
}

impl Clusters {
    fn told(&self, effect: Effect) -> String {
        let pods = match effect {
            Effect::Restart | Effect::RollingUpdate | Effect::MajorUpgrade => {
                format!(" ({} {})", self.pods, if self.pods == 1 { "pod" } else { "pods" })
            }
            _ => String::new(),
        };
        let waiting = match self.waiting {
            0 => String::new(),
            all if all == self.count => ", in maintenance windows".to_owned(),
            some => format!(", {some} of them in maintenance windows"),
        };
        format!("{}{pods}{waiting}; first: {}", self.counted(effect), self.first.join(", "))
    }

    fn counted(&self, effect: Effect) -> String {
        let noun = if self.count == 1 { "cluster" } else { "clusters" };
        let what = match effect {
            Effect::Ignored => "nothing in",
            Effect::Patch => "objects are updated, no pod restarts, in",
            Effect::Sql => "SQL is run in",
            Effect::Reload => "PostgreSQL reads its configuration again in",
            Effect::Restart => "PostgreSQL restarts in",
            Effect::RollingUpdate => "rolling update of",
            Effect::ReplaceStatefulSet => "the StatefulSet is replaced under the pods of",
            Effect::MajorUpgrade => "major upgrade of",
            Effect::LosesData => "data is lost in",
            Effect::Forbidden => "impossible for",
        };
        format!("{what} {} {noun}", self.count)
    }
}

#[cfg(test)]
#[path = "explain_tests.rs"]
mod tests;
