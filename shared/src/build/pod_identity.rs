//! The service account of the pods and what it may do. Patroni keeps its state with these rights.
//!
//! Both are shared by all clusters of a namespace, so they carry neither a cluster's labels nor its owner.

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::RoleBinding;

use crate::cluster::Cluster;

pub(super) fn service_account(cluster: &Cluster) -> ServiceAccount {
    let mut account = cluster.service_account.account.clone();
    account.metadata.namespace = Some(cluster.identity.namespace.clone());
    account
}

pub(super) fn role_binding(cluster: &Cluster) -> RoleBinding {
    let mut binding = cluster.service_account.binding.clone();
    binding.metadata.namespace = Some(cluster.identity.namespace.clone());
    binding
}
