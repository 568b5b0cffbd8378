//! A real PostgreSQL server for one test: made by `initdb` in a temporary directory, TLS only, loopback only.
//!
//! Surprising: PostgreSQL refuses to run as root, so a test that is root becomes the user `postgres` for it.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use operator::database::{Binding, Endpoint};
use tokio_postgres::{Client, NoTls};

/// The superuser's password. It has what URL and connection-string parsers trip over.
const PASSWORD: &str = "p@ss '\\ wörd";

/// As Spilo writes it: `md5` means SCRAM for every role whose verifier is SCRAM. Connections without TLS are not
/// mentioned, so they are refused. Through the socket a test may be anyone, to see what a role may do.
const PG_HBA: &str = "hostssl all all 127.0.0.1/32 md5\nlocal all all trust\n";

/// A running server; dropping it stops it and removes its files.
pub(crate) struct TemporaryServer {
    binaries: PathBuf,
    directory: PathBuf,
    port: u16,
}

/// The binary directory of every PostgreSQL server on this machine, oldest version first.
pub(crate) fn installed() -> Vec<PathBuf> {
    let more = std::env::var("POSTGRESQL_SERVERS").unwrap_or_default();
    let folders = std::iter::once("/usr/lib/postgresql").chain(more.split(':'));
    let versions = folders.filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let mut found: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    found.retain(|binaries| binaries.join("postgres").exists() && binaries.join("initdb").exists());
    found.sort_by_key(|binaries| binaries.parent().and_then(Path::file_name).map(ToOwned::to_owned));
    found
}

impl TemporaryServer {
    /// Makes and starts a server; returns when it answers.
    pub(crate) fn start(binaries: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let directory = std::env::temp_dir().join(format!("operator-postgres-{}-{port}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let server = Self { binaries: binaries.to_owned(), directory, port };
        server.write_credentials();
        server.give_to_postgres();
        server.run(
            "initdb",
            &["-D", "data", "-U", "postgres", "-A", "scram-sha-256", "--pwfile=password", "-N"],
        );
        fs::write(server.directory.join("data/pg_hba.conf"), PG_HBA).unwrap();
        let settings = server.settings();
        server.run("pg_ctl", &["start", "-w", "-D", "data", "-l", "log", "-o", &settings]);
        server
    }

    /// The server's maintenance database, as its superuser.
    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint {
            host: "127.0.0.1".into(),
            port: self.port,
            database: "postgres".into(),
            user: "postgres".into(),
            password: PASSWORD.into(),
            server_name: "demo.default.svc.cluster.local".into(),
            binding: Binding::Required,
        }
    }

    /// A connection through the socket, as any role.
    pub(crate) async fn client(&self, user: &str, database: &str) -> Client {
        self.try_client(user, database).await.unwrap()
    }

    async fn try_client(&self, user: &str, database: &str) -> Result<Client, tokio_postgres::Error> {
        let mut config = tokio_postgres::Config::new();
        config.host_path(&self.directory).port(self.port).user(user).dbname(database);
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Runs SQL as any role: nothing, or the five characters of the SQLSTATE.
    pub(crate) async fn try_sql(&self, user: &str, database: &str, sql: &str) -> Result<(), String> {
        let done = match self.try_client(user, database).await {
            Ok(client) => client.batch_execute(sql).await,
            Err(error) => Err(error),
        };
        done.map_err(|error| error.code().map_or_else(|| error.to_string(), |code| code.code().to_owned()))
    }

    /// Runs SQL that has to work.
    pub(crate) async fn sql(&self, user: &str, database: &str, sql: &str) {
        assert_eq!(self.try_sql(user, database, sql).await, Ok(()), "{user} in {database}: {sql}");
    }

    fn settings(&self) -> String {
        let directory = self.directory.display();
        let (port, key) = (self.port, format!("{directory}/key.pem"));
        format!(
            "-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={directory} -c fsync=off \
             -c wal_level=logical \
             -c ssl=on -c ssl_cert_file={directory}/certificate.pem -c ssl_key_file={key}"
        )
    }

    /// The superuser's password, and a certificate signed by its own key, as Spilo makes one.
    fn write_credentials(&self) {
        let made = rcgen::generate_simple_self_signed(vec!["spilo.dummy.org".to_owned()]).unwrap();
        fs::write(self.directory.join("password"), PASSWORD).unwrap();
        fs::write(self.directory.join("certificate.pem"), made.cert.pem()).unwrap();
        fs::write(self.directory.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        let private = Command::new("chmod").args(["-R", "go="]).arg(&self.directory).status();
        assert!(private.unwrap().success());
    }

    fn give_to_postgres(&self) {
        if is_root() {
            let given = Command::new("chown").args(["-R", "postgres:postgres"]).arg(&self.directory).status();
            assert!(given.unwrap().success(), "no user postgres to run the server as");
        }
    }

    /// Runs one of the server's programs to its end, as someone PostgreSQL accepts.
    fn run(&self, program: &str, arguments: &[&str]) {
        let program = self.binaries.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(&program);
            command
        } else {
            Command::new(&program)
        };
        // Output goes to a file: a server that inherits a pipe would keep the test's reader waiting.
        let output =
            fs::File::options().create(true).append(true).open(self.directory.join("output")).unwrap();
        command
            .args(arguments)
            .current_dir(&self.directory)
            .stdout(output.try_clone().unwrap())
            .stderr(output);
        let status = command.status().unwrap();
        assert!(
            status.success(),
            "{} failed:\n{}{}",
            program.display(),
            self.text("output"),
            self.text("log")
        );
    }

    fn text(&self, file: &str) -> String {
        fs::read_to_string(self.directory.join(file)).unwrap_or_default()
    }
}

impl Drop for TemporaryServer {
    fn drop(&mut self) {
        if self.directory.join("data/postmaster.pid").exists() {
            self.run("pg_ctl", &["stop", "-w", "-m", "immediate", "-D", "data"]);
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}
