//! The tables of `docs/monitoring.md` are made of what the services print and of the alerts.

use serde_json::Value;
use tests::monitoring::{Family, Kind};

use crate::services::families;
use crate::{assert_made, read};

const DOCUMENT: &str = "docs/monitoring.md";

fn row(family: &Family) -> String {
    let name = match family.kind {
        Kind::Counter => format!("{}_total", family.name),
        Kind::Info => format!("{}_info", family.name),
        Kind::Gauge | Kind::Histogram => family.name.clone(),
    };
    let labels: Vec<String> = family.labels().iter().map(|label| format!("`{label}`")).collect();
    let help = family.help.trim_end_matches('.');
    format!("| `{name}` | {} | {} | {help} |\n", family.kind.as_str(), labels.join(", "))
}

fn figures(families: &[Family]) -> String {
    let rows: String = families.iter().map(row).collect();
    format!("| figure | kind | labels | what it is |\n|---|---|---|---|\n{rows}")
}

fn alerts() -> String {
    let file: Value = serde_saphyr::from_str(&read("deploy/monitoring/alerts.yaml")).unwrap();
    let rules =
        file["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
    let text = |value: &Value| value.as_str().unwrap_or("at once").to_owned();
    let row = |rule: &Value| {
        let (name, severity) = (text(&rule["alert"]), text(&rule["labels"]["severity"]));
        let summary = text(&rule["annotations"]["summary"]);
        let summary = summary.replace("{{ $value }} ", "").replace("{{ $labels.", "`").replace(" }}", "`");
        format!("| {name} | {severity} | {} | {summary} |\n", text(&rule["for"]))
    };
    let rows: String = rules.map(row).collect();
    format!("| alert | severity | after | when |\n|---|---|---|---|\n{rows}")
}

/// The document with a table between the two lines that mark its place.
fn with(document: &str, mark: &str, table: &str) -> String {
    let (begin, end) = (format!("<!-- {mark} -->\n"), format!("<!-- end of {mark} -->\n"));
    let (before, rest) = document.split_once(&begin).unwrap_or_else(|| panic!("no {begin}"));
    let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("no {end}"));
    format!("{before}{begin}{table}{end}{after}")
}

#[tokio::test]
async fn every_figure_and_every_alert_is_documented() {
    let [operator, webhook] = families().await;
    let document = with(&read(DOCUMENT), "the operator's figures", &figures(&operator));
    let document = with(&document, "the webhook's figures", &figures(&webhook));
    assert_made(DOCUMENT, &with(&document, "alerts", &alerts()));
}
