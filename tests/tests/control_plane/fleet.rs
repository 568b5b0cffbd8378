//! The measurement of a fleet, small: it has to run to its end, and what it counts has to be there.

use clap::Parser as _;
use kube::Client;
use tests::fleet::args::Args;
use tests::fleet::report::Report;

pub(crate) async fn a_small_fleet_is_measured_to_the_end(_: Client) {
    let (report, plot) = measured("127.91", "--clusters 5 --stuck 20").await;
    assert_eq!(report.floor.pods_ready_at.len(), 10);
    assert_eq!(report.creation.running_at.len(), 5);
    assert_eq!(
        report.creation.requests.get("patch statefulsets"),
        Some(&5),
        "{:?}",
        report.creation.requests
    );
    assert_eq!(report.changes.observed.0.len(), 5);
    assert_eq!(report.requests_at_rest(), 0, "{:?}", report.rest.requests);
    assert_eq!(report.restart.writes, 0, "{:?}", report.restart.requests);
    assert_eq!(report.stuck.words.get("Running"), Some(&5), "{:?}", report.stuck.words);
    assert!(plot.contains("5 new clusters"), "{plot}");
}

pub(crate) async fn an_operator_has_nothing_to_do_beside_copies_of_a_cluster(_: Client) {
    let (report, _) = measured("127.92", "--clusters 20 --copied").await;
    assert_eq!(report.restart.writes, 0, "{:?}", report.restart.requests);
    assert_eq!(report.requests_at_rest(), 0, "{:?}", report.rest.requests);
    assert_eq!(report.changes.settled.0.len(), 5);
}

/// The figures of a fleet of these words on a loopback network of its own, and its plot.
async fn measured(network: &str, words: &str) -> (Report, String) {
    let folder = std::env::temp_dir().join(format!("fleet-{}-{network}", std::process::id()));
    let words =
        format!("fleet --network {network} --changes 5 --rest 3 --output {} {words}", folder.display());
    let report = tests::fleet::run(&Args::parse_from(words.split(' '))).await.unwrap();
    let plot = std::fs::read_to_string(folder.join("fleet.svg")).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    (report, plot)
}
