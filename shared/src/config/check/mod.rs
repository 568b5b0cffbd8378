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
