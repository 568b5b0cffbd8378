//! The pod that would come after one that is about to be deleted, for the API server to judge beforehand; and which of its
//! refusals do not count.
//!
//! Asked by the operator before it deletes a pod. A quota counts the old pod and the new one together in such a question,
//! although they will never be there together: what the old one frees is taken into account here.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{
    Container, PersistentVolumeClaimVolumeSource, Pod, PodSpec, ResourceRequirements, Volume,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::build::Resources;
use crate::observed::PodIdentity;
use crate::quantity::Amount;

/// The pod that the StatefulSet's controller would make under this name from what is desired now.
pub fn successor(desired: &Resources, live: Option<&StatefulSet>, pod: &PodIdentity) -> Option<Pod> {
    let set = desired.stateful_set.as_ref()?;
    let spec = set.spec.as_ref()?;
    let template = spec.template.clone();
    let metadata = template.metadata.unwrap_or_default();
    let mut pod_spec = template.spec?;
    pod_spec.hostname = Some(pod.name.clone());
    pod_spec.subdomain = spec.service_name.clone();
    let claims =
        spec.volume_claim_templates.iter().flatten().filter_map(|claim| claim.metadata.name.as_ref());
    pod_spec.volumes.get_or_insert_default().extend(claims.map(|name| claimed(name, &pod.name)));
    let metadata = ObjectMeta {
        name: Some(pod.name.clone()),
        namespace: Some(pod.namespace.clone()),
        labels: metadata.labels,
        annotations: metadata.annotations,
        owner_references: live.and_then(owner).map(|owner| vec![owner]),
        ..ObjectMeta::default()
    };
    Some(Pod { metadata, spec: Some(pod_spec), status: None })
}

/// The volume that the controller adds for a claim.
fn claimed(name: &str, pod: &str) -> Volume {
    Volume {
        name: name.to_owned(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: format!("{name}-{pod}"),
            read_only: None,
        }),
        ..Volume::default()
    }
}

/// The StatefulSet as the pod's owner: there are policies that refuse pods without one.
fn owner(set: &StatefulSet) -> Option<OwnerReference> {
    Some(OwnerReference {
        api_version: "apps/v1".to_owned(),
        kind: "StatefulSet".to_owned(),
        name: set.metadata.name.clone()?,
        uid: set.metadata.uid.clone()?,
        controller: Some(true),
        block_owner_deletion: None,
    })
}

/// When to ask again.
pub fn again_at(now: Timestamp, pause: Duration) -> Timestamp {
    super::after(now, pause)
}

/// Whether a refusal is one of a quota that has room for the new pod as soon as the old one is gone.
///
/// The message is that of Kubernetes' own admission: `exceeded quota: NAME, requested: cpu=1,pods=1, used: …, limited: …`,
/// where only what exceeds is named.
pub fn is_of_the_old_pods_own_quota(refusal: &str, old: &Pod) -> bool {
    let Some((_, text)) = refusal.split_once("exceeded quota: ") else { return false };
    let section = |name: &str| {
        let (_, rest) = text.split_once(name)?;
        Some(amounts(rest.split(", ").next().unwrap_or_default()))
    };
    let (Some(requested), Some(used), Some(limited)) =
        (section("requested: "), section("used: "), section("limited: "))
    else {
        return false;
    };
    let frees = old.spec.as_ref().map(freed).unwrap_or_default();
    !requested.is_empty()
        && requested.iter().all(|(name, more)| {
            let known = [used.get(name), limited.get(name), frees.get(name)];
            let [Some(used), Some(limited), Some(freed)] = known else { return false };
            used + more - freed <= *limited
        })
}

/// `cpu=1,memory=1Gi`, in thousandths.
fn amounts(text: &str) -> BTreeMap<String, i128> {
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    pairs.filter_map(|(name, value)| Some((name.trim().to_owned(), number(value.trim())?))).collect()
}

fn number(text: &str) -> Option<i128> {
    text.parse::<Amount>().ok().map(Amount::thousandths)
}

/// One, in thousandths.
const ONE: i128 = 1000;

