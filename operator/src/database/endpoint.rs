//! Where and as whom to connect. Surprising: the password is in here, so `Debug` leaves it out.

use std::fmt;

use shared::roles::DatabaseName;

/// A PostgreSQL server, one of its databases, and who we are there.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// A DNS name or an IP address of the primary (its Service, or its pod).
    pub host: String,
    /// The port, 5432 in a pod.
    pub port: u16,
    /// The database to connect to: `postgres` for roles and databases.
    pub database: String,
    /// The role to log in as: the superuser.
    pub user: String,
    /// Its password.
    pub password: String,
    /// The name sent to the server in the TLS handshake: the Service's, whatever `host` says.
    pub server_name: String,
    /// Whether a server that cannot bind the password exchange to its certificate is refused.
    pub binding: Binding,
}

impl Endpoint {
    /// The same server and role, another database.
    pub fn in_database(&self, name: &DatabaseName) -> Self {
        Self { database: name.to_string(), ..self.clone() }
    }
}

/// Whether the password exchange has to be bound to the TLS connection (`SCRAM-SHA-256-PLUS`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Binding {
    /// Where the server offers it: a superuser whose password is still stored as MD5 cannot do it.
    #[default]
    Preferred,
    /// Always: no impostor can ask for the password in clear.
    Required,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `postgres@10.0.0.7:5432/postgres`.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}:{}/{}", self.user, self.host, self.port, self.database)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_form_of_an_endpoint_shows_its_password() {
        let endpoint = Endpoint {
            host: "demo.default.svc".into(),
            port: 5432,
            database: "postgres".into(),
            user: "postgres".into(),
            password: "hunter2".into(),
            server_name: "demo.default.svc".into(),
            binding: Binding::Preferred,
        };
        assert_eq!(endpoint.to_string(), "postgres@demo.default.svc:5432/postgres");
        assert!(!format!("{endpoint:#?} {endpoint}").contains("hunter2"));
    }
}
