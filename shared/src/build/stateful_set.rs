//! The StatefulSet of the members.
//!
//! Its update strategy is `OnDelete`: Kubernetes never restarts a member by itself; the operator deletes one pod at a
//! time, when `rollout` says so.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{
    StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec, StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::cluster::Cluster;
use crate::names;

use super::meta::{meta, with_inherited};
use super::pod_template::pod_template;

pub(super) fn stateful_set(cluster: &Cluster) -> StatefulSet {
    let name = cluster.identity.name.clone();
    StatefulSet {
        metadata: meta(cluster, name.clone(), cluster.labels.full(), cluster.downscaler.clone()),
        spec: Some(StatefulSetSpec {
            replicas: Some(cluster.members),
            selector: LabelSelector {
                match_labels: Some(cluster.labels.selector()),
                match_expressions: None,
            },
            service_name: Some(name),
            pod_management_policy: Some(
                if cluster.pod.parallel { "Parallel" } else { "OrderedReady" }.to_owned(),
            ),
            update_strategy: Some(StatefulSetUpdateStrategy {
                type_: Some("OnDelete".to_owned()),
                rolling_update: None,
            }),
            persistent_volume_claim_retention_policy: Some(retention(cluster)),
            template: pod_template(cluster),
            volume_claim_templates: Some(vec![data_claim(cluster)]),
            ..StatefulSetSpec::default()
        }),
        status: None,
    }
}

fn retention(cluster: &Cluster) -> StatefulSetPersistentVolumeClaimRetentionPolicy {
    let word = |delete: bool| Some(if delete { "Delete" } else { "Retain" }.to_owned());
    StatefulSetPersistentVolumeClaimRetentionPolicy {
        when_deleted: word(cluster.volume.retention.delete_when_deleted),
        when_scaled: word(cluster.volume.retention.delete_when_scaled),
    }
}

fn data_claim(cluster: &Cluster) -> PersistentVolumeClaim {
    let volume = &cluster.volume;
    let requests = BTreeMap::from([("storage".to_owned(), Quantity(volume.size.clone()))]);
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(names::DATA_VOLUME.to_owned()),
            labels: Some(cluster.labels.full()),
            annotations: with_inherited(cluster, Default::default()),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            resources: Some(VolumeResourceRequirements { requests: Some(requests), limits: None }),
            storage_class_name: volume.storage_class.clone(),
            selector: volume.selector.clone(),
            volume_mode: Some("Filesystem".to_owned()),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}
