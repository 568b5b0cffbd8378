//! What the REST API can be asked, and who may ask it: upstream's paths, and the policy, in one place.
//!
//! Upstream answers everybody everything. Here only the operator's own state is open; for the rest a caller shows a token
//! of Kubernetes, and may read what Kubernetes lets it read: who may get a manifest may get what is told about it.

use std::fmt;

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// `/status/`: how many clusters there are, and how many wait.
    Status,
    /// `/readyz/`.
    Ready,
    /// `/config/`.
    Configuration,
    /// `/clusters/`: names by team.
    Teams,
    /// `/clusters/TEAM/`.
    Team(String),
    /// `/clusters/NAMESPACE/NAME/`.
    Cluster(Place),
    /// `/clusters/NAMESPACE/NAME/logs/`.
    Logs(Place),
    /// `/clusters/NAMESPACE/NAME/history/`.
    History(Place),
    /// `/databases/`: names by cluster.
    Databases,
    /// `/workers/NUMBER/logs/`.
    WorkerLogs(usize),
    /// `/workers/NUMBER/queue/`, or of all.
    Queue(Option<usize>),
    /// `/workers/NUMBER/status/`, or of all.
    Work(Option<usize>),
}

/// Which cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) namespace: String,
    pub(super) name: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What a caller has to be allowed to do in Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Nothing: anybody may ask.
    Open,
    /// To get the cluster's manifest.
    GetManifest(Place),
    /// To list the manifests of all namespaces that the operator serves.
    ListManifests,
    /// To get the operator's configuration.
    GetConfiguration,
}

impl Question {
    /// The question of a path; with or without the last slash. `None` where upstream has no such page.
    pub(super) fn of(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let place = |namespace: &str, name: &str| {
            let (namespace, name) = (namespace.to_owned(), name.to_owned());
            (!namespace.is_empty() && !name.is_empty()).then_some(Place { namespace, name })
        };
        let worker = |word: &str| match word {
            "all" => Some(None),
            number => number.parse().ok().map(Some),
        };
        Some(match parts.as_slice() {
            ["status"] => Self::Status,
            ["readyz"] => Self::Ready,
            ["config"] => Self::Configuration,
            ["databases"] => Self::Databases,
            ["clusters"] => Self::Teams,
            ["clusters", team] => Self::Team((*team).to_owned()),
            ["clusters", namespace, name] => Self::Cluster(place(namespace, name)?),
            ["clusters", namespace, name, "logs"] => Self::Logs(place(namespace, name)?),
            ["clusters", namespace, name, "history"] => Self::History(place(namespace, name)?),
            ["workers", number, "logs"] => Self::WorkerLogs(number.parse().ok()?),
            ["workers", which, "queue"] => Self::Queue(worker(which)?),
            ["workers", which, "status"] => Self::Work(worker(which)?),
            _ => return None,
        })
    }

    /// The policy.
    pub(super) fn access(&self) -> Access {
        match self {
            Self::Status | Self::Ready => Access::Open,
            Self::Cluster(place) | Self::Logs(place) | Self::History(place) => {
                Access::GetManifest(place.clone())
            }
            Self::Teams
            | Self::Team(_)
            | Self::Databases
            | Self::WorkerLogs(_)
            | Self::Queue(_)
            | Self::Work(_) => Access::ListManifests,
            Self::Configuration => Access::GetConfiguration,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_upstreams_with_or_without_the_last_slash() {
        let place = || Place { namespace: "test-namespace-1".to_owned(), name: "testcluster".to_owned() };
        for (path, question) in [
            ("/status/", Question::Status),
            ("/config", Question::Configuration),
            ("/clusters/", Question::Teams),
            ("/clusters/test-id/", Question::Team("test-id".to_owned())),
            ("/clusters/test-namespace-1/testcluster/", Question::Cluster(place())),
            ("/clusters/test-namespace-1/testcluster/logs/", Question::Logs(place())),
            ("/clusters/test-namespace-1/testcluster/history", Question::History(place())),
            ("/workers/7/logs/", Question::WorkerLogs(7)),
            ("/workers/all/queue/", Question::Queue(None)),
            ("/workers/0/status/", Question::Work(Some(0))),
            ("/databases/", Question::Databases),
        ] {
            assert_eq!(Question::of(path), Some(question), "{path}");
        }
        for path in ["/", "/workers/x/logs/", "/workers/all/logs/", "/clusters/a//logs", "/debug/pprof/"] {
            assert_eq!(Question::of(path), None, "{path}");
        }
    }

    #[test]
    fn only_the_operators_own_state_is_open() {
        let open = ["/status/", "/readyz/"];
        let others = [
            "/config/",
            "/clusters/",
            "/clusters/a/",
            "/clusters/a/b/",
            "/clusters/a/b/logs/",
            "/clusters/a/b/history/",
            "/databases/",
            "/workers/1/logs/",
            "/workers/all/queue/",
            "/workers/all/status/",
        ];
        let is_open = |path: &&str| Question::of(path).unwrap().access() == Access::Open;
        assert!(open.iter().all(is_open));
        assert!(!others.iter().any(is_open));
    }
}
