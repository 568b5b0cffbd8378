//! The questions the webhook and the command line may ask: what to add, what is wrong, what a change will do.
//!
//! The fact to know: a manifest is read as raw JSON first. Violations of the CRD's schema are collected, what cannot be
//! read is put aside, and all checks run on the rest, so that one answer holds everything a user has to fix.

mod audit;
pub mod configuration;
pub mod policy;
pub mod surroundings;
mod team;
mod unknown;

pub use audit::{audit, category};
pub use team::{readable_team, review_team};
pub use unknown::unknown_fields;

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::Date;
use json_patch::Patch;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::api::{Postgresql, PostgresqlSpec};
use crate::config::OperatorConfig;
use crate::field::{FieldError, FieldErrors, FieldPath, Reason};
use crate::plan::{self, Change, Effect};
use crate::schema::{self, Violation};
use crate::{defaults, validation};
use surroundings::Surroundings;

/// The manifest with the defaults written in; for a new object.
///
/// Only adds keys that are absent, never touches a list, and says the same whenever it is asked again.
///
/// # Errors
/// Everything that is wrong with the manifest: violations of the CRD's schema and failed checks together.
pub fn mutate(manifest: &Value, config: &OperatorConfig) -> Result<Value, FieldErrors> {
    defaults_of(None, manifest, config).map(|absent| patched(manifest, &absent))
}

/// As [`mutate`], for an update of `old`: also refuses what a running cluster cannot become, and lets everything
/// through that leaves the spec as it was.
///
/// # Errors
/// Everything that the update makes wrong.
pub fn mutate_update(old: &Value, manifest: &Value, config: &OperatorConfig) -> Result<Value, FieldErrors> {
    defaults_of(Some(old), manifest, config).map(|absent| patched(manifest, &absent))
}

/// What [`mutate`], or [`mutate_update`] where there is an old manifest, adds.
///
/// # Errors
/// As theirs.
pub fn defaults_of(
    old: Option<&Value>,
    manifest: &Value,
    config: &OperatorConfig,
) -> Result<Patch, FieldErrors> {
    if old.is_some_and(|old| leaves_spec_alone(old, manifest)) {
        return Ok(Patch::default());
    }
    examine(old, manifest, config).errors.into_result()?;
    Ok(defaults::absent(manifest))
}

/// What creating `new`, or changing `old` into it, will do: warnings about the new manifest first, then one line for
/// each field that changes. A new cluster is told warnings only.
///
/// # Errors
/// Everything that is wrong with a new manifest, or that an update makes wrong. An update that leaves the spec alone
/// is never refused: an old invalid manifest must still be able to lose its finalizer.
pub fn review(old: Option<&Value>, new: &Value, config: &OperatorConfig) -> Result<Vec<Change>, FieldErrors> {
    review_among(old, new, config, &Surroundings::default())
}

/// As [`review`], with what stands around the manifest in Kubernetes.
///
/// # Errors
/// As [`review`]; and a name that another cluster's objects have.
pub fn review_among(
    old: Option<&Value>,
    new: &Value,
    config: &OperatorConfig,
    around: &Surroundings,
) -> Result<Vec<Change>, FieldErrors> {
    if let Some(old) = old.filter(|old| leaves_spec_alone(old, new)) {
        let same = ["labels", "annotations"].map(|key| format!("/metadata/{key}"));
        let same = same.iter().all(|at| old.pointer(at) == new.pointer(at));
        return Ok(if same { Vec::new() } else { planned(old, new, config, around.now) });
    }
    let Examined { before, manifest, mut errors, standing } = examine(old, new, config);
    let found = surroundings::look(before.as_ref(), &manifest, config, around);
    errors.extend(found.errors);
    errors.into_result()?;
    let changes = old.map(|old| planned(old, new, config, around.now)).unwrap_or_default();
    let mut told = told(&manifest, &standing, config);
    told.extend(found.warnings);
    Ok(joined(told, changes))
}

