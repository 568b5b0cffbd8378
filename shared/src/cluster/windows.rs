//! When a cluster may be disturbed for something that can wait.
//!
//! The rollout asks before it restarts or recreates a member for an update, the status tells when the next window opens.
//! A manifest's windows replace the configuration's. Windows of which none can be read never open: who wrote one did
//! not mean "at any time" (upstream would go ahead).

use std::fmt;

use jiff::Timestamp;

use crate::api::{MaintenanceWindow, PostgresqlSpec};
use crate::config::OperatorConfig;

/// When disruptive work that can wait may be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Windows {
    /// At any time.
    Always,
    /// Only in one of these.
    Only(Vec<MaintenanceWindow>),
}

impl Windows {
    pub(super) fn resolve(spec: &PostgresqlSpec, config: &OperatorConfig) -> Self {
        let own = spec.maintenance_windows.as_deref().unwrap_or_default();
        if !config.general.enable_maintenance_windows {
            return Self::Always;
        }
        if !own.is_empty() {
            return Self::Only(own.iter().filter_map(|text| text.parse().ok()).collect());
        }
        match config.general.maintenance_windows.as_slice() {
            [] => Self::Always,
            windows => Self::Only(windows.to_vec()),
        }
    }

    /// Whether such work may be done now.
    pub fn are_open(&self, now: Timestamp) -> bool {
        match self {
            Self::Always => true,
            Self::Only(windows) => windows.iter().any(|window| window.contains(now)),
        }
    }

    /// When the next window opens; `None` when there is none to wait for.
    pub fn next_opening(&self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Always => None,
            Self::Only(windows) => windows.iter().filter_map(|window| window.next_opening(now)).min(),
        }
    }
}

/// `Sat:02:00-04:00, Sun:02:00-04:00 UTC`.
impl fmt::Display for Windows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => f.write_str("any time"),
            Self::Only(windows) if windows.is_empty() => f.write_str("a window that can be read"),
            Self::Only(windows) => {
                for (index, window) in windows.iter().enumerate() {
                    write!(f, "{}{window}", if index == 0 { "" } else { ", " })?;
                }
                f.write_str(" UTC")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(own: &[&str], configured: &[&str], enabled: bool) -> Windows {
        let mut config = OperatorConfig::default();
        config.general.enable_maintenance_windows = enabled;
        config.general.maintenance_windows = configured.iter().map(|text| text.parse().unwrap()).collect();
        let own = own.iter().map(|text| (*text).to_owned()).collect();
        Windows::resolve(
            &PostgresqlSpec { maintenance_windows: Some(own), ..PostgresqlSpec::default() },
            &config,
        )
    }

    #[test]
    fn a_manifests_windows_replace_those_of_the_configuration() {
        assert_eq!(windows(&[], &[], true), Windows::Always);
        assert_eq!(windows(&[], &["Sat:02:00-04:00"], true).to_string(), "Sat:02:00-04:00 UTC");
        assert_eq!(windows(&["01:00-02:00"], &["Sat:02:00-04:00"], true).to_string(), "01:00-02:00 UTC");
        assert_eq!(windows(&["01:00-02:00"], &["Sat:02:00-04:00"], false), Windows::Always);
    }

    #[test]
    fn the_next_opening_is_that_of_the_nearest_window() {
        let windows = windows(&["Sat:02:00-04:00", "Mon:05:00-06:00"], &[], true);
        let sunday: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        assert!(!windows.are_open(sunday));
        assert_eq!(windows.next_opening(sunday), Some("2026-11-23T05:00:00Z".parse().unwrap()));
        assert!(windows.are_open("2026-11-23T05:30:00Z".parse().unwrap()));
    }

    #[test]
    fn windows_that_cannot_be_read_never_open() {
        let windows = windows(&["some night"], &[], true);
        let now = "2026-11-22T12:00:00Z".parse().unwrap();
        assert!(!windows.are_open(now));
        assert_eq!(windows.next_opening(now), None);
    }
}