/// What a quota counts of a pod, under all names that it may have there.
fn freed(pod: &PodSpec) -> BTreeMap<String, i128> {
    let mut all = BTreeMap::from([("pods".to_owned(), ONE), ("count/pods".to_owned(), ONE)]);
    let parts: [(&str, Part); 2] =
        [("requests", |asked| asked.requests.as_ref()), ("limits", |asked| asked.limits.as_ref())];
    for (prefix, part) in parts {
        let mut sums = BTreeMap::<&str, i128>::new();
        for (name, amount) in pod.containers.iter().flat_map(|container| of(container, part)) {
            *sums.entry(name).or_default() += amount;
        }
        for (name, amount) in pod.init_containers.iter().flatten().flat_map(|container| of(container, part)) {
            let sum = sums.entry(name).or_default();
            *sum = amount.max(*sum);
        }
        for (name, amount) in sums {
            if prefix == "requests" {
                all.insert(name.to_owned(), amount);
            }
            all.insert(format!("{prefix}.{name}"), amount);
        }
    }
    all
}

/// Requests or limits.
type Part = fn(&ResourceRequirements) -> Option<&BTreeMap<String, Quantity>>;

fn of(container: &Container, part: Part) -> impl Iterator<Item = (&str, i128)> {
    let amounts = container.resources.as_ref().and_then(part).into_iter().flatten();
    amounts.filter_map(|(name, quantity)| Some((name.as_str(), number(&quantity.0)?)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::build::build;
    use crate::cluster::{Cluster, References};
    use crate::config::OperatorConfig;

    fn identity() -> PodIdentity {
        PodIdentity { name: "demo-1".into(), namespace: "default".into(), uid: "7".into() }
    }

    #[test]
    fn the_successor_is_the_pod_that_the_controller_would_make() {
        let manifest = serde_json::from_value(json!({
            "apiVersion": "acid.zalan.do/v1", "kind": "postgresql",
            "metadata": {"name": "demo", "namespace": "default"},
            "spec": {"teamId": "acid", "numberOfInstances": 2, "volume": {"size": "1Gi"},
                     "postgresql": {"version": "17"}},
        }))
        .unwrap();
        let cluster = Cluster::resolve(&manifest, &OperatorConfig::default(), &References::unread()).unwrap();
        let desired = build(&cluster);
        let mut live = desired.stateful_set.clone().unwrap();
        live.metadata.uid = Some("42".into());
        let pod = json!(successor(&desired, Some(&live), &identity()).unwrap());
        assert_eq!(pod["metadata"]["name"], "demo-1");
        assert_eq!(pod["metadata"]["ownerReferences"][0]["uid"], "42");
        assert_eq!(pod["spec"]["hostname"], "demo-1");
        let volumes = pod["spec"]["volumes"].as_array().unwrap();
        let data = json!({"name": "pgdata", "persistentVolumeClaim": {"claimName": "pgdata-demo-1"}});
        assert!(volumes.contains(&data), "{volumes:#?}");
    }

    #[test]
    fn a_quota_that_has_room_once_the_old_pod_is_gone_stops_nothing() {
        let old: Pod = serde_json::from_value(json!({
            "metadata": {"name": "demo-1"},
            "spec": {
                "initContainers": [{"name": "first", "resources": {"requests": {"cpu": "100m"}}}],
                "containers": [
                    {"name": "postgres", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2"}}},
                    {"name": "beside", "resources": {"requests": {"cpu": "500m"}}},
                ],
            },
        }))
        .unwrap();
        let refused = |what: &str| format!("pods \"demo-1\" is forbidden: exceeded quota: few, {what}");
        for (what, has_room) in [
            ("requested: pods=1, used: pods=3, limited: pods=3", true),
            ("requested: pods=1, used: pods=4, limited: pods=3", false),
            ("requested: cpu=1500m, used: cpu=3, limited: cpu=3", true),
            ("requested: cpu=2, used: cpu=3, limited: cpu=3", false),
            (
                "requested: pods=1,requests.memory=1Gi, used: pods=3,requests.memory=3Gi, limited: pods=3,requests.memory=3Gi",
                true,
            ),
            (
                "requested: pods=1,requests.memory=2Gi, used: pods=3,requests.memory=3Gi, limited: pods=3,requests.memory=3Gi",
                false,
            ),
            ("requested: limits.cpu=2, used: limits.cpu=8, limited: limits.cpu=8", true),
            ("requested: limits.memory=2Gi, used: limits.memory=8Gi, limited: limits.memory=8Gi", false),
            ("requested: nonsense, used: x, limited: y", false),
        ] {
            assert_eq!(is_of_the_old_pods_own_quota(&refused(what), &old), has_room, "{what}");
        }
        assert!(!is_of_the_old_pods_own_quota("pods \"demo-1\" is forbidden: violates PodSecurity", &old));
    }
}
