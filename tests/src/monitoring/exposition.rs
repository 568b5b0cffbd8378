//! A strict reader of the OpenMetrics text format: everything that is not exactly as the specification wants it is an
//! error. Prometheus itself forgives much, and other readers of the same text do not.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// What a family counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Numbers of observations up to bounds.
    Histogram,
    /// Facts as labels.
    Info,
}

/// A metric with all its series.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// Its name, without what its kind appends.
    pub name: String,
    /// What it counts.
    pub kind: Kind,
    /// What it says it counts.
    pub help: String,
    /// Its series.
    pub samples: Vec<Sample>,
}

/// A series and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The whole name.
    pub name: String,
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// The value.
    pub value: f64,
}

impl Kind {
    fn of(word: &str) -> Option<Self> {
        match word {
            "counter" => Some(Self::Counter),
            "gauge" => Some(Self::Gauge),
            "histogram" => Some(Self::Histogram),
            "info" => Some(Self::Info),
            _ => None,
        }
    }

    /// What stands behind the family's name in the names of its series.
    pub fn suffixes(self) -> &'static [&'static str] {
        match self {
            Self::Counter => &["_total"],
            Self::Gauge => &[""],
            Self::Histogram => &["_bucket", "_sum", "_count"],
            Self::Info => &["_info"],
        }
    }

    /// The kind in one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }
}

impl Family {
    /// The names of its series, whether or not there are any.
    pub fn names(&self) -> impl Iterator<Item = String> + '_ {
        self.kind.suffixes().iter().map(|suffix| format!("{}{suffix}", self.name))
    }

    /// The names of its labels, without a histogram's bounds.
    pub fn labels(&self) -> BTreeSet<&str> {
        let all = self.samples.iter().flat_map(|sample| sample.labels.keys());
        all.map(String::as_str).filter(|label| *label != "le").collect()
    }
}

/// Reads a whole exposition.
///
/// # Errors
/// The first line that is not as it should be, and why.
pub fn parse(text: &str) -> Result<Vec<Family>, String> {
    let body = text.strip_suffix("# EOF\n").ok_or("it does not end with # EOF")?;
    let mut families: Vec<Family> = Vec::new();
    let mut help: Option<(String, String)> = None;
    for line in body.lines() {
        let wrong = |why: &str| format!("{why}: {line}");
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, words) = rest.split_once(' ').ok_or_else(|| wrong("no words of help"))?;
            if words.trim().is_empty() || help.is_some() || families.iter().any(|family| family.name == name)
            {
                return Err(wrong("help that is empty, without a type or repeated"));
            }
            help = Some((name.to_owned(), words.to_owned()));
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, word) = rest.split_once(' ').ok_or_else(|| wrong("no type"))?;
            let kind = Kind::of(word).ok_or_else(|| wrong("an unknown type"))?;
            let told = help.take().filter(|(of, _)| of == name && is_name(name));
            let (name, help) = told.ok_or_else(|| wrong("a type without help before it"))?;
            families.push(Family { name, kind, help, samples: Vec::new() });
        } else {
            let sample = sample(line).ok_or_else(|| wrong("no series"))?;
            let family = families.last_mut().filter(|_| help.is_none());
            let family = family.ok_or_else(|| wrong("a series without its family"))?;
            if !family.names().any(|name| name == sample.name) {
                return Err(wrong("a series in another's family"));
            }
            if family.samples.iter().any(|known| known.name == sample.name && known.labels == sample.labels) {
                return Err(wrong("a series twice"));
            }
            if family.kind != Kind::Gauge && sample.value < 0.0 {
                return Err(wrong("less than nothing"));
            }
            family.samples.push(sample);
        }
    }
    families.iter().try_for_each(check_buckets)?;
    Ok(families)
}

/// Letters, digits, underscores and colons, no digit first.
fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}

/// `name{label="value",…} 1.5`, and nothing behind it.
fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let value: f64 = value.parse().ok()?;
    let (name, inside) = match series.split_once('{') {
        Some((name, rest)) => (name, rest.strip_suffix('}')?),
        None => (series, ""),
    };
    let mut labels = BTreeMap::new();
    let mut rest = inside;
    while !rest.is_empty() {
        let (label, after) = rest.split_once("=\"")?;
        let (text, after) = quoted(after)?;
        if !is_name(label) || label.contains(':') || labels.insert(label.to_owned(), text).is_some() {
            return None;
        }
        rest =
            if after.is_empty() { after } else { after.strip_prefix(',').filter(|more| !more.is_empty())? };
    }
    (is_name(name) && !value.is_nan()).then(|| Sample { name: name.to_owned(), labels, value })
}

