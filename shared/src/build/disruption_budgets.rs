//! The two disruption budgets: one keeps the primary, one keeps every pod during a critical operation.
//!
//! Relaxed budgets stay in place and permit everything, as upstream does, so that switching them on again is an
//! update and leaves no gap.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::cluster::Cluster;
use crate::labels::LabelMap;
use crate::names::{self, MemberRole};

use super::meta::meta;

pub(super) fn disruption_budgets(cluster: &Cluster) -> Vec<PodDisruptionBudget> {
    vec![primary(cluster), critical(cluster)]
}

fn primary(cluster: &Cluster) -> PodDisruptionBudget {
    let budgets = &cluster.budgets;
    let selector = match budgets.select_primary {
        true => cluster.labels.role_selector(MemberRole::Primary),
        false => cluster.labels.selector(),
    };
    let min_available = if budgets.enforced { budgets.min_available } else { 0 };
    let spec = PodDisruptionBudgetSpec {
        min_available: Some(IntOrString::Int(min_available)),
        ..selecting(selector)
    };
    budget(cluster, budgets.primary_name.clone(), spec)
}

fn critical(cluster: &Cluster) -> PodDisruptionBudget {
    let max_unavailable = match cluster.budgets.enforced {
        true => IntOrString::Int(0),
        false => IntOrString::String("100%".to_owned()),
    };
    let selector = cluster.labels.critical_selector();
    let spec = PodDisruptionBudgetSpec { max_unavailable: Some(max_unavailable), ..selecting(selector) };
    budget(cluster, names::critical_budget(&cluster.identity.name), spec)
}

fn selecting(labels: LabelMap) -> PodDisruptionBudgetSpec {
    let selector = LabelSelector { match_labels: Some(labels), match_expressions: None };
    PodDisruptionBudgetSpec { selector: Some(selector), ..PodDisruptionBudgetSpec::default() }
}

fn budget(cluster: &Cluster, name: String, spec: PodDisruptionBudgetSpec) -> PodDisruptionBudget {
    let metadata = meta(cluster, name, cluster.labels.full(), Default::default());
    PodDisruptionBudget { metadata, spec: Some(spec), status: None }
}
