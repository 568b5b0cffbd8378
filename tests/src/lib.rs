//! What tests of more than one crate stand on: the catalogue of admission, a stage for stories on a real Kubernetes, an API server of their own,
//! and a stand-in for nodes on machines that give no root.

pub mod catalogue;
pub mod control_plane;
pub mod process_node;
pub mod stage;
