//! The kind `OperatorConfiguration`: the operator's settings as a resource.
//!
//! Its body stands under `configuration`, not `spec`, and is kept as raw JSON here, so that `config::from_resource`
//! can name every setting that is wrong instead of the first. The typed settings are the CRD's schema.

#![allow(clippy::duplicated_attributes, reason = "one `printcolumn` for each column")]

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{CustomResource, CustomResourceExt, Resource};
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::configuration_groups::OperatorConfig;
use super::schema::Anything;

/// The operator's settings.
#[derive(Resource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[resource(inherit = WithSpec)]
#[serde(default)]
pub struct OperatorConfiguration {
    /// Name, namespace, resource version.
    pub metadata: ObjectMeta,
    /// The settings as they were written: only those that are set. `OperatorConfig::from_resource` reads them.
    pub configuration: Map<String, Value>,
}

impl OperatorConfiguration {
    /// The definition of this kind, with the schema of every setting and its default.
    pub fn crd() -> CustomResourceDefinition {
        let mut crd = WithSpec::crd();
        let schemas = crd.spec.versions.iter_mut().filter_map(|version| version.schema.as_mut());
        for schema in schemas.filter_map(|schema| schema.open_api_v3_schema.as_mut()) {
            let properties = schema.properties.get_or_insert_default();
            if let Some(spec) = properties.remove("spec") {
                properties.insert("configuration".to_owned(), spec);
            }
            schema.required = Some(vec!["configuration".to_owned()]);
        }
        crd
    }
}

// kube's derive makes definitions only of bodies called `spec`, so it makes one of this; `crd()` moves the body.
/// The settings. What is left out has its default.
#[derive(CustomResource, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = write_defaults)]
#[kube(
    group = "acid.zalan.do",
    version = "v1",
    kind = "OperatorConfiguration",
    root = "WithSpec",
    plural = "operatorconfigurations",
    singular = "operatorconfiguration",
    shortname = "opconfig",
    category = "all",
    namespaced,
    status = "Anything",
    doc = "The settings of the Postgres operator.",
    label("app.kubernetes.io/name", "postgres-operator"),
    printcolumn(
        name = "Image",
        type_ = "string",
        json_path = ".configuration.docker_image",
        description = "Spilo image to be used for Pods"
    ),
    printcolumn(
        name = "Cluster-Label",
        type_ = "string",
        json_path = ".configuration.kubernetes.cluster_name_label",
        description = "Label for K8s resources created by operator"
    ),
    printcolumn(
        name = "Service-Account",
        type_ = "string",
        json_path = ".configuration.kubernetes.pod_service_account_name",
        description = "Name of service account to be used"
    ),
    printcolumn(
        name = "Min-Instances",
        type_ = "integer",
        json_path = ".configuration.min_instances",
        description = "Minimum number of instances per Postgres cluster"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
pub struct Body {
    /// The settings, typed.
    #[serde(flatten)]
    configuration: OperatorConfig,
}

/// Replaces the defaults that schemars found (the ConfigMap's) by those of this kind. Groups get none: a default
/// that is an object would be written into every stored resource.
fn write_defaults(schema: &mut Schema) {
    let defaults = serde_json::to_value(OperatorConfig::default_of_resource()).unwrap_or_default();
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    for (name, property) in properties {
        let default = defaults.get(name);
        match property.get_mut("properties").and_then(Value::as_object_mut) {
            Some(settings) => {
                for (leaf, setting) in settings {
                    write_default(setting, default.and_then(|group| group.get(leaf)));
                }
                write_default(property, None);
            }
            None => write_default(property, default),
        }
    }
}

/// Sets or removes the default of one setting; an empty default says nothing and is left out.
fn write_default(setting: &mut Value, default: Option<&Value>) {
    let Some(setting) = setting.as_object_mut() else { return };
    let says_something = |value: &&Value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    };
    setting.remove("default");
    if setting.get("format").and_then(Value::as_str).is_some_and(|format| format.starts_with("uint")) {
        setting.remove("format"); // the API server knows no unsigned formats and warns of them
    }
    if let Some(default) = default.filter(says_something) {
        setting.insert("default".to_owned(), default.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Value {
        let crd = serde_json::to_value(OperatorConfiguration::crd()).unwrap();
        crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties").unwrap().clone()
    }

    #[test]
    fn the_body_stands_under_configuration() {
        let properties = schema();
        assert!(properties.get("spec").is_none());
        assert!(
            properties.pointer("/configuration/properties/kubernetes/properties/cluster_labels").is_some()
        );
        assert!(properties.pointer("/configuration/properties/docker_image").is_some());
    }

    #[test]
    fn the_kind_is_known_by_its_old_names() {
        let crd = OperatorConfiguration::crd();
        assert_eq!(crd.metadata.name.as_deref(), Some("operatorconfigurations.acid.zalan.do"));
        assert_eq!(crd.spec.names.short_names, Some(vec!["opconfig".to_owned()]));
        assert_eq!(OperatorConfiguration::kind(&()), "OperatorConfiguration");
        assert_eq!(OperatorConfiguration::url_path(&(), Some("default")), {
            "/apis/acid.zalan.do/v1/namespaces/default/operatorconfigurations"
        });
    }

    #[test]
    fn the_schema_has_the_defaults_of_a_resource_and_none_for_a_group() {
        let configuration = schema().get("configuration").unwrap().clone();
        let default =
            |pointer: &str| configuration.pointer(&format!("/properties/{pointer}/default")).cloned();
        assert_eq!(default("workers"), Some(8.into()));
        assert_eq!(default("resync_period"), Some("30m".into()));
        assert_eq!(default("min_instances"), Some((-1).into()));
        assert_eq!(default("etcd_host"), None);
        assert_eq!(default("users"), None);
        assert_eq!(default("users/properties/password_rotation_user_retention"), Some(120.into()));
        assert_eq!(
            default("kubernetes/properties/oauth_token_secret_name"),
            Some("postgres-operator".into())
        );
        assert_eq!(default("load_balancer/properties/enable_master_load_balancer"), Some(false.into()));
    }

    #[test]
    fn sidecars_are_a_list_and_modes_are_enumerated() {
        let configuration = schema().get("configuration").unwrap().clone();
        let at = |pointer: &str| configuration.pointer(&format!("/properties/{pointer}")).cloned();
        assert_eq!(at("sidecars/type"), Some("array".into()));
        assert_eq!(
            at("kubernetes/properties/storage_resize_mode/enum"),
            Some(serde_json::json!(["pvc", "ebs", "mixed", "off"]))
        );
        assert_eq!(at("workers/minimum"), Some(serde_json::json!(1.0)));
        assert_eq!(at("etcd_host/nullable"), Some(true.into()));
    }
}
