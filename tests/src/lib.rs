//! What tests of more than one crate stand on: a stage for stories on a real Kubernetes, and a stand-in for nodes on
//! machines that give no root.

pub mod process_node;
pub mod stage;
