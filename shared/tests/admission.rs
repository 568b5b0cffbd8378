//! What admission says of every manifest in `tests/fixtures`: the invalid ones line by line, the valid ones nothing.
//!
//! A case of `admission/` is a folder: `new.yaml`, with `old.yaml` an update, `old.yaml` alone a deletion on
//! 2026-11-22; `configuration.yaml` is the data of a ConfigMap. `UPDATE_GOLDEN=1` rewrites every `denied.txt`;
//! review reads the difference.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod mutants;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use mutants::mutants;
use serde_json::Value;
use shared::admission;
use shared::config::OperatorConfig;
use shared::field::FieldErrors;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures")
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

fn yaml(path: &Path) -> Option<Value> {
    let text = fs::read_to_string(path).ok()?;
    Some(serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

/// What the webhook would answer: the mutating one first, the validating one to what that left.
fn answer(case: &Path) -> Result<(), FieldErrors> {
    let config = configuration(&case.join("configuration.yaml"));
    let (old, new) = (yaml(&case.join("old.yaml")), yaml(&case.join("new.yaml")));
    let complete = match (&old, &new) {
        (None, Some(new)) => admission::mutate(new, &config)?,
        (Some(old), Some(new)) => admission::mutate_update(old, new, &config)?,
        (Some(old), None) => {
            return admission::review_deletion(old, &config, jiff::civil::date(2026, 11, 22)).map(|_| ());
        }
        (None, None) => panic!("{} has no manifest", case.display()),
    };
    admission::review(old.as_ref(), &complete, &config).map(|_| ())
}

fn lines(answer: Result<(), FieldErrors>) -> String {
    let errors = answer.err().unwrap_or_default();
    errors.iter().map(|error| format!("{error}\n")).collect()
}

#[test]
fn every_invalid_manifest_is_refused_with_all_its_errors() {
    let rewrite = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    for case in entries(&fixtures().join("admission")) {
        let (expected, denied) = (case.join("denied.txt"), lines(answer(&case)));
        if rewrite && !denied.is_empty() {
            fs::write(&expected, &denied).unwrap();
        }
        let expected = fs::read_to_string(&expected).unwrap_or_default();
        if denied.is_empty() || denied != expected {
            let name = case.file_name().unwrap().to_string_lossy().into_owned();
            wrong.push(format!("--- {name}\nexpected:\n{expected}answered:\n{denied}"));
        }
    }
    assert!(wrong.is_empty(), "{} cases differ\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_valid_manifest_is_accepted_and_only_gains_defaults() {
    let config = OperatorConfig::default();
    let mut wrong = Vec::new();
    for path in entries(&fixtures().join("golden/manifests")) {
        let manifest = yaml(&path).unwrap();
        let complete = match admission::mutate(&manifest, &config) {
            Ok(complete) => complete,
            Err(errors) => {
                wrong.push(format!("{}: {errors}", path.display()));
                continue;
            }
        };
        assert_eq!(admission::mutate(&complete, &config).as_ref(), Ok(&complete), "{}", path.display());
        assert_only_gains(&manifest, &complete, &path.display().to_string());
        if let Err(errors) = admission::review(None, &complete, &config) {
            wrong.push(format!("{}: {errors}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn defaults_only_add_keys_and_a_second_time_nothing() {
    let folders = ["golden/manifests", "admission"].map(|folder| fixtures().join(folder));
    for entry in folders.iter().flat_map(|folder| entries(folder)) {
        let path = if entry.is_dir() { entry.join("new.yaml") } else { entry };
        let Some(manifest) = yaml(&path) else { continue };
        for manifest in [manifest.clone()].into_iter().chain(mutants(&manifest)) {
            let mut once = manifest.clone();
            shared::defaults::write(&mut once);
            assert_only_gains(&manifest, &once, &path.display().to_string());
            let mut twice = once.clone();
            shared::defaults::write(&mut twice);
            assert_eq!(once, twice, "{}", path.display());
        }
    }
}

#[test]
fn no_mutilated_manifest_makes_admission_panic_or_contradict_itself() {
    let config = OperatorConfig::default();
    for path in entries(&fixtures().join("golden/manifests")) {
        let manifest = yaml(&path).unwrap();
        for mutant in mutants(&manifest) {
            if let Ok(complete) = admission::mutate(&mutant, &config) {
                assert!(admission::review(None, &complete, &config).is_ok(), "{}: {mutant}", path.display());
            }
            let _ = admission::review(Some(&manifest), &mutant, &config);
        }
    }
}

/// Maps gain keys at most, and everything else stays.
fn assert_only_gains(before: &Value, after: &Value, place: &str) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (key, value) in before {
                assert_only_gains(value, after.get(key).unwrap_or(&Value::Null), &format!("{place}.{key}"));
            }
        }
        _ => assert_eq!(before, after, "{place}"),
    }
}

/// The operator's configuration from the data of a ConfigMap; the default one where there is no file.
fn configuration(path: &Path) -> OperatorConfig {
    let Some(data) = yaml(path) else { return OperatorConfig::default() };
    let data: BTreeMap<String, String> = serde_json::from_value(data).unwrap();
    OperatorConfig::from_config_map(&data).unwrap_or_else(|errors| panic!("{}: {errors}", path.display()))
}
