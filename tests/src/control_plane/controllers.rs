//! The rest of the control plane: controllers and scheduler, so that a StatefulSet makes pods and pods get nodes.
//!
//! Those of Endpoints are left out: pods of stand-ins have loopback addresses, which Endpoints may not hold.

use std::io;

use super::daemon::Daemon;
use super::{ControlPlane, Programs};

/// How fast each may ask the API server, per second: more than it can answer, so that the machine is the only limit.
const REQUESTS: u32 = 2000;

/// Both, running. Dropping this ends them.
#[derive(Debug)]
pub struct Controllers {
    _manager: Daemon,
    _scheduler: Daemon,
}

impl Controllers {
    /// Starts both beside an API server that is ready.
    ///
    /// # Errors
    /// When a program cannot be started.
    pub fn start(control_plane: &ControlPlane, programs: &Programs) -> io::Result<Self> {
        let folder = control_plane.folder();
        let kubeconfig = control_plane.kubeconfig()?.display().to_string();
        let common = [
            format!("--kubeconfig={kubeconfig}"),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
            format!("--kube-api-qps={REQUESTS}"),
            format!("--kube-api-burst={}", 2 * REQUESTS),
        ];
        let key = folder.join("service-account.key");
        let of_manager = [
            format!("--service-account-private-key-file={}", key.display()),
            "--controllers=*,-endpoints-controller,-endpointslice-controller,-endpointslice-mirroring-controller"
                .to_owned(),
            "--concurrent-statefulset-syncs=20".to_owned(),
        ];
        let start = |name: &'static str, flags: Vec<String>| {
            Daemon::start(name, &programs.api_server.with_file_name(name), &flags, folder)
        };
        Ok(Self {
            _manager: start("kube-controller-manager", [&common[..], &of_manager[..]].concat())?,
            _scheduler: start("kube-scheduler", common.to_vec())?,
        })
    }
}
