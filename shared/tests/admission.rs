//! What admission says of every case of the catalogue (`tests/fixtures/admission`): the invalid ones line by line, the
//! valid ones nothing but warnings. `UPDATE_GOLDEN=1` rewrites the answers; review reads the difference.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

#[path = "../../tests/src/catalogue.rs"]
mod catalogue;
mod mutants;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use catalogue::{Case, Subject};
use mutants::mutants;
use serde_json::{Value, json};
use shared::admission;
use shared::api::{OperatorConfiguration, PostgresTeam, Postgresql};
use shared::cluster::{Cluster, References};
use shared::config::{OperatorConfig, Reading, Source, changes_that_orphan, read_config_map, read_resource};
use shared::field::FieldErrors;
use shared::plan::{self, Change, LONGEST_LINE};

/// Mistakes of which no object can be made, in the words of `Cluster::resolve`, and why it does not make the rest
/// without them. Any other mistake that admission lets stand must not keep a cluster from being looked after.
const UNRESOLVED: &[(&str, &str)] = &[
    ("is a role with rights of its own", "the pooler would hand them to whoever reaches it"),
    ("is not a supported PostgreSQL major version", "no image runs it"),
    ("volume source", "the API server would refuse every pod"),
];

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

/// What a case is told: why it is refused, or what is said when it is not.
fn answer(case: &Case) -> Result<Vec<String>, FieldErrors> {
    let config = OperatorConfig::from_config_map(&case.configuration)
        .unwrap_or_else(|errors| panic!("{}: {errors}", case.name));
    match &case.subject {
        Subject::Manifest { old, new } => manifest(old.as_ref(), new, &config),
        Subject::Deletion(manifest) => {
            admission::review_deletion(manifest, &config, jiff::civil::date(2026, 11, 22))
                .map(|told| lines(&told))
        }
        Subject::Resource(old, new) => {
            let read = |settings: &Value| {
                let configuration = settings.as_object().cloned().unwrap_or_default();
                read_resource(&OperatorConfiguration { configuration, ..Default::default() })
            };
            configuration(Source::Resource, old.as_ref().map(read), read(new))
        }
        Subject::ConfigMap(old, new) => {
            configuration(Source::ConfigMap, old.as_ref().map(read_config_map), read_config_map(new))
        }
        Subject::Team { old, new, others } => {
            let kind = |spec: &Value| json!({ "metadata": { "name": "ours" }, "spec": spec });
            let other = |spec: &Value| -> PostgresTeam {
                serde_json::from_value(json!({ "metadata": { "name": "theirs" }, "spec": spec })).unwrap()
            };
            let others: Vec<PostgresTeam> = others.iter().map(other).collect();
            admission::review_team(old.as_ref().map(kind).as_ref(), &kind(new), &others)
                .map(|told| lines(&told))
        }
    }
}

/// What the webhook would answer: the mutating one first, the validating one to what that left.
fn manifest(old: Option<&Value>, new: &Value, config: &OperatorConfig) -> Result<Vec<String>, FieldErrors> {
    let complete = match old {
        None => admission::mutate(new, config)?,
        Some(old) => admission::mutate_update(old, new, config)?,
    };
    admission::review(old, &complete, config).map(|told| lines(&told))
}

/// What a configuration is told, and what a change of one is refused for while clusters exist.
fn configuration(source: Source, old: Option<Reading>, new: Reading) -> Result<Vec<String>, FieldErrors> {
    let config = new.config?;
    if let Some(Ok(old)) = old.map(|old| old.config) {
        changes_that_orphan(source, &old, &config).into_result()?;
    }
    Ok(new.warnings.iter().flat_map(|warning| plan::lines(&warning.path, &warning.message)).collect())
}

fn lines(told: &[Change]) -> Vec<String> {
    told.iter().flat_map(|change| plan::lines(&change.field, &change.message)).collect()
}

/// The errors of a case, and what it is told.
fn answers(case: &Case) -> (Vec<String>, Vec<String>) {
    match answer(case) {
        Ok(told) => (Vec::new(), told),
        Err(errors) => (errors.iter().map(ToString::to_string).collect(), Vec::new()),
    }
}

fn all() -> Vec<Case> {
    catalogue::refused().into_iter().chain(catalogue::accepted()).collect()
}

