//! Which nodes a cluster has to leave.
//!
//! Asked by the operator when it looks at a cluster. There is one rule for every way to retire a node: a cordon, a
//! readiness label that was taken away, a taint that evicts or announces the end. Upstream has two rules that
//! contradict each other (one for "not ready", one for "end of life"). A node that is merely dead is none of ours:
//! Patroni has failed over long before anybody could switch over.
//!
//! An eviction that a disruption budget refuses leaves no trace on the pod, the budget or the node. Everybody who empties
//! a node marks it first, so the node's mark is what counts; who merely wants a pod elsewhere (a descheduler) is refused
//! for good, because a switchover is what the budget is there to prevent.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Node, Taint, Toleration};

use crate::cluster::Cluster;

/// Upstream leaves nodes with this label and value alone.
const NEVER_LEFT: (&str, &str) = ("master", "true");

/// Taints by which autoscalers and clouds say that a node is about to go; Kubernetes itself acts on `NoExecute` only.
const ANNOUNCED: &[&str] = &[
    "ToBeDeletedByClusterAutoscaler",
    "karpenter.sh/disrupted",
    "karpenter.sh/disruption",
    "cloud.google.com/impending-node-termination",
    "aws-node-termination-handler/spot-itn",
    "aws-node-termination-handler/scheduled-maintenance",
    "aws-node-termination-handler/asg-lifecycle-termination",
    "aws-node-termination-handler/rebalance-recommendation",
];

/// Taints of a node that is lost or shut down: the pods there cannot be asked to hand over.
const LOST: &[&str] = &[
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/unreachable",
    "node.kubernetes.io/out-of-service",
    "node.cloudprovider.kubernetes.io/shutdown",
];

/// The names of the nodes that the members of `cluster` have to leave.
pub fn leaving<'a>(cluster: &Cluster, nodes: impl IntoIterator<Item = &'a Node>) -> BTreeSet<String> {
    let left = nodes.into_iter().filter(|node| has_to_be_left(cluster, node));
    left.filter_map(|node| node.metadata.name.clone()).collect()
}

pub(super) fn has_to_be_left(cluster: &Cluster, node: &Node) -> bool {
    let label = |name: &str| node.metadata.labels.as_ref().and_then(|labels| labels.get(name));
    let (name, value) = NEVER_LEFT;
    if label(name).is_some_and(|found| found == value) {
        return false;
    }
    let cordoned = node.spec.as_ref().is_some_and(|spec| spec.unschedulable == Some(true));
    let retired = cluster.policy.readiness.iter().any(|(name, value)| label(name) != Some(value));
    let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    cordoned || retired || taints.into_iter().any(|taint| drives_away(taint, &cluster.pod.tolerations))
}

