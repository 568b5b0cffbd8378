//! Maintenance windows: `Sat:02:00-04:00`, or `02:00-04:00` for every day, in UTC.
//!
//! A window may cross midnight (`Sat:23:00-01:00` ends on Sunday), which upstream refuses; everything upstream
//! accepts means the same here. Both minutes belong to the window.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Time, Weekday};
use jiff::{Timestamp, ToSpan, Zoned, tz::TimeZone};

/// A span of time, every day or on one weekday, in which disruptive work may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaintenanceWindow {
    day: Option<Weekday>,
    start: Time,
    end: Time,
}

/// A text that is no maintenance window.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a maintenance window; write Sat:02:00-04:00 or 02:00-04:00 (24 hours, UTC)")]
pub struct NotAMaintenanceWindow;

/// Weekdays as manifests write them. One list for parsing and printing.
const DAYS: &[(&str, Weekday)] = &[
    ("Mon", Weekday::Monday),
    ("Tue", Weekday::Tuesday),
    ("Wed", Weekday::Wednesday),
    ("Thu", Weekday::Thursday),
    ("Fri", Weekday::Friday),
    ("Sat", Weekday::Saturday),
    ("Sun", Weekday::Sunday),
];

impl MaintenanceWindow {
    /// Whether `now` is inside the window.
    pub fn contains(&self, now: Timestamp) -> bool {
        let now = now.to_zoned(TimeZone::UTC);
        let minute = Time::constant(now.hour(), now.minute(), 0, 0);
        if self.start <= self.end {
            return self.opens_on(&now) && self.start <= minute && minute <= self.end;
        }
        let yesterday = now.checked_sub(1.day()).ok();
        (self.opens_on(&now) && minute >= self.start)
            || (yesterday.is_some_and(|day| self.opens_on(&day)) && minute <= self.end)
    }

    /// The next moment after `now` at which the window opens.
    pub fn next_opening(&self, now: Timestamp) -> Option<Timestamp> {
        let now = now.to_zoned(TimeZone::UTC);
        (0..=7).find_map(|days| {
            let day = now.checked_add(i64::from(days).days()).ok()?;
            let opening = day.with().time(self.start).build().ok()?;
            (self.opens_on(&opening) && opening > now).then(|| opening.timestamp())
        })
    }

    fn opens_on(&self, day: &Zoned) -> bool {
        self.day.is_none_or(|weekday| weekday == day.weekday())
    }
}

impl FromStr for MaintenanceWindow {
    type Err = NotAMaintenanceWindow;

    fn from_str(text: &str) -> Result<Self, NotAMaintenanceWindow> {
        let (start, end) = text.trim().split_once('-').ok_or(NotAMaintenanceWindow)?;
        let (day, start) = match start.split_once(':') {
            Some((name, rest)) if rest.contains(':') => {
                let (_, day) = DAYS.iter().find(|(known, _)| *known == name).ok_or(NotAMaintenanceWindow)?;
                (Some(*day), rest)
            }
            _ => (None, start),
        };
        Ok(Self { day, start: time(start)?, end: time(end)? })
    }
}

/// `2:05` or `02:05`.
fn time(text: &str) -> Result<Time, NotAMaintenanceWindow> {
    let (hour, minute) = text.split_once(':').ok_or(NotAMaintenanceWindow)?;
    let number = |digits: &str| -> Result<i8, NotAMaintenanceWindow> {
        let plain = (1..=2).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        if plain { digits.parse().map_err(|_| NotAMaintenanceWindow) } else { Err(NotAMaintenanceWindow) }
    };
    Time::new(number(hour)?, number(minute)?, 0, 0).map_err(|_| NotAMaintenanceWindow)
}

impl fmt::Display for MaintenanceWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, _)) = self.day.and_then(|day| DAYS.iter().find(|(_, known)| *known == day)) {
            write!(f, "{name}:")?;
        }
        let (start, end) = (self.start, self.end);
        write!(f, "{:02}:{:02}-{:02}:{:02}", start.hour(), start.minute(), end.hour(), end.minute())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(text: &str) -> MaintenanceWindow {
        text.parse().unwrap_or_else(|_| panic!("{text} should parse"))
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn windows_print_as_they_are_written() {
        for text in
            ["Tue:10:00-20:00", "05:00-07:00", "Mon:10:00-10:00", "Sun:00:00-00:00", "Sat:23:00-01:00"]
        {
            assert_eq!(window(text).to_string(), text);
        }
        assert_eq!(window(" 1:5-2:6 ").to_string(), "01:05-02:06");
    }

    #[test]
    fn what_is_no_window_is_refused() {
        for text in [
            "Wed:33:00-00:00",
            "Wed:00:00-26:00",
            "Sunday:01:00-02:00",
            ":00:00-10:00",
            "Mon:00:00:00-01:00",
            "01:00-02:00:00",
            "Mon:00:00-Fri:00:00",
            "Mon:00:00",
            "",
        ] {
            assert!(text.parse::<MaintenanceWindow>().is_err(), "{text:?} must not parse");
        }
    }

    #[test]
    fn a_window_across_midnight_ends_on_the_next_day() {
        let window = window("Sat:23:00-01:00");
        assert!(window.contains(at("2025-11-15T23:30:00Z")), "Saturday night");
        assert!(window.contains(at("2025-11-16T00:59:30Z")), "early Sunday");
        assert!(!window.contains(at("2025-11-15T00:30:00Z")), "early Saturday belongs to Friday's night");
    }

    #[test]
    fn the_next_opening_is_upstreams_switchover_schedule() {
        let now = at("2025-11-11T12:35:00Z"); // a Tuesday
        for (text, opening) in [
            ("13:35-14:35", "2025-11-11T13:35:00Z"),
            ("10:35-11:35", "2025-11-12T10:35:00Z"),
            ("Tue:13:35-14:35", "2025-11-11T13:35:00Z"),
            ("Tue:10:35-11:35", "2025-11-18T10:35:00Z"),
            ("Wed:10:35-11:35", "2025-11-12T10:35:00Z"),
        ] {
            assert_eq!(window(text).next_opening(now), Some(at(opening)), "{text}");
        }
    }
}
