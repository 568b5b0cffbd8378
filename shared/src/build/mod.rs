//! The objects of a cluster, as they should be.
//!
//! Infallible: a [`Cluster`] can always be built. Builders are functions of the cluster alone; they decide nothing,
//! log nothing and know nothing of what exists already. What they leave unset, Kubernetes fills in, and the planner
//! does not look at it.

mod containers;
mod credentials;
mod disruption_budgets;
mod env;
mod event_streams;
mod logical_backup;
mod meta;
mod pod_identity;
mod pod_template;
mod pooler;
mod security;
mod services;
mod spilo;
mod stateful_set;
mod storage_env;
mod volumes;

use k8s_openapi::Metadata;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{Endpoints, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::RoleBinding;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

pub use credentials::{Credential, PASSWORD_KEY, USERNAME_KEY, home};
pub(crate) use pod_template::pod_spec;
pub use pooler::{Pooler, USER_LIST_KEY, UserList, user_list};
pub(crate) use spilo::CONFIGURATION as SPILO_CONFIGURATION;

use crate::annotations::APPLIED;
use crate::api::FabricEventStream;
use crate::cluster::Cluster;
use crate::patroni::DynamicConfig;
use crate::plan::encoded::Encoder;
use crate::roles::{RoleName, RoleSet};

/// Everything a cluster is made of. Absent means: not wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resources {
    /// The account that the pods run under; shared by all clusters of a namespace.
    pub service_account: Option<ServiceAccount>,
    /// What that account may do; shared as well.
    pub role_binding: Option<RoleBinding>,
    /// The Services of the primary and of the replicas.
    pub services: Vec<Service>,
    /// The Endpoints that Patroni fills, where it keeps its state in Endpoints.
    pub endpoints: Vec<Endpoints>,
    /// The Secrets of login roles, without passwords.
    pub credentials: Vec<Credential>,
    /// The disruption budgets.
    pub disruption_budgets: Vec<PodDisruptionBudget>,
    /// The members.
    pub stateful_set: Option<StatefulSet>,
    /// What stands in front of the members.
    pub poolers: Vec<Pooler>,
    /// What dumps all databases on a schedule.
    pub logical_backup: Option<CronJob>,
    /// What another operator publishes from.
    pub event_streams: Vec<FabricEventStream>,
    /// What Patroni's store should hold.
    pub patroni: Option<DynamicConfig>,
    /// What the database should hold.
    pub roles: RoleSet,
}

/// The objects of a cluster.
pub fn build(cluster: &Cluster) -> Resources {
    stamped(Resources {
        service_account: Some(pod_identity::service_account(cluster)),
        role_binding: Some(pod_identity::role_binding(cluster)),
        services: services::services(cluster),
        endpoints: services::endpoints(cluster),
        credentials: credentials::credentials(cluster),
        disruption_budgets: disruption_budgets::disruption_budgets(cluster),
        stateful_set: Some(stateful_set::stateful_set(cluster)),
        poolers: pooler::poolers(cluster),
        logical_backup: logical_backup::logical_backup(cluster),
        event_streams: event_streams::event_streams(cluster),
        patroni: Some(cluster.postgres.dynamic.clone()),
        roles: cluster.roles.clone(),
    })
}

/// Puts a hash of what we ask for on every object. Comparing an object looks only at what is asked for; through the
/// hash it also notices what is asked for no longer.
fn stamped(mut resources: Resources) -> Resources {
    let Resources {
        service_account,
        role_binding,
        services,
        endpoints,
        credentials,
        disruption_budgets,
        stateful_set,
        poolers,
        logical_backup,
        event_streams,
        patroni: _, // no object of Kubernetes
        roles: _,
    } = &mut resources;
    let encoder = &mut Encoder::new();
    service_account.iter_mut().for_each(|object| stamp(object, encoder));
    role_binding.iter_mut().for_each(|object| stamp(object, encoder));
    services.iter_mut().for_each(|object| stamp(object, encoder));
    endpoints.iter_mut().for_each(|object| stamp(object, encoder));
    for Credential { metadata, user } in credentials {
        stamp_secret(metadata, user, encoder);
    }
    disruption_budgets.iter_mut().for_each(|object| stamp(object, encoder));
    stateful_set.iter_mut().for_each(|object| stamp(object, encoder));
    for Pooler { deployment, service, users } in poolers {
        deployment.iter_mut().for_each(|object| stamp(object, encoder));
        service.iter_mut().for_each(|object| stamp(object, encoder));
        if let Some(UserList { metadata, user, credential: _ }) = users {
            stamp_secret(metadata, user, encoder);
        }
    }
    logical_backup.iter_mut().for_each(|object| stamp(object, encoder));
    for stream in event_streams {
        let hash = encoder.digest(&*stream);
        write_hash(&mut stream.metadata, hash);
    }
    resources
}

fn stamp<K: Metadata<Ty = ObjectMeta> + Serialize>(object: &mut K, encoder: &mut Encoder) {
    let hash = encoder.digest(&*object);
    write_hash(object.metadata_mut(), hash);
}

fn stamp_secret(metadata: &mut ObjectMeta, user: &RoleName, encoder: &mut Encoder) {
    let hash = encoder.digest(&(&*metadata, user.as_str()));
    write_hash(metadata, hash);
}

fn write_hash(metadata: &mut ObjectMeta, hash: String) {
    metadata.annotations.get_or_insert_default().insert(APPLIED.to_owned(), hash);
}
