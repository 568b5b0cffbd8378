//! One cluster: reading its world, and bringing it to what the manifest says.

pub mod stores;
