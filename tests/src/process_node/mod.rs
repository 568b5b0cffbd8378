//! Process nodes: a small stand-in for kubelets, on a machine that gives no root and no containers.
//!
//! It registers nodes, takes the pods that the real scheduler binds to them, and runs what it can as ordinary processes
//! on loopback addresses: the container named `postgres` as a real Patroni with a real PostgreSQL, containers of known
//! images as the program they hold. Everything else is marked as running, and says so in an annotation.
//!
//! ```text
//!  kubelet    which pods are ours ─► one worker each
//!  pod        worker: wait for volumes ─► start ─► probe, restart ─► end ─► remove the pod
//!    volumes, references, environment, token, spilo    what the process finds: folders, variables, rights
//!    process, probe, status                            what the world finds: a process, ready or not
//!  node       two objects and their leases
//! ```
//!
//! A fact a newcomer would not guess: there is no mount namespace. A path in a mounted volume is *translated* where it
//! appears (in variables, arguments and Patroni's configuration), so programs must get such paths from outside.

pub mod addresses;
pub mod args;
pub mod environment;
pub mod events;
pub mod installation;
pub mod kubelet;
pub mod mounts;
pub mod node;
pub mod pod;
pub mod prepare;
pub mod probe;
pub mod process;
pub mod programs;
pub mod references;
pub mod spilo;
pub mod status;
pub mod token;
pub mod volumes;
