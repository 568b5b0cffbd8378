//! The shapes of what Kubernetes takes as names, labels, images and schedules.
//!
//! Lengths are counted in bytes, as Kubernetes does. All functions answer a question; the words are the checks'.

/// Whether all characters are `inner` ones, the first and the last letters or digits, and there are at most `most`.
fn framed(text: &str, most: usize, inner: fn(char) -> bool) -> bool {
    let edge = |c: char| c.is_ascii_alphanumeric();
    text.len() <= most && text.starts_with(edge) && text.ends_with(edge) && text.chars().all(inner)
}

/// A DNS label: lower-case letters, digits and dashes, at most 63.
pub(super) fn is_dns_label(text: &str) -> bool {
    framed(text, 63, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// A DNS name, as most objects have: labels with dots between them, at most 253 characters.
pub(super) fn is_dns_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dns_label)
}

/// The value of a label: empty, or at most 63 letters, digits, `-`, `_` and `.`.
pub(super) fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_qualified(text)
}

/// The key of a label or annotation: `name` or `dns.prefix/name`.
pub(super) fn is_label_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_dns_name(prefix) && is_qualified(name),
        None => is_qualified(text),
    }
}

fn is_qualified(text: &str) -> bool {
    framed(text, 63, |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// Something like `registry:5000/folder/image:tag@sha256:…`.
pub(crate) fn is_image(text: &str) -> bool {
    let name = text.split_once('@').map_or(text, |(name, _)| name);
    let (folders, last) = name.rsplit_once('/').unwrap_or(("", name));
    let (last, tag) = last.split_once(':').unwrap_or((last, "latest"));
    let part = |part: &str| framed(part, 255, |c| c.is_ascii_alphanumeric() || "-_.:".contains(c));
    let lower = !last.contains(|c: char| c.is_ascii_uppercase());
    let tagged =
        tag.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) && (1..=128).contains(&tag.len());
    part(last) && tagged && lower && (folders.is_empty() || folders.split('/').all(part))
}

/// A Linux capability as Kubernetes takes it: without `CAP_`, in capitals.
///
/// # Errors
/// What is wrong with it and what would be right.
pub(crate) fn capability(name: &str) -> Result<(), String> {
    let plain = name.to_ascii_uppercase();
    let plain = plain.strip_prefix("CAP_").unwrap_or(&plain);
    if !CAPABILITIES.contains(&plain) {
        return Err(match crate::spelling::closest(plain, CAPABILITIES.iter().copied()) {
            Some(meant) => format!("\"{name}\" is no capability of Linux; did you mean {meant}?"),
            None => format!("\"{name}\" is no capability of Linux; write for example SYS_NICE"),
        });
    }
    if plain == name { Ok(()) } else { Err(format!("\"{name}\" must be written {plain}")) }
}

/// Every capability of Linux 6, and the word for all of them.
const CAPABILITIES: &[&str] = &[
    "ALL",
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// `http://host…` or `https://host…`, without blanks.
pub(crate) fn is_http_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        !rest.is_empty() && !rest.starts_with(['/', ':']) && !rest.contains(char::is_whitespace)
    })
}

/// The name of a bucket: 3 to 63 (with dots 222) lower-case letters, digits, `-`, `_` and `.`, framed by letters or digits.
pub(crate) fn is_bucket(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    let most = if text.contains('.') { 222 } else { 63 };
    text.len() >= 3 && framed(text, most, inner) && !text.contains("..")
}

/// Units of time that `date -d` understands.
const UNITS: &[&str] =
    &["sec", "second", "min", "minute", "hour", "day", "week", "fortnight", "month", "year"];

/// Numbers and units: `1 week`, `2 weeks 3 days`, `30days`.
pub(crate) fn is_span(text: &str) -> bool {
    let mut spaced = String::new();
    for c in text.chars() {
        if c.is_ascii_alphabetic() && spaced.ends_with(|last: char| last.is_ascii_digit()) {
            spaced.push(' ');
        }
        spaced.push(c.to_ascii_lowercase());
    }
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let is_unit =
        |word: &str| UNITS.contains(&word) || word.strip_suffix('s').is_some_and(|one| UNITS.contains(&one));
    !words.is_empty()
        && words.chunks(2).all(|pair| match pair {
            [number, unit] => number.parse::<u32>().is_ok() && is_unit(unit),
            _ => false,
        })
}

