//! What the API server says to a manifest before anything is made of it.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use tests::catalogue::{self, Case, Subject};
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

pub(crate) async fn every_golden_manifest_and_every_example_is_accepted(stage: &Stage) -> Told {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut refused = Vec::new();
    let mut accepted = 0;
    for folder in [here.join("fixtures/golden/manifests"), here.join("../docs/examples")] {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let yaml = std::fs::read_to_string(&path)?;
            if !yaml.contains("\nkind: postgresql\n") || path.ends_with("rejected.yaml") {
                continue;
            }
            match stage.would_accept(&yaml).await {
                Ok(()) => accepted += 1,
                Err(stop) => refused.push(format!("{}: {stop}", path.file_name().unwrap().display())),
            }
        }
    }
    stage.tell(format!("{accepted} manifests accepted"));
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    assert!(accepted > 35, "only {accepted} manifests were found");
    Ok(())
}

/// Answers that are another story on a real API server, by their words.
const LEFT_OUT: &[(&str, &str)] = &[
    ("but is null", "the API server drops a null before it asks anybody"),
    ("is no user of this cluster", "where a team may bring users, an unknown one is no mistake"),
];

pub(crate) async fn every_manifest_of_the_catalogue_is_refused_with_its_errors(stage: &Stage) -> Told {
    let (mut played, mut wrong) = (0, Vec::new());
    for case in catalogue::refused() {
        let Some(manifest) = played_manifest(&case) else { continue };
        played += 1;
        let expected: BTreeSet<String> = case.denied.iter().cloned().collect();
        match stage.would_refuse(&manifest.to_string()).await {
            Ok(refusal) if lines(&refusal) == expected => {}
            Ok(refusal) => {
                wrong.push(format!("{}: {:#?} instead of {expected:#?}", case.name, lines(&refusal)));
            }
            Err(stop) => wrong.push(format!("{}: {stop}", case.name)),
        }
    }
    stage.tell(format!("{played} manifests refused, each in one answer"));
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(played >= 200, "only {played} manifests were found");
    Ok(())
}

/// Changes and deletions need a cluster, other configurations another operator: `shared` plays those.
fn played_manifest(case: &Case) -> Option<&Value> {
    let left_out = |line: &String| LEFT_OUT.iter().any(|(words, _)| line.contains(words));
    let left_out = case.denied.iter().any(left_out);
    match &case.subject {
        Subject::Manifest { old: None, new } if case.configuration.is_empty() && !left_out => Some(new),
        _ => None,
    }
}

/// One line per error, as the catalogue has them.
fn lines(refusal: &Refusal) -> BTreeSet<String> {
    refusal.causes.iter().map(|(field, message)| format!("{field}: {message}")).collect()
}
