//! Whether a cluster may be deleted: the annotations a careful admin asks for. And what goes with it.
//!
//! Upstream finds them missing only when the object is gone. With owner references the garbage collector would not
//! ask anyone, so the protection does not apply there.

use jiff::civil::Date;
use kube::ResourceExt;

use crate::api::Postgresql;
use crate::config::{OperatorConfig, RetentionPolicy};
use crate::field::{FieldErrors, FieldPath};
use crate::plan::{Change, Effect};

/// Adds an error for each annotation that is asked for and does not say what it should.
pub(crate) fn deletion(
    manifest: &Postgresql,
    config: &OperatorConfig,
    today: Date,
    errors: &mut FieldErrors,
) {
    let settings = &config.kubernetes;
    if settings.enable_owner_references {
        return;
    }
    let wanted = [
        (&settings.delete_annotation_date_key, today.to_string(), "the day of the deletion, in UTC"),
        (&settings.delete_annotation_name_key, manifest.name_any(), "the name of the cluster"),
    ];
    for (key, value, meaning) in wanted {
        let Some(key) = key.as_deref().filter(|key| !key.is_empty()) else { continue };
        if manifest.annotations().get(key) != Some(&value) {
            errors.forbidden(
                FieldPath::new("metadata").field("annotations").key(key),
                format!("must be \"{value}\" ({meaning}) before the cluster may be deleted"),
            );
        }
    }
}

/// What is lost with a cluster, and what stays.
pub(crate) fn loss(manifest: &Postgresql, config: &OperatorConfig) -> Change {
    let settings = &config.kubernetes;
    let claims = if settings.enable_persistent_volume_claim_deletion {
        Some("enable_persistent_volume_claim_deletion")
    } else {
        let policy = settings.persistent_volume_claim_retention_policy.when_deleted;
        (policy == RetentionPolicy::Delete).then_some("persistent_volume_claim_retention_policy")
    };
    let (members, size) = (manifest.spec.number_of_instances.max(0), &manifest.spec.volume.size);
    let volumes = match members {
        0 => "all volumes of the cluster".to_owned(),
        1 => format!("the only volume ({size})"),
        more => format!("{more} volumes of {size}"),
    };
    let secrets = if settings.enable_secrets_deletion { "Secrets are deleted" } else { "Secrets are kept" };
    let (effect, message) = match claims {
        Some(option) => {
            let verb = if members == 1 { "is" } else { "are" };
            (Effect::LosesData, format!("{volumes} {verb} deleted with all data ({option}); {secrets}"))
        }
        None => (Effect::Patch, format!("the database stops; its claims keep {volumes}; {secrets}")),
    };
    Change { field: FieldPath::new("metadata").field("name"), effect, message }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(members: i32, edit: impl FnOnce(&mut OperatorConfig)) -> String {
        let spec = json!({
            "teamId": "acid", "numberOfInstances": members, "volume": {"size": "10Gi"},
            "postgresql": {"version": "17"},
        });
        let manifest = Postgresql::new("acid-demo", serde_json::from_value(spec).unwrap());
        let mut config = OperatorConfig::default();
        edit(&mut config);
        loss(&manifest, &config).to_string()
    }

    #[test]
    fn what_is_lost_is_told_with_the_option_that_says_so() {
        assert_eq!(
            told(3, |_| {}),
            "metadata.name: 3 volumes of 10Gi are deleted with all data (enable_persistent_volume_claim_deletion); \
             Secrets are deleted"
        );
        let by_policy = |config: &mut OperatorConfig| {
            config.kubernetes.enable_persistent_volume_claim_deletion = false;
            config.kubernetes.persistent_volume_claim_retention_policy.when_deleted = RetentionPolicy::Delete;
        };
        assert_eq!(
            told(1, by_policy),
            "metadata.name: the only volume (10Gi) is deleted with all data \
             (persistent_volume_claim_retention_policy); Secrets are deleted"
        );
        let kept = |config: &mut OperatorConfig| {
            config.kubernetes.enable_persistent_volume_claim_deletion = false;
            config.kubernetes.persistent_volume_claim_retention_policy.when_deleted = RetentionPolicy::Retain;
            config.kubernetes.enable_secrets_deletion = false;
        };
        assert_eq!(
            told(2, kept),
            "metadata.name: the database stops; its claims keep 2 volumes of 10Gi; Secrets are kept"
        );
    }
}
