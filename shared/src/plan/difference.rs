//! What has to be written so that the objects become what they should be.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::build::{Pooler, Resources};

use super::{Effect, object};

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
}

impl Kind {
    /// Whether only the metadata of such objects is watched. The hash among the annotations tells the rest.
    fn is_known_by_metadata(self) -> bool {
        match self {
            Self::ServiceAccount | Self::RoleBinding | Self::Secret => true,
            Self::Service | Self::Endpoints | Self::PodDisruptionBudget | Self::StatefulSet => false,
            Self::Deployment | Self::CronJob | Self::FabricEventStream => false,
        }
    }
}

fn metadata_of(object: &Value) -> Value {
    serde_json::json!({ "metadata": object.get("metadata") })
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

/// One object that is not as it should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Which one.
    pub object: ObjectName,
    /// The first field that differs; `None` when the object is not there at all.
    pub field: Option<String>,
    /// What making it right costs.
    pub effect: Effect,
    /// What it should be.
    pub desired: Value,
}

/// Fields of a StatefulSet that Kubernetes does not let change: it is replaced under its pods instead.
const FIXED: &[&str] =
    &["spec.selector", "spec.serviceName", "spec.podManagementPolicy", "spec.volumeClaimTemplates"];

/// The objects to write, in the order in which to write them.
pub fn between(current: &Resources, desired: &Resources) -> Vec<Difference> {
    let present = objects(current);
    let mut differences: Vec<Difference> = objects(desired)
        .into_iter()
        .filter_map(|(name, wanted)| {
            let live = present.iter().find(|(other, _)| *other == name).map(|(_, live)| live);
            let compared =
                if name.kind.is_known_by_metadata() { metadata_of(&wanted) } else { wanted.clone() };
            let field = live.map(|live| object::first_difference(&compared, live));
            match field {
                Some(None) => None,
                Some(Some(field)) => Some(difference(name, Some(field), live, wanted)),
                None => Some(difference(name, None, None, wanted)),
            }
        })
        .collect();
    differences.sort_by(|one, other| one.object.cmp(&other.object));
    differences
}

fn difference(object: ObjectName, field: Option<String>, live: Option<&Value>, desired: Value) -> Difference {
    let fixed = object.kind == Kind::StatefulSet && live.is_some_and(|live| fixed_differs(&desired, live));
    let effect = if fixed { Effect::ReplaceStatefulSet } else { Effect::Patch };
    Difference { object, field, effect, desired }
}

fn fixed_differs(desired: &Value, live: &Value) -> bool {
    FIXED.iter().any(|path| {
        let pointer = format!("/{}", path.replace('.', "/"));
        let nothing = Value::Null;
        let part = |of: &Value| of.pointer(&pointer).cloned();
        part(desired)
            .is_some_and(|want| object::first_difference(&want, &part(live).unwrap_or(nothing)).is_some())
    })
}

/// Every object as JSON, of a Secret only the metadata. Taken apart without `..`: a new kind does not compile until someone has decided about it.
pub fn objects(resources: &Resources) -> Vec<(ObjectName, Value)> {
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
    let mut all = Vec::new();
    collect(&mut all, Kind::ServiceAccount, service_account);
    collect(&mut all, Kind::RoleBinding, role_binding);
    collect(&mut all, Kind::Service, services);
    collect(&mut all, Kind::Endpoints, endpoints);
    let secrets: Vec<_> = credentials.iter().map(|wanted| &wanted.metadata).collect();
    for metadata in secrets {
        push(&mut all, Kind::Secret, serde_json::json!({ "metadata": metadata }));
    }
    collect(&mut all, Kind::PodDisruptionBudget, disruption_budgets);
    collect(&mut all, Kind::StatefulSet, stateful_set);
    for Pooler { deployment, service, users } in poolers {
        collect(&mut all, Kind::Service, service);
        if let Some(list) = users {
            push(&mut all, Kind::Secret, serde_json::json!({ "metadata": list.metadata }));
        }
        collect(&mut all, Kind::Deployment, deployment);
    }
    collect(&mut all, Kind::CronJob, logical_backup);
    collect(&mut all, Kind::FabricEventStream, event_streams);
    all
}

fn collect<'a, T: Serialize + 'a>(
    all: &mut Vec<(ObjectName, Value)>,
    kind: Kind,
    objects: impl IntoIterator<Item = &'a T>,
) {
    for object in objects {
        push(all, kind, serde_json::to_value(object).unwrap_or_default());
    }
}

fn push(all: &mut Vec<(ObjectName, Value)>, kind: Kind, object: Value) {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let name = ObjectName { kind, namespace: text("/metadata/namespace"), name: text("/metadata/name") };
    all.push((name, object));
}
