//! What a change of the operator's configuration does to the clusters there are: what it costs, and what it breaks.
//!
//! A setting by which the operator finds the objects of its clusters again may not change while a cluster would be lost
//! that way. An admin who has moved the objects by hand insists with an annotation that names the setting. The
//! surprise: of thousands of clusters only some are built twice for the figures, because the API server waits for the
//! answer; the dangers are looked for in all of them. And they are gone through in parts, because ten thousand typed
//! manifests are more than a hundred megabytes, and a machine has more than one processor.

use std::fmt::{self, Debug, Display, Formatter};

use jiff::Timestamp;
use kube::ResourceExt;

use crate::annotations::INSIST;
use crate::api::Postgresql;
use crate::config::{OperatorConfig, Source, fixed_that_change, one_by_one};
use crate::field::{FieldError, FieldErrors, FieldPath};
use crate::plan::{Change, Effect, Touched, touched};
use crate::validation;

/// How many clusters are built to say what a change costs. With all its options, a change takes about a millisecond for
/// each.
pub const MOST_BUILT: usize = 1_000;

/// The clusters there are. Whoever holds them decides how they are gone through.
pub trait Fleet: Debug + Sync {
    /// About how many there are.
    fn count(&self) -> usize;

    /// What `look` makes of each part of the manifests, in their order: it is given how many come before the part, and the
    /// part. Parts may be looked at side by side.
    fn parts(&self, look: &(dyn Fn(usize, &[Postgresql]) -> Part + Sync)) -> Vec<Part>;
}

impl<T: AsRef<[Postgresql]> + Debug + Sync> Fleet for T {
    fn count(&self) -> usize {
        self.as_ref().len()
    }

    fn parts(&self, look: &(dyn Fn(usize, &[Postgresql]) -> Part + Sync)) -> Vec<Part> {
        vec![look(0, self.as_ref())]
    }
}

/// What a change does to a part of the clusters.
#[derive(Debug, Default)]
pub struct Part {
    /// Those that each danger is one for, in the order of the dangers.
    endangered: Vec<Counted>,
    /// Those that each option touches, in the order of the options.
    touched: Vec<Touched>,
    /// Those whose manifests become invalid, and the first reason.
    refused: Counted,
    why: Option<FieldError>,
    /// How many there are, and how many of them were built.
    seen: usize,
    built: usize,
}

impl Part {
    /// All parts as one.
    fn whole(parts: Vec<Self>) -> Self {
        parts.into_iter().reduce(Self::and).unwrap_or_default()
    }

    /// With the part that comes after it.
    fn and(mut self, later: Self) -> Self {
        self.endangered.iter_mut().zip(later.endangered).for_each(|(these, more)| these.join(more));
        self.touched.iter_mut().zip(later.touched).for_each(|(these, more)| these.join(more));
        self.refused.join(later.refused);
        let why = self.why.or(later.why);
        Self { why, seen: self.seen + later.seen, built: self.built + later.built, ..self }
    }
}

/// A change of the operator's configuration.
#[derive(Clone, Copy, Debug)]
pub struct ConfigurationChange<'a> {
    /// How its keys are named to the user.
    pub source: Source,
    /// What is in force.
    pub old: &'a OperatorConfig,
    /// What shall be.
    pub new: &'a OperatorConfig,
    /// The clusters there are.
    pub manifests: &'a dyn Fleet,
    /// The value of the annotation [`INSIST`].
    pub insisted: &'a str,
    /// When; decides what waits for a maintenance window.
    pub now: Option<Timestamp>,
}

/// What the change does: one line for each option that touches any cluster, with how many and which come first.
///
/// # Errors
/// Each option that would break clusters and is not insisted on.
pub fn review_configuration(change: &ConfigurationChange<'_>) -> Result<Vec<Change>, FieldErrors> {
    let (errors, mut told) = judge_dangers(change);
    errors.into_result()?;
    told.extend(costs(change));
    Ok(told)
}

/// The options that would break clusters and are not insisted on.
///
/// For a configuration with other mistakes: these are told beside them.
pub fn refusals(change: &ConfigurationChange<'_>) -> FieldErrors {
    judge_dangers(change).0
}

