//! What is watched, and how it is asked for.
//!
//! The configuration decides it once; another scope means other watches. Surprising: pages of a list are small, because what
//! is read of it is in memory ten times as large as what is kept, and at the start several kinds are listed side by side.

use std::collections::{BTreeMap, BTreeSet};

use kube::core::NamespaceResourceScope;
use kube::runtime::watcher;
use kube::{Api, Client, Resource};
use shared::labels::{APPLICATION, LOGICAL_BACKUP, POOLER};

use crate::rights::Rights;

/// What is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// One namespace, or all.
    pub namespace: Option<String>,
    /// The labels of everything that belongs to some cluster, for example `application: spilo`.
    pub cluster_labels: BTreeMap<String, String>,
    /// The label that names the cluster, for example `cluster-name`.
    pub cluster_name_label: String,
    /// The pods' service account: it has no labels and is watched by name.
    pub service_account: String,
    /// Its role binding, likewise.
    pub role_binding: String,
    /// Namespaces and names of the Secrets with infrastructure roles, and of the ConfigMaps beside them.
    pub infrastructure: BTreeSet<(String, String)>,
    /// Whether `PostgresTeam` resources are read.
    pub teams: bool,
    /// What the operator may do: what may not be watched is read in another way.
    pub rights: Rights,
}

impl Scope {
    /// The API of a kind within the watched namespaces.
    pub(super) fn api<K>(&self, client: &Client) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        match &self.namespace {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        }
    }

    /// The objects of one part of the clusters.
    pub(super) fn of(&self, part: Part) -> watcher::Config {
        let own = self.cluster_labels.get(APPLICATION);
        let others = self.cluster_labels.iter().filter(|(name, _)| *name != APPLICATION);
        let mut selector: Vec<String> = others.map(|(name, value)| format!("{name}={value}")).collect();
        selector.extend(match (part, own) {
            (Part::Members, own) => own.map(|own| format!("{APPLICATION}={own}")),
            (Part::MembersAndPoolers, own) => own.map(|own| format!("{APPLICATION} in ({own},{POOLER})")),
            (Part::Poolers, _) => Some(format!("{APPLICATION}={POOLER}")),
            (Part::Backups, _) => Some(format!("{APPLICATION}={LOGICAL_BACKUP}")),
        });
        selector.push(self.cluster_name_label.clone());
        listing().labels(&selector.join(","))
    }
}

/// How objects are listed: in pages small enough that what is read at once, of several kinds side by side, is little
/// beside what is kept.
pub(super) fn listing() -> watcher::Config {
    watcher::Config::default().page_size(PAGE)
}

/// How many objects make a page. In its type an object takes some ten times as much memory as when it is kept.
const PAGE: u32 = 100;

/// Which of a cluster's objects: the label `application` tells its parts apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Members,
    MembersAndPoolers,
    Poolers,
    Backups,
}
