//! What the API server says to a manifest before anything is made of it.

use std::collections::BTreeSet;
use std::path::Path;

use tests::stage::{Refusal, Stage, Told};

pub(crate) async fn a_manifest_with_many_errors_is_refused_in_one_answer(stage: &Stage) -> Told {
    let refusal = stage.is_refused(include_str!("../../fixtures/e2e/many-errors.yaml")).await?;
    stage.tell(&refusal.message);
    assert_eq!(refusal.code, 422);
    for (field, says) in [
        ("spec.numberOfInstances", "-1 is negative"),
        ("spec.volume.size", "not a quantity"),
        ("spec.resources.requests.memory", "more than the limit of 1Gi"),
        ("spec.maintenanceWindows[0]", "not a maintenance window"),
        ("spec.postgresql.version", "not a supported PostgreSQL major version"),
        ("spec.postgresql.parameters[work_mem]", "not an amount of memory"),
        ("spec.users[foo_user]", "unknown flag \"superman\""),
    ] {
        let message = refusal.about(field)?;
        assert!(message.contains(says), "{field}: {message:?} does not speak of {says:?}");
        assert!(refusal.message.contains(field), "the text does not name {field}: {}", refusal.message);
    }
    assert_eq!(refusal.causes.len(), 7, "{:?}", refusal.causes);
    Ok(())
}

pub(crate) async fn every_golden_manifest_is_accepted(stage: &Stage) -> Told {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/golden/manifests");
    let mut refused = Vec::new();
    let mut accepted = 0;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        match stage.would_accept(&std::fs::read_to_string(&path)?).await {
            Ok(()) => accepted += 1,
            Err(stop) => refused.push(format!("{}: {stop}", path.file_name().unwrap().display())),
        }
    }
    stage.tell(format!("{accepted} manifests accepted"));
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    assert!(accepted > 20, "only {accepted} manifests were found");
    Ok(())
}

/// Cases that are another story on a real API server.
const LEFT_OUT: &[(&str, &str)] = &[
    ("sections-with-nulls", "the API server drops a null before it asks anybody"),
    ("database-owner-unknown", "where a team may bring users, an unknown one is no mistake"),
    ("rotation-of-unknown-users", "the same"),
    ("ten-mistakes-in-one-manifest", "the same, for one of the ten"),
];

pub(crate) async fn every_manifest_of_the_catalogue_is_refused_with_its_errors(stage: &Stage) -> Told {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/admission");
    let (mut played, mut wrong) = (0, Vec::new());
    for entry in std::fs::read_dir(folder)? {
        let case = entry?.path();
        if !is_played(&case) {
            continue;
        }
        played += 1;
        let expected = std::fs::read_to_string(case.join("denied.txt"))?;
        let expected: BTreeSet<String> = expected.lines().map(str::to_owned).collect();
        let name = case.file_name().unwrap().display().to_string();
        match stage.would_refuse(&std::fs::read_to_string(case.join("new.yaml"))?).await {
            Ok(refusal) if lines(&refusal) == expected => {}
            Ok(refusal) => wrong.push(format!("{name}: {:#?} instead of {expected:#?}", lines(&refusal))),
            Err(stop) => wrong.push(format!("{name}: {stop}")),
        }
    }
    stage.tell(format!("{played} manifests refused, each in one answer"));
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(played >= 60, "only {played} manifests were found");
    Ok(())
}

/// Changes and deletions need a cluster, other configurations another operator: `shared` plays those.
fn is_played(case: &Path) -> bool {
    let has = |file: &str| case.join(file).exists();
    let left_out = LEFT_OUT.iter().any(|(name, _)| case.ends_with(name));
    has("new.yaml") && !has("old.yaml") && !has("configuration.yaml") && !left_out
}

/// One line per error, as the catalogue has them.
fn lines(refusal: &Refusal) -> BTreeSet<String> {
    refusal.causes.iter().map(|(field, message)| format!("{field}: {message}")).collect()
}
