//! Whether a configuration can work: the rules between settings, and the shapes that their types do not hold.
//!
//! Both parsers run every check on what they read. An error is what breaks clusters or is refused by Kubernetes;
//! what works but hardly as meant is a warning. Checks name keys; `Findings` knows where the user wrote them.

mod cloud;
mod kubernetes;
mod labels;
mod operation;
mod resources;
mod roles;
pub(crate) mod syntax;
mod templates;

use super::OperatorConfig;
use super::reading::Findings;

/// One rule.
type Check = fn(&OperatorConfig, &mut Findings);

/// Every rule, in the order in which its findings are told.
const CHECKS: &[Check] = &[
    operation::instances,
    operation::times,
    operation::versions,
    operation::numbers,
    operation::pooler_connections,
    roles::system_roles,
    roles::teams_api,
    roles::team_roles,
    kubernetes::images,
    kubernetes::names,
    kubernetes::sidecars,
    kubernetes::pod_identity,
    kubernetes::security,
    kubernetes::restricted,
    kubernetes::toleration,
    kubernetes::protection,
    labels::keys,
    labels::values,
    labels::apart,
    labels::application,
    labels::inherited,
    labels::expressions,
    templates::placeholders,
    templates::results,
    resources::requests_and_limits,
    resources::bounds,
    cloud::schedule,
    cloud::backup_target,
    cloud::wal_target,
    cloud::places,
    cloud::disks,
    cloud::backup_options,
    cloud::secrets_in_clear,
    kubernetes::deprecated,
];

/// Runs every rule.
pub(super) fn all(config: &OperatorConfig, findings: &mut Findings) {
    for check in CHECKS {
        check(config, findings);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{self, Subject};
    use crate::config::{Source, from_config_map, from_resource, reading};

    /// Every configuration of the catalogue, as far as it can be read.
    fn configurations() -> Vec<OperatorConfig> {
        let all = catalogue::refused().into_iter().chain(catalogue::accepted());
        all.filter_map(|case| match case.subject {
            Subject::ConfigMap(_, data) => {
                let mut findings = Findings::of(Source::ConfigMap);
                let settings = from_config_map::settings(&data, &mut findings);
                Some(reading::assemble(OperatorConfig::default(), settings, &mut findings))
            }
            Subject::Resource(_, settings) => {
                let mut findings = Findings::of(Source::Resource);
                let settings = from_resource::settings(settings.as_object()?, &mut findings);
                Some(reading::assemble(OperatorConfig::default_of_resource(), settings, &mut findings))
            }
            Subject::Manifest { .. } | Subject::Deletion(_) | Subject::Team { .. } => None,
        })
        .collect()
    }

    #[test]
    fn every_check_is_hit_by_a_configuration_of_the_catalogue() {
        let configurations = configurations();
        let mut missing = Vec::new();
        for (index, check) in CHECKS.iter().enumerate() {
            let hit = configurations.iter().any(|config| {
                let mut findings = Findings::of(Source::ConfigMap);
                check(config, &mut findings);
                findings.len() > 0
            });
            missing.extend((!hit).then(|| format!("CHECKS[{index}]")));
        }
        assert!(missing.is_empty(), "no case for {missing:?}");
    }
}
