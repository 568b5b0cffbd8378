//! What tests of more than one crate stand on: the catalogue of admission, a stage for stories on a real Kubernetes, an API
//! server of their own, a fleet of thousands of clusters with its figures, a Prometheus, a stand-in for nodes on
//! machines that give no root, the handbook as its readers use it, and a whole Kubernetes in memory, where time is virtual.

pub mod catalogue;
pub mod control_plane;
pub mod document;
pub mod fake_api;
pub mod fleet;
pub mod monitoring;
pub mod process_node;
pub mod rights;
pub mod simulation;
pub mod stage;
