//! EC2's query API against a server that keeps volumes: moto, which `tests/ec2/with-moto` installs and starts.
//!
//! moto finishes every change at once and takes as many as it is asked for; what EC2 does beyond that (a change under way,
//! the six hours between two of them) is in `shared::plan` and in the stories of `tests/tests/world/disks.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may be blunt")]

use operator::disks::{Disks, DisksError, Ec2};
use operator::metrics::Metrics;
use operator::team::{authorities, connect};
use shared::plan::{ChangeState, Disk, DiskChange};

const REGION: &str = "eu-central-1";

fn server() -> String {
    std::env::var("AWS_ENDPOINT_URL_EC2")
        .expect("AWS_ENDPOINT_URL_EC2 names no server; run this below tests/ec2/with-moto")
}

fn ec2(at: &str) -> (Ec2, Metrics) {
    let metrics = Metrics::default();
    (Ec2::new(connect(authorities()).unwrap(), Some(at.to_owned()), metrics.clone()), metrics)
}

/// The ids of the volumes that the script made: one of type gp2, one of gp3, each of 10 GiB.
fn volumes() -> Vec<String> {
    let ids = std::env::var("EC2_TEST_VOLUMES")
        .expect("EC2_TEST_VOLUMES names no volumes; run this below tests/ec2/with-moto");
    ids.split_whitespace().map(str::to_owned).collect()
}

async fn described(ec2: &Ec2, id: &str) -> Disk {
    ec2.describe(REGION, &[id.to_owned()]).await.unwrap().remove(0)
}

#[tokio::test]
async fn a_disk_is_changed_in_one_go_and_tells_when() {
    let (ec2, metrics) = ec2(&server());
    let id = volumes()[0].clone();
    let before = described(&ec2, &id).await;
    assert_eq!((before.kind.as_str(), before.gib, before.last_change), ("gp2", 10, None));
    let change = DiskChange {
        id: id.clone(),
        gib: Some(20),
        kind: Some("gp3".to_owned()),
        iops: Some(4_000),
        throughput: Some(250),
    };
    ec2.change(REGION, &change).await.unwrap();
    let after = described(&ec2, &id).await;
    assert_eq!(
        (after.kind.as_str(), after.gib, after.iops, after.throughput),
        ("gp3", 20, Some(4_000), Some(250))
    );
    let last = after.last_change.unwrap();
    assert_eq!(last.state, ChangeState::Completed);
    assert!(last.began.is_some());
    assert!(metrics.text().contains(r#"requests_total{to="ec2",outcome="ok"} 5"#), "{}", metrics.text());
}

#[tokio::test]
async fn several_disks_are_one_question_and_what_is_not_asked_for_stays() {
    let (ec2, _) = ec2(&server());
    let id = volumes()[1].clone();
    let size = DiskChange { id: id.clone(), gib: Some(30), ..DiskChange::default() };
    ec2.change(REGION, &size).await.unwrap();
    let disks = ec2.describe(REGION, &volumes()).await.unwrap();
    assert_eq!(disks.len(), 2);
    let disk = disks.into_iter().find(|disk| disk.id == id).unwrap();
    assert_eq!((disk.kind.as_str(), disk.gib, disk.iops), ("gp3", 30, Some(3_000)));
}

#[tokio::test]
async fn a_disk_that_is_not_there_is_told_in_ec2s_words() {
    let (ec2, metrics) = ec2(&server());
    let error = ec2.describe(REGION, &["vol-0123456789abcdef0".to_owned()]).await.unwrap_err();
    assert!(error.to_string().starts_with("EC2 refused DescribeVolumes: InvalidVolume.NotFound"), "{error}");
    assert!(!error.is_too_early());
    assert!(metrics.text().contains(r#"requests_total{to="ec2",outcome="refused"} 1"#), "{}", metrics.text());
}

#[tokio::test]
async fn nobody_there_is_told_with_the_address() {
    let closed = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let (ec2, _) = ec2(&closed);
    let error = ec2.describe(REGION, &["vol-1".to_owned()]).await.unwrap_err();
    assert!(matches!(error, DisksError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains(&closed), "{error}");
}
