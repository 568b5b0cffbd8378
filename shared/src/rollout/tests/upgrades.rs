//! Stories of major upgrades.

use super::*;

/// A cluster of two that runs PostgreSQL 16 and shall run 17.
fn behind() -> Story {
    let mut story = Story::of(2);
    story.seen.upgrade.running_major = Some(16);
    story
}

#[test]
fn an_upgrade_begins_once_every_member_is_new_and_streams() {
    let mut story = behind();
    assert_eq!(story.step(), "upgrade to PostgreSQL 17");
    story.member(1, |member| member.lag = Some(crate::patroni::Lag::Bytes(20_000_000)));
    assert_eq!(story.step(), "waiting for demo-1 to stream from the primary");
    story.outdated(1);
    assert_eq!(story.step(), "recreate demo-1");
}

#[test]
fn nothing_is_touched_while_an_upgrade_is_under_way() {
    let mut story = behind();
    story.outdated(1);
    story.seen.patroni = None;
    story.seen.upgrade.in_progress = true;
    assert_eq!(story.step(), "the data directory is being upgraded to another major version");
    let now = NOW.parse().unwrap();
    assert!(!next(&story.cluster, &story.desired, &story.applied, &story.seen, now).permits_sql());
}

#[test]
fn an_upgrade_waits_for_the_maintenance_window() {
    let mut story = on_sundays();
    story.seen.upgrade.running_major = Some(16);
    assert_eq!(story.step(), "an update waits for the maintenance window Sun:02:00-04:00 UTC");
}

#[test]
fn a_failed_upgrade_is_told_and_not_repeated() {
    let mut story = behind();
    story.seen.upgrade.failed = Some("2026-01-01T11:00:00Z".to_owned());
    assert_eq!(story.step(), "settled");
    let told = trouble(&story.cluster, &story.seen.upgrade).unwrap();
    assert!(told.contains("PostgreSQL 17 failed (2026-01-01T11:00:00Z)"), "{told}");
}

#[test]
fn without_leave_nobody_upgrades() {
    let mut config = OperatorConfig::default();
    config.major_version_upgrade.major_version_upgrade_mode = crate::config::MajorVersionUpgradeMode::Off;
    let mut story = Story::with(2, &config);
    story.seen.upgrade.running_major = Some(16);
    assert_eq!(story.step(), "settled");
    config.major_version_upgrade.major_version_upgrade_team_allow_list = vec!["acid".to_owned()];
    let mut allowed = Story::with(2, &config);
    allowed.seen.upgrade.running_major = Some(16);
    assert_eq!(allowed.step(), "upgrade to PostgreSQL 17");
}

#[test]
fn what_became_of_an_upgrade_is_read_from_the_version_that_runs() {
    let story = behind();
    let after = |running: Option<u8>, begun: bool, failed: bool, in_progress: bool| {
        let failed = failed.then(|| "yesterday".to_owned());
        let seen = crate::observed::UpgradeView { running_major: running, in_progress, begun, failed };
        aftermath(&story.cluster, &seen)
    };
    assert_eq!(after(Some(17), true, false, true), None, "its process will say");
    assert_eq!(after(None, true, false, false), None, "nobody answers yet");
    assert_eq!(after(Some(17), true, false, false), Some(Aftermath::Succeeded));
    assert_eq!(after(Some(16), true, false, false), Some(Aftermath::Interrupted));
    assert_eq!(after(Some(17), false, true, false), Some(Aftermath::Forgiven));
    assert_eq!(after(Some(16), false, true, false), None);
}

#[test]
fn in_mode_full_an_old_version_is_raised() {
    let mut config = OperatorConfig::default();
    let upgrade = &mut config.major_version_upgrade;
    upgrade.major_version_upgrade_mode = crate::config::MajorVersionUpgradeMode::Full;
    upgrade.minimal_major_version = "18".parse().unwrap();
    upgrade.target_major_version = "18".parse().unwrap();
    let mut story = Story::with(2, &config);
    story.seen.upgrade.running_major = Some(17);
    assert_eq!(story.step(), "upgrade to PostgreSQL 18");
}
