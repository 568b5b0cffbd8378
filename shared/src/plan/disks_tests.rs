//! Disks: who is asked about, what differs, and when EC2 would refuse.

use serde_json::{Value, json};

use super::*;
use crate::cluster::References;
use crate::config::OperatorConfig;

fn cluster(mode: StorageResizeMode, volume: Value) -> Cluster {
    let manifest = serde_json::from_value(json!({
        "apiVersion": "acid.zalan.do/v1", "kind": "postgresql", "metadata": {"name": "demo", "namespace": "a"},
        "spec": {"teamId": "acid", "numberOfInstances": 2, "volume": volume, "postgresql": {"version": "17"}},
    }))
    .unwrap();
    let mut config = OperatorConfig::default();
    config.kubernetes.storage_resize_mode = mode;
    Cluster::resolve(&manifest, &config, &References::unread()).unwrap()
}

fn mixed(volume: Value) -> Option<DiskWish> {
    disk_wish(&cluster(StorageResizeMode::Mixed, volume))
}

fn disk(gib: i32) -> Disk {
    Disk {
        id: "vol-1".to_owned(),
        kind: "gp3".to_owned(),
        gib,
        iops: Some(3_000),
        throughput: Some(125),
        last_change: None,
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn changed(state: ChangeState, began: &str) -> Disk {
    Disk { last_change: Some(LastChange { state, began: Some(at(began)) }), ..disk(10) }
}

#[test]
fn everything_that_differs_is_asked_for_in_one_change() {
    let wish = mixed(json!({"size": "20Gi", "iops": 6000, "throughput": 250, "type": "io2"})).unwrap();
    let change = DiskChange {
        id: "vol-1".to_owned(),
        gib: Some(20),
        kind: Some("io2".to_owned()),
        iops: Some(6_000),
        throughput: Some(250),
    };
    assert_eq!(next(&wish, &disk(10), at("2026-01-01T00:00:00Z")), DiskStep::Change(change));
    let done = Disk { kind: "io2".to_owned(), iops: Some(6_000), throughput: Some(250), ..disk(20) };
    assert_eq!(next(&wish, &done, at("2026-01-01T00:00:00Z")), DiskStep::Nothing);
}

#[test]
fn a_disk_never_shrinks() {
    let wish = mixed(json!({"size": "5Gi", "type": "gp3"})).unwrap();
    assert_eq!(next(&wish, &disk(10), at("2026-01-01T00:00:00Z")), DiskStep::Nothing);
}

#[test]
fn iops_and_throughput_that_every_disk_has_anyway_are_not_asked_for() {
    assert_eq!(mixed(json!({"size": "10Gi", "iops": 2999, "throughput": 124})), None);
    let wish = mixed(json!({"size": "10Gi", "iops": 3000, "throughput": 124})).unwrap();
    assert_eq!((wish.iops, wish.throughput), (Some(3_000), None));
}

#[test]
fn ec2_is_asked_only_in_the_modes_that_say_so() {
    let volume = json!({"size": "10Gi", "iops": 4000});
    for mode in [StorageResizeMode::Pvc, StorageResizeMode::Off] {
        assert_eq!(disk_wish(&cluster(mode, volume.clone())), None);
    }
    assert_eq!(mixed(json!({"size": "10Gi"})), None, "the claim alone makes it grow");
    let ebs = disk_wish(&cluster(StorageResizeMode::Ebs, volume)).unwrap();
    assert_eq!((ebs.gib, ebs.iops, ebs.grows_file_systems), (10, None, true));
}

#[test]
fn a_size_between_two_gibibytes_is_rounded_up_so_that_the_claim_fits() {
    assert_eq!(mixed(json!({"size": "1.5Gi", "type": "gp3"})).unwrap().gib, 2);
    assert_eq!(mixed(json!({"size": "10G", "type": "gp3"})).unwrap().gib, 10);
}

#[test]
fn a_change_under_way_is_waited_for_and_so_are_the_six_hours_after_one() {
    let wish = mixed(json!({"size": "20Gi", "type": "gp3"})).unwrap();
    let told = |disk: &Disk, now| match next(&wish, disk, at(now)) {
        DiskStep::Wait(what) => what,
        other => format!("{other:?}"),
    };
    let began = "2026-01-01T00:00:00Z";
    assert_eq!(
        told(&changed(ChangeState::Modifying, began), "2026-01-02T00:00:00Z"),
        "EC2 is changing vol-1"
    );
    assert_eq!(
        told(&changed(ChangeState::Optimizing, began), "2026-01-01T09:00:00Z"),
        "EC2 still optimises vol-1 and takes no further change before"
    );
    for state in [ChangeState::Completed, ChangeState::Failed] {
        assert_eq!(
            told(&changed(state, began), "2026-01-01T05:59:59Z"),
            "EC2 takes one change of vol-1 in six hours, the next one at 2026-01-01T06:00:00Z"
        );
        let after = next(&wish, &changed(state, began), at("2026-01-01T06:00:00Z"));
        assert!(matches!(after, DiskStep::Change(_)), "{after:?}");
    }
}

#[test]
fn an_optimising_disk_that_is_large_enough_keeps_nobody_waiting() {
    let ebs = disk_wish(&cluster(StorageResizeMode::Ebs, json!({"size": "10Gi"}))).unwrap();
    let disk = changed(ChangeState::Optimizing, "2026-01-01T00:00:00Z");
    assert_eq!(next(&ebs, &disk, at("2026-01-01T00:01:00Z")), DiskStep::GrowFileSystem);
}

#[test]
fn the_disk_is_named_by_the_driver_or_in_the_tree_and_others_have_none() {
    let volume =
        |source: Value| -> PersistentVolume { serde_json::from_value(json!({"spec": source})).unwrap() };
    let csi = |driver| json!({"csi": {"driver": driver, "volumeHandle": "vol-1"}});
    let id = |source| disk_of(&volume(source));
    assert_eq!(id(csi("ebs.csi.aws.com")).as_deref(), Some("vol-1"));
    assert_eq!(id(csi("other.example.com")), None);
    let in_tree = |id: &str| json!({"awsElasticBlockStore": {"volumeID": id}});
    assert_eq!(id(in_tree("aws://eu-central-1a/vol-075d")).as_deref(), Some("vol-075d"));
    assert_eq!(id(in_tree("vol-075d")).as_deref(), Some("vol-075d"));
    assert_eq!(id(in_tree("disk-7")), None);
    assert_eq!(id(json!({"hostPath": {"path": "/data"}})), None);
}

#[test]
fn claims_of_members_that_are_not_wanted_are_left_alone() {
    let claim = |name: &str, volume: &str| -> PersistentVolumeClaim {
        serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"volumeName": volume}})).unwrap()
    };
    let claims = [claim("pgdata-demo-0", "pv-0"), claim("pgdata-demo-1", ""), claim("pgdata-demo-2", "pv-2")];
    let cluster = cluster(StorageResizeMode::Ebs, json!({"size": "1Gi"}));
    let bound = bound(&cluster, &claims);
    let pairs: Vec<_> = bound.iter().map(|one| (one.pod.as_str(), one.volume.as_str())).collect();
    assert_eq!(pairs, [("demo-0", "pv-0")]);
}

#[test]
fn a_volume_is_behind_until_its_own_capacity_says_otherwise() {
    let ebs = disk_wish(&cluster(StorageResizeMode::Ebs, json!({"size": "2Gi"}))).unwrap();
    let volume = |capacity: &str| -> PersistentVolume {
        serde_json::from_value(json!({"spec": {"capacity": {"storage": capacity}}})).unwrap()
    };
    assert!(is_behind(&ebs, &volume("1Gi")));
    assert!(!is_behind(&ebs, &volume("2Gi")));
    assert!(!is_behind(&ebs, &volume("3Gi")));
}
