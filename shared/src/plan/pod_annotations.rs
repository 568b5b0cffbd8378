//! Which annotations change on pods while they run.
//!
//! Asked at every look, before the StatefulSet is written: what its old template has and the new one has not is taken off
//! the pods, and once the new template is there nobody knows that any more. The fingerprint stays: it tells what a pod was
//! made from. Labels are no business of this: theirs is a rolling update, as with upstream.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::StatefulSet;

use crate::annotations::{AnnotationMap, FINGERPRINT, IAM_ROLE};
use crate::cluster::Cluster;

/// What is to be written to a pod with these annotations: values to set, and `None` for those to take off.
pub fn changes(
    cluster: &Cluster,
    live: Option<&StatefulSet>,
    desired: Option<&StatefulSet>,
    pod: &AnnotationMap,
) -> BTreeMap<String, Option<String>> {
    let (before, wanted) = (of_template(live), of_template(desired));
    let (Some(wanted), nothing) = (wanted, AnnotationMap::new()) else { return BTreeMap::new() };
    let set = wanted.iter().filter(|(key, value)| *key != FINGERPRINT && pod.get(*key) != Some(*value));
    let stays = |key: &str| key == FINGERPRINT || (key == IAM_ROLE && runs_with_it(cluster));
    // Who wrote another value to the pod wants to keep it.
    let gone = before.unwrap_or(&nothing).iter().filter(|(key, value)| {
        !wanted.contains_key(*key) && !stays(key.as_str()) && pod.get(*key) == Some(*value)
    });
    set.map(|(key, value)| (key.clone(), Some(value.clone())))
        .chain(gone.map(|(key, _)| (key.clone(), None)))
        .collect()
}

/// A pod from before IRSA has its AWS role by this annotation, until it is recreated.
fn runs_with_it(cluster: &Cluster) -> bool {
    cluster.pod.environment.cloud.irsa.is_some()
}

fn of_template(set: Option<&StatefulSet>) -> Option<&AnnotationMap> {
    set?.spec.as_ref()?.template.metadata.as_ref()?.annotations.as_ref()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::build::build;
    use crate::cluster::References;
    use crate::config::OperatorConfig;

    fn cluster(annotations: serde_json::Value, config: &OperatorConfig) -> Cluster {
        let manifest = serde_json::from_value(json!({
            "apiVersion": "acid.zalan.do/v1", "kind": "postgresql",
            "metadata": {"name": "demo", "namespace": "default"},
            "spec": {"teamId": "acid", "numberOfInstances": 1, "volume": {"size": "1Gi"},
                     "postgresql": {"version": "17"}, "podAnnotations": annotations},
        }))
        .unwrap();
        Cluster::resolve(&manifest, config, &References::unread()).unwrap()
    }

    /// What changes on a pod when its cluster's annotations become others.
    fn changed(
        before: serde_json::Value,
        after: serde_json::Value,
        pod: &[(&str, &str)],
        config: &OperatorConfig,
    ) -> String {
        let (old, new) = (cluster(before, config), cluster(after, config));
        let (live, desired) = (build(&old).stateful_set, build(&new).stateful_set);
        let pod = pod.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        json!(changes(&new, live.as_ref(), desired.as_ref(), &pod)).to_string()
    }

    #[test]
    fn what_is_new_or_other_is_set_and_what_is_gone_is_taken_off() {
        let config = OperatorConfig::default();
        let (before, after) = (json!({"a": "1", "b": "1", "c": "1"}), json!({"a": "1", "b": "2", "d": "1"}));
        let pod = [("a", "1"), ("b", "1"), ("c", "1"), (FINGERPRINT, "old"), ("status", "patroni")];
        assert_eq!(changed(before.clone(), after, &pod, &config), r#"{"b":"2","c":null,"d":"1"}"#);
        assert_eq!(changed(before.clone(), before, &pod, &config), "{}");
    }

    #[test]
    fn what_somebody_else_wrote_to_a_pod_is_left_alone() {
        let config = OperatorConfig::default();
        let pod = [("c", "a person was here")];
        assert_eq!(changed(json!({"c": "1"}), json!({}), &pod, &config), "{}");
    }

    #[test]
    fn the_aws_role_of_a_running_pod_stays_until_it_is_recreated() {
        let mut config = OperatorConfig::default();
        let pod = [(IAM_ROLE, "role")];
        assert_eq!(
            changed(json!({ IAM_ROLE: "role" }), json!({}), &pod, &config),
            format!(r#"{{"{IAM_ROLE}":null}}"#)
        );
        config.aws_or_gcp.irsa_role_arn = Some("arn:aws:iam::1:role/x".into());
        assert_eq!(changed(json!({ IAM_ROLE: "role" }), json!({}), &pod, &config), "{}");
    }
}
