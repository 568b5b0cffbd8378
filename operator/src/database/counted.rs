//! A [`Database`] whose questions are counted and timed. `main` wraps the real one in it.

use futures::FutureExt;
use futures::future::BoxFuture;
use shared::roles::contents::Existing;
use shared::roles::{Catalog, Statement};
use tokio::time::Instant;

use crate::metrics::Metrics;

use super::{Database, DatabaseError, Endpoint, Failure};

/// Counts what `D` is asked.
pub struct Counted<D> {
    database: D,
    metrics: Metrics,
}

impl<D: Database> Counted<D> {
    /// Counts into these figures.
    pub fn new(database: D, metrics: Metrics) -> Self {
        Self { database, metrics }
    }

    async fn counted<T>(
        &self,
        answer: BoxFuture<'_, Result<T, DatabaseError>>,
        trouble: impl Fn(&T) -> Option<&'static str>,
    ) -> Result<T, DatabaseError> {
        let begun = Instant::now();
        let result = answer.await;
        let wrong = result.as_ref().map_or_else(|error| Some(error.category()), trouble);
        self.metrics.requested("sql", wrong.map_or(Ok(()), Err), begun.elapsed());
        result
    }
}

impl<D: Database> Database for Counted<D> {
    fn catalog<'a>(&'a self, at: &'a Endpoint) -> BoxFuture<'a, Result<Catalog, DatabaseError>> {
        self.counted(self.database.catalog(at), |_| None).boxed()
    }

    fn contents<'a>(&'a self, at: &'a Endpoint) -> BoxFuture<'a, Result<Existing, DatabaseError>> {
        self.counted(self.database.contents(at), |_| None).boxed()
    }

    /// Many statements count as one request; the first failure is its outcome.
    fn run<'a>(
        &'a self,
        at: &'a Endpoint,
        statements: &'a [Statement],
    ) -> BoxFuture<'a, Result<Vec<Failure>, DatabaseError>> {
        let first = |failures: &Vec<Failure>| failures.first().map(|failure| failure.source.category());
        self.counted(self.database.run(at, statements), first).boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::future::ready;

    use super::*;

    /// A server that answers the catalog and nothing else.
    struct Half;

    impl Database for Half {
        fn catalog<'a>(&'a self, _: &'a Endpoint) -> BoxFuture<'a, Result<Catalog, DatabaseError>> {
            ready(Ok(Catalog::default())).boxed()
        }

        fn contents<'a>(&'a self, _: &'a Endpoint) -> BoxFuture<'a, Result<Existing, DatabaseError>> {
            ready(Err(DatabaseError::Deadline(Duration::from_secs(1)))).boxed()
        }

        fn run<'a>(
            &'a self,
            _: &'a Endpoint,
            statements: &'a [Statement],
        ) -> BoxFuture<'a, Result<Vec<Failure>, DatabaseError>> {
            let failed =
                |statement: &Statement| Failure { statement: statement.clone(), source: DatabaseError::Lost };
            ready(Ok(statements.iter().map(failed).collect())).boxed()
        }
    }

    #[tokio::test]
    async fn every_question_is_counted_by_what_came_of_it() {
        let metrics = Metrics::default();
        let database = Counted::new(Half, metrics.clone());
        let at = Endpoint {
            host: String::new(),
            port: 5432,
            server_name: String::new(),
            database: String::new(),
            user: String::new(),
            password: String::new(),
            binding: crate::database::Binding::Preferred,
        };
        let lost = [Statement::DropRole { name: "app".parse().unwrap() }];
        database.catalog(&at).await.unwrap();
        database.contents(&at).await.unwrap_err();
        database.run(&at, &lost).await.unwrap();
        let text = metrics.text();
        for outcome in ["ok", "deadline", "lost"] {
            let line = format!("postgres_operator_requests_total{{to=\"sql\",outcome=\"{outcome}\"}} 1");
            assert!(text.contains(&line), "{line} in {text}");
        }
        assert!(text.contains("postgres_operator_request_seconds_count{to=\"sql\"} 3"), "{text}");
    }
}
