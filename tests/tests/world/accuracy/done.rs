//! What lies between the built objects, and what the operator did.

use std::collections::BTreeSet;

use serde_json::Value;
use shared::api::Postgresql;
use shared::build::{Resources, build};
use shared::cluster::{Cluster, References};
use shared::config::OperatorConfig;
use shared::plan::pod_template::{IMAGE, differences, fingerprint};
use shared::plan::{self, Effect, Kind, ObjectName};
use tests::fake_api::{Key, Verb};

use crate::world::{NAMESPACE, World};

/// What the operator did.
#[derive(Debug)]
pub(super) struct Done {
    /// Pods that it deleted, in order of their names.
    pub(super) recreated: Vec<String>,
    /// How often it handed over.
    pub(super) switchovers: usize,
    /// Members that it restarted, in order of their names.
    pub(super) restarted: Vec<String>,
    /// How often it patched Patroni's store.
    pub(super) patched: usize,
    /// What it ran in the database.
    pub(super) statements: Vec<String>,
    /// Claims that it made larger.
    pub(super) grown: BTreeSet<String>,
    /// Whether the StatefulSet is another one.
    pub(super) replaced: bool,
    /// Other objects that it wrote, made or deleted.
    written: BTreeSet<String>,
    /// Whether it came to an end.
    pub(super) settled: bool,
    /// What the status says then, if not that all is well.
    trouble: Option<String>,
}

/// What stands there before a change.
pub(super) struct Before {
    stateful_set: Value,
    objects: BTreeSet<String>,
}

impl Before {
    pub(super) fn seen(world: &World) -> Self {
        Self { stateful_set: stateful_set(world), objects: world.objects().into_iter().collect() }
    }
}

/// The UID of the StatefulSet.
fn stateful_set(world: &World) -> Value {
    let set = world.api.get(&Key::new("apps", "statefulsets", NAMESPACE, "demo"));
    set.map(|set| set["metadata"]["uid"].clone()).unwrap_or_default()
}

/// Whether an object is one that the operator looks after, and no part of another one.
fn is_of_the_operator(object: &str) -> bool {
    let others = ["postgresqls", "events", "pods", "persistentvolumeclaims"];
    !others.contains(&object.split(' ').next().unwrap_or_default())
}

impl Done {
    pub(super) fn seen(world: &World, before: &Before, settled: bool) -> Self {
        let acts = world.acts();
        let of = |verb: &str| {
            let mut of: Vec<String> =
                acts.iter().filter_map(|act| act.strip_prefix(verb)).map(str::to_owned).collect();
            of.sort();
            of
        };
        let (mut grown, mut written) = (BTreeSet::new(), BTreeSet::new());
        for call in world.api.state().journal.iter().filter(|call| call.changed && call.verb != Verb::Create)
        {
            if call.key.resource == "persistentvolumeclaims" && call.verb == Verb::Patch {
                grown.insert(call.key.name.clone());
            }
            written.insert(format!("{} {}", call.key.resource, call.key.name));
        }
        // A call that makes an object does not name it.
        written.extend(world.objects().into_iter().filter(|object| !before.objects.contains(object)));
        written.retain(|object| is_of_the_operator(object));
        let trouble =
            (world.word() != "Running").then(|| world.status()["conditions"][0]["message"].to_string());
        Self {
            recreated: of("recreate "),
            switchovers: of("switchover ").len(),
            restarted: of("restart "),
            patched: of("patch ").len(),
            statements: world.servers.lock().unwrap().statements.clone(),
            grown,
            replaced: stateful_set(world) != before.stateful_set,
            written,
            settled,
            trouble,
        }
    }

    /// The worst of it.
    pub(super) fn effect(&self) -> Effect {
        match () {
            () if self.replaced => Effect::ReplaceStatefulSet,
            () if !self.recreated.is_empty() => Effect::RollingUpdate,
            () if !self.restarted.is_empty() => Effect::Restart,
            () if self.patched > 0 => Effect::Reload,
            () if !self.statements.is_empty() => Effect::Sql,
            () if !self.written.is_empty() => Effect::Patch,
            () => Effect::Ignored,
        }
    }

    /// Whether nothing at all happened that anybody could notice. The StatefulSet may be written for what only a new
    /// cluster reads.
    pub(super) fn is_nothing(&self) -> bool {
        let written = self.written.iter().filter(|name| *name != "statefulsets demo").count();
        self.effect() <= Effect::Patch && written == 0 && self.grown.is_empty() && self.trouble.is_none()
    }
}

/// What lies between two builds.
pub(super) struct Built {
    /// How many members there are before and after.
    pub(super) members: (i32, i32),
    /// Objects to write and to delete.
    objects: BTreeSet<String>,
    /// Whether the StatefulSet is replaced.
    replaced: bool,
    /// Whether pods are outdated.
    outdated: bool,
    /// Whether Patroni's store changes.
    patched: bool,
}

impl Built {
    pub(super) fn between(old: (&Postgresql, &OperatorConfig), new: (&Postgresql, &OperatorConfig)) -> Self {
        let resolved =
            |(manifest, config)| Cluster::resolve(manifest, config, &References::unread()).unwrap();
        let (was, is) = (resolved(old), resolved(new));
        let (before, after) = (build(&was), build(&is));
        let differences = plan::between(&before, &after);
        let orphans = plan::orphans(&is, &before, &after);
        let written = differences.iter().map(|one| &one.object).chain(orphans.iter().map(|one| &one.object));
        Self {
            members: (was.members(), is.members()),
            replaced: differences.iter().any(|one| one.effect == Effect::ReplaceStatefulSet),
            outdated: outdated(&before, &after, new.1),
            patched: before.patroni != after.patroni,
            objects: written.map(place).collect(),
        }
    }

    /// Where what lies between and what was done are not the same.
    pub(super) fn disagrees(&self, done: &Done) -> Vec<String> {
        let mut complaints = Vec::new();
        // Which keys of Patroni's store are ours stands in an annotation.
        let expected = |name: &&String| !(self.patched && *name == "statefulsets demo");
        let (built, written): (Vec<_>, Vec<_>) =
            (self.objects.iter().filter(expected).collect(), done.written.iter().filter(expected).collect());
        if built != written {
            complaints.push(format!("objects: built {built:?}, written {written:?}"));
        }
        let survivors = self.members.0.min(self.members.1) > 0;
        if (self.outdated && survivors) == done.recreated.is_empty() {
            complaints
                .push(format!("outdated pods: built {}, recreated {:?}", self.outdated, done.recreated));
        }
        if self.replaced != done.replaced {
            complaints.push(format!("replaced StatefulSet: built {}, done {}", self.replaced, done.replaced));
        }
        if done.patched > 0 && !self.patched {
            complaints.push("Patroni's store was patched".to_owned());
        }
        complaints
    }
}

fn outdated(before: &Resources, after: &Resources, config: &OperatorConfig) -> bool {
    let print = |of: &Resources| {
        let set = of.stateful_set.as_ref().and_then(|set| set.spec.as_ref()).unwrap();
        fingerprint(&set.template)
    };
    let mut fields = differences(&print(before), &print(after));
    fields.retain(|field| !(config.general.enable_lazy_spilo_upgrade && *field == IMAGE));
    !fields.is_empty()
}

/// An object as the journal names it.
fn place(object: &ObjectName) -> String {
    let resource = match object.kind {
        Kind::Endpoints => "endpoints".to_owned(),
        kind => format!("{}s", kind.as_str().to_lowercase()),
    };
    format!("{resource} {}", object.name)
}
