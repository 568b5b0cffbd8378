//! Alerts, dashboard and scrape configurations: valid, tried, and about series that are there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tests::monitoring::promtool;

use crate::questions::selectors;
use crate::services::families;
use crate::{assert_made, path, read};

const ALERTS: &str = "deploy/monitoring/alerts.yaml";
const TRIED: &str = "deploy/monitoring/alerts-test.yaml";
const DASHBOARD: &str = "deploy/monitoring/dashboard.json";

#[track_caller]
fn assert_content(arguments: &[&str]) {
    let output = promtool(arguments).unwrap();
    let told = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    assert!(output.status.success(), "promtool {arguments:?}: {told:?}");
}

/// A file for `promtool` that goes away.
struct Temporary(PathBuf);

impl Temporary {
    fn holding(name: &str, value: &Value) -> Self {
        let path = std::env::temp_dir().join(format!("monitoring-{}-{name}", std::process::id()));
        std::fs::write(&path, value.to_string()).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Every rule of the alerts.
fn alerts() -> Vec<Value> {
    let file: Value = serde_saphyr::from_str(&read(ALERTS)).unwrap();
    let groups = file["groups"].as_array().unwrap();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

/// The expressions of the dashboard, with values in the place of its variables.
fn expressions() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let expression = |target: &Value| target["expr"].as_str().unwrap().to_owned();
    targets
        .map(expression)
        .map(|text| text.replace("$__rate_interval", "5m").replace("$namespace", "x"))
        .collect()
}

#[test]
fn promtool_finds_nothing_wrong_with_the_alerts() {
    assert_content(&["check", "rules", "--lint-fatal", path(ALERTS).to_str().unwrap()]);
}

#[test]
fn every_alert_is_silent_when_it_should_be_and_fires_when_it_should() {
    assert_content(&["test", "rules", path(TRIED).to_str().unwrap()]);
    let tried: Value = serde_saphyr::from_str(&read(TRIED)).unwrap();
    let (mut silent, mut fires) = (BTreeSet::new(), BTreeSet::new());
    for case in tried["tests"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|test| test["promql_expr_test"].as_array().unwrap())
    {
        let name = case["expr"].as_str().unwrap().split('"').nth(1).unwrap().to_owned();
        let samples = case["exp_samples"].as_array().unwrap();
        let side = if samples.is_empty() { &mut silent } else { &mut fires };
        side.insert(name);
    }
    let all: BTreeSet<String> =
        alerts().iter().map(|rule| rule["alert"].as_str().unwrap().to_owned()).collect();
    assert_eq!((silent, fires), (all.clone(), all));
}

#[test]
fn every_alert_says_how_bad_it_is_and_what_to_do() {
    for rule in alerts() {
        let severity = rule["labels"]["severity"].as_str().unwrap_or_default();
        assert!(["critical", "warning", "info"].contains(&severity), "{rule}");
        for text in ["summary", "description"] {
            assert!(
                rule["annotations"][text].as_str().is_some_and(|text| !text.is_empty()),
                "{text}: {rule}"
            );
        }
    }
}

#[tokio::test]
async fn alerts_their_tests_and_the_dashboard_ask_for_what_the_services_expose() {
    let families = families().await.concat();
    for (file, text) in [(ALERTS, read(ALERTS)), (TRIED, read(TRIED)), (DASHBOARD, expressions().join("\n"))]
    {
        let missing: Vec<String> =
            selectors(&text).iter().flat_map(|selector| selector.missing(&families)).collect();
        // A test may tell of labels that come about only when something happens.
        let missing: Vec<&String> =
            missing.iter().filter(|what| file != TRIED || what.starts_with("no service")).collect();
        assert!(missing.is_empty(), "{file}: {missing:?}");
    }
}

#[tokio::test]
async fn the_dashboard_shows_every_figure() {
    let shown = expressions().join("\n");
    let shown: BTreeSet<String> = selectors(&shown).into_iter().map(|selector| selector.name).collect();
    // When a configuration was read says an alert nothing and a picture little; the rest is told in other panels.
    let elsewhere =
        ["configuration_loaded", "certificate_not_before", "certificate_rejected", "certificate_last"];
    let families = families().await.concat();
    let missing: Vec<&str> = families
        .iter()
        .filter(|family| !family.names().any(|name| shown.contains(&name)))
        .map(|family| family.name.as_str())
        .filter(|name| !elsewhere.iter().any(|part| name.contains(part)))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn promtool_understands_every_expression_of_the_dashboard() {
    let expressions = expressions();
    let rule = |(index, expression): (usize, &String)| json!({"record": format!("panel:{index}"), "expr": expression});
    let rules: Vec<Value> = expressions.iter().enumerate().map(rule).collect();
    assert!(rules.len() > 20, "{}", rules.len());
    let file = Temporary::holding("dashboard", &json!({"groups": [{"name": "dashboard", "rules": rules}]}));
    assert_content(&["check", "rules", file.path()]);
}

#[test]
fn panels_have_titles_and_do_not_overlap() {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let mut taken = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(!panel["title"].as_str().unwrap().is_empty());
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        for (x, y) in
            (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y)))
        {
            assert!(x < 24 && taken.insert((x, y)), "{} is at {x}, {y}", panel["title"]);
        }
    }
}

