//! What lies between two states of a cluster: objects, pods, Patroni's store, roles.
//!
//! `explain` asks, for one field at a time. Everything is taken from what the operator itself acts on: the built
//! objects, the fingerprints of pods, the patch of Patroni's configuration, the plan of the roles. The surprise: a
//! difference that only a new cluster would read (`initdb`, `clone`) changes the StatefulSet and yet nothing.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use serde_json::Value;

use crate::annotations::APPLIED;
use crate::api::Postgresql;
use crate::build::{Resources, build};
use crate::cluster::{Cluster, References, Windows};
use crate::config::{Disruption, OperatorConfig};
use crate::patroni::{AppliedKeys, Cost, DynamicConfig, cost_of_change, lowered, patch};
use crate::roles::catalog::{Catalog, ExistingDatabase, ExistingRole, Membership};
use crate::roles::{
    self, ContentStatement, Database, DatabaseName, Passwords, RoleSet, Statement, Surplus, contents,
};
use crate::version::PostgresVersion;

use super::pod_template::{IMAGE, differences, fingerprint, without_bootstrap};
use super::{Effect, Kind, ObjectName, between, disk_wish};

/// A cluster as a manifest describes it, and its objects.
pub(super) struct Side {
    cluster: Cluster,
    resources: Resources,
}

impl Side {
    /// What a manifest amounts to; nothing when it is not valid.
    pub(super) fn of(manifest: &Postgresql, config: &OperatorConfig) -> Option<Self> {
        let cluster = Cluster::resolve(manifest, config, &References::unread()).ok()?;
        Some(Self { resources: build(&cluster), cluster })
    }

    /// What the same manifest amounts to under another configuration; nothing when it is not valid there, or the same.
    pub(super) fn becomes(&self, manifest: &Postgresql, config: &OperatorConfig) -> Option<Self> {
        let cluster = Cluster::resolve(manifest, config, &References::unread()).ok()?;
        (cluster != self.cluster).then(|| Self { resources: build(&cluster), cluster })
    }

    /// How many members it has.
    pub(super) fn members(&self) -> i32 {
        self.cluster.members
    }

    fn set(&self) -> Option<&StatefulSet> {
        self.resources.stateful_set.as_ref()
    }
}

/// Everything that a change does.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Facts {
    /// Objects that are written or made, but for the StatefulSet.
    pub(super) objects: Vec<ObjectName>,
    /// Objects that are no longer wanted.
    pub(super) removed: Vec<ObjectName>,
    /// Whether the StatefulSet is written, or replaced.
    pub(super) set: Option<Effect>,
    /// Why running pods are recreated.
    pub(super) pods: Vec<&'static str>,
    /// A new image waits until a pod is recreated for another reason.
    pub(super) lazy_image: bool,
    /// The StatefulSet differs in what only a new cluster reads, and in nothing else.
    pub(super) bootstrap_only: bool,
    /// Postgres settings that change in Patroni's store.
    pub(super) parameters: Vec<(String, Cost)>,
    /// None of those that restart Postgres is known to have had another value.
    pub(super) perhaps_restarts: bool,
    /// Those of them that the primary must lower first.
    pub(super) lowered: Vec<String>,
    /// Other keys that change in Patroni's store.
    pub(super) options: Vec<String>,
    /// What is run in the database.
    pub(super) statements: Vec<Statement>,
    /// What the manifest no longer asks for and the database keeps.
    pub(super) kept: Vec<String>,
    /// Another major version.
    pub(super) version: Option<(PostgresVersion, PostgresVersion)>,
    /// How many members there are before and after.
    pub(super) members: (i32, i32),
    /// How many there are before and after the whole update that this is a part of.
    pub(super) update: (i32, i32),
    /// Volumes of another size.
    pub(super) size: Option<(String, String)>,
    /// Disks of another type, or of other figures; and whether EC2 is asked for them.
    pub(super) disks: Option<bool>,
    /// Volumes go with the members that go.
    pub(super) deletes_volumes: bool,
    /// The cluster stops following another one.
    pub(super) promoted: bool,
    /// What of it waits for a maintenance window.
    pub(super) waits: Option<Waits>,
}

