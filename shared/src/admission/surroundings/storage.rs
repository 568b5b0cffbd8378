//! Whether the StorageClass of the volumes exists, and can do what is asked of it.

use super::{Findings, Scene};
use crate::config::StorageResizeMode;
use crate::field::FieldPath;
use crate::quantity::Amount;

/// The class exists; volumes that shall grow can.
pub(super) fn classes(scene: &Scene<'_>, findings: &mut Findings) {
    let Some(classes) = &scene.around.storage_classes else { return };
    let path = FieldPath::spec().field("volume");
    let named = scene.new.spec.volume.storage_class.as_deref().filter(|name| !name.is_empty());
    let class = match named {
        Some(name) => classes.get_key_value(name),
        None => classes.iter().find(|(_, class)| class.default),
    };
    // A volume that exists already has a class, whatever is the default today.
    let is_new = scene.old.is_none();
    match (named, class) {
        (Some(name), None) => {
            let known: Vec<&str> = classes.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "there is none at all".to_owned() } else { known.join(", ") };
            let message = format!("there is no StorageClass \"{name}\" now, so pods wait; known: {known}");
            findings.warn(path.field("storageClass"), message);
        }
        (None, None) if is_new => {
            let message = "is not set and no StorageClass is the default now, so pods wait for volumes";
            findings.warn(path.field("storageClass"), message);
        }
        (_, Some((name, class))) if !class.expandable && grows(scene) => {
            let message = format!(
                "StorageClass \"{name}\" cannot expand volumes now: they stay as they are (allowVolumeExpansion)"
            );
            findings.warn(path.field("size"), message);
        }
        _ => {}
    }
}

/// Whether existing volumes shall grow, and Kubernetes is to do it.
fn grows(scene: &Scene<'_>) -> bool {
    let by_claim = match scene.config.kubernetes.storage_resize_mode {
        StorageResizeMode::Pvc | StorageResizeMode::Mixed => true,
        StorageResizeMode::Ebs | StorageResizeMode::Off => false,
    };
    let amount = |size: &str| size.parse::<Amount>().ok();
    let before = scene.old.and_then(|old| amount(&old.spec.volume.size));
    by_claim && before.is_some_and(|before| amount(&scene.new.spec.volume.size) > Some(before))
}