/// The options that would break clusters: those that are refused, and those that are insisted on.
fn judge_dangers(change: &ConfigurationChange<'_>) -> (FieldErrors, Vec<Change>) {
    let (mut errors, mut told) = (FieldErrors::default(), Vec::new());
    for danger in dangers(change) {
        let path = change.source.path(danger.leaf);
        let what = danger.told();
        if change.insists_on(danger.leaf) {
            let message = format!("{what}; done all the same, as {INSIST} insists");
            told.push(Change { field: path, effect: Effect::Forbidden, message });
        } else {
            let leaf = danger.leaf;
            errors.forbidden(
                path,
                format!("{what}; put it back, or insist with the annotation {INSIST}: {leaf}"),
            );
        }
    }
    (errors, told)
}

impl ConfigurationChange<'_> {
    fn insists_on(&self, leaf: &str) -> bool {
        self.insisted.split(',').any(|word| word.trim() == leaf)
    }
}

/// A setting that would break clusters.
struct Danger {
    leaf: &'static str,
    what: &'static str,
    clusters: Counted,
}

impl Danger {
    fn told(&self) -> String {
        format!("may not change now: {} in {}", self.what, self.clusters)
    }
}

/// How many clusters and which come first.
#[derive(Debug, Default)]
struct Counted {
    count: usize,
    first: Vec<String>,
}

impl Counted {
    fn add(&mut self, manifest: &Postgresql) {
        self.join(Self { count: 1, first: vec![full_name(manifest)] });
    }

    fn join(&mut self, later: Self) {
        self.count += later.count;
        self.first.extend(later.first);
        self.first.truncate(2);
    }
}

impl Display for Counted {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let noun = if self.count == 1 { "cluster" } else { "clusters" };
        write!(f, "{} {noun}; first: {}", self.count, self.first.join(", "))
    }
}

fn full_name(manifest: &Postgresql) -> String {
    format!("{}/{}", manifest.namespace().unwrap_or_else(|| "default".to_owned()), manifest.name_any())
}

/// The key of the rule that a cluster's name begins with its team's.
const TEAM_PREFIX: &str = "enable_team_id_clustername_prefix";

/// Every setting that changes and would break a cluster that there is.
fn dangers(change: &ConfigurationChange<'_>) -> Vec<Danger> {
    let (before, after) = (change.old, change.new);
    let mut settings: Vec<_> = fixed_that_change(before, after).collect();
    let prefixed = with_prefix(before);
    if after.general.enable_team_id_clustername_prefix && !before.general.enable_team_id_clustername_prefix {
        settings.push((TEAM_PREFIX, "names do not begin with the team's, and would be refused"));
    }
    if settings.is_empty() {
        return Vec::new();
    }
    let breaks = |leaf: &str, manifest: &Postgresql| match leaf {
        TEAM_PREFIX => !newly_wrong(manifest, &prefixed, before).is_empty(),
        leaf => depends(leaf, manifest, before),
    };
    let look = |_: usize, manifests: &[Postgresql]| {
        let endangered = settings.iter().map(|(leaf, _)| {
            let mut clusters = Counted::default();
            manifests.iter().filter(|manifest| breaks(leaf, manifest)).for_each(|one| clusters.add(one));
            clusters
        });
        Part { endangered: endangered.collect(), ..Part::default() }
    };
    let endangered = Part::whole(change.manifests.parts(&look)).endangered;
    let dangers = settings.iter().zip(endangered).filter(|(_, clusters)| clusters.count > 0);
    dangers.map(|((leaf, what), clusters)| Danger { leaf, what, clusters }).collect()
}

fn with_prefix(config: &OperatorConfig) -> OperatorConfig {
    let mut config = config.clone();
    config.general.enable_team_id_clustername_prefix = true;
    config
}

/// Whether a cluster has anything that the setting governs.
fn depends(leaf: &str, manifest: &Postgresql, config: &OperatorConfig) -> bool {
    match leaf {
        // One member alone finds its leader wherever it looks.
        "kubernetes_use_configmaps" | "etcd_host" => manifest.spec.number_of_instances > 1,
        "logical_backup_job_prefix" => manifest.spec.enable_logical_backup == Some(true),
        "pdb_name_format" => config.kubernetes.enable_pod_disruption_budget,
        _ => true,
    }
}

