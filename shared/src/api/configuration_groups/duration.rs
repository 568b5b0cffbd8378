//! Durations as Go writes them: `10m`, `1h30m`, `1.5s`.

use std::time::Duration;

/// A text that is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a duration; write numbers with units, for example 30s, 10m or 1h30m")]
pub struct NotADuration;

/// Units with their length in nanoseconds. Longer names first: `ms` is not `m` and an `s`.
const UNITS: &[(&str, u128)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Reads a duration. Negative ones are refused: there is nothing to wait for.
///
/// # Errors
/// When the text is anything but numbers with units, or too long for a Go duration (292 years).
pub fn parse(text: &str) -> Result<Duration, NotADuration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(NotADuration);
    }
    let mut nanoseconds: u128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(NotADuration)?;
        let (number, tail) = rest.split_at_checked(end).ok_or(NotADuration)?;
        let (unit, length) = UNITS.iter().find(|(unit, _)| tail.starts_with(unit)).ok_or(NotADuration)?;
        let part = times(number, *length).ok_or(NotADuration)?;
        nanoseconds = nanoseconds.checked_add(part).ok_or(NotADuration)?;
        rest = tail.strip_prefix(unit).ok_or(NotADuration)?;
    }
    let nanoseconds = i64::try_from(nanoseconds).map_err(|_| NotADuration)?;
    Ok(Duration::from_nanos(nanoseconds.unsigned_abs()))
}

/// `1.5` × `length`, exactly; what falls below a nanosecond is dropped.
fn times(number: &str, length: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let decimals: String = fraction.chars().take(15).collect();
    let scale = 10_u128.checked_pow(u32::try_from(decimals.len()).ok()?)?;
    let decimals: u128 = if decimals.is_empty() { 0 } else { decimals.parse().ok()? };
    whole.checked_mul(length)?.checked_add(decimals.checked_mul(length)? / scale)
}

/// Writes a duration the shortest way that `parse` reads: `10m`, `1h30m`, `1500ms`.
pub fn format(duration: Duration) -> String {
    let mut rest = duration.as_nanos();
    let mut text = String::new();
    for (unit, length) in UNITS.iter().rev() {
        let count = rest / length;
        if count > 0 && *unit != "μs" && *unit != "µs" {
            text.push_str(&format!("{count}{unit}"));
            rest -= count * length;
        }
    }
    if text.is_empty() { "0".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_go_reads_them() {
        for (text, milliseconds) in [
            ("0", 0),
            ("3s", 3_000),
            ("10m", 600_000),
            ("1h30m", 5_400_000),
            ("1.5s", 1_500),
            (".5m", 30_000),
            ("+20m", 1_200_000),
            ("250ms", 250),
            ("2h45m30.5s", 9_930_500),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn what_go_refuses_or_no_one_means_is_refused() {
        for text in ["", "5", "m", ".s", "1.2.3s", "5 m", "-5m", "5min", "1d", "99999999999h"] {
            assert_eq!(parse(text), Err(NotADuration), "{text:?}");
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        for text in ["0", "3s", "10m", "1h30m", "1s500ms", "4h5m6s7ms8us9ns"] {
            assert_eq!(format(parse(text).unwrap()), text);
        }
    }
}