#[test]
fn every_case_of_the_catalogue_is_answered_word_by_word() {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        catalogue::rewrite(&all().iter().map(|case| (case.name.clone(), answers(case))).collect());
    }
    let mut wrong = Vec::new();
    for case in all() {
        let (denied, told) = answers(&case);
        if (&denied, &told) != (&case.denied, &case.told) {
            wrong.push(format!(
                "--- {} ({})\ndenied: {:#?} instead of {:#?}\ntold: {told:#?} instead of {:#?}",
                case.name,
                case.file.display(),
                denied,
                case.denied,
                case.told
            ));
        }
    }
    assert!(wrong.is_empty(), "{} cases differ\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn no_line_that_is_told_is_too_long_for_a_terminal_and_none_is_cut_by_the_api_server() {
    let told: Vec<String> = all().iter().flat_map(|case| answers(case).1).collect();
    assert!(told.len() > 50, "{}", told.len());
    let long: Vec<&String> = told.iter().filter(|line| line.len() > LONGEST_LINE).collect();
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn what_must_be_refused_is_and_what_is_valid_is_not() {
    let (refused, accepted) = (catalogue::refused(), catalogue::accepted());
    let wrong: Vec<&str> = refused
        .iter()
        .filter(|case| case.denied.is_empty())
        .chain(accepted.iter().filter(|case| !case.denied.is_empty()))
        .map(|case| case.name.as_str())
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    let golden = entries(&fixtures().join("golden/manifests")).len();
    assert!(refused.len() >= 400, "only {} invalid cases", refused.len());
    assert!(accepted.len() + golden >= 60, "only {} valid cases", accepted.len() + golden);
    let many = refused.iter().filter(|case| case.denied.len() >= 5).count();
    assert!(many >= 20, "only {many} cases with five errors and more");
    let names: BTreeSet<&String> = refused.iter().chain(&accepted).map(|case| &case.name).collect();
    assert_eq!(names.len(), refused.len() + accepted.len(), "a name stands there twice");
}

#[test]
fn a_manifest_that_keeps_an_old_mistake_is_still_looked_after() {
    let (mut lost, mut met) = (Vec::new(), BTreeSet::new());
    for case in catalogue::refused() {
        let Subject::Manifest { old: None, new: old } = &case.subject else { continue };
        let config = OperatorConfig::from_config_map(&case.configuration).unwrap();
        let mut new = old.clone();
        // Something that has nothing to do with the mistakes.
        let Some(spec) = new.get_mut("spec").and_then(Value::as_object_mut) else { continue };
        spec.insert("podAnnotations".to_owned(), json!({ "example.com/looked-at": "today" }));
        let Ok(typed) = serde_json::from_value::<Postgresql>(new.clone()) else { continue };
        if admission::review(Some(old), &new, &config).is_err() {
            continue;
        }
        let errors = Cluster::resolve(&typed, &config, &References::unread()).err().unwrap_or_default();
        for error in &errors {
            match UNRESOLVED.iter().find(|(words, _)| error.message.contains(words)) {
                Some((words, _)) => drop(met.insert(*words)),
                None => lost.push(format!("{}: {error}", case.name)),
            }
        }
    }
    assert!(lost.is_empty(), "{lost:#?}");
    assert_eq!(met.len(), UNRESOLVED.len(), "only {met:?} are still met");
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
    let golden = entries(&fixtures().join("golden/manifests"));
    let golden = golden.iter().map(|path| (path.display().to_string(), yaml(path).unwrap()));
    let cases = all().into_iter().filter_map(|case| match case.subject {
        Subject::Manifest { new, .. } => Some((case.name, new)),
        _ => None,
    });
    let golden = golden.flat_map(|(name, manifest)| {
        let mutants = mutants(&manifest).into_iter().chain([manifest]);
        mutants.map(move |mutant| (name.clone(), mutant)).collect::<Vec<_>>()
    });
    for (name, manifest) in golden.chain(cases) {
        let mut once = manifest.clone();
        shared::defaults::write(&mut once);
        assert_only_gains(&manifest, &once, &name);
        let mut twice = once.clone();
        shared::defaults::write(&mut twice);
        assert_eq!(once, twice, "{name}");
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