/// What changing one raw manifest into another does.
fn planned(old: &Value, new: &Value, config: &OperatorConfig, now: Option<Timestamp>) -> Vec<Change> {
    // With the defaults on both sides: a default that was not written yet is no change.
    let read = |manifest: &Value| Readable::of(&with_defaults(manifest)).manifest;
    plan::plan(&read(old), &read(new), config, now)
}

/// Warnings and changes. A change that does nothing is not worth a second line about its field.
fn joined(mut told: Vec<Change>, changes: Vec<Change>) -> Vec<Change> {
    let warned: Vec<FieldPath> = told.iter().map(|change| change.field.clone()).collect();
    told.extend(
        changes
            .into_iter()
            .filter(|change| change.effect != Effect::Ignored || !warned.contains(&change.field)),
    );
    told
}

/// Whether the manifest may be deleted `today`, and what is lost with it.
///
/// # Errors
/// The annotations that the configuration asks for and the manifest lacks.
pub fn review_deletion(
    manifest: &Value,
    config: &OperatorConfig,
    today: Date,
) -> Result<Vec<Change>, FieldErrors> {
    let (mut errors, manifest) = (FieldErrors::default(), decode(manifest, &mut FieldErrors::default()));
    validation::deletion(&manifest, config, today, &mut errors);
    errors.into_result()?;
    Ok(vec![validation::loss(&manifest, config)])
}

/// What a manifest says and what is wrong with it.
struct Examined {
    /// The old manifest, as far as it can be read.
    before: Option<Postgresql>,
    /// The manifest as far as it can be read.
    manifest: Postgresql,
    /// What keeps it from being accepted.
    errors: FieldErrors,
    /// What is wrong with it and was wrong before this update: no reason to refuse another change.
    standing: FieldErrors,
}

/// Reads and checks a manifest, and the change from `old`.
fn examine(old: Option<&Value>, new: &Value, config: &OperatorConfig) -> Examined {
    let new = Readable::of(new);
    let mut checked = FieldErrors::default();
    validation::check(&new.manifest, config, &mut checked);
    let (mut before, mut errors_before) = (None, FieldErrors::default());
    if let Some(old) = old.map(Readable::of) {
        validation::transitions(&old.manifest, &new.manifest, config, &mut checked);
        let mut old_checked = FieldErrors::default();
        validation::check(&old.manifest, config, &mut old_checked);
        errors_before = merged(old.violations, old.unreadable, &old_checked);
        before = Some(old.manifest);
    }
    let (errors, standing) = apart(merged(new.violations, new.unreadable, &checked), &errors_before);
    Examined { before, manifest: new.manifest, errors, standing }
}

/// A manifest as far as it can be read, and what could not be.
struct Readable {
    manifest: Postgresql,
    violations: Vec<Violation>,
    unreadable: FieldErrors,
}

impl Readable {
    fn of(manifest: &Value) -> Self {
        let violations = schema::violations(manifest);
        let mut unreadable = FieldErrors::default();
        let manifest = decode(&schema::readable_part(manifest, &violations), &mut unreadable);
        Self { manifest, violations, unreadable }
    }
}

/// Errors that are new, and those that stood there before in the same words.
fn apart(found: FieldErrors, before: &FieldErrors) -> (FieldErrors, FieldErrors) {
    if before.is_empty() {
        return (found, FieldErrors::default());
    }
    let (mut errors, mut standing) = (FieldErrors::default(), FieldErrors::default());
    for error in &found {
        let side = if before.iter().any(|old| old == error) { &mut standing } else { &mut errors };
        side.push(error.path.clone(), error.reason, error.message.clone());
    }
    (errors, standing)
}

/// What a user is told of an accepted manifest.
fn told(manifest: &Postgresql, standing: &FieldErrors, config: &OperatorConfig) -> Vec<Change> {
    let mut told = still_wrong(standing);
    told.extend(validation::warnings(manifest, config));
    told
}

