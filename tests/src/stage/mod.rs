//! A stage for stories: a namespace of a real Kubernetes in which one story is played and of which nothing stays.
//!
//! ```text
//!  playbill ──► Stage (a namespace) ──► Cluster (a manifest) ──► Session (SQL) ──► Writer (numbered rows)
//!     │            │                        └──► Watcher (what happened to pods, roles and status)
//!     │            └──► Operator (its pod, its log, its configuration)
//!     └── passed, failed, skipped
//! ```
//!
//! It talks to whatever `KUBECONFIG` names, through the API server alone: commands and SQL go through `pods/exec`, so
//! the machine that runs the stories needs no way to pods or Services. Every wait has a deadline and says what it
//! waited for.

mod audit;
mod beside;
mod client_pod;
mod cluster;
mod crowd;
mod histogram;
mod images;
mod installation;
mod leaks;
mod loophole;
mod manifest;
mod namespace;
mod object_store;
mod operator;
mod playbill;
mod reader;
mod reviews;
mod stop;
mod until;
mod watcher;
mod webhook;
mod writer;

pub use audit::{AuditLog, Request};
pub use beside::Beside;
pub use client_pod::Session;
pub use cluster::Cluster;
pub use histogram::Histogram;
pub use images::{backup_image, image, other_image};
pub use loophole::Loophole;
pub use manifest::{Refusal, from_yaml};
pub use namespace::Stage;
pub use object_store::ObjectStore;
pub use operator::Operator;
pub use playbill::{Story, perform};
pub use reader::{Reader, Typed, repository};
pub use reviews::{Reviews, Verdicts};
pub use stop::{Stop, Told};
pub use until::{SETTLED, SOON, until};
pub use watcher::{Recreation, Watcher};
pub use webhook::Webhook;
pub use writer::{Writer, Written};
