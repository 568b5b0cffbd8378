//! The port to a cluster's PostgreSQL: read the catalog, read what one database holds, run statements.
//!
//! `provision` asks it, between two pure questions to `shared::roles`. It is a trait because SQL is not HTTP: tests
//! simulate it, and the real one is [`Postgres`]. Surprising: a statement that fails does not stop the ones after it, so
//! one bad role costs one role.

mod counted;
mod endpoint;
mod error;
mod inside;
mod postgres;
mod read;
mod tls;

use futures::future::BoxFuture;
use shared::roles::contents::Existing;
use shared::roles::{Catalog, Statement};

pub use counted::Counted;
pub use endpoint::{Binding, Endpoint};
pub use error::{DatabaseError, Failure};
pub use postgres::{Limits, Postgres};

/// What the operator may ask of a database server.
pub trait Database: Send + Sync {
    /// Everything the server has, as far as `shared::roles::plan` compares it.
    fn catalog<'a>(&'a self, at: &'a Endpoint) -> BoxFuture<'a, Result<Catalog, DatabaseError>>;

    /// What the one database holds that `at` names, as far as `shared::roles::contents::plan` compares it.
    fn contents<'a>(&'a self, at: &'a Endpoint) -> BoxFuture<'a, Result<Existing, DatabaseError>>;

    /// Runs each statement by itself, in order, and returns those that failed; an error only if none could be tried.
    fn run<'a>(
        &'a self,
        at: &'a Endpoint,
        statements: &'a [Statement],
    ) -> BoxFuture<'a, Result<Vec<Failure>, DatabaseError>>;
}
