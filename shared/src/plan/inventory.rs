//! The objects of a cluster in one row, whatever their kind: what is compared, stamped, shown and counted.
//!
//! `Resources` keeps each kind in a field of its own, because builders and the operator ask for kinds; whoever treats all
//! objects alike asks here. Taken apart without `..`: a new kind does not compile until someone has decided about it.

use std::fmt;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{Endpoints, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::RoleBinding;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::ser::{Serialize, SerializeStruct, Serializer};
use serde_json::Value;

use crate::api::FabricEventStream;
use crate::build::{Pooler, Resources};

/// The kinds of object that a cluster is made of, in the order in which they are applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The pods' account.
    ServiceAccount,
    /// The account's rights.
    RoleBinding,
    /// How members are reached.
    Service,
    /// What Patroni fills.
    Endpoints,
    /// A role's password.
    Secret,
    /// What keeps members from being evicted.
    PodDisruptionBudget,
    /// The members.
    StatefulSet,
    /// What stands in front of the members.
    Deployment,
    /// What dumps the databases.
    CronJob,
    /// What another operator publishes from.
    FabricEventStream,
}

impl Kind {
    /// The kind as Kubernetes writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ServiceAccount => "ServiceAccount",
            Self::RoleBinding => "RoleBinding",
            Self::Service => "Service",
            Self::Endpoints => "Endpoints",
            Self::Secret => "Secret",
            Self::PodDisruptionBudget => "PodDisruptionBudget",
            Self::StatefulSet => "StatefulSet",
            Self::Deployment => "Deployment",
            Self::CronJob => "CronJob",
            Self::FabricEventStream => "FabricEventStream",
        }
    }

    /// Whether only the metadata of such objects is watched. The hash among the annotations tells the rest.
    pub(super) fn is_known_by_metadata(self) -> bool {
        match self {
            Self::ServiceAccount | Self::RoleBinding | Self::Secret => true,
            Self::Service | Self::Endpoints | Self::PodDisruptionBudget | Self::StatefulSet => false,
            Self::Deployment | Self::CronJob | Self::FabricEventStream => false,
        }
    }
}

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind.as_str(), self.namespace, self.name)
    }
}

/// One object of a cluster; of a Secret only the metadata.
#[derive(Clone, Copy, Debug)]
pub(super) enum Object<'a> {
    ServiceAccount(&'a ServiceAccount),
    RoleBinding(&'a RoleBinding),
    Service(&'a Service),
    Endpoints(&'a Endpoints),
    Secret(&'a ObjectMeta),
    PodDisruptionBudget(&'a PodDisruptionBudget),
    StatefulSet(&'a StatefulSet),
    Deployment(&'a Deployment),
    CronJob(&'a CronJob),
    FabricEventStream(&'a FabricEventStream),
}

impl<'a> Object<'a> {
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::ServiceAccount(_) => Kind::ServiceAccount,
            Self::RoleBinding(_) => Kind::RoleBinding,
            Self::Service(_) => Kind::Service,
            Self::Endpoints(_) => Kind::Endpoints,
            Self::Secret(_) => Kind::Secret,
            Self::PodDisruptionBudget(_) => Kind::PodDisruptionBudget,
            Self::StatefulSet(_) => Kind::StatefulSet,
            Self::Deployment(_) => Kind::Deployment,
            Self::CronJob(_) => Kind::CronJob,
            Self::FabricEventStream(_) => Kind::FabricEventStream,
        }
    }

    pub(super) fn metadata(self) -> &'a ObjectMeta {
        match self {
            Self::ServiceAccount(object) => &object.metadata,
            Self::RoleBinding(object) => &object.metadata,
            Self::Service(object) => &object.metadata,
            Self::Endpoints(object) => &object.metadata,
            Self::Secret(metadata) => metadata,
            Self::PodDisruptionBudget(object) => &object.metadata,
            Self::StatefulSet(object) => &object.metadata,
            Self::Deployment(object) => &object.metadata,
            Self::CronJob(object) => &object.metadata,
            Self::FabricEventStream(object) => &object.metadata,
        }
    }

    pub(super) fn name(self) -> ObjectName {
        let metadata = self.metadata();
        ObjectName {
            kind: self.kind(),
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
        }
    }

    /// Whether both are the same object, perhaps in two states. A namespace left out is the empty one, as in a name.
    pub(super) fn is(self, other: Self) -> bool {
        let place = |metadata: &'a ObjectMeta| {
            [&metadata.name, &metadata.namespace].map(|part| part.as_deref().unwrap_or_default())
        };
        self.kind() == other.kind() && place(self.metadata()) == place(other.metadata())
    }

    pub(super) fn to_json(self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::ServiceAccount(object) => object.serialize(serializer),
            Self::RoleBinding(object) => object.serialize(serializer),
            Self::Service(object) => object.serialize(serializer),
            Self::Endpoints(object) => object.serialize(serializer),
            Self::Secret(metadata) => OnlyMetadata(metadata).serialize(serializer),
            Self::PodDisruptionBudget(object) => object.serialize(serializer),
            Self::StatefulSet(object) => object.serialize(serializer),
            Self::Deployment(object) => object.serialize(serializer),
            Self::CronJob(object) => object.serialize(serializer),
            Self::FabricEventStream(object) => object.serialize(serializer),
        }
    }
}

/// An object without its body.
pub(super) struct OnlyMetadata<'a>(pub(super) &'a ObjectMeta);

impl Serialize for OnlyMetadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Object", 1)?;
        fields.serialize_field("metadata", self.0)?;
        fields.end()
    }
}

/// Every object, those of a kind together.
pub(super) fn inventory(resources: &Resources) -> Vec<Object<'_>> {
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
        patroni: _, // compared with Patroni's own store, by `rollout`
        roles: _,   // compared with the catalog, by `roles::plan`
    } = resources;
    let mut all = Vec::with_capacity(32);
    all.extend(service_account.iter().map(Object::ServiceAccount));
    all.extend(role_binding.iter().map(Object::RoleBinding));
    all.extend(services.iter().map(Object::Service));
    all.extend(endpoints.iter().map(Object::Endpoints));
    all.extend(credentials.iter().map(|wanted| Object::Secret(&wanted.metadata)));
    all.extend(disruption_budgets.iter().map(Object::PodDisruptionBudget));
    all.extend(stateful_set.iter().map(Object::StatefulSet));
    for Pooler { deployment, service, users } in poolers {
        all.extend(service.iter().map(Object::Service));
        all.extend(users.iter().map(|list| Object::Secret(&list.metadata)));
        all.extend(deployment.iter().map(Object::Deployment));
    }
    all.extend(logical_backup.iter().map(Object::CronJob));
    all.extend(event_streams.iter().map(Object::FabricEventStream));
    all
}

/// Every object as JSON, of a Secret only the metadata.
pub fn objects(resources: &Resources) -> Vec<(ObjectName, Value)> {
    inventory(resources).into_iter().map(|object| (object.name(), object.to_json())).collect()
}