/// What waits for a maintenance window.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Waits {
    /// The steps that wait.
    pub(super) steps: Vec<Disruption>,
    /// Whether others of the same change do not.
    pub(super) others_do_not: bool,
    /// The windows.
    pub(super) windows: Windows,
}

impl Facts {
    /// What changing `before` into `after` does.
    pub(super) fn between(before: &Side, after: &Side) -> Self {
        let mut facts = Self { members: (before.members(), after.members()), ..Self::default() };
        facts.look_at_objects(before, after);
        facts.look_at_pods(before, after);
        facts.look_at_patroni(before, after);
        let strict = after.cluster.policy().strict_revocation;
        facts.look_at_roles(&before.resources.roles, &after.resources.roles, strict);
        let (old, new) = (&before.cluster, &after.cluster);
        facts.version = (old.postgres.version != new.postgres.version)
            .then_some((old.postgres.version, new.postgres.version));
        facts.size =
            (old.volume.size != new.volume.size).then(|| (old.volume.size.clone(), new.volume.size.clone()));
        // Of the size alone a volume's line tells; a mode by itself changes no disk.
        let figures = |cluster| {
            let figures = disk_wish(cluster).map(|wish| (wish.kind, wish.iops, wish.throughput));
            figures.filter(|figures| *figures != (None, None, None))
        };
        let asked = figures(old) != figures(new) && figures(new).is_some();
        facts.disks = (asked || old.volume.performance != new.volume.performance).then_some(asked);
        facts.deletes_volumes = new.volume.retention.delete_when_scaled && new.members < old.members;
        facts.promoted = old.is_standby() && !new.is_standby();
        facts
    }

    fn look_at_objects(&mut self, before: &Side, after: &Side) {
        for difference in between(&before.resources, &after.resources) {
            match difference.object.kind {
                Kind::StatefulSet => self.set = Some(difference.effect),
                _ => self.objects.push(difference.object),
            }
        }
        // What is compared the other way round and is not there at all has gone. A role stays, and so does its Secret.
        let gone = between(&after.resources, &before.resources).into_iter();
        let gone = gone.filter(|other| other.field.is_none() && other.object.kind != Kind::Secret);
        self.removed = gone.map(|other| other.object).collect();
        let rest = |side: &Side| side.set().map(without_what_nobody_reads);
        self.bootstrap_only = self.set.is_some() && rest(before) == rest(after);
    }

    fn look_at_pods(&mut self, before: &Side, after: &Side) {
        let print = |side: &Side| {
            side.set()
                .and_then(|set| set.spec.as_ref())
                .map(|spec| fingerprint(&spec.template))
                .unwrap_or_default()
        };
        self.pods = differences(&print(before), &print(after));
        if after.cluster.policy.lazy_image_upgrade {
            self.lazy_image = self.pods.contains(&IMAGE);
            self.pods.retain(|reason| *reason != IMAGE);
        }
        if before.members() == 0 {
            self.pods.clear();
        }
    }

    fn look_at_patroni(&mut self, before: &Side, after: &Side) {
        let wanted = |side: &Side| side.resources.patroni.clone().unwrap_or_default();
        let (old, new) = (wanted(before), wanted(after));
        let effective = patch(&old, &Value::Null, &AppliedKeys::default()).unwrap_or_default();
        let Some(patch) = patch(&new, &effective, &DynamicConfig::keys(&old)) else { return };
        let version = after.cluster.postgres.version;
        let parameters = patch.pointer("/postgresql/parameters").and_then(Value::as_object);
        let stored = |name: &str| {
            let own = effective.pointer("/postgresql/parameters").and_then(|all| all.get(name));
            own.unwrap_or(&Value::Null)
        };
        let parameters: Vec<_> = parameters
            .into_iter()
            .flatten()
            .map(|(name, to)| (name, cost_of_change(name, stored(name), to, version)))
            .collect();
        self.perhaps_restarts = parameters.iter().any(|(_, change)| change.perhaps_less)
            && parameters.iter().all(|(_, change)| change.cost != Cost::Restart || change.perhaps_less);
        self.parameters = parameters.into_iter().map(|(name, change)| (name.clone(), change.cost)).collect();
        self.lowered = lowered(&patch, &effective);
        let keys = patch.as_object().into_iter().flatten().map(|(key, _)| key);
        self.options = keys.filter(|key| *key != "postgresql").cloned().collect();
    }

