//! What the operator's environment and flags override, whatever the source says.
//!
//! Values are handed in: this crate reads no environment. An empty variable counts as absent.

use super::{Kubernetes, OperatorConfig};

/// The overrides, as they were found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// `WATCHED_NAMESPACE`.
    pub watched_namespace: Option<String>,
    /// `SCALYR_API_KEY` (deprecated).
    pub scalyr_api_key: Option<String>,
    /// `-nodatabaseaccess`: the operator does not connect to databases.
    pub no_database_access: bool,
    /// `-noteamsapi`: the operator does not ask the Teams API.
    pub no_teams_api: bool,
}

/// Whose manifests are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchedNamespace {
    /// Every namespace's.
    All,
    /// Those of one namespace.
    One(String),
}

impl OperatorConfig {
    /// Lets the environment win.
    pub fn with_environment(&mut self, environment: &Environment) {
        let Environment { watched_namespace, scalyr_api_key, no_database_access, no_teams_api } = environment;
        let present = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
        if let Some(namespace) = present(watched_namespace) {
            self.kubernetes.watched_namespace = Some(namespace);
        }
        if let Some(key) = present(scalyr_api_key) {
            self.scalyr.api_key = Some(key);
        }
        self.debug.enable_database_access &= !no_database_access;
        self.teams_api.enable_teams_api &= !no_teams_api;
    }
}

impl Kubernetes {
    /// Whose manifests are served by an operator that runs in `operator_namespace`.
    pub fn watched(&self, operator_namespace: &str) -> WatchedNamespace {
        match self.watched_namespace.as_deref() {
            Some("*") => WatchedNamespace::All,
            Some(namespace) => WatchedNamespace::One(namespace.to_owned()),
            None => WatchedNamespace::One(operator_namespace.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_wins_over_the_source() {
        let mut config = OperatorConfig::default();
        config.kubernetes.watched_namespace = Some("databases".into());
        config.with_environment(&Environment {
            watched_namespace: Some("*".into()),
            scalyr_api_key: Some("key".into()),
            no_database_access: true,
            no_teams_api: true,
        });
        assert_eq!(config.kubernetes.watched("operators"), WatchedNamespace::All);
        assert_eq!(config.scalyr.api_key.as_deref(), Some("key"));
        assert!(!config.debug.enable_database_access);
        assert!(!config.teams_api.enable_teams_api);
    }

    #[test]
    fn an_empty_environment_changes_nothing() {
        let mut config = OperatorConfig::default();
        config
            .with_environment(&Environment { watched_namespace: Some(String::new()), ..Default::default() });
        assert_eq!(config, OperatorConfig::default());
        assert_eq!(config.kubernetes.watched("operators"), WatchedNamespace::One("operators".into()));
    }
}
