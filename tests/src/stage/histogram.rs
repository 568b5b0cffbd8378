//! A histogram as `/metrics` shows it: what the API server and the webhook themselves say of how long they took.
//!
//! The API server speaks an older text format, which the strict reader in `monitoring::exposition` rightly refuses.

use std::collections::BTreeMap;

/// Observations up to each bound, as they stand in the text: bounds are compared as numbers, kept as text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Bound in seconds (`+Inf` is the last) and observations up to it, ascending.
    buckets: Vec<(f64, u64)>,
}

impl Histogram {
    /// The sum of all series of `name` that carry every one of these labels (written `key="value"`).
    pub fn read(text: &str, name: &str, labels: &[&str]) -> Self {
        let mut counted: BTreeMap<u64, (f64, u64)> = BTreeMap::new();
        for line in text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix("_bucket{")) {
            let Some((series, count)) = line.rsplit_once("} ") else { continue };
            let bound = series.split("le=\"").nth(1).and_then(|rest| rest.split('"').next());
            let (Some(Ok(bound)), Ok(count)) = (bound.map(str::parse::<f64>), count.parse::<u64>()) else {
                continue;
            };
            if labels.iter().all(|label| series.contains(label)) {
                counted.entry(bound.to_bits()).or_insert((bound, 0)).1 += count;
            }
        }
        // Bits of numbers that are not negative are in the order of the numbers.
        Self { buckets: counted.into_values().collect() }
    }

    /// What has been added to it since.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let earlier = |bound: f64| {
            let found = before.buckets.iter().find(|(known, _)| known.total_cmp(&bound).is_eq());
            found.map_or(0, |(_, count)| *count)
        };
        let added = self.buckets.iter().map(|(bound, count)| (*bound, count.saturating_sub(earlier(*bound))));
        Self { buckets: added.collect() }
    }

    /// Adds another one's observations to it, such as those of another replica.
    pub fn add(&mut self, other: &Self) {
        if self.buckets.is_empty() {
            self.buckets.clone_from(&other.buckets);
            return;
        }
        for ((_, count), (_, more)) in self.buckets.iter_mut().zip(&other.buckets) {
            *count += more;
        }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.buckets.last().map_or(0, |(_, count)| *count)
    }

    /// The bound under which this share of the observations is, in seconds.
    #[allow(clippy::cast_precision_loss, reason = "a share")]
    pub fn bound_of(&self, share: f64) -> f64 {
        let wanted = self.count() as f64 * share;
        let found = self.buckets.iter().find(|(_, count)| *count as f64 >= wanted);
        found.map_or(f64::NAN, |(bound, _)| *bound)
    }

    /// In words: how many, and under which bounds half and nearly all of them are.
    pub fn line(&self) -> String {
        let milliseconds = |share| format!("{} ms", self.bound_of(share) * 1e3);
        format!("{}, half under {}, 99 % under {}", self.count(), milliseconds(0.5), milliseconds(0.99))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
took_bucket{webhook=\"validate\",le=\"0.001\"} 10
took_bucket{webhook=\"validate\",le=\"0.01\"} 19
took_bucket{webhook=\"validate\",le=\"+Inf\"} 20
took_bucket{webhook=\"mutate\",le=\"0.001\"} 1
took_bucket{webhook=\"mutate\",le=\"0.01\"} 1
took_bucket{webhook=\"mutate\",le=\"+Inf\"} 1
took_count{webhook=\"validate\"} 20
";

    #[test]
    fn a_share_is_under_the_bound_of_its_bucket() {
        let read = Histogram::read(TEXT, "took", &["webhook=\"validate\""]);
        assert_eq!(read.count(), 20);
        assert!((read.bound_of(0.5) - 0.001).abs() < f64::EPSILON);
        assert!((read.bound_of(0.95) - 0.01).abs() < f64::EPSILON);
        assert!(read.bound_of(0.99).is_infinite());
        assert_eq!(Histogram::read(TEXT, "took", &[]).count(), 21);
    }

    #[test]
    fn what_was_there_before_does_not_count_and_replicas_add_up() {
        let read = Histogram::read(TEXT, "took", &["webhook=\"validate\""]);
        assert_eq!(read.since(&read).count(), 0);
        let mut both = Histogram::default();
        both.add(&read);
        both.add(&read);
        assert_eq!(both.count(), 40);
    }
}
