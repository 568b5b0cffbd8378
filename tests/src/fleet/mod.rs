//! A fleet of clusters on a real control plane, and what it costs: how fast they come, how many requests they take,
//! how soon a change is seen, what is asked for at rest, and how much memory and time the operator needs.
//!
//! Real: etcd, API server, controllers, scheduler, the operator as a process of its own. Stand-ins: nodes and volumes
//! (one write each), and Patroni, one member per pod address. A newcomer would not guess why everything is measured
//! beside a *floor*: the same objects, created by a bare loader on a fresh control plane. What the machine needs for them
//! anyway is no merit and no fault of the operator.
//!
//! ```text
//!  load ──► API server ◄── controllers, scheduler
//!              ▲  ▲ └────► kubelet + volumes (stand-ins) ──► patroni, one address per pod
//!     operator ┘  └ fleet (watches the statuses)                ▲
//!        └──────────────────────────────────────────────────────┘
//! ```

pub mod args;
mod audit;
mod changes;
mod copies;
mod floor;
mod kubelet;
mod load;
mod members;
mod nodes;
mod operator;
mod patroni;
mod plot;
pub mod report;
mod run;
mod timeline;
mod volumes;
mod watching;
mod webhook;
mod world;

pub use run::run;

/// What came of it, or what stood in the way, for a person.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