#[test]
fn the_scrape_configuration_is_one() {
    let mut scrape: Value = serde_saphyr::from_str(&read("deploy/monitoring/scrape.yaml")).unwrap();
    // Debian's Prometheus is built without the discovery of Kubernetes.
    let discovered =
        scrape["scrape_configs"][0].as_object_mut().unwrap().remove("kubernetes_sd_configs").unwrap();
    assert_eq!(discovered[0]["role"], "pod");
    scrape["scrape_configs"][0]["static_configs"] = json!([{"targets": ["localhost:1"]}]);
    let file = Temporary::holding("scrape", &scrape);
    assert_content(&["check", "config", file.path()]);
}

/// Ports by name, of the containers of our Deployments.
fn ports() -> BTreeSet<String> {
    let files = ["deploy/base/operator/deployment.yaml", "deploy/base/webhook/deployment.yaml"];
    let documents = files.map(|file| serde_saphyr::from_multiple::<Value>(&read(file)).unwrap()).concat();
    let containers = documents.iter().filter_map(|document| {
        let labels = document.pointer("/spec/template/metadata/labels")?;
        assert_eq!(labels["app.kubernetes.io/name"], "postgres-operator");
        document.pointer("/spec/template/spec/containers/0/ports")?.as_array()
    });
    containers.flatten().map(|port| port["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_is_scraped_is_a_port_of_a_deployment() {
    let monitor: Value = serde_saphyr::from_str(&read("deploy/monitoring/pod-monitor.yaml")).unwrap();
    let endpoints = monitor["spec"]["podMetricsEndpoints"].as_array().unwrap();
    let scraped: Vec<&str> = endpoints.iter().map(|endpoint| endpoint["port"].as_str().unwrap()).collect();
    assert_eq!(
        monitor["spec"]["selector"]["matchLabels"],
        json!({"app.kubernetes.io/name": "postgres-operator"})
    );
    for port in &scraped {
        assert!(ports().contains(*port), "{port} is none of {:?}", ports());
    }
    assert!(read("deploy/monitoring/scrape.yaml").contains(&format!("regex: {}", scraped.join("|"))));
}

#[test]
fn the_rule_of_the_prometheus_operator_holds_the_same_alerts() {
    let alerts = read(ALERTS);
    let (_, groups) = alerts.split_once("groups:\n").unwrap();
    let groups: String =
        groups.lines().map(|line| format!("  {line}").trim_end().to_owned() + "\n").collect();
    let made = format!(
        "# Made of alerts.yaml for the Prometheus operator; not edited by hand.\n\
         apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: postgres-operator\n  \
         namespace: postgres-operator\n  labels:\n    app.kubernetes.io/name: postgres-operator\nspec:\n  groups:\n{groups}"
    );
    assert_made("deploy/monitoring/prometheus-rule.yaml", &made);
    let rule: Value = serde_saphyr::from_str(&made).unwrap();
    let plain: Value = serde_saphyr::from_str(&alerts).unwrap();
    assert_eq!(rule["spec"], plain);
}

#[test]
fn nothing_is_shipped_for_monitoring_that_is_not_tried_here() {
    let folder = path("deploy/monitoring");
    let name = |path: PathBuf| Path::new(&path).file_name().unwrap().to_string_lossy().into_owned();
    let files: BTreeSet<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| name(entry.unwrap().path())).collect();
    let known = [
        "alerts-test.yaml",
        "alerts.yaml",
        "dashboard.json",
        "pod-monitor.yaml",
        "prometheus-rule.yaml",
        "scrape.yaml",
    ];
    assert_eq!(files.iter().map(String::as_str).collect::<Vec<_>>(), known);
}
