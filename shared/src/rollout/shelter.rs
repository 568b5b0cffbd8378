//! Whether a member that has to leave its node finds another one.
//!
//! Asked for members on nodes that are to be left, before any of them is deleted: a pod whose volume is on the node
//! itself (a local disk), or in a zone all of whose nodes go, would wait for a node for ever. Only what decides for good
//! is looked at; whether there is room is the scheduler's business.

use k8s_openapi::api::core::v1::{Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm};

use crate::cluster::Cluster;

use super::nodes::{has_to_be_left, is_kept_off};

/// Whether a node that need not be left can take a member of `cluster` whose volume can be used on the nodes that
/// `volume` selects; `None` where it can be used on all.
pub fn finds_shelter<'a>(
    cluster: &Cluster,
    volume: Option<&NodeSelector>,
    nodes: impl IntoIterator<Item = &'a Node>,
) -> bool {
    let wanted = cluster.pod.node_affinity.as_ref();
    let wanted =
        wanted.and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref());
    nodes.into_iter().any(|node| {
        let allowed = [volume, wanted].into_iter().flatten().all(|selector| selects(selector, node));
        allowed && !has_to_be_left(cluster, node) && !is_kept_off(cluster, node)
    })
}

/// Whether any term selects the node, by Kubernetes' rules.
fn selects(selector: &NodeSelector, node: &Node) -> bool {
    selector.node_selector_terms.iter().any(|term| is_met(term, node))
}

/// Whether all of a term holds. A term that asks for nothing selects nothing.
fn is_met(term: &NodeSelectorTerm, node: &Node) -> bool {
    let (labels, name) = (node.metadata.labels.as_ref(), node.metadata.name.as_deref());
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    let label = |key: &str| labels.and_then(|labels| labels.get(key)).map(String::as_str);
    let field = |key: &str| name.filter(|_| key == "metadata.name");
    !(expressions.is_empty() && fields.is_empty())
        && expressions.iter().all(|one| holds(one, label(&one.key)))
        && fields.iter().all(|one| holds(one, field(&one.key)))
}

fn holds(requirement: &NodeSelectorRequirement, found: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let is_among = || found.is_some_and(|found| values.iter().any(|value| value == found));
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<i64>().ok());
    let numbers = number(found).zip(number(values.first().map(String::as_str)));
    match requirement.operator.as_str() {
        "In" => is_among(),
        "NotIn" => !is_among(),
        "Exists" => found.is_some(),
        "DoesNotExist" => found.is_none(),
        "Gt" => numbers.is_some_and(|(found, bound)| found > bound),
        "Lt" => numbers.is_some_and(|(found, bound)| found < bound),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cluster::References;
    use crate::config::OperatorConfig;

    fn cluster(fields: Value) -> Cluster {
        let mut spec = json!({"teamId": "acid", "numberOfInstances": 1, "volume": {"size": "1Gi"},
                              "postgresql": {"version": "17"}});
        spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let manifest = serde_json::from_value(json!({
            "apiVersion": "acid.zalan.do/v1", "kind": "postgresql",
            "metadata": {"name": "demo", "namespace": "default"}, "spec": spec,
        }))
        .unwrap();
        Cluster::resolve(&manifest, &OperatorConfig::default(), &References::unread()).unwrap()
    }

    fn node(name: &str, spec: Value) -> Node {
        let labels = json!({"kubernetes.io/hostname": name, "zone": name.split('-').next(), "disks": "4"});
        serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}, "spec": spec})).unwrap()
    }

    fn cordoned() -> Value {
        json!({"unschedulable": true})
    }

    fn on(key: &str, operator: &str, values: Value) -> NodeSelector {
        let requirement = json!({"key": key, "operator": operator, "values": values});
        serde_json::from_value(json!({"nodeSelectorTerms": [{"matchExpressions": [requirement]}]})).unwrap()
    }

    #[test]
    fn a_volume_on_the_node_itself_cannot_leave_it() {
        let nodes = [node("a-1", cordoned()), node("a-2", json!({}))];
        let local = on("kubernetes.io/hostname", "In", json!(["a-1"]));
        assert!(!finds_shelter(&cluster(json!({})), Some(&local), &nodes));
        assert!(finds_shelter(&cluster(json!({})), None, &nodes));
    }

    #[test]
    fn a_volume_of_a_zone_needs_another_node_there() {
        let volume = on("zone", "In", json!(["a"]));
        let gone = [node("a-1", cordoned()), node("b-1", json!({}))];
        assert!(!finds_shelter(&cluster(json!({})), Some(&volume), &gone));
        let other = [node("a-1", cordoned()), node("a-2", json!({}))];
        assert!(finds_shelter(&cluster(json!({})), Some(&volume), &other));
    }

    #[test]
    fn a_node_that_keeps_pods_away_is_no_shelter_unless_its_taint_is_tolerated() {
        let taint = json!({"taints": [{"key": "control-plane", "effect": "NoSchedule"}]});
        let nodes = [node("a-1", cordoned()), node("a-2", taint)];
        assert!(!finds_shelter(&cluster(json!({})), None, &nodes));
        let tolerant = json!({"tolerations": [{"key": "control-plane", "operator": "Exists"}]});
        assert!(finds_shelter(&cluster(tolerant), None, &nodes));
    }

    #[test]
    fn the_members_own_affinity_counts() {
        let terms = json!([{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["b"]}]}]);
        let affinity = json!({"nodeAffinity":
            {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}});
        let nodes = [node("b-1", cordoned()), node("a-1", json!({}))];
        assert!(!finds_shelter(&cluster(affinity), None, &nodes));
    }

    #[test]
    fn every_operator_means_what_it_means_to_kubernetes() {
        let node = node("a-1", json!({}));
        for (key, operator, values, expected) in [
            ("zone", "In", json!(["a", "b"]), true),
            ("zone", "In", json!(["b"]), false),
            ("zone", "NotIn", json!(["b"]), true),
            ("rack", "NotIn", json!(["b"]), true),
            ("zone", "Exists", json!([]), true),
            ("rack", "Exists", json!([]), false),
            ("rack", "DoesNotExist", json!([]), true),
            ("disks", "Gt", json!(["3"]), true),
            ("disks", "Lt", json!(["3"]), false),
            ("zone", "Gt", json!(["3"]), false),
            ("zone", "Near", json!(["a"]), false),
        ] {
            assert_eq!(
                selects(&on(key, operator, values.clone()), &node),
                expected,
                "{key} {operator} {values}"
            );
        }
        let by_name = json!({"nodeSelectorTerms": [{"matchFields":
            [{"key": "metadata.name", "operator": "In", "values": ["a-1"]}]}]});
        assert!(selects(&serde_json::from_value(by_name).unwrap(), &node));
        let nothing = json!({"nodeSelectorTerms": [{}]});
        assert!(!selects(&serde_json::from_value(nothing).unwrap(), &node));
    }
}
