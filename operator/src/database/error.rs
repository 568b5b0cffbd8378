//! What can go wrong with a database. Surprising: PostgreSQL's answer to a failed statement may quote the statement,
//! so only its code and its short message are kept, never its detail or its context.

use std::time::Duration;

use shared::roles::Statement;
use tokio_postgres::error::DbError;

/// A failed act on a database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// No connection: nobody there, no TLS, no way to prove the password, or not a primary.
    #[error("could not connect to the database")]
    Connect(#[source] tokio_postgres::Error),
    /// PostgreSQL is there and does not let us in: wrong password, no such database, still starting.
    #[error("not let in by PostgreSQL ({code}): {message}")]
    Rejected {
        /// The five characters of its SQLSTATE.
        code: String,
        /// Its primary message.
        message: String,
    },
    /// The TLS settings or the server's name are unusable.
    #[error("could not prepare TLS for the database connection")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Nothing came back in time.
    #[error("no answer from the database within {0:?}")]
    Deadline(Duration),
    /// The catalog could not be read.
    #[error("could not read the catalog")]
    Catalog(#[source] tokio_postgres::Error),
    /// The catalog holds something that has no place in ours.
    #[error("could not understand the catalog: {0}")]
    Unreadable(String),
    /// PostgreSQL refused a statement.
    #[error("refused by PostgreSQL ({code}): {message}")]
    Refused {
        /// The five characters of its SQLSTATE.
        code: String,
        /// Its primary message; never a detail, a hint or a context.
        message: String,
    },
    /// The connection ended before the statement was answered; whether it took effect shows in the next catalog.
    #[error("the database connection was lost")]
    Lost,
    /// A statement could not even be sent.
    #[error("could not send the statement")]
    Unsent(#[source] tokio_postgres::Error),
}

impl DatabaseError {
    /// What a failed connection means.
    pub(super) fn of_connection(error: tokio_postgres::Error) -> Self {
        match error.as_db_error().map(answer) {
            Some((code, message)) => Self::Rejected { code, message },
            None => Self::Connect(error),
        }
    }

    /// What a failed statement means: PostgreSQL's answer, a lost connection, or one that never left.
    pub(super) fn of_statement(error: tokio_postgres::Error) -> Self {
        match error.as_db_error().map(answer) {
            Some((code, message)) => Self::Refused { code, message },
            None if error.is_closed() => Self::Lost,
            None => Self::Unsent(error),
        }
    }

    /// A word for metrics.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Rejected { .. } => "rejected",
            Self::Tls(_) => "tls",
            Self::Deadline(_) => "deadline",
            Self::Catalog(_) => "catalog",
            Self::Unreadable(_) => "unreadable",
            Self::Refused { .. } => "refused",
            Self::Lost => "lost",
            Self::Unsent(_) => "unsent",
        }
    }
}

/// What may be repeated of PostgreSQL's answer.
fn answer(error: &DbError) -> (String, String) {
    (error.code().code().to_owned(), error.message().to_owned())
}

/// A statement that failed, and why.
#[derive(Debug, thiserror::Error)]
#[error("could not run {statement}")]
pub struct Failure {
    /// The statement; it shows itself without passwords.
    pub statement: Statement,
    /// What went wrong.
    pub source: DatabaseError,
}
