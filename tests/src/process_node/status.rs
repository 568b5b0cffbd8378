//! A pod's status as the API server stores it. Pure.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};
use serde_json::{Value, json};

/// How far a pod's process has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It does not run.
    Waiting {
        /// One word.
        reason: String,
        /// For people.
        message: String,
    },
    /// It runs.
    Running {
        /// Since when.
        since: Timestamp,
        /// Its number; none where nothing really runs.
        process: Option<i32>,
    },
    /// It ended and is not started again.
    Ended {
        /// Its exit code.
        code: i32,
        /// When.
        at: Timestamp,
    },
}

/// Everything a status says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The pod's address.
    pub address: String,
    /// When the pod came to this node.
    pub started: Timestamp,
    /// The container that has a process.
    pub real: Option<String>,
    /// What runs in place of an image.
    pub program: String,
    /// Its state; the others follow it.
    pub state: State,
    /// Whether it may be used.
    pub ready: bool,
    /// Since when it is so.
    pub changed: Timestamp,
    /// How often it was started again.
    pub restarts: i32,
}

impl Report {
    /// The patch for the pod's status. The UID keeps it from a pod of the same name that came later.
    pub fn patch(&self, pod: &Pod) -> Value {
        let spec = pod.spec.as_ref();
        let containers = spec.map(|spec| spec.containers.as_slice()).unwrap_or_default();
        let first: Vec<Value> = spec
            .and_then(|spec| spec.init_containers.as_deref())
            .unwrap_or_default()
            .iter()
            .map(|container| self.initial(container))
            .collect();
        let all: Vec<Value> = containers.iter().map(|container| self.container(container)).collect();
        let (initialized, ready) = (!self.is_pending(), self.ready);
        json!({
            "metadata": {"uid": pod.metadata.uid},
            "status": {
                "phase": self.phase(),
                "podIP": self.address,
                "podIPs": [{"ip": self.address}],
                "hostIP": "127.0.0.1",
                "hostIPs": [{"ip": "127.0.0.1"}],
                "startTime": self.started,
                "conditions": [
                    condition("PodReadyToStartContainers", true, self.started),
                    condition("Initialized", initialized, self.started),
                    condition("ContainersReady", ready, self.changed),
                    condition("Ready", ready, self.changed),
                ],
                "initContainerStatuses": first,
                "containerStatuses": all,
            },
        })
    }

    fn is_pending(&self) -> bool {
        matches!(self.state, State::Waiting { .. }) && self.restarts == 0
    }

    fn phase(&self) -> &'static str {
        match self.state {
            State::Ended { code: 0, .. } => "Succeeded",
            State::Ended { .. } => "Failed",
            State::Waiting { .. } | State::Running { .. } => {
                if self.is_pending() {
                    "Pending"
                } else {
                    "Running"
                }
            }
        }
    }

    fn container(&self, container: &Container) -> Value {
        let real = self.real.as_ref() == Some(&container.name);
        let runs = matches!(self.state, State::Running { .. });
        let state = match &self.state {
            State::Waiting { reason, message } if real || self.real.is_none() => {
                json!({"waiting": {"reason": reason, "message": message}})
            }
            State::Waiting { .. } => json!({"waiting": {"reason": "PodInitializing"}}),
            State::Running { since, .. } => json!({"running": {"startedAt": since}}),
            State::Ended { code, at } => json!({"terminated": {
                "exitCode": code, "reason": if *code == 0 { "Completed" } else { "Error" },
                "startedAt": self.started, "finishedAt": at,
            }}),
        };
        let process = match (&self.state, real) {
            (State::Running { process: Some(process), .. }, true) => format!("process://{process}"),
            _ => String::new(),
        };
        json!({
            "name": container.name,
            "image": container.image,
            "imageID": if real { self.program.as_str() } else { "process-node://simulated" },
            "containerID": process,
            "ready": if real { self.ready } else { runs },
            "started": runs,
            "restartCount": if real { self.restarts } else { 0 },
            "state": state,
        })
    }

    /// Containers that come first are not run at all.
    fn initial(&self, container: &Container) -> Value {
        json!({
            "name": container.name,
            "image": container.image,
            "imageID": "process-node://simulated",
            "ready": true,
            "restartCount": 0,
            "state": {"terminated": {
                "exitCode": 0, "reason": "Completed", "startedAt": self.started, "finishedAt": self.started,
            }},
        })
    }
}

fn condition(kind: &str, holds: bool, since: Timestamp) -> Value {
    json!({"type": kind, "status": if holds { "True" } else { "False" }, "lastTransitionTime": since})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> Pod {
        let containers =
            json!([{"name": "postgres", "image": "spilo:1"}, {"name": "exporter", "image": "e:2"}]);
        serde_json::from_value(json!({"metadata": {"uid": "u"}, "spec": {"containers": containers}})).unwrap()
    }

    fn report(state: State, ready: bool) -> Value {
        let started = Timestamp::UNIX_EPOCH;
        let report = Report {
            address: "127.64.0.10".to_owned(),
            started,
            real: Some("postgres".to_owned()),
            program: "process-node://postgresql-15".to_owned(),
            state,
            ready,
            changed: started,
            restarts: 0,
        };
        report.patch(&pod())
    }

    fn text(value: &Value, path: &str) -> String {
        value.pointer(path).unwrap().to_string().replace('"', "")
    }

    #[test]
    fn a_running_pod_has_an_address_and_real_image_names() {
        let status = report(State::Running { since: Timestamp::UNIX_EPOCH, process: Some(42) }, true);
        assert_eq!(text(&status, "/status/phase"), "Running");
        assert_eq!(text(&status, "/status/podIP"), "127.64.0.10");
        assert_eq!(text(&status, "/status/containerStatuses/0/image"), "spilo:1");
        assert_eq!(text(&status, "/status/containerStatuses/0/containerID"), "process://42");
        assert_eq!(text(&status, "/status/containerStatuses/1/imageID"), "process-node://simulated");
        assert_eq!(text(&status, "/status/conditions/3/status"), "True");
    }

    #[test]
    fn a_waiting_pod_says_for_what() {
        let waiting = State::Waiting { reason: "R".to_owned(), message: "claim is not bound".to_owned() };
        let status = report(waiting, false);
        assert_eq!(text(&status, "/status/phase"), "Pending");
        assert_eq!(text(&status, "/status/containerStatuses/0/state/waiting/message"), "claim is not bound");
        assert_eq!(text(&status, "/status/containerStatuses/1/state/waiting/reason"), "PodInitializing");
        assert_eq!(text(&status, "/status/containerStatuses/1/ready"), "false");
    }

    #[test]
    fn an_ended_job_succeeded_or_failed() {
        let ended = |code| report(State::Ended { code, at: Timestamp::UNIX_EPOCH }, false);
        assert_eq!(text(&ended(0), "/status/phase"), "Succeeded");
        assert_eq!(text(&ended(2), "/status/phase"), "Failed");
        assert_eq!(text(&ended(2), "/status/containerStatuses/0/state/terminated/exitCode"), "2");
    }
}
