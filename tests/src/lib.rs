//! What tests stand on.

pub mod process_node;
