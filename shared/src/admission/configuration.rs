//! What a change of the operator's configuration does to the clusters there are: what it costs, and what it breaks.
//!
//! A setting by which the operator finds the objects of its clusters again may not change while a cluster would be lost
//! that way. An admin who has moved the objects by hand insists with an annotation that names the setting. The
//! surprise: of thousands of clusters only some are built twice for the figures, because the API server waits for the
//! answer; the dangers are looked for in all of them.

use crate::annotations::INSIST;
use crate::api::Postgresql;
use crate::config::{OperatorConfig, Source, fixed_that_change};
use crate::field::{FieldErrors, FieldPath};
use crate::plan::{Change, Effect, plan_configuration};
use crate::validation;

use jiff::Timestamp;
use kube::ResourceExt;

/// How many clusters are built to say what a change costs. With all its options, a change takes about a millisecond for
/// each.
pub const MOST_BUILT: usize = 1_000;

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
    pub manifests: &'a [Postgresql],
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
struct Danger<'a> {
    leaf: &'static str,
    what: &'static str,
    clusters: Vec<&'a Postgresql>,
}

impl Danger<'_> {
    fn told(&self) -> String {
        format!("may not change now: {} in {}", self.what, counted(&self.clusters))
    }
}

/// How many and which come first.
fn counted(clusters: &[&Postgresql]) -> String {
    let names: Vec<String> = clusters.iter().take(2).map(|manifest| full_name(manifest)).collect();
    let noun = if clusters.len() == 1 { "cluster" } else { "clusters" };
    format!("{} {noun}; first: {}", clusters.len(), names.join(", "))
}

fn full_name(manifest: &Postgresql) -> String {
    format!("{}/{}", manifest.namespace().unwrap_or_else(|| "default".to_owned()), manifest.name_any())
}

/// The key of the rule that a cluster's name begins with its team's.
const TEAM_PREFIX: &str = "enable_team_id_clustername_prefix";

/// Every setting that changes and would break a cluster that there is.
fn dangers<'a>(change: &ConfigurationChange<'a>) -> Vec<Danger<'a>> {
    let all = change.manifests.iter();
    let mut dangers: Vec<Danger<'a>> = fixed_that_change(change.old, change.new)
        .map(|(leaf, what)| {
            let clusters = all.clone().filter(|manifest| depends(leaf, manifest, change.old)).collect();
            Danger { leaf, what, clusters }
        })
        .collect();
    let (before, after) = (change.old, change.new);
    if after.general.enable_team_id_clustername_prefix && !before.general.enable_team_id_clustername_prefix {
        let misnamed =
            |manifest: &&Postgresql| !newly_wrong(manifest, &with_prefix(before), before).is_empty();
        dangers.push(Danger {
            leaf: TEAM_PREFIX,
            what: "names do not begin with the team's, and would be refused",
            clusters: all.filter(misnamed).collect(),
        });
    }
    dangers.retain(|danger| !danger.clusters.is_empty());
    dangers
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
    let ConfigurationChange { source, old, new, manifests, .. } = *change;
    let every = manifests.len().div_ceil(MOST_BUILT).max(1);
    let some: Vec<Postgresql> = manifests.iter().step_by(every).cloned().collect();
    let mut told: Vec<Change> = plan_configuration(old, new, &some, change.now)
        .into_iter()
        .map(|cost| Change { field: source.path(cost.field.as_str()), ..cost }.fitting())
        .collect();
    if every > 1 && !told.is_empty() {
        let message = format!("the figures are of {} of {} clusters", some.len(), manifests.len());
        told.push(Change { field: FieldPath::new("configuration"), effect: Effect::Ignored, message });
    }
    let refused: Vec<(&Postgresql, FieldErrors)> = manifests
        .iter()
        .map(|manifest| (manifest, newly_wrong(manifest, new, old)))
        .filter(|(_, errors)| !errors.is_empty())
        .collect();
    let clusters: Vec<&Postgresql> = refused.iter().map(|(manifest, _)| *manifest).collect();
    if let Some(error) = refused.iter().find_map(|(_, errors)| errors.iter().next()) {
        let message = format!("makes the manifest invalid of {}: {error}", counted(&clusters));
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
            manifests,
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
