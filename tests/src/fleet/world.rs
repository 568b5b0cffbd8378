//! A control plane with nodes, volumes and members: everything but the operator.

use kube::Client;
use tokio::task::JoinSet;

use super::args::Args;
use super::kubelet::Kubelet;
use super::timeline::Timeline;
use super::{Outcome, load, nodes, operator, volumes};
use crate::control_plane::{ControlPlane, Controllers, Programs, definitions};
use shared::api::OperatorConfiguration;

/// All of it, running. Dropping it ends it.
pub(super) struct World {
    // In this order: those who ask go before those who answer.
    pub(super) tasks: JoinSet<()>,
    controllers: Option<Controllers>,
    pub(super) control_plane: ControlPlane,
    /// One that may do everything.
    pub(super) client: Client,
    /// The pods that became ready.
    pub(super) ready: Timeline,
}

impl World {
    /// Starts it.
    pub(super) async fn start(args: &Args, configuration: &OperatorConfiguration) -> Outcome<Self> {
        let programs = Programs::find()?;
        let control_plane = ControlPlane::start_for(&programs, &[operator::USER]).await?;
        let client = control_plane.client()?;
        let controllers = Controllers::start(&control_plane, &programs)?;
        definitions::install(&client).await?;
        load::prepare(&client, configuration).await?;
        let (mut tasks, ready) = (JoinSet::new(), Timeline::default());
        nodes::start(&client).await?;
        volumes::start(&client, &mut tasks).await?;
        Kubelet::start(&client, &args.network, ready.clone(), &mut tasks)?;
        Ok(Self { tasks, controllers: Some(controllers), control_plane, client, ready })
    }
    /// From now on nobody makes pods or gives them nodes.
    pub(super) fn stop_controllers(&mut self) {
        self.controllers = None;
    }
}
