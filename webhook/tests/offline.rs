//! `webhook validate` and `webhook plan`: files in, words and an exit status out.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests may be blunt")]

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Parser as _;
use serde_json::Value;
use webhook::args::{Args, Command, Plan, PolicyArgs, Validate};
use webhook::offline::report::Format;
use webhook::offline::{OfflineError, Report, plan};

const MANIFEST: &str = "
apiVersion: acid.zalan.do/v1
kind: postgresql
metadata: {name: acid-minimal, namespace: default}
spec:
  teamId: acid
  volume: {size: 2Gi}
  numberOfInstances: 2
  postgresql: {version: \"17\"}
";

fn file(name: &str, text: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("webhook-offline-{}-{name}", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path
}

#[tokio::main(flavor = "current_thread")]
async fn validate(args: &Validate) -> Result<Report, OfflineError> {
    webhook::offline::validate(args).await
}

fn judge(name: &str, new: &str, old: Option<&str>, config: Option<&str>) -> Result<Report, OfflineError> {
    let file = |role: &str, text: &str| file(&format!("{name}-{role}.yaml"), text);
    let args = Validate {
        file: vec![file("new", new)],
        old: old.map(|text| file("old", text)),
        config: config.map(|text| file("config", text)),
        ..Validate::default()
    };
    let report = validate(&args);
    for path in args.file.into_iter().chain(args.old).chain(args.config) {
        std::fs::remove_file(path).unwrap();
    }
    report
}

/// A folder of files that is removed again.
struct Folder(PathBuf);

/// How many folders there were: tests run side by side, and each has its own.
static FOLDERS: AtomicUsize = AtomicUsize::new(0);

impl Folder {
    fn with(name: &str, files: &[(&str, &str)]) -> Self {
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let name = format!("webhook-offline-{}-{name}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        for (file, text) in files {
            let file = path.join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        Self(path)
    }

    fn judged(&self, output: Format, pass_over: bool) -> Result<Report, OfflineError> {
        validate(&Validate { file: vec![self.0.clone()], output, pass_over, ..Validate::default() })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_folder_is_looked_through_to_the_bottom() {
    let broken = MANIFEST.replace("2Gi", "big").replace("acid-minimal", "acid-broken");
    let files = [
        ("a.yaml", MANIFEST),
        ("deep/er/b.yml", &broken),
        ("notes.txt", "a: ["),
        ("c.json", "{\"kind\": \"Pod\"}"),
    ];
    let report = Folder::with("folder", &files).judged(Format::Text, false).unwrap();
    assert!(!report.valid);
    assert!(
        report.text.contains("\"acid-minimal\" is valid")
            && report.text.contains("\"acid-broken\" is invalid")
    );
}

#[test]
fn a_hook_passes_over_what_is_none_of_its_business() {
    let folder = Folder::with("hook", &[("chart.yaml", "a: {{ .Values }}\nb: ["), ("pod.yaml", "kind: Pod")]);
    assert!(matches!(folder.judged(Format::Text, false), Err(OfflineError::Parse { .. })));
    let report = folder.judged(Format::Text, true).unwrap();
    assert_eq!((report.valid, report.text.as_str()), (true, ""));
}

#[test]
fn a_field_that_does_not_exist_is_an_error_with_what_was_meant() {
    let report = judge("unknown", &MANIFEST.replace("teamId", "teamID: acid\n  teamId"), None, None).unwrap();
    assert!(!report.valid);
    assert_eq!(
        report.text,
        "postgresql \"acid-minimal\" is invalid: 1 error\n  \
         spec.teamID: is unknown and would be dropped; did you mean teamId?"
    );
}

/// Two documents in one file, the second with two errors on known lines.
fn two_documents() -> Folder {
    let broken = MANIFEST.replace("2Gi", "big").replace("numberOfInstances: 2", "numberOfInstances: -1");
    Folder::with("formats", &[("two.yaml", &format!("{MANIFEST}---\n{}", broken.trim_start()))])
}

#[test]
fn json_has_every_error_with_its_line() {
    let report = two_documents().judged(Format::Json, false).unwrap();
    let json: Value = serde_json::from_str(&report.text).unwrap();
    let documents = json["documents"].as_array().unwrap();
    assert_eq!(documents.len(), 2);
    assert_eq!((&documents[0]["valid"], &documents[1]["valid"]), (&Value::Bool(true), &Value::Bool(false)));
    let errors = documents[1]["errors"].as_array().unwrap();
    let mut lines: Vec<(&str, u64)> = errors
        .iter()
        .map(|error| (error["field"].as_str().unwrap(), error["line"].as_u64().unwrap()))
        .collect();
    lines.sort_unstable();
    assert_eq!(lines, [("spec.numberOfInstances", 17), ("spec.volume.size", 16)]);
}

#[test]
fn sarif_points_at_the_line_of_each_error() {
    let report = two_documents().judged(Format::Sarif, false).unwrap();
    let sarif: Value = serde_json::from_str(&report.text).unwrap();
    assert_eq!(sarif["version"], "2.1.0");
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    assert_eq!(results.len(), 2, "{}", report.text);
    let is_size =
        |result: &&Value| result["message"]["text"].as_str().unwrap().starts_with("spec.volume.size: ");
    let result = results.iter().find(is_size).unwrap();
    let location = &result["locations"][0]["physicalLocation"];
    assert_eq!(location["region"]["startLine"], 16);
    assert!(location["artifactLocation"]["uri"].as_str().unwrap().ends_with("two.yaml"));
    assert_eq!(result["level"], "error");
}

#[test]
fn junit_has_one_case_for_each_document() {
    let report = two_documents().judged(Format::Junit, false).unwrap();
    assert!(report.text.contains("tests=\"2\" failures=\"1\""), "{}", report.text);
    assert_eq!(report.text.matches("<testcase ").count(), 2);
    assert!(
        report.text.contains("<failure message=\"2 errors\">postgresql &quot;acid-minimal&quot; is invalid")
    );
}

#[test]
fn a_team_is_judged_too() {
    let team = "kind: PostgresTeam\nmetadata: {name: t}\nspec: {additionalTeams: {acid: [acid]}}";
    let report = judge("team", team, None, None).unwrap();
    assert!(!report.valid);
    assert!(report.text.contains("spec.additionalTeams[acid][0]: "), "{}", report.text);
}

#[test]
fn a_valid_manifest_is_said_to_be_valid() {
    let report = judge("valid", MANIFEST, None, None).unwrap();
    assert!(report.valid);
    assert!(report.text.starts_with("postgresql \"acid-minimal\" is valid"), "{}", report.text);
}

#[test]
fn all_documents_of_a_file_are_judged_and_those_of_other_kinds_passed_over() {
    let secret = "kind: Secret\nmetadata: {name: x}";
    let broken = MANIFEST.replace("2Gi", "big").replace("acid-minimal", "acid-broken");
    let report = judge("many", &format!("{MANIFEST}\n---\n{secret}\n---\n{broken}"), None, None).unwrap();
    assert!(!report.valid);
    assert!(report.text.contains("postgresql \"acid-minimal\" is valid"), "{}", report.text);
    assert!(report.text.contains("postgresql \"acid-broken\" is invalid: 1 error\n  spec.volume.size: "));
    assert!(!report.text.contains("Secret"));
}

#[test]
fn with_the_old_manifest_a_forbidden_change_is_an_error_too() {
    let smaller = MANIFEST.replace("2Gi", "1Gi").replace("numberOfInstances: 2", "numberOfInstances: -1");
    let report = judge("change", &smaller, Some(MANIFEST), None).unwrap();
    assert!(!report.valid);
    for field in ["spec.volume.size: ", "spec.numberOfInstances: "] {
        assert!(report.text.contains(field), "{}", report.text);
    }
}

#[test]
fn a_configuration_file_is_judged_in_both_forms() {
    let map = "kind: ConfigMap\nmetadata: {name: c}\ndata: {workers: many}";
    let object = "kind: OperatorConfiguration\nmetadata: {name: c}\nconfiguration: {workers: many}";
    for (name, text) in [("map", map), ("object", object)] {
        let report = judge(name, text, None, None).unwrap();
        assert!(!report.valid);
        assert!(report.text.contains("workers"), "{}", report.text);
    }
}

#[test]
fn what_cannot_be_judged_is_an_error_and_no_verdict() {
    assert!(matches!(judge("yaml", "a: [", None, None), Err(OfflineError::Parse { .. })));
    assert!(matches!(judge("nothing", "kind: Pod", None, None), Err(OfflineError::Nothing(_))));
    let config = "kind: ConfigMap\ndata: {workers: many}";
    let report = judge("config", MANIFEST, None, Some(config));
    assert!(matches!(report, Err(OfflineError::Configuration { .. })));
}

fn compare(name: &str, new: &str, old: &str, config: Option<&str>) -> Result<Report, OfflineError> {
    let file = |role: &str, text: &str| file(&format!("plan-{name}-{role}.yaml"), text);
    let args = Plan {
        file: file("new", new),
        old: file("old", old),
        config: config.map(|text| file("config", text)),
        policy: PolicyArgs::default(),
    };
    let report = plan(&args);
    for path in [Some(args.file), Some(args.old), args.config].into_iter().flatten() {
        std::fs::remove_file(path).unwrap();
    }
    report
}

#[test]
fn a_plan_says_what_each_changed_field_does() {
    let new = MANIFEST
        .replace("size: 2Gi", "size: 3Gi")
        .replace("version: \"17\"", "version: \"17\", parameters: {max_connections: \"200\"}");
    let report = compare("fields", &new, MANIFEST, None).unwrap();
    assert!(report.valid);
    assert_eq!(
        report.text,
        "postgresql \"acid-minimal\" changes\n  \
         spec.postgresql.parameters[max_connections]: PostgreSQL restarts in every pod, replicas first\n  \
         spec.postgresql.parameters[max_connections]: nothing restarts if that is its value already\n  \
         spec.volume.size: each volume grows from 2Gi to 3Gi, no pod restarts"
    );
    assert_eq!(
        compare("same", MANIFEST, MANIFEST, None).unwrap().text,
        "postgresql \"acid-minimal\" does not change"
    );
    let other = MANIFEST.replace("acid-minimal", "acid-other");
    assert_eq!(compare("new", MANIFEST, &other, None).unwrap().text, "postgresql \"acid-minimal\" is new");
}

#[test]
fn a_plan_follows_the_operator_configuration() {
    let new = MANIFEST.replace("teamId: acid", "teamId: acid\n  dockerImage: spilo:next");
    let lazy = "kind: ConfigMap\nmetadata: {name: c}\ndata: {enable_lazy_spilo_upgrade: \"true\"}";
    let now = compare("eager", &new, MANIFEST, None).unwrap().text;
    assert!(
        now.contains("spec.dockerImage: rolling update of 2 pods, replicas first, then a switchover"),
        "{now}"
    );
    let later = compare("lazy", &new, MANIFEST, Some(lazy)).unwrap().text;
    assert!(
        later.contains("spec.dockerImage: a pod takes the new image when it is next recreated"),
        "{later}"
    );
}

#[test]
fn a_plan_of_an_invalid_manifest_is_its_errors() {
    let report = compare("invalid", &MANIFEST.replace("2Gi", "1Gi"), MANIFEST, None).unwrap();
    assert!(!report.valid);
    assert!(report.text.contains("spec.volume.size: "), "{}", report.text);
    assert!(matches!(compare("pod", "kind: Pod", MANIFEST, None), Err(OfflineError::Nothing(_))));
}

#[test]
fn the_policy_of_the_webhook_is_judged_by_the_same_flags() {
    let with = |sidecar: &str| format!("{MANIFEST}  sidecars: [{{name: exporter, image: \"{sidecar}\"}}]\n");
    let (old, new) =
        (file("policy-old.yaml", &with("quay.io/a")), file("policy-new.yaml", &with("quay.io/b")));
    let judged = |command: &str, old: Option<&PathBuf>, new: &PathBuf| {
        let mut flags = vec!["webhook", command, "--refuse-sidecars", "--file", new.to_str().unwrap()];
        flags.extend(old.into_iter().flat_map(|old| ["--old", old.to_str().unwrap()]));
        match Args::parse_from(flags).command {
            Command::Validate(args) => validate(&args).unwrap(),
            Command::Plan(args) => plan(&args).unwrap(),
            Command::Serve(_) => unreachable!("{command}"),
        }
    };
    let refused = [
        judged("validate", None, &new),
        judged("validate", Some(&old), &new),
        judged("plan", Some(&old), &new),
    ];
    let kept = [judged("validate", Some(&old), &old), judged("plan", Some(&old), &old)];
    for path in [&old, &new] {
        std::fs::remove_file(path).unwrap();
    }
    for Report { valid, text } in &refused {
        assert!(!valid && text.contains("spec.sidecars[0]: sidecar \"exporter\" is refused here"), "{text}");
    }
    for Report { valid, text } in &kept {
        assert!(*valid && text.contains("is still wrong: sidecar"), "{text}");
    }
    assert!(kept[1].text.starts_with("postgresql \"acid-minimal\" does not change"), "{}", kept[1].text);
}