/// What is wrong with a manifest under one configuration and is not under another.
fn newly_wrong(manifest: &Postgresql, under: &OperatorConfig, not_under: &OperatorConfig) -> FieldErrors {
    let (mut errors, mut before) = (FieldErrors::default(), FieldErrors::default());
    validation::check(manifest, under, &mut errors);
    if errors.is_empty() {
        return errors;
    }
    validation::check(manifest, not_under, &mut before);
    let mut new = FieldErrors::default();
    for error in errors.iter().filter(|error| before.iter().all(|old| old != *error)) {
        new.push(error.path.clone(), error.reason, error.message.clone());
    }
    new
}

/// What carrying out the change costs, and which manifests it makes invalid.
fn costs(change: &ConfigurationChange<'_>) -> Vec<Change> {
    let ConfigurationChange { source, old, new, manifests, now, .. } = *change;
    let every = manifests.count().div_ceil(MOST_BUILT).max(1);
    let options = one_by_one(old, new);
    let look = |before: usize, manifests: &[Postgresql]| {
        let is_built = |(number, _): &(usize, &Postgresql)| (before + number).is_multiple_of(every);
        let some: Vec<&Postgresql> =
            manifests.iter().enumerate().filter(is_built).map(|(_, manifest)| manifest).collect();
        let mut part = Part { seen: manifests.len(), built: some.len(), ..Part::default() };
        part.touched = touched(old, &options, &some, now);
        for manifest in manifests {
            if let Some(error) = newly_wrong(manifest, new, old).iter().next() {
                part.refused.add(manifest);
                part.why.get_or_insert_with(|| error.clone());
            }
        }
        part
    };
    let whole = Part::whole(manifests.parts(&look));
    let touched = whole.touched.into_iter().zip(&options);
    let mut told: Vec<Change> = touched
        .filter_map(|(touched, (option, _))| touched.change(option))
        .map(|cost| Change { field: source.path(cost.field.as_str()), ..cost }.fitting())
        .collect();
    if every > 1 && !told.is_empty() {
        let message = format!("the figures are of {} of {} clusters", whole.built, whole.seen);
        told.push(Change { field: FieldPath::new("configuration"), effect: Effect::Ignored, message });
    }
    if let Some(error) = whole.why {
        let message = format!("makes the manifest invalid of {}: {error}", whole.refused);
        told.push(Change { field: FieldPath::new("configuration"), effect: Effect::Ignored, message });
    }
    told
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::LONGEST_LINE;

    fn manifest(name: &str, members: i32) -> Postgresql {
        let manifest = json!({
            "apiVersion": "acid.zalan.do/v1", "kind": "postgresql",
            "metadata": {"name": name, "namespace": "default", "uid": "u-1"},
            "spec": {
                "teamId": "acid", "numberOfInstances": members, "volume": {"size": "10Gi"},
                "postgresql": {"version": "17"},
            },
        });
        serde_json::from_value(manifest).unwrap()
    }

    fn answer(edit: impl FnOnce(&mut OperatorConfig), manifests: &[Postgresql], insisted: &str) -> String {
        let old = OperatorConfig::default();
        let mut new = old.clone();
        edit(&mut new);
        let change = ConfigurationChange {
            source: Source::ConfigMap,
            old: &old,
            new: &new,
            manifests: &manifests,
            insisted,
            now: None,
        };
        match review_configuration(&change) {
            Ok(changes) => changes.iter().map(|change| format!("{change}\n")).collect(),
            Err(errors) => errors.iter().map(|error| format!("refused: {error}\n")).collect(),
        }
    }

    #[test]
    fn a_new_image_is_told_with_the_pods_it_restarts() {
        let manifests = [manifest("acid-a", 3), manifest("acid-b", 2), manifest("acid-c", 0)];
        let told = answer(|new| new.general.docker_image = "spilo:next".into(), &manifests, "");
        assert!(
            told.starts_with("data[docker_image]: rolling update of 2 clusters (5 pods); first: default/acid-a, default/acid-b"),
            "{told}"
        );
    }

    #[test]
    fn a_line_fits_whatever_the_clusters_are_called() {
        let manifests = [manifest(&"a".repeat(60), 1), manifest(&"b".repeat(60), 1)];
        let told = answer(|new| new.general.docker_image = "spilo:next".into(), &manifests, "");
        assert!(
            told.starts_with("data[docker_image]: rolling update of 2 clusters (2 pods); first: "),
            "{told}"
        );
        assert!(told.lines().all(|line| line.len() <= LONGEST_LINE), "{told}");
        let one = answer(|new| new.general.docker_image = "spilo:next".into(), &[manifest("acid-a", 1)], "");
        assert_eq!(one, "data[docker_image]: rolling update of 1 cluster (1 pod); first: default/acid-a\n");
    }

    #[test]
    fn what_would_lose_clusters_is_refused_unless_insisted_on_by_name() {
        let manifests = [manifest("acid-a", 1), manifest("acid-b", 2)];
        let flip = |new: &mut OperatorConfig| {
            new.general.kubernetes_use_configmaps = !new.general.kubernetes_use_configmaps;
        };
        let refused = answer(flip, &manifests, "");
        assert_eq!(
            refused,
            "refused: data[kubernetes_use_configmaps]: may not change now: members would look for the leader in two \
             places, and two could lead in 1 cluster; first: default/acid-b; put it back, or insist with the \
             annotation acid.zalan.do/insist: kubernetes_use_configmaps\n"
        );
        assert!(answer(flip, &manifests, "pod_role_label").starts_with("refused"));
        let insisted = answer(flip, &manifests, "pod_role_label, kubernetes_use_configmaps");
        assert!(insisted.starts_with("data[kubernetes_use_configmaps]: may not change now"), "{insisted}");
        assert!(insisted.contains("done all the same"), "{insisted}");
        let alone = answer(flip, &manifests[..1], "");
        assert!(!alone.contains("refused"), "one member alone is in no danger: {alone}");
    }

    #[test]
    fn every_setting_that_clusters_are_found_by_is_refused_while_there_are_clusters() {
        type Edit = fn(&mut OperatorConfig);
        let edits: &[(&str, Edit)] = &[
            ("cluster_labels", |new| drop(new.kubernetes.cluster_labels.insert("a".into(), "b".into()))),
            ("cluster_name_label", |new| new.kubernetes.cluster_name_label = "other".into()),
            ("pod_role_label", |new| new.kubernetes.pod_role_label = "other".into()),
            ("secret_name_template", |new| {
                new.kubernetes.secret_name_template = "{username}.{cluster}".into()
            }),
            ("super_username", |new| new.users.super_username = "other".into()),
            ("pdb_name_format", |new| new.kubernetes.pdb_name_format = "{cluster}-other".into()),
        ];
        for (leaf, edit) in edits {
            let told = answer(edit, &[manifest("acid-a", 1)], "");
            assert!(
                told.starts_with(&format!("refused: data[{leaf}]: may not change now: ")),
                "{leaf}: {told}"
            );
            let without = answer(edit, &[], "");
            assert_eq!(without, "", "{leaf}: there is no cluster to break");
        }
    }

    #[test]
    fn the_team_prefix_is_refused_while_a_name_does_not_have_it() {
        let enable = |new: &mut OperatorConfig| new.general.enable_team_id_clustername_prefix = true;
        assert_eq!(answer(enable, &[manifest("acid-a", 1)], ""), "");
        let refused = answer(enable, &[manifest("acid-a", 1), manifest("shop", 1)], "");
        assert!(
            refused.starts_with(
                "refused: data[enable_team_id_clustername_prefix]: may not change now: names do not"
            ),
            "{refused}"
        );
        assert!(refused.contains("1 cluster; first: default/shop"), "{refused}");
    }

    #[test]
    fn manifests_that_become_invalid_are_told() {
        let mut lean = manifest("acid-a", 1);
        lean.spec.sidecars = serde_json::from_value(json!([{"name": "x", "image": "x:1"}])).unwrap();
        let told = answer(|new| new.kubernetes.enable_sidecars = false, &[lean], "");
        assert!(
            told.contains("configuration: makes the manifest invalid of 1 cluster; first: default/acid-a: "),
            "{told}"
        );
    }
}
