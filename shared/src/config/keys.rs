//! Every key of the configuration: its group and its schema. Read off the CRD, so there is no list to keep.
//!
//! The parsers ask it what a key is; the checks name keys and it knows where each stands. The surprise: no key
//! occurs in two groups, which is why a ConfigMap can be flat.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use serde_json::Value;

use crate::api::OperatorConfiguration;
use crate::config::OperatorConfig;
use crate::field::FieldPath;
use crate::spelling;

/// One key.
pub(super) struct Key {
    /// The group it stands in; none: at the top.
    pub(super) group: Option<String>,
    /// What it may hold.
    pub(super) schema: JSONSchemaProps,
}

impl Key {
    /// The place of this key, called `leaf`, below `configuration` as a JSON pointer.
    pub(super) fn pointer(&self, leaf: &str) -> String {
        match &self.group {
            Some(group) => format!("/{group}/{leaf}"),
            None => format!("/{leaf}"),
        }
    }

    /// Whether "nothing" is a value of its own, so that an empty text does not mean the default.
    pub(super) fn is_optional(&self) -> bool {
        self.schema.nullable == Some(true)
    }
}

/// Where a configuration was read from; decides how its keys are named to the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// An `OperatorConfiguration`: `configuration.kubernetes.pdb_name_format`.
    Resource,
    /// A ConfigMap: `data[pdb_name_format]`.
    ConfigMap,
}

impl Source {
    /// The path of a key for a person.
    pub fn path(self, leaf: &str) -> FieldPath {
        let group = KEYS.get(leaf).and_then(|key| key.group.as_deref());
        match (self, group) {
            (Self::ConfigMap, _) => FieldPath::new("data").key(leaf),
            (Self::Resource, None) => FieldPath::new("configuration").field(leaf),
            (Self::Resource, Some(group)) => FieldPath::new("configuration").field(group).field(leaf),
        }
    }
}

/// Every key by its name.
pub(super) static KEYS: LazyLock<BTreeMap<String, Key>> = LazyLock::new(|| {
    let versions = OperatorConfiguration::crd().spec.versions.into_iter();
    let mut kind = versions.filter_map(|version| version.schema?.open_api_v3_schema?.properties);
    let configuration = kind.next().and_then(|mut kind| kind.remove("configuration"));
    let mut keys = BTreeMap::new();
    for (name, schema) in configuration.and_then(|schema| schema.properties).unwrap_or_default() {
        match schema.properties {
            Some(settings) => keys.extend(
                settings.into_iter().map(|(leaf, schema)| (leaf, Key { group: Some(name.clone()), schema })),
            ),
            None => _ = keys.insert(name, Key { group: None, schema }),
        }
    }
    keys
});

/// Whether `name` is a group.
pub(super) fn is_group(name: &str) -> bool {
    KEYS.values().any(|key| key.group.as_deref() == Some(name))
}

/// What to say about a key that does not exist.
pub(super) fn unknown(name: &str) -> String {
    match closest(name) {
        Some(meant) => format!("is unknown and ignored; did you mean {meant}?"),
        None => "is unknown and ignored".to_owned(),
    }
}

/// The key that was probably meant by `name`: at most a third of it is different.
fn closest(name: &str) -> Option<&'static str> {
    spelling::closest(name, KEYS.keys().map(String::as_str))
}

/// The keys in which two configurations differ, each with the old configuration in which only that one has changed.
pub fn one_by_one(old: &OperatorConfig, new: &OperatorConfig) -> Vec<(&'static str, OperatorConfig)> {
    let (before, after) = (json(old), json(new));
    let mut single = Vec::new();
    for (leaf, key) in KEYS.iter() {
        let pointer = key.pointer(leaf);
        let (Some(value), Some(former)) = (after.pointer(&pointer), before.pointer(&pointer)) else {
            continue;
        };
        let mut changed = before.clone();
        if value == former {
            continue;
        }
        if let Some(place) = changed.pointer_mut(&pointer) {
            *place = value.clone();
        }
        single.extend(serde_json::from_value(changed).ok().map(|config| (leaf.as_str(), config)));
    }
    single
}

fn json(config: &OperatorConfig) -> Value {
    serde_json::to_value(config).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_know_their_group_and_what_they_hold() {
        let key = &KEYS["pdb_name_format"];
        assert_eq!(key.group.as_deref(), Some("kubernetes"));
        assert_eq!(key.schema.type_.as_deref(), Some("string"));
        assert_eq!(KEYS["workers"].group, None);
        assert!(KEYS["etcd_host"].is_optional());
        assert!(!KEYS["docker_image"].is_optional());
        assert!(is_group("users"));
        assert!(!is_group("workers"));
    }

    #[test]
    fn the_flat_form_loses_no_key() {
        let crd = serde_json::to_value(OperatorConfiguration::crd()).unwrap();
        let pointer =
            "/spec/versions/0/schema/openAPIV3Schema/properties/configuration/properties".to_owned();
        let properties = crd.pointer(&pointer).unwrap().as_object().unwrap();
        let leaves: usize = properties
            .values()
            .map(|p| p.get("properties").map_or(1, |g| g.as_object().unwrap().len()))
            .sum();
        assert_eq!(KEYS.len(), leaves);
    }

    #[test]
    fn a_misspelt_key_finds_its_neighbour() {
        assert_eq!(closest("worker"), Some("workers"));
        assert_eq!(closest("pdb_name_fromat"), Some("pdb_name_format"));
        assert_eq!(closest("favourite_colour"), None);
    }

    #[test]
    fn each_changed_key_is_applied_alone() {
        let old = OperatorConfig::default();
        let mut new = old.clone();
        new.general.docker_image = "spilo:next".into();
        new.kubernetes.pod_role_label = "role".into();
        let singles = one_by_one(&old, &new);
        let names: Vec<&str> = singles.iter().map(|(leaf, _)| *leaf).collect();
        assert_eq!(names, ["docker_image", "pod_role_label"]);
        assert_eq!(singles[0].1.general.docker_image, "spilo:next");
        assert_eq!(singles[0].1.kubernetes, old.kubernetes);
        assert!(one_by_one(&old, &old).is_empty());
    }
}
