//! Whether a cluster may be deleted: the annotations a careful admin asks for.
//!
//! Upstream finds them missing only when the object is gone. With owner references the garbage collector would not
//! ask anyone, so the protection does not apply there.

use jiff::civil::Date;
use kube::ResourceExt;

use crate::api::Postgresql;
use crate::config::OperatorConfig;
use crate::field::{FieldErrors, FieldPath};

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
