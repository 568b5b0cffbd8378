//! Members on nodes that have to be left.

use super::*;

/// A cluster whose members of these ordinals are on nodes that have to be left, each on its own.
fn draining(members: i32, ordinals: &[i32]) -> Story {
    let mut story = Story::of(members);
    story.seen.draining_nodes = ordinals.iter().map(|ordinal| format!("node{ordinal}")).collect();
    story
}

#[test]
fn a_drained_node_loses_its_primary_by_switchover() {
    assert_eq!(draining(2, &[0]).step(), "switchover demo-0 to demo-1");
}

#[test]
fn a_replica_is_left_to_whoever_drains_its_node() {
    assert_eq!(draining(2, &[1]).step(), "settled");
}

#[test]
fn a_single_member_on_a_drained_node_is_made_anew_elsewhere() {
    assert_eq!(draining(1, &[0]).step(), "recreate demo-0");
}

#[test]
fn a_single_member_that_no_other_node_can_take_stays_and_says_why() {
    let mut story = draining(1, &[0]);
    story.seen.stranded.insert("demo-0".into());
    let told = story.step();
    assert!(told.starts_with("the primary demo-0 on node node0 serves and stays"), "{told}");
    story.outdated(0);
    let told = story.step();
    assert!(told.starts_with("pod demo-0 on node node0 has to be recreated and is not"), "{told}");
    story.seen.draining_nodes.clear();
    story.seen.stranded.clear();
    assert_eq!(story.step(), "recreate demo-0");
}

#[test]
fn where_all_members_have_to_go_a_replica_goes_ahead_and_the_primary_follows() {
    let mut story = draining(3, &[0, 1, 2]);
    assert_eq!(story.step(), "recreate demo-1");
    story.seen.stranded.insert("demo-1".into());
    assert_eq!(story.step(), "recreate demo-2");
    story.seen.pods[2].node = Some("new".into());
    assert_eq!(story.step(), "switchover demo-0 to demo-2");
    story.leads(2);
    assert_eq!(story.step(), "settled", "the others are left to whoever drains their nodes");
}

#[test]
fn no_replica_goes_ahead_while_another_that_may_stay_catches_up() {
    let mut story = draining(3, &[0, 1]);
    story.member(2, |member| member.lag = Some(crate::patroni::Lag::Unknown));
    assert_eq!(story.step(), "no replica is fit to be promoted");
}

#[test]
fn an_outdated_replica_that_no_other_node_can_take_is_spared_and_told() {
    let mut story = draining(2, &[1]);
    story.seen.stranded.insert("demo-1".into());
    story.outdated(1);
    let told = story.step();
    assert!(told.starts_with("pod demo-1 on node node1 has to be recreated and is not"), "{told}");
    story.outdated(0);
    assert_eq!(story.step(), "no replica is fit to be promoted", "and the primary is not touched before it");
}