    fn look_at_roles(&mut self, old: &RoleSet, new: &RoleSet, strict: bool) {
        let mut wanted = new.clone();
        // Whether a password is known is no question of the manifest.
        wanted.roles.iter_mut().for_each(|role| role.wants_password = false);
        self.statements = roles::plan(&wanted, &Passwords::default(), &catalog(old));
        self.statements.extend(inside(old, new).map(Statement::Inside));
        if strict {
            let gone = old.roles.iter().filter(|role| role.wants_password && new.role(&role.name).is_none());
            let gone = gone.map(|role| role.name.clone()).collect();
            self.statements.extend(roles::surplus(new, &catalog(old), &gone).iter().map(Surplus::revoked));
        } else {
            self.kept = kept(old, new);
        }
        self.kept.extend(kept_databases(old, new));
    }

    /// As they are in the update from one side to the other: members that come or go decide who is recreated and who takes
    /// over, and by the new side's policy some steps may have to wait for a window.
    pub(super) fn within(mut self, before: &Side, after: &Side, now: Option<Timestamp>) -> Self {
        let policy = after.cluster.policy();
        self.update = (before.members(), after.members());
        if self.update.1 == 0 {
            // Nobody is there to take a setting up; whoever comes later begins with it.
            self.parameters.clear();
            self.lowered.clear();
            self.options.clear();
        }
        let all = self.disruptions();
        let held = |step: &Disruption| policy.waits_for(*step, now).is_some();
        let steps: Vec<Disruption> = all.iter().copied().filter(held).collect();
        let others_do_not = steps.len() < all.len();
        self.waits =
            (!steps.is_empty()).then(|| Waits { steps, others_do_not, windows: policy.windows.clone() });
        self
    }

    /// The steps that disturb those who use the database, in the order in which they are taken.
    fn disruptions(&self) -> Vec<Disruption> {
        let mut steps = Vec::new();
        let (before, after) = self.update;
        if before.min(after) > 0 {
            let recreates = !self.pods.is_empty();
            if self.restarts() && !recreates {
                steps.push(Disruption::Restart);
            }
            if recreates && before.min(after) > 1 {
                steps.push(Disruption::RecreateReplica);
            }
            if recreates {
                steps.push(Disruption::Switchover);
            }
        }
        if self.version.is_some_and(|(from, to)| from < to) {
            steps.push(Disruption::MajorUpgrade);
        }
        steps
    }

    /// Whether Postgres restarts for a setting.
    pub(super) fn restarts(&self) -> bool {
        self.parameters.iter().any(|(_, cost)| *cost == Cost::Restart)
    }

    /// Whether Patroni's store changes.
    pub(super) fn speaks_of_patroni(&self) -> bool {
        !self.parameters.is_empty() || !self.options.is_empty()
    }

    /// The worst of it.
    pub(super) fn effect(&self) -> Effect {
        let set = self.set.filter(|_| !self.bootstrap_only);
        let pods = (!self.pods.is_empty()).then_some(Effect::RollingUpdate);
        let parameters = self.parameters.iter().map(|(_, cost)| match cost {
            Cost::Reload => Effect::Reload,
            Cost::Restart => Effect::Restart,
            Cost::RollingUpdate => Effect::RollingUpdate,
        });
        let patched = !self.objects.is_empty() || !self.removed.is_empty();
        let raised = self.version.is_some_and(|(from, to)| from < to);
        let disks = self.disks == Some(true);
        let lost = self.deletes_volumes && self.members.1 == 0 && self.members.0 > 0;
        let certain = [
            (patched || disks, Effect::Patch),
            (!self.statements.is_empty(), Effect::Sql),
            (!self.options.is_empty(), Effect::Reload),
            (raised, Effect::MajorUpgrade),
            (lost, Effect::LosesData),
        ];
        let certain = certain.into_iter().filter(|(holds, _)| *holds).map(|(_, effect)| effect);
        set.into_iter().chain(pods).chain(parameters).chain(certain).max().unwrap_or(Effect::Ignored)
    }
}

