//! Name, team, and fields that version 2 of the API removed.
//!
//! Every object of a cluster derives its name from the cluster's; the tightest limit is not a name but a label: the
//! StatefulSet controller writes `<name>-<ten characters>` into `controller-revision-hash`, 63 characters at most.

use kube::ResourceExt;

use crate::api::Postgresql;
use crate::config::OperatorConfig;
use crate::field::{FieldErrors, FieldPath, Reason};
use crate::names::{self, MemberRole};

use super::text;

/// The longest DNS label, and the longest value of a label.
const LONGEST_LABEL: usize = 63;

/// The names and labels derived from the cluster's name that have to be labels themselves, longest first.
fn derived(manifest: &Postgresql) -> Vec<(&'static str, String)> {
    let name = manifest.name_any();
    let revision = ("the pods' label controller-revision-hash", format!("{name}-0123456789"));
    let pooler = ("the Service of the replicas' pooler", names::pooler(&name, MemberRole::Replica));
    let wanted = manifest.spec.enable_replica_connection_pooler == Some(true);
    wanted.then_some(pooler).into_iter().chain([revision]).collect()
}

/// The name becomes DNS names, labels and file names.
pub(super) fn name(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let path = FieldPath::new("metadata").field("name");
    let name = manifest.name_any();
    if name.is_empty() {
        return; // generateName, or the API server says so
    }
    if !text::is_dns_1035_label(&name) {
        errors.invalid(
            path.clone(),
            format!(
                "\"{name}\" cannot name Services; use lower-case letters, digits and dashes, beginning with a \
                 letter and ending with a letter or digit"
            ),
        );
    }
    if let Some((what, longer)) = derived(manifest).iter().find(|(_, name)| name.len() > LONGEST_LABEL) {
        let room = LONGEST_LABEL.saturating_sub(longer.len() - name.len());
        let message = format!("has {} characters; {what} leaves room for {room} at most", name.len());
        errors.too_long(path, message);
    }
}

/// The team is the value of a label on everything.
pub(super) fn team(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let team = &manifest.spec.team_id;
    if !text::is_label_value(team) {
        errors.invalid(
            FieldPath::spec().field("teamId"),
            format!(
                "\"{team}\" cannot be the value of a label; use at most 63 letters, digits, dashes, dots and \
                 underscores, beginning and ending with a letter or digit"
            ),
        );
    }
}

/// With `enable_team_id_clustername_prefix` a name is `<team>-<rest>`.
pub(super) fn team_prefix(manifest: &Postgresql, config: &OperatorConfig, errors: &mut FieldErrors) {
    if !config.general.enable_team_id_clustername_prefix {
        return;
    }
    let team = manifest.spec.team_id.to_lowercase();
    if team.is_empty() {
        let message = "is required: the name of every cluster begins with its team here \
                       (enable_team_id_clustername_prefix)";
        errors.required(FieldPath::spec().field("teamId"), message);
        return;
    }
    let name = manifest.name_any();
    let rest = name.to_lowercase().strip_prefix(&format!("{team}-")).map(str::to_owned);
    if !name.is_empty() && rest.is_none_or(|rest| rest.is_empty()) {
        errors.invalid(
            FieldPath::new("metadata").field("name"),
            format!(
                "\"{name}\" must begin with the team and a dash, for example {team}-{} \
                 (enable_team_id_clustername_prefix)",
                if name.trim_end_matches('-') == team { "db" } else { &name }
            ),
        );
    }
}

/// Fields that upstream's API dropped and prunes in silence.
pub(super) fn removed_fields(manifest: &Postgresql, _: &OperatorConfig, errors: &mut FieldErrors) {
    let spec = &manifest.spec;
    let removed = [
        ("init_containers", spec.removed_init_containers.is_some(), "initContainers"),
        ("pod_priority_class_name", spec.removed_pod_priority_class_name.is_some(), "podPriorityClassName"),
        ("useLoadBalancer", spec.use_load_balancer.is_some(), "enableMasterLoadBalancer"),
        ("replicaLoadBalancer", spec.replica_load_balancer.is_some(), "enableReplicaLoadBalancer"),
    ];
    for (name, _, successor) in removed.into_iter().filter(|(_, present, _)| *present) {
        errors.push(
            FieldPath::spec().field(name),
            Reason::Forbidden,
            format!("was removed in version 2; use {successor}"),
        );
    }
}
