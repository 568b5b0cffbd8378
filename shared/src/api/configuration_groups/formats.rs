//! How settings that are more than a string are written: durations, quantities, versions, embedded manifests.
//!
//! Each type here is used as `#[serde(with = "…")]` on a field: it reads and writes the field and gives its CRD
//! schema, so a bad value is found while parsing and its error says what would be right.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Toleration;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::duration;
use crate::api::MaintenanceWindow;
use crate::quantity::Amount;
use crate::version::PostgresVersion;

/// A duration as Go writes it: `10m`, `1h30m`.
pub(super) struct GoDuration;

impl GoDuration {
    pub(super) fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&duration::format(*value))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        duration::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl JsonSchema for GoDuration {
    fn schema_name() -> Cow<'static, str> {
        "GoDuration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r"^(0|([0-9.]+(ns|us|µs|ms|s|m|h))*)$" })
    }
}

/// A Kubernetes quantity that parses. Empty or zero means: none.
pub(super) struct OptionalQuantity;

impl OptionalQuantity {
    pub(super) fn serialize<S: Serializer>(
        value: &Option<Quantity>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Quantity>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let amount: Amount = text.parse().map_err(D::Error::custom)?;
        if amount < Amount::default() {
            return Err(D::Error::custom("is negative; write a positive quantity, or 0 for none"));
        }
        Ok(if amount.is_zero() { None } else { Some(Quantity(text)) })
    }
}

impl JsonSchema for OptionalQuantity {
    fn schema_name() -> Cow<'static, str> {
        "OptionalQuantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "null"],
            "pattern": r"^([0-9.]+(e[0-9]+)?([mk]|[KMGTPE]i?)?)?$",
        })
    }
}

/// A supported PostgreSQL major version, as a string.
pub(super) struct MajorVersion;

impl MajorVersion {
    pub(super) fn serialize<S: Serializer>(
        value: &PostgresVersion,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<PostgresVersion, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for MajorVersion {
    fn schema_name() -> Cow<'static, str> {
        "MajorVersion".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^([0-9]+([.][0-9]+)?)?$" })
    }
}

/// A bound on the number of instances, where a negative number means: no bound.
pub(super) struct InstanceBound;

impl InstanceBound {
    // serde hands over `&Option`, so there is no choice of `Option<&i32>`.
    pub(super) fn serialize<S: Serializer>(value: &Option<i32>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i32(value.unwrap_or(-1))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i32>, D::Error> {
        let number = i32::deserialize(deserializer)?;
        if number == 0 {
            return Err(D::Error::custom(
                "is 0, which would allow no instance at all; write -1 for no bound",
            ));
        }
        Ok(Some(number).filter(|number| *number > 0))
    }
}

impl JsonSchema for InstanceBound {
    fn schema_name() -> Cow<'static, str> {
        "InstanceBound".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "format": "int32", "minimum": -1 })
    }
}

/// Maintenance windows, each as `Sat:02:00-04:00`.
pub(super) struct MaintenanceWindows;

impl MaintenanceWindows {
    pub(super) fn serialize<S: Serializer>(
        value: &[MaintenanceWindow],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(value.iter().map(ToString::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<MaintenanceWindow>, D::Error> {
        let window = |text: String| text.parse().map_err(|error| D::Error::custom(format!("{text} {error}")));
        Vec::<String>::deserialize(deserializer)?.into_iter().map(window).collect()
    }
}

impl JsonSchema for MaintenanceWindows {
    fn schema_name() -> Cow<'static, str> {
        "MaintenanceWindows".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "array",
            "items": {
                "type": "string",
                "pattern": r"^\s*((Mon|Tue|Wed|Thu|Fri|Sat|Sun):)?[0-9]{1,2}:[0-9]{1,2}-[0-9]{1,2}:[0-9]{1,2}\s*$",
            },
        })
    }
}

/// One toleration as a map with the keys `key`, `operator`, `value` and `effect`. Empty means: none.
pub(super) struct SingleToleration;

impl SingleToleration {
    pub(super) fn serialize<S: Serializer>(
        value: &Option<Toleration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Toleration>, D::Error> {
        let map = Option::<BTreeMap<String, String>>::deserialize(deserializer)?.unwrap_or_default();
        if map.is_empty() {
            return Ok(None);
        }
        let mut toleration = Toleration::default();
        for (name, text) in map {
            match name.as_str() {
                "key" => toleration.key = Some(text),
                "operator" => toleration.operator = Some(text),
                "value" => toleration.value = Some(text),
                "effect" => toleration.effect = Some(text),
                _ => return Err(D::Error::unknown_field(&name, &["key", "operator", "value", "effect"])),
            }
        }
        Ok(Some(toleration))
    }
}

impl JsonSchema for SingleToleration {
    fn schema_name() -> Cow<'static, str> {
        "SingleToleration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["object", "null"], "additionalProperties": { "type": "string" } })
    }
}

/// A whole Kubernetes object written as JSON or YAML inside a string.
pub(super) struct EmbeddedManifest;

impl EmbeddedManifest {
    pub(super) fn serialize<T: Serialize, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let text =
            value.as_ref().map(serde_json::to_string).transpose().map_err(serde::ser::Error::custom)?;
        text.serialize(serializer)
    }

    pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        T: DeserializeOwned,
        D: Deserializer<'de>,
    {
        let text = Option::<String>::deserialize(deserializer)?.filter(|text| !text.trim().is_empty());
        text.map(|text| serde_saphyr::from_str(&text)).transpose().map_err(D::Error::custom)
    }
}

impl JsonSchema for EmbeddedManifest {
    fn schema_name() -> Cow<'static, str> {
        "EmbeddedManifest".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "null"] })
    }
}
