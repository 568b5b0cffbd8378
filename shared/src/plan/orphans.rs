//! What is there of a cluster and no longer wanted: a pooler switched off, backups disabled.
//!
//! An object goes only when both its name and its labels are those that our builders would give it: by label alone we
//! could be told to delete anything, and by name alone the pooler `a-pooler` of a cluster `a` would be the Service of a
//! cluster `a-pooler`.

use crate::build::Resources;
use crate::cluster::Cluster;
use crate::labels::{LabelMap, carries};
use crate::names::{self, MemberRole};

use super::inventory::{Kind, ObjectName, inventory};

/// An object to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// Which one.
    pub object: ObjectName,
    /// The one that was seen, should another have taken its name since.
    pub uid: Option<String>,
}

/// The objects of `current` that `desired` has no more and that may go while the cluster stays.
pub fn orphans(cluster: &Cluster, current: &Resources, desired: &Resources) -> Vec<Orphan> {
    let (wanted, possible) = (inventory(desired), possible(cluster));
    let gone = inventory(current).into_iter().filter(|live| wanted.iter().all(|object| !object.is(*live)));
    let mut orphans: Vec<Orphan> = gone
        .filter(|live| {
            let metadata = live.metadata();
            is_stream_of(cluster, &live.name(), metadata.labels.as_ref())
                || possible.iter().any(|one| {
                    one.kind == live.kind()
                        && Some(&one.name) == metadata.name.as_ref()
                        && carries(metadata.labels.as_ref(), &one.labels)
                })
        })
        .map(|live| Orphan { object: live.name(), uid: live.metadata().uid.clone() })
        .collect();
    // Pods first, then what they read.
    orphans.sort_by(|one, other| other.object.cmp(&one.object));
    orphans
}

/// Whether an object is that of an event stream. Upstream draws their names by lot, so only the beginning is known.
fn is_stream_of(cluster: &Cluster, object: &ObjectName, labels: Option<&LabelMap>) -> bool {
    object.kind == Kind::FabricEventStream
        && object.name.starts_with(&format!("{}-", cluster.identity.name))
        && carries(labels, &cluster.labels.selector())
}

/// An object that the builders may make for a cluster, and may cease to make.
struct Possible {
    kind: Kind,
    name: String,
    labels: LabelMap,
}

fn possible(cluster: &Cluster) -> Vec<Possible> {
    let name = &cluster.identity.name;
    let mut all = vec![
        Possible {
            kind: Kind::CronJob,
            name: cluster.logical_backup_name().to_owned(),
            labels: cluster.labels.backup_selector(),
        },
        // Only where the pooler's user has the default name does its Secret say whose it is.
        Possible {
            kind: Kind::Secret,
            name: cluster.secret_name(cluster.pooler_user()),
            labels: cluster.labels.pooler_selector(&names::pooler(name, MemberRole::Primary)),
        },
    ];
    for pooler in MemberRole::ALL.map(|role| names::pooler(name, role)) {
        let labels = cluster.labels.pooler_selector(&pooler);
        for (kind, name) in [
            (Kind::Deployment, pooler.clone()),
            (Kind::Service, pooler.clone()),
            (Kind::Secret, names::user_list(&pooler)),
        ] {
            all.push(Possible { kind, name, labels: labels.clone() });
        }
    }
    all
}