/// The text up to the closing quotation mark, without escapes, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut plain = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((plain, text.get(at + 1..)?)),
            '\\' => plain.push(match characters.next()?.1 {
                'n' => '\n',
                escaped @ ('\\' | '"') => escaped,
                _ => return None,
            }),
            _ => plain.push(character),
        }
    }
    None
}

/// Bounds grow, numbers do not fall, and the last bucket holds everything that was counted.
fn check_buckets(family: &Family) -> Result<(), String> {
    if family.kind != Kind::Histogram {
        return Ok(());
    }
    let counted = family.samples.iter().filter(|sample| sample.name.ends_with("_count"));
    for whole in counted {
        let mut last = (f64::NEG_INFINITY, 0.0);
        for sample in family.samples.iter().filter(|sample| sample.name.ends_with("_bucket")) {
            let mut labels = sample.labels.clone();
            let bound = labels.remove("le").and_then(|bound| bound.parse::<f64>().ok());
            let bound = bound.ok_or_else(|| format!("{}: a bucket without a bound", family.name))?;
            if labels != whole.labels {
                continue;
            }
            if bound <= last.0 || sample.value < last.1 {
                return Err(format!("{}: the buckets are out of order at {bound}", family.name));
            }
            last = (bound, sample.value);
        }
        if last != (f64::INFINITY, whole.value) {
            return Err(format!("{}: the last bucket is {last:?}, not all {}", family.name, whole.value));
        }
    }
    Ok(())
}

/// The same figures in Prometheus' older text format, which `promtool check metrics` reads.
pub fn classic(families: &[Family]) -> String {
    let mut text = String::new();
    for family in families {
        let (name, kind) = match family.kind {
            Kind::Counter => (format!("{}_total", family.name), "counter"),
            Kind::Info => (format!("{}_info", family.name), "gauge"),
            Kind::Gauge | Kind::Histogram => (family.name.clone(), family.kind.as_str()),
        };
        // Writing into a String does not fail.
        let _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} {kind}", family.help);
        for sample in &family.samples {
            let labels: Vec<String> =
                sample.labels.iter().map(|(label, value)| format!("{label}={value:?}")).collect();
            let _ = writeln!(text, "{}{{{}}} {}", sample.name, labels.join(","), sample.value);
        }
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may be blunt")]
mod tests {
    use super::*;

    const GOOD: &str = "\
# HELP a_reviews Reviews.
# TYPE a_reviews counter
a_reviews_total{outcome=\"de\\\"nied\",kind=\"x\"} 3
# HELP a_seconds Time.
# TYPE a_seconds histogram
a_seconds_sum 1.5
a_seconds_count 2
a_seconds_bucket{le=\"1.0\"} 1
a_seconds_bucket{le=\"+Inf\"} 2
# EOF
";

    #[test]
    fn what_is_right_is_read_with_its_labels() {
        let families = parse(GOOD).unwrap();
        assert_eq!((families[0].kind, families[0].help.as_str()), (Kind::Counter, "Reviews."));
        assert_eq!(families[0].samples[0].labels["outcome"], "de\"nied");
        assert_eq!(families[0].labels(), BTreeSet::from(["kind", "outcome"]));
        assert!(classic(&families).contains("# TYPE a_reviews_total counter\n"));
    }

    #[test]
    fn every_departure_from_the_format_is_an_error() {
        for (from, to) in [
            ("# EOF\n", ""),
            ("# HELP a_reviews Reviews.\n", ""),
            ("# TYPE a_reviews counter\n", ""),
            (" Reviews.", " "),
            ("a_reviews_total{", "a_reviews{"),
            ("\\\"nied", "\"nied"),
            ("} 3", "} three"),
            ("} 3", "} -3"),
            ("} 3", "} 3 1700000000"),
            (",kind", ";kind"),
            ("outcome=", "out-come="),
            ("a_seconds_count 2", "a_seconds_count 3"),
            ("{le=\"1.0\"} 1", "{le=\"1.0\"} 3"),
            ("a_seconds_sum 1.5\n", "a_seconds_sum 1.5\na_seconds_sum 1.5\n"),
            ("a_seconds_sum", "a_reviews_total"),
        ] {
            let broken = GOOD.replacen(from, to, 1);
            assert_ne!(broken, GOOD, "{from}");
            assert!(parse(&broken).is_err(), "{from:?} as {to:?} is accepted");
        }
    }
}
