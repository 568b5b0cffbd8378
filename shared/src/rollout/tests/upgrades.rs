//! Stories of major upgrades.

use super::*;
use crate::observed::{Attempt, BegunUpgrade, Script, UpgradeView};

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
    let told = trouble(&story.cluster, &story.seen.upgrade, NOW.parse().unwrap()).unwrap();
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

/// An upgrade that an operator began half an hour ago, and what its pod says of it.
fn begun(script: Script) -> UpgradeView {
    let attempt = Attempt::parse("17 2026-01-01T11:30:00Z demo-0").unwrap();
    let begun = Some(BegunUpgrade { attempt, script });
    UpgradeView { running_major: Some(16), begun, ..UpgradeView::default() }
}

fn over() -> Script {
    Script::Over { last_line: "no space left".to_owned() }
}

fn unknown() -> Script {
    Script::Unknown { why: "no route".to_owned() }
}

#[test]
fn what_became_of_an_upgrade_is_read_from_its_script_and_from_the_version_that_runs() {
    let story = behind();
    let (now, tomorrow) = (NOW.parse().unwrap(), "2026-01-02T12:00:00Z".parse().unwrap());
    let after = |running: Option<u8>, script: Script, now| {
        aftermath(&story.cluster, &UpgradeView { running_major: running, ..begun(script) }, now)
    };
    let to = story.cluster.postgres.version;
    let interrupted = |why: &str| Some(Aftermath::Interrupted { to, why: why.to_owned() });
    for running in [None, Some(16), Some(17)] {
        assert_eq!(after(running, Script::Running, tomorrow), None, "its end is still to come");
        assert_eq!(after(running, unknown(), now), None, "it may still run");
        assert_eq!(after(running, Script::NeverRun, now), Some(Aftermath::NeverRun));
    }
    assert_eq!(after(Some(17), over(), now), Some(Aftermath::Succeeded { to }));
    assert_eq!(after(Some(16), over(), now), interrupted("no space left"));
    assert_eq!(after(None, over(), now), None, "nobody answers yet");
    assert_eq!(after(Some(16), Script::NoPod, now), None, "the pod comes back and is asked");
    let gone = "pod demo-0, in which it was begun, does not run";
    assert_eq!(after(Some(16), Script::NoPod, tomorrow), interrupted(gone));
    assert_eq!(
        after(Some(16), unknown(), tomorrow),
        interrupted("whether it still runs in pod demo-0 is not known: no route")
    );
}

#[test]
fn an_upgrade_to_one_version_has_succeeded_although_a_newer_one_is_asked_for_by_now() {
    let mut config = OperatorConfig::default();
    let upgrade = &mut config.major_version_upgrade;
    upgrade.major_version_upgrade_mode = crate::config::MajorVersionUpgradeMode::Full;
    upgrade.minimal_major_version = "18".parse().unwrap();
    upgrade.target_major_version = "18".parse().unwrap();
    let story = Story::with(2, &config);
    let seen = UpgradeView { running_major: Some(17), ..begun(over()) };
    let to = "17".parse().unwrap();
    let found = aftermath(&story.cluster, &seen, NOW.parse().unwrap());
    assert_eq!(found, Some(Aftermath::Succeeded { to }));
}

#[test]
fn a_failure_is_forgiven_when_the_version_is_put_back_and_not_before() {
    let story = behind();
    let after = |running: u8| {
        let failed = Some("yesterday".to_owned());
        let seen = UpgradeView { running_major: Some(running), failed, ..UpgradeView::default() };
        aftermath(&story.cluster, &seen, NOW.parse().unwrap())
    };
    assert_eq!((after(17), after(16)), (Some(Aftermath::Forgiven), None));
}

#[test]
fn while_anothers_upgrade_may_run_nothing_is_touched_and_nobody_is_scaled_away() {
    for (script, waits) in
        [(Script::Running, true), (unknown(), true), (over(), false), (Script::NeverRun, false)]
    {
        let mut story = behind();
        story.outdated(1);
        story.seen.upgrade = begun(script.clone());
        let expected = if waits {
            "the data directory is being upgraded to another major version"
        } else {
            "recreate demo-1"
        };
        assert_eq!(story.step(), expected, "{script:?}");
        story.seen.stateful_set.as_mut().unwrap().replicas = 3;
        assert_eq!(replicas_now(&story.cluster, &story.seen), 3, "{script:?}");
    }
}

#[test]
fn what_nobody_knows_of_an_upgrade_is_told() {
    let story = behind();
    let (now, tomorrow) = (NOW.parse().unwrap(), "2026-01-02T12:00:00Z".parse().unwrap());
    let told = |script: Script, now| trouble(&story.cluster, &begun(script), now);
    assert_eq!(told(Script::Running, now), None);
    for (script, now, expected) in [
        (unknown(), now, "whether it still runs in pod demo-0 is not known: no route"),
        (over(), now, "no primary says which version it runs; it wrote last: no space left"),
        (Script::NoPod, now, "pod demo-0, in which it was begun, does not run"),
        (Script::Running, tomorrow, "more than 12 hours; see last_upgrade.log in pod demo-0"),
    ] {
        let told = told(script, now).unwrap();
        assert!(told.starts_with("the upgrade to PostgreSQL 17, begun 2026-01-01T11:30:00Z: "), "{told}");
        assert!(told.ends_with(expected), "{told}");
    }
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