/// The placeholders of a template that are not among `known`, and braces without a partner.
pub(super) fn strange_placeholders<'a>(template: &'a str, known: &[&str]) -> Vec<&'a str> {
    let mut strange = Vec::new();
    let mut rest = template;
    while let Some((before, opened)) = rest.split_once('{') {
        strange.extend(before.find('}').map(|_| "}"));
        let Some((name, after)) = opened.split_once('}') else {
            strange.push("{");
            return strange;
        };
        if !known.contains(&name) {
            strange.push(name);
        }
        rest = after;
    }
    strange.extend(rest.find('}').map(|_| "}"));
    strange
}

/// Ranges of the five fields of a schedule, with the names that some of them take.
const CRON_FIELDS: [(u32, u32, &[&str]); 5] = [
    (0, 59, &[]),
    (0, 23, &[]),
    (1, 31, &[]),
    (1, 12, &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]),
    (0, 7, &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]),
];

/// A schedule that Kubernetes takes: five fields, or a word like `@daily`.
pub(super) fn is_schedule(text: &str) -> bool {
    if matches!(text, "@yearly" | "@annually" | "@monthly" | "@weekly" | "@daily" | "@midnight" | "@hourly") {
        return true;
    }
    let fields: Vec<&str> = text.split_whitespace().collect();
    fields.len() == CRON_FIELDS.len()
        && fields
            .iter()
            .zip(CRON_FIELDS)
            .all(|(field, range)| field.split(',').all(|part| is_cron_part(part, range)))
}

/// `*`, `?`, `5`, `1-5`, `MON`, each also with a step: `*/15`.
fn is_cron_part(part: &str, (least, most, names): (u32, u32, &[&str])) -> bool {
    let number = |text: &str| -> Option<u32> {
        let named = names
            .iter()
            .position(|name| text.eq_ignore_ascii_case(name))
            .and_then(|at| u32::try_from(at).ok());
        let number =
            named.map(|at| at + least).or_else(|| text.parse().ok().filter(|_| !text.starts_with('+')));
        number.filter(|number| (least..=most).contains(number))
    };
    let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
    let step_fits = step.is_none_or(|step| step.parse::<u32>().is_ok_and(|step| step > 0));
    let range_fits = match range.split_once('-') {
        Some((from, to)) => matches!((number(from), number(to)), (Some(from), Some(to)) if from <= to),
        None => matches!(range, "*" | "?") || number(range).is_some(),
    };
    step_fits && range_fits
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asserts that `is` says yes to the first list and no to the second.
    fn table(is: fn(&str) -> bool, yes: &[&str], no: &[&str]) {
        for text in yes {
            assert!(is(text), "{text:?} should be accepted");
        }
        for text in no {
            assert!(!is(text), "{text:?} should be refused");
        }
    }

    #[test]
    fn names_and_labels_are_kubernetes() {
        table(is_dns_name, &["a", "db.example.com", "postgres-pod"], &["", "A", "-a", "a.", "a..b", "a_b"]);
        table(
            is_label_key,
            &["application", "acid.zalan.do/controller", "a_b.C"],
            &["", "a/b/c", "/a", "A_/b"],
        );
        table(is_label_value, &["", "spilo", "A_b.c-1"], &["a b", "-a", "ä"]);
    }

    #[test]
    fn images_have_a_lower_case_name() {
        table(
            is_image,
            &[
                "ghcr.io/zalando/spilo-18:4.1-p2",
                "localhost:5000/spilo",
                "spilo",
                "a/b@sha256:abc",
                "Reg.io/a/b:T",
            ],
            &["", "spilo 18", "zalando/Spilo", "a//b", ":tag", "a/b: 1", "a/b:"],
        );
    }

    #[test]
    fn schedules_have_five_fields() {
        table(
            is_schedule,
            &["30 00 * * *", "*/15 1-5 1,15 jan MON-FRI", "@daily", "0 0 ? * 7"],
            &[
                "",
                "30 00 * *",
                "60 * * * *",
                "* * 0 * *",
                "* * * * MON-",
                "*/0 * * * *",
                "@noon",
                "5-1 * * * *",
            ],
        );
    }

    #[test]
    fn placeholders_nobody_fills_are_found() {
        let known = &["cluster", "team"];
        assert!(strange_placeholders("{cluster}-x.{team}", known).is_empty());
        assert_eq!(strange_placeholders("{cluster}{namespace}}{", known), ["namespace", "}", "{"]);
    }
}
