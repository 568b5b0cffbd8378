//! What the API server says to a manifest before anything is made of it.

use std::path::Path;

use tests::stage::{Stage, Told};

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
