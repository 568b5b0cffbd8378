//! What tests stand on.

pub mod process_node;
//! What tests of more than one crate share.
pub mod stage;
