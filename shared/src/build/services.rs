//! The Services of the primary and of the replicas.
//!
//! In ConfigMap mode both select pods by role label. In Endpoints mode Patroni writes the primary's Endpoints itself,
//! so that Service has no selector: with one, Kubernetes and Patroni would overwrite each other.

use k8s_openapi::api::core::v1::{Endpoints, Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::cluster::Cluster;
use crate::cluster::network::ServiceKind;
use crate::names::{self, MemberRole};

use super::containers::POSTGRES_PORT;
use super::meta::meta;

pub(super) fn services(cluster: &Cluster) -> Vec<Service> {
    MemberRole::ALL.into_iter().map(|role| service(cluster, role)).collect()
}

/// The primary's Endpoints, empty: Patroni fills them, the operator only makes sure they carry the labels.
pub(super) fn endpoints(cluster: &Cluster) -> Vec<Endpoints> {
    if cluster.network.config_maps {
        return Vec::new();
    }
    let role = MemberRole::Primary;
    let name = names::service(&cluster.identity.name, role);
    let metadata = meta(cluster, name, cluster.labels.full_for_role(role), Default::default());
    vec![Endpoints { metadata, subsets: None }]
}

fn service(cluster: &Cluster, role: MemberRole) -> Service {
    let exposure = cluster.network.of(role);
    let selects = cluster.network.config_maps || role == MemberRole::Replica;
    let mut spec = ServiceSpec {
        ports: Some(vec![ServicePort {
            name: Some("postgresql".to_owned()),
            port: POSTGRES_PORT,
            target_port: Some(IntOrString::Int(POSTGRES_PORT)),
            protocol: Some("TCP".to_owned()),
            ..ServicePort::default()
        }]),
        selector: selects.then(|| cluster.labels.role_selector(role)),
        ..ServiceSpec::default()
    };
    expose(&mut spec, &exposure.kind);
    Service {
        metadata: meta(
            cluster,
            names::service(&cluster.identity.name, role),
            cluster.labels.full_for_role(role),
            exposure.annotations.clone(),
        ),
        spec: Some(spec),
        status: None,
    }
}

/// The type, and what only that type has.
pub(super) fn expose(spec: &mut ServiceSpec, kind: &ServiceKind) {
    let name = match kind {
        ServiceKind::ClusterIp => "ClusterIP",
        ServiceKind::NodePort { port, traffic_policy } => {
            spec.external_traffic_policy = Some(traffic_policy.clone());
            if let Some(first) = spec.ports.as_mut().and_then(|ports| ports.first_mut()) {
                first.node_port = *port;
            }
            "NodePort"
        }
        ServiceKind::LoadBalancer { source_ranges, traffic_policy } => {
            spec.external_traffic_policy = Some(traffic_policy.clone());
            spec.load_balancer_source_ranges = Some(source_ranges.clone());
            "LoadBalancer"
        }
    };
    spec.type_ = Some(name.to_owned());
}
