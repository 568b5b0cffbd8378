//! The figures by themselves: well formed, named by Prometheus' rules, with labels that cannot grow with the fleet.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use tests::monitoring::classic;

use crate::services::families;

/// Every label there is. None takes a name that a user chose: the number of series does not grow with the fleet. Upstream
/// has no figures, so no tool relies on one.
const LABELS: &[&str] = &[
    "accuracy",
    "category",
    "field",
    "kind",
    "operation",
    "outcome",
    "reason",
    "status",
    "to",
    "version",
    "webhook",
];

#[tokio::test]
async fn every_label_is_one_of_a_few_and_none_names_a_cluster() {
    let both = families().await;
    let labels: BTreeSet<&str> = both.iter().flatten().flat_map(|family| family.labels()).collect();
    assert_eq!(labels.into_iter().collect::<Vec<_>>(), LABELS);
    let values =
        both.iter().flatten().flat_map(|family| &family.samples).flat_map(|sample| sample.labels.values());
    let names: Vec<&String> =
        values.filter(|value| value.contains("demo") || value.contains("acid")).collect();
    assert!(names.is_empty(), "{names:?}");
}

#[tokio::test]
async fn what_has_not_happened_yet_is_there_at_nought() {
    let [operator, webhook] = families().await;
    let value = |families: &[tests::monitoring::Family], name: &str, label: &str| {
        let mut all = families.iter().flat_map(|family| &family.samples);
        all.find(|sample| sample.name == name && sample.labels.values().any(|value| value == label))
            .map(|sample| sample.value)
    };
    assert_eq!(value(&operator, "postgres_operator_steps_total", "Upgrade"), Some(0.0));
    assert_eq!(value(&operator, "postgres_operator_clusters", "UpdateFailed"), Some(0.0));
    assert_eq!(value(&operator, "postgres_operator_forecasts_total", "more"), Some(0.0));
    assert_eq!(value(&webhook, "postgres_operator_webhook_reviews_total", "unready"), Some(0.0));
    assert_eq!(value(&webhook, "postgres_operator_webhook_refusals_total", "volume"), Some(1.0));
}

#[tokio::test]
async fn promtool_finds_nothing_wrong_with_names_units_and_help() {
    for families in families().await {
        let mut tool = Command::new("promtool");
        tool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process =
            tool.spawn().unwrap_or_else(|error| panic!("promtool (Debian: prometheus): {error}"));
        process.stdin.take().unwrap().write_all(classic(&families).as_bytes()).unwrap();
        let output = process.wait_with_output().unwrap();
        let told = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        assert!(output.status.success() && told == ["", ""], "{told:?} about\n{}", classic(&families));
    }
}
