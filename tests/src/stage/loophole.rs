//! A way past admission, for one namespace and one field: what a manifest had that was stored by another operator's
//! CRD, before this webhook was installed.
//!
//! It changes what all share, so only a story that is played alone may open it. It closes when the story is over.

use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource, DynamicObject, PostParams};
use kube::{Client, Resource};
use serde_json::{Value, json};

use super::{SOON, Stage, Stop, Told, until};

/// The name of both webhook configurations.
const WEBHOOKS: &str = "postgres-operator";
const CRD: &str = "postgresqls.acid.zalan.do";
/// The webhooks' condition that names the exception.
const CONDITION: &str = "e2e-loophole";

/// An open loophole.
#[derive(Clone)]
pub struct Loophole {
    client: Client,
    field: String,
    schema: Value,
}

impl Stage {
    /// Until the story is over or the loophole is closed, `spec.<field>` of this namespace's manifests may be anything.
    ///
    /// # Errors
    /// When the CRD or the webhooks are not those of this project.
    pub async fn loophole(&self, field: &str) -> Told<Loophole> {
        let crds = objects::<CustomResourceDefinition>(&self.client);
        let Some(schema) = crds.get(CRD).await?.data.pointer(&schema_of(field)).cloned() else {
            return Stop::failed(format!("the CRD has no spec.{field}"));
        };
        let loophole = Loophole { client: self.client(), field: field.to_owned(), schema };
        let undo = loophole.clone();
        self.afterwards(async move { undo.close().await });
        loophole.set_schema(&json!({"x-kubernetes-preserve-unknown-fields": true})).await?;
        let elsewhere = format!("request.namespace != '{}'", self.namespace);
        loophole.set_condition(Some(&elsewhere)).await?;
        Ok(loophole)
    }
}

impl Loophole {
    /// Closes it. What was stored stays stored.
    ///
    /// # Errors
    /// When something cannot be restored.
    pub async fn close(&self) -> Told {
        let conditions = self.set_condition(None).await;
        self.set_schema(&self.schema).await?;
        conditions
    }

    async fn set_schema(&self, schema: &Value) -> Told {
        let crds = objects::<CustomResourceDefinition>(&self.client);
        edit(&crds, CRD, |crd| {
            if let Some(place) = crd.pointer_mut(&schema_of(&self.field)) {
                *place = schema.clone();
            }
        })
        .await
    }

    async fn set_condition(&self, expression: Option<&str>) -> Told {
        let edited = |configuration: &mut Value| {
            for webhook in
                configuration.get_mut("webhooks").and_then(Value::as_array_mut).into_iter().flatten()
            {
                let Some(object) = webhook.as_object_mut().filter(|webhook| judges_manifests(webhook)) else {
                    continue;
                };
                let Some(conditions) =
                    object.entry("matchConditions").or_insert_with(|| json!([])).as_array_mut()
                else {
                    continue;
                };
                conditions.retain(|condition| condition.get("name") != Some(&json!(CONDITION)));
                conditions.extend(expression.map(|text| json!({"name": CONDITION, "expression": text})));
            }
        };
        edit(&objects::<MutatingWebhookConfiguration>(&self.client), WEBHOOKS, edited).await?;
        edit(&objects::<ValidatingWebhookConfiguration>(&self.client), WEBHOOKS, edited).await
    }
}

fn judges_manifests(webhook: &serde_json::Map<String, Value>) -> bool {
    let rules = webhook.get("rules").and_then(Value::as_array).into_iter().flatten();
    let mut resources = rules.filter_map(|rule| rule.get("resources")?.as_array()).flatten();
    resources.any(|resource| resource == "postgresqls")
}

fn schema_of(field: &str) -> String {
    format!("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/{field}")
}

/// Untyped, so that what is written back is what was read.
fn objects<K: Resource<DynamicType = ()>>(client: &Client) -> Api<DynamicObject> {
    Api::all_with(client.clone(), &ApiResource::erase::<K>(&()))
}

/// Reads, changes and writes back, until nobody wrote in between.
async fn edit(api: &Api<DynamicObject>, name: &str, change: impl Fn(&mut Value)) -> Told {
    until(&format!("{name} is changed"), SOON, async || {
        let mut object = api.get(name).await?;
        change(&mut object.data);
        api.replace(name, &PostParams::default(), &object).await?;
        Ok(())
    })
    .await
}
