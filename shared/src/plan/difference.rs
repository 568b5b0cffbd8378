//! What has to be written so that the objects become what they should be.
//!
//! Asked at every look, and almost always answered with nothing: so each object is first held against the stored one
//! without turning either into JSON, and only where that finds them unequal are they looked at again, for the place.

use serde_json::Value;

use crate::build::Resources;

use super::contains::contains;
use super::encoded::Encoder;
use super::inventory::{Kind, Object, ObjectName, OnlyMetadata, inventory};
use super::{Effect, object};

/// One object that is not as it should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Which one.
    pub object: ObjectName,
    /// The first field that differs; `None` when the object is not there at all.
    pub field: Option<String>,
    /// What making it right costs.
    pub effect: Effect,
    /// What it should be.
    pub desired: Value,
}

/// Fields of a StatefulSet that Kubernetes does not let change: it is replaced under its pods instead.
const FIXED: &[&str] =
    &["spec.selector", "spec.serviceName", "spec.podManagementPolicy", "spec.volumeClaimTemplates"];

/// The objects to write, in the order in which to write them.
pub fn between(current: &Resources, desired: &Resources) -> Vec<Difference> {
    let present = inventory(current);
    let mut encoder = Encoder::new();
    let mut differences: Vec<Difference> = inventory(desired)
        .into_iter()
        .filter_map(|wanted| match present.iter().find(|live| live.is(wanted)) {
            Some(live) if holds(*live, wanted, &mut encoder) => None,
            Some(live) => changed(*live, wanted),
            None => Some(Difference {
                object: wanted.name(),
                field: None,
                effect: Effect::Patch,
                desired: wanted.to_json(),
            }),
        })
        .collect();
    differences.sort_by(|one, other| one.object.cmp(&other.object));
    differences
}

/// Whether a stored object certainly holds all that is wanted of it.
fn holds(live: Object<'_>, wanted: Object<'_>, encoder: &mut Encoder) -> bool {
    if wanted.kind().is_known_by_metadata() {
        return encoder.encode(wanted.metadata()).is_some_and(|desired| contains(live.metadata(), desired));
    }
    encoder.encode(&wanted).is_some_and(|desired| contains(&live, desired))
}

/// The place of the difference between an object and the stored one, if there is any.
fn changed(live: Object<'_>, wanted: Object<'_>) -> Option<Difference> {
    let (desired, stored) = (wanted.to_json(), live.to_json());
    let field = if wanted.kind().is_known_by_metadata() {
        let metadata = serde_json::to_value(OnlyMetadata(wanted.metadata())).unwrap_or_default();
        object::first_difference(&metadata, &stored)
    } else {
        object::first_difference(&desired, &stored)
    }?;
    let replaced = wanted.kind() == Kind::StatefulSet && fixed_differs(&desired, &stored);
    let effect = if replaced { Effect::ReplaceStatefulSet } else { Effect::Patch };
    Some(Difference { object: wanted.name(), field: Some(field), effect, desired })
}

fn fixed_differs(desired: &Value, live: &Value) -> bool {
    FIXED.iter().any(|path| {
        let pointer = format!("/{}", path.replace('.', "/"));
        let nothing = Value::Null;
        let part = |of: &Value| of.pointer(&pointer).cloned();
        part(desired)
            .is_some_and(|want| object::first_difference(&want, &part(live).unwrap_or(nothing)).is_some())
    })
}
