//! Patroni as data: what its dynamic configuration should be, what has to change, and who its members are.
//!
//! `build` makes the desired configuration, `plan` and `rollout` ask for the difference and for the members; the HTTP
//! calls live in the operator. A newcomer would not guess that Patroni keeps settings in two places (its store and
//! each pod's environment), and that the pod's environment always wins: [`settings`] knows which name lives where.

pub mod config;
mod in_force;
pub mod member;
pub mod patch;
pub mod settings;

pub use config::{AppliedKeys, Bootstrap, DynamicConfig, StandbyCluster};
pub use in_force::{ChangeCost, cost_of_change};
pub use member::{Lag, Member, MemberRole, MemberState, MemberStatus, Members, PendingChange};
pub use patch::{lowered, patch};
pub use settings::{Cost, Place};