/// Old errors that an update left where they were.
fn still_wrong(standing: &FieldErrors) -> Vec<Change> {
    let told = |error: &FieldError| Change {
        field: error.path.clone(),
        effect: Effect::Ignored,
        message: format!("is still wrong: {}", error.message),
    };
    standing.iter().map(told).collect()
}

/// All errors, none about a place that another one speaks of already.
///
/// A value that cannot be read silences the checks about it and what it holds; for any other violation of the schema
/// the check's message is the better one.
fn merged(violations: Vec<Violation>, mut unreadable: FieldErrors, checked: &FieldErrors) -> FieldErrors {
    let mut errors = FieldErrors::default();
    for Violation { error, unreadable: silences, .. } in violations {
        if silences {
            unreadable.push(error.path, error.reason, error.message);
        } else if !checked.paths().any(|path| *path == error.path) {
            errors.push(error.path, error.reason, error.message);
        }
    }
    let told: Vec<FieldPath> = unreadable.paths().cloned().collect();
    errors.extend(unreadable);
    for error in checked {
        if !told.iter().any(|place| holds(place, &error.path)) {
            errors.push(error.path.clone(), error.reason, error.message.clone());
        }
    }
    errors
}

/// Whether `inner` is `outer` or stands inside it.
fn holds(outer: &FieldPath, inner: &FieldPath) -> bool {
    inner
        .as_str()
        .strip_prefix(outer.as_str())
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Reads a manifest; each field of the spec that serde refuses is an error of its own and left out.
fn decode(manifest: &Value, errors: &mut FieldErrors) -> Postgresql {
    let metadata = section::<ObjectMeta>(manifest, "metadata", errors);
    let spec = section::<PostgresqlSpec>(manifest, "spec", errors);
    Postgresql { metadata, spec, status: None }
}

/// Reads one top-level section, key by key when it cannot be read as a whole.
fn section<T: DeserializeOwned + Default>(manifest: &Value, name: &str, errors: &mut FieldErrors) -> T {
    let Some(whole) = manifest.get(name).filter(|section| section.is_object()) else { return T::default() };
    if let Ok(section) = T::deserialize(whole) {
        return section;
    }
    let mut rest = whole.clone();
    for (key, value) in whole.as_object().into_iter().flatten() {
        if let Err(error) = serde_json::from_value::<T>(json!({ key.as_str(): value })) {
            errors.push(FieldPath::new(name).field(key), Reason::Invalid, format!("cannot be read: {error}"));
            if let Some(rest) = rest.as_object_mut() {
                rest.remove(key);
            }
        }
    }
    serde_json::from_value(rest).unwrap_or_default()
}

/// The manifest and what is not written in it but true of it.
fn with_defaults(manifest: &Value) -> Cow<'_, Value> {
    let absent = defaults::absent(manifest);
    if absent.0.is_empty() { Cow::Borrowed(manifest) } else { Cow::Owned(patched(manifest, &absent)) }
}

fn patched(manifest: &Value, additions: &Patch) -> Value {
    let mut manifest = manifest.clone();
    // An addition leads to an object that is there, so nothing can go wrong.
    drop(json_patch::patch(&mut manifest, additions));
    manifest
}

