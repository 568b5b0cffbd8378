//! The metadata that every object of a cluster shares.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::annotations::AnnotationMap;
use crate::cluster::Cluster;
use crate::labels::LabelMap;

/// Name, namespace, labels, owners, and annotations joined with the inherited ones.
pub(super) fn meta(
    cluster: &Cluster,
    name: String,
    labels: LabelMap,
    annotations: AnnotationMap,
) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(cluster.identity.namespace.clone()),
        labels: Some(labels),
        annotations: with_inherited(cluster, annotations),
        owner_references: (!cluster.owners.is_empty()).then(|| cluster.owners.clone()),
        ..ObjectMeta::default()
    }
}

/// `annotations` with the manifest's inherited ones; `None` where there are none.
pub(super) fn with_inherited(cluster: &Cluster, mut annotations: AnnotationMap) -> Option<AnnotationMap> {
    annotations.extend(cluster.inherited.clone());
    (!annotations.is_empty()).then_some(annotations)
}
