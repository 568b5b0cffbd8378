//! The admission webhook: HTTP, TLS and command line around `shared::admission`, which makes every decision.
//!
//! ```text
//!   args ─► serve ─┬─ tls            the certificate, swapped when its files change
//!                  ├─ configuration  the operator's configuration, watched
//!                  ├─ surroundings   what stands around manifests in Kubernetes, watched
//!                  ├─ audit          stored manifests that would be rejected today
//!                  ├─ metrics
//!                  └─ routes ─► review ─► mutate, validate ─► shared::admission
//!   offline ───────────────────────────────────────────────► shared::admission
//! ```
//!
//! Nothing here has side effects, so dry runs need no care. Objects are handed on as the raw JSON that arrived: a
//! typed copy would lose what we do not know and stop at the first value that does not fit.

pub mod answer;
pub mod args;
pub mod audit;
pub mod configuration;
pub mod metrics;
pub mod mutate;
pub mod offline;
pub mod review;
pub mod routes;
pub mod serve;
pub mod surroundings;
pub mod tls;
pub mod validate;
