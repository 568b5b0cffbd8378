//! The kinds of the API group `acid.zalan.do/v1`, as users write them.

pub mod configuration_groups;
