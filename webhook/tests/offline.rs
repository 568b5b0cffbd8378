//! `webhook validate` and `webhook plan`: files in, words and an exit status out.
#![allow(clippy::unwrap_used, reason = "tests may be blunt")]

use std::path::PathBuf;

use webhook::args::{Plan, Validate};
use webhook::offline::{OfflineError, Report, plan, validate};

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

fn judge(name: &str, new: &str, old: Option<&str>, config: Option<&str>) -> Result<Report, OfflineError> {
    let file = |role: &str, text: &str| file(&format!("{name}-{role}.yaml"), text);
    let args = Validate {
        file: file("new", new),
        old: old.map(|text| file("old", text)),
        config: config.map(|text| file("config", text)),
    };
    let report = validate(&args);
    for path in [Some(args.file), args.old, args.config].into_iter().flatten() {
        std::fs::remove_file(path).unwrap();
    }
    report
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