/// Whether the scheduler would put no member there.
pub(super) fn is_kept_off(cluster: &Cluster, node: &Node) -> bool {
    let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    let mut taints = taints.filter(|taint| matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute"));
    taints.any(|taint| !cluster.pod.tolerations.iter().any(|toleration| tolerates(toleration, taint)))
}

fn drives_away(taint: &Taint, tolerations: &[Toleration]) -> bool {
    let evicts = taint.effect == "NoExecute" && !LOST.contains(&taint.key.as_str());
    let announced = ANNOUNCED.contains(&taint.key.as_str());
    (evicts || announced) && !tolerations.iter().any(|toleration| tolerates(toleration, taint))
}

/// Whether a pod with this toleration may stay, by Kubernetes' rules: no key means every key, no effect every effect.
fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let given = |field: &Option<String>| field.clone().filter(|text| !text.is_empty());
    let key = given(&toleration.key).is_none_or(|key| key == taint.key);
    let effect = given(&toleration.effect).is_none_or(|effect| effect == taint.effect);
    let exists = toleration.operator.as_deref() == Some("Exists");
    let value = exists
        || toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default();
    key && effect && value
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::Postgresql;
    use crate::cluster::References;
    use crate::config::OperatorConfig;

    fn cluster(spec: Value, config: &OperatorConfig) -> Cluster {
        let mut all = json!({"teamId": "acid", "numberOfInstances": 2, "volume": {"size": "1Gi"},
                             "postgresql": {"version": "17"}});
        all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        let manifest: Postgresql = serde_json::from_value(json!({
            "apiVersion": "acid.zalan.do/v1", "kind": "postgresql",
            "metadata": {"name": "demo", "namespace": "default"}, "spec": all,
        }))
        .unwrap();
        Cluster::resolve(&manifest, config, &References::unread()).unwrap()
    }

    fn node(labels: Value, spec: Value) -> Node {
        serde_json::from_value(json!({"metadata": {"name": "n", "labels": labels}, "spec": spec})).unwrap()
    }

    fn is_left(node: &Node, cluster: &Cluster) -> bool {
        !leaving(cluster, [node]).is_empty()
    }

    #[test]
    fn a_cordoned_node_is_left_and_an_ordinary_one_is_not() {
        let cluster = cluster(json!({}), &OperatorConfig::default());
        assert!(!is_left(&node(json!({}), json!({})), &cluster));
        assert!(is_left(&node(json!({}), json!({"unschedulable": true})), &cluster));
        assert!(!is_left(&node(json!({"master": "true"}), json!({"unschedulable": true})), &cluster));
    }

    #[test]
    fn a_node_that_lost_its_readiness_label_is_left_where_pods_need_it() {
        let mut config = OperatorConfig::default();
        config.kubernetes.node_readiness_label = [("lifecycle-status".to_owned(), "ready".to_owned())].into();
        let ready = node(json!({"lifecycle-status": "ready"}), json!({}));
        let draining = node(json!({"lifecycle-status": "draining"}), json!({}));
        let plain = cluster(json!({}), &config);
        assert!(!is_left(&ready, &plain));
        assert!(is_left(&draining, &plain));
        // Joined by OR, the manifest's own affinity lets pods run without the label.
        let terms = json!([{"matchExpressions": [{"key": "zone", "operator": "Exists"}]}]);
        let affinity = json!({"nodeAffinity":
            {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}});
        assert!(!is_left(&draining, &cluster(affinity, &config)));
    }

    #[test]
    fn a_taint_that_evicts_or_announces_the_end_counts_unless_it_is_tolerated() {
        let tolerant = json!({"tolerations": [{"key": "dedicated", "operator": "Exists", "effect": "NoExecute"},
                                              {"key": "karpenter.sh/disrupted", "value": "x"}]});
        let (plain, tolerant) =
            (cluster(json!({}), &OperatorConfig::default()), cluster(tolerant, &OperatorConfig::default()));
        for (key, value, effect, plain_leaves, tolerant_leaves) in [
            ("dedicated", "", "NoExecute", true, false),
            ("dedicated", "", "NoSchedule", false, false),
            ("karpenter.sh/disrupted", "", "NoSchedule", true, true),
            ("karpenter.sh/disrupted", "x", "NoSchedule", true, false),
            ("ToBeDeletedByClusterAutoscaler", "1", "NoSchedule", true, true),
            ("node.kubernetes.io/unreachable", "", "NoExecute", false, false),
            ("node.kubernetes.io/out-of-service", "nodeshutdown", "NoExecute", false, false),
            ("DeletionCandidateOfClusterAutoscaler", "1", "PreferNoSchedule", false, false),
        ] {
            let taint = json!({"key": key, "value": value, "effect": effect});
            let node = node(json!({}), json!({"taints": [taint]}));
            assert_eq!(is_left(&node, &plain), plain_leaves, "{key}={value}:{effect}");
            assert_eq!(is_left(&node, &tolerant), tolerant_leaves, "{key}={value}:{effect}, tolerated");
        }
    }
}