/// The StatefulSet without what only a new cluster reads, and without the hash of it.
fn without_what_nobody_reads(set: &StatefulSet) -> StatefulSet {
    let mut set = set.clone();
    set.metadata.annotations.iter_mut().for_each(|all| drop(all.remove(APPLIED)));
    set.spec.iter_mut().for_each(|spec| spec.template = without_bootstrap(&spec.template));
    set
}

/// The server as it is once `roles` have been made.
fn catalog(roles: &RoleSet) -> Catalog {
    let mut catalog = Catalog::default();
    for role in &roles.roles {
        let mut existing = ExistingRole::default();
        existing.attributes.extend(role.flags.iter().filter(|(_, on)| *on).map(|(attribute, _)| attribute));
        existing.member_of.extend(role.member_of.iter().map(|parent| (parent.clone(), Membership::Member)));
        existing
            .parameters
            .extend(role.parameters.iter().map(|(name, value)| (name.clone(), value.to_text())));
        catalog.roles.insert(role.name.clone(), existing);
    }
    for role in &roles.roles {
        if let Some(admin) = &role.admin {
            // The admin may be a role that nobody here defines.
            let admin = catalog.roles.entry(admin.clone()).or_default();
            admin.member_of.insert(role.name.clone(), Membership::Admin);
        }
    }
    for database in &roles.databases {
        catalog.databases.insert(database.name.clone(), existing(database));
    }
    catalog
}

fn existing(database: &Database) -> ExistingDatabase {
    ExistingDatabase { owner: database.owner.clone(), can_be_visited: true }
}

/// What is done inside the databases that are there already.
fn inside<'a>(old: &'a RoleSet, new: &'a RoleSet) -> impl Iterator<Item = ContentStatement> + use<'a> {
    let roles = catalog(new);
    let kept =
        new.databases.iter().filter(|database| old.databases.iter().any(|one| one.name == database.name));
    kept.flat_map(move |database| {
        let before = contents::made(&contents::wanted(old, &database.name));
        contents::plan(&contents::wanted(new, &database.name), &roles, &before)
    })
}

/// The roles that are asked for no longer, in whole or in part. Nothing is taken away.
fn kept(old: &RoleSet, new: &RoleSet) -> Vec<String> {
    let mut kept = Vec::new();
    for role in &old.roles {
        let Some(still) = new.role(&role.name) else {
            kept.push(format!("role {} stays", role.name));
            continue;
        };
        let words = role.flags.iter().filter(|(attribute, on)| *on && still.flags.get(*attribute).is_none());
        let words: Vec<&str> = words.map(|(attribute, _)| attribute.word()).collect();
        if !words.is_empty() {
            kept.push(format!(
                "role {} keeps {}; take it away with NO{}",
                role.name,
                words.join(" "),
                words.join(" NO")
            ));
        }
        let parents: Vec<&str> = role
            .member_of
            .iter()
            .filter(|parent| !still.member_of.contains(parent))
            .map(|parent| parent.as_str())
            .collect();
        if !parents.is_empty() {
            kept.push(format!("role {} stays a member of {}", role.name, parents.join(", ")));
        }
    }
    kept
}

/// Databases are never dropped.
fn kept_databases(old: &RoleSet, new: &RoleSet) -> impl Iterator<Item = String> {
    let wanted = |name: &DatabaseName| new.databases.iter().any(|database| database.name == *name);
    let gone = old.databases.iter().filter(move |database| !wanted(&database.name));
    gone.map(|database| format!("database {} stays", database.name))
}