/// Whether two manifests ask for the same, written defaults apart.
fn leaves_spec_alone(old: &Value, new: &Value) -> bool {
    let (old_spec, new_spec) = (old.get("spec"), new.get("spec"));
    old_spec == new_spec || with_defaults(old).get("spec") == with_defaults(new).get("spec")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn valid() -> Value {
        json!({
            "apiVersion": "acid.zalan.do/v1",
            "kind": "postgresql",
            "metadata": { "name": "acid-minimal", "namespace": "default" },
            "spec": {
                "teamId": "acid",
                "numberOfInstances": 2,
                "volume": { "size": "1Gi" },
                "postgresql": { "version": "17" },
                "users": { "zalando": ["superuser"], "foo": null },
            },
        })
    }

    fn with(path: &str, value: Value) -> Value {
        let mut manifest = valid();
        let (parent, key) = path.rsplit_once('/').unwrap();
        manifest.pointer_mut(parent).unwrap()[key] = value;
        manifest
    }

    fn denied(manifest: &Value) -> Vec<String> {
        let errors = mutate(manifest, &OperatorConfig::default()).unwrap_err();
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_valid_manifest_passes_as_it_is() {
        assert_eq!(mutate(&valid(), &OperatorConfig::default()).unwrap(), valid());
        assert_eq!(review(None, &valid(), &OperatorConfig::default()).unwrap(), []);
    }

    #[test]
    fn violations_of_the_schema_and_failed_checks_come_in_one_answer() {
        let mut manifest = with("/spec/volume/size", json!(5));
        manifest["spec"]["numberOfInstances"] = json!("two");
        manifest["spec"]["postgresql"]["version"] = json!("13");
        manifest["spec"].as_object_mut().unwrap().remove("teamId");
        manifest["metadata"]["name"] = json!("Acid_Minimal");
        let paths: Vec<String> =
            denied(&manifest).iter().filter_map(|line| Some(line.split_once(": ")?.0.to_owned())).collect();
        assert_eq!(
            paths,
            [
                "spec.teamId",
                "spec.numberOfInstances",
                "spec.volume.size",
                "metadata.name",
                "spec.postgresql.version"
            ]
        );
    }

    #[test]
    fn a_number_where_a_string_belongs_is_told_to_be_quoted() {
        assert_eq!(
            denied(&with("/spec/postgresql/version", json!(17))),
            [r#"spec.postgresql.version: must be a string; put it in quotes: "17""#]
        );
    }

    #[test]
    fn an_update_that_leaves_the_spec_alone_always_passes() {
        let invalid = with("/spec/volume/size", json!("5K"));
        let mut labelled = invalid.clone();
        labelled["metadata"]["labels"] = json!({ "a": "b" });
        assert_eq!(review(Some(&invalid), &labelled, &OperatorConfig::default()), Ok(Vec::new()));
        assert_eq!(mutate_update(&invalid, &labelled, &OperatorConfig::default()), Ok(labelled));
    }

    #[test]
    fn an_update_is_not_refused_for_an_error_that_stood_there_before() {
        let invalid = with("/spec/teamId", json!("not a label"));
        let mut changed = invalid.clone();
        changed["spec"]["numberOfInstances"] = json!(3);
        let changes = review(Some(&invalid), &changed, &OperatorConfig::default()).unwrap();
        assert_eq!(changes.len(), 2);
        assert!(changes[0].to_string().starts_with("spec.teamId: is still wrong: "));
        assert_eq!(changes[1].to_string(), "spec.numberOfInstances: one more member is added");
        changed["spec"]["volume"]["size"] = json!("10 GB");
        let errors = mutate_update(&invalid, &changed, &OperatorConfig::default()).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors}");
    }

    #[test]
    fn an_update_may_not_shrink_or_downgrade() {
        let mut smaller = with("/spec/volume/size", json!("500Mi"));
        smaller["spec"]["postgresql"]["version"] = json!("16");
        let errors = review(Some(&valid()), &smaller, &OperatorConfig::default()).unwrap_err();
        assert_eq!(errors.len(), 2);
    }

    #[test]
    fn a_deletion_needs_the_configured_annotations() {
        let mut config = OperatorConfig::default();
        config.kubernetes.delete_annotation_date_key = Some("delete-date".to_owned());
        config.kubernetes.delete_annotation_name_key = Some("delete-name".to_owned());
        let today = jiff::civil::date(2026, 11, 22);
        assert_eq!(review_deletion(&valid(), &config, today).unwrap_err().len(), 2);
        let mut of_another_day = json!({ "delete-date": "2026-11-21", "delete-name": "acid-minimal" });
        assert!(
            review_deletion(&with("/metadata/annotations", of_another_day.take()), &config, today).is_err()
        );
        let annotations = json!({ "delete-date": "2026-11-22", "delete-name": "acid-minimal" });
        assert!(review_deletion(&with("/metadata/annotations", annotations), &config, today).is_ok());
    }
}
