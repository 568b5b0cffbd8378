//! The pod template: everything of a member but its containers.

use k8s_openapi::api::core::v1::{
    Affinity, Container, PodAffinityTerm, PodAntiAffinity, PodSpec, PodTemplateSpec,
    TopologySpreadConstraint, WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::annotations::FINGERPRINT;
use crate::cluster::{AntiAffinity, Cluster};
use crate::labels::LabelMap;
use crate::plan::pod_template::fingerprint;

use super::containers::containers;
use super::meta::with_inherited;
use super::security::{of_pod, restrained};
use super::volumes::pod_volumes;

/// The template, with the fingerprint that tells later whether a pod was made from another one.
pub(super) fn pod_template(cluster: &Cluster) -> PodTemplateSpec {
    let mut template = PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(cluster.labels.full()),
            annotations: with_inherited(cluster, cluster.pod.annotations.clone()),
            ..ObjectMeta::default()
        }),
        spec: Some(pod_spec(cluster)),
    };
    let fingerprint = fingerprint(&template).to_text();
    let annotations = template.metadata.get_or_insert_default().annotations.get_or_insert_default();
    annotations.insert(FINGERPRINT.to_owned(), fingerprint);
    template
}

/// The pods themselves, without what is written on them.
pub(crate) fn pod_spec(cluster: &Cluster) -> PodSpec {
    let pod = &cluster.pod;
    let (security, none) = (&pod.security, |empty: bool| !empty);
    PodSpec {
        service_account_name: Some(pod.service_account.clone()),
        termination_grace_period_seconds: i64::try_from(pod.grace_period.as_secs()).ok(),
        security_context: Some(of_pod(security, security.user, security.group)),
        scheduler_name: pod.scheduler.clone(),
        priority_class_name: pod.priority_class.clone(),
        tolerations: none(pod.tolerations.is_empty()).then(|| pod.tolerations.clone()),
        affinity: affinity(cluster),
        topology_spread_constraints: spread(cluster, &cluster.labels.selector()),
        init_containers: none(pod.init_containers.is_empty()).then(|| init_containers(cluster)),
        containers: containers(cluster),
        volumes: Some(pod_volumes(cluster)).filter(|volumes| !volumes.is_empty()),
        ..PodSpec::default()
    }
}

fn init_containers(cluster: &Cluster) -> Vec<Container> {
    let pod = &cluster.pod;
    pod.init_containers.iter().map(|container| restrained(&pod.security, container.clone())).collect()
}

/// Constraints without a selector of their own count the pods that `selector` selects, as upstream's documentation promises.
pub(super) fn spread(cluster: &Cluster, selector: &LabelMap) -> Option<Vec<TopologySpreadConstraint>> {
    let mut constraints = cluster.pod.spread.clone();
    for constraint in &mut constraints {
        constraint.label_selector.get_or_insert_with(|| selecting(selector.clone()));
    }
    (!constraints.is_empty()).then_some(constraints)
}

fn affinity(cluster: &Cluster) -> Option<Affinity> {
    let pod_anti_affinity =
        cluster.pod.anti_affinity.as_ref().map(|wanted| anti_affinity(cluster.labels.full(), wanted));
    let node_affinity = cluster.pod.node_affinity.clone();
    (node_affinity.is_some() || pod_anti_affinity.is_some()).then_some(Affinity {
        node_affinity,
        pod_anti_affinity,
        pod_affinity: None,
    })
}

/// Pods with these labels keep away from each other.
pub(super) fn anti_affinity(labels: LabelMap, wanted: &AntiAffinity) -> PodAntiAffinity {
    let term = PodAffinityTerm {
        label_selector: Some(selecting(labels)),
        topology_key: wanted.topology_key.clone(),
        ..PodAffinityTerm::default()
    };
    if wanted.preferred {
        let weighted = WeightedPodAffinityTerm { weight: 1, pod_affinity_term: term };
        return PodAntiAffinity {
            preferred_during_scheduling_ignored_during_execution: Some(vec![weighted]),
            ..PodAntiAffinity::default()
        };
    }
    PodAntiAffinity {
        required_during_scheduling_ignored_during_execution: Some(vec![term]),
        ..PodAntiAffinity::default()
    }
}

pub(super) fn selecting(labels: LabelMap) -> LabelSelector {
    LabelSelector { match_labels: Some(labels), match_expressions: None }
}
