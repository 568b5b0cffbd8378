//! The client: a pod in the story's namespace from which SQL is asked, as an application would.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{Api, AttachParams, PostParams};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{SETTLED, SOON, Stage, Stop, Told, image, until};

/// The client's pod.
const CLIENT: &str = "client";

/// How long one command may take.
const COMMAND: Duration = Duration::from_secs(60);

/// A user of a database: where it connects to, and as whom.
pub struct Session<'a> {
    stage: &'a Stage,
    host: String,
    user: String,
    password: String,
    database: String,
    port: u16,
    tls: Vec<String>,
}

impl<'a> Session<'a> {
    /// With the user name and password of a Secret.
    pub(super) async fn of(stage: &'a Stage, host: &str, secret: &str, database: &str) -> Told<Self> {
        Self::by(stage, host, (stage.namespace(), secret), database).await
    }

    /// With those of a Secret of some namespace.
    pub(super) async fn by(
        stage: &'a Stage,
        host: &str,
        (namespace, secret): (&str, &str),
        database: &str,
    ) -> Told<Self> {
        let secrets: Api<Secret> = Api::namespaced(stage.client(), namespace);
        let what = format!("Secret {secret} is there");
        let found = until(&what, SOON, async || Ok(secrets.get(secret).await?)).await?;
        let data = found.data.unwrap_or_default();
        let text = |key: &str| match data.get(key) {
            Some(value) => Ok(String::from_utf8_lossy(&value.0).into_owned()),
            None => Stop::failed(format!("Secret {secret} has no {key}")),
        };
        let (user, password) = (text("username")?, text("password")?);
        let (host, database) = (host.to_owned(), database.to_owned());
        let tls = vec!["PGSSLMODE=require".to_owned()];
        Ok(Self { stage, host, user, password, database, port: 5432, tls })
    }

    /// The same user at another Service.
    pub fn at(self, host: impl Into<String>) -> Self {
        Self { host: host.into(), ..self }
    }

    /// The same user at another port.
    pub fn at_port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// The same user, who talks only to a server whose certificate names the host and comes from the authority in this
    /// file of the client's pod.
    pub fn trusting_only(self, authority: &str) -> Self {
        Self { tls: vec!["PGSSLMODE=verify-full".to_owned(), format!("PGSSLROOTCERT={authority}")], ..self }
    }

    /// What libpq reads from its environment. TLS is demanded, whatever the certificate, unless it was asked for more.
    pub(super) fn environment(&self) -> Vec<String> {
        let Self { host, user, password, database, port, .. } = self;
        let mut environment = vec![
            format!("PGHOST={host}"),
            format!("PGPORT={port}"),
            format!("PGUSER={user}"),
            format!("PGPASSWORD={password}"),
            format!("PGDATABASE={database}"),
            "PGCONNECT_TIMEOUT=3".to_owned(),
        ];
        environment.extend(self.tls.iter().cloned());
        environment
    }

    /// What the database answers: one line per row, columns separated by `|`.
    ///
    /// # Errors
    /// With what psql says.
    pub async fn sql(&self, statement: &str) -> Told<String> {
        let mut command = vec!["env".to_owned()];
        command.extend(self.environment());
        let psql = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", statement];
        command.extend(psql.map(str::to_owned));
        Ok(self.stage.in_client(&command).await?.trim_end().to_owned())
    }

    /// What a shell script prints that finds the user in its environment, as `psql` does. Its arguments begin at `$0`.
    ///
    /// # Errors
    /// With what it says on standard error.
    pub async fn shell(&self, script: &str, arguments: &[&str]) -> Told<String> {
        let mut command = vec!["env".to_owned()];
        command.extend(self.environment());
        command.extend(["bash", "-c", script].iter().chain(arguments).map(|&word| word.to_owned()));
        self.stage.in_client(&command).await
    }

    /// Asks until the database answers at all.
    ///
    /// # Errors
    /// With what psql said last.
    pub async fn until_sql(&self, statement: &str) -> Told<String> {
        let what = format!("`{statement}` is answered at {}", self.host);
        until(&what, SETTLED, async || self.sql(statement).await).await
    }

    /// Asks until the answer is the expected one.
    ///
    /// # Errors
    /// With the last answer.
    pub async fn until_sql_is(&self, statement: &str, expected: &str) -> Told {
        let what = format!("`{statement}` gives {expected} at {}", self.host);
        until(&what, SOON, async || match self.sql(statement).await? {
            answer if answer == expected => Ok(()),
            answer => Stop::failed(answer),
        })
        .await
    }

    pub(super) fn stage(&self) -> &'a Stage {
        self.stage
    }
}

impl Stage {
    /// Makes the client's pod where it is missing, so that starting it costs no time later.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn with_client(&self) -> Told {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": CLIENT},
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "containers": [{
                    "name": CLIENT,
                    "image": image(),
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sleep", "infinity"],
                }],
            },
        }))?;
        let pods: Api<Pod> = self.api();
        match pods.create(&PostParams::default(), &pod).await {
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            created => drop(created?),
        }
        until("the client's pod runs", SOON, async || {
            let phase = pods.get(CLIENT).await?.status.and_then(|status| status.phase).unwrap_or_default();
            if phase == "Running" { Ok(()) } else { Stop::failed(phase) }
        })
        .await
    }

    /// What a command in the client's pod prints.
    ///
    /// # Errors
    /// With what it says on standard error, when it fails.
    pub async fn in_client(&self, command: &[String]) -> Told<String> {
        self.in_pod(CLIENT, command).await
    }

    /// What a command in a pod's first container prints.
    ///
    /// # Errors
    /// With what it says on standard error, when it fails.
    pub async fn in_pod(&self, pod: &str, command: &[String]) -> Told<String> {
        self.run(AttachParams::default(), pod, command).await
    }

    /// What a command in a certain container prints.
    ///
    /// # Errors
    /// With what it says on standard error, when it fails.
    pub async fn in_container(&self, pod: &str, container: &str, script: &str) -> Told<String> {
        let command = ["sh", "-c", script].map(str::to_owned);
        let printed = self.run(AttachParams::default().container(container), pod, &command).await?;
        Ok(printed.trim_end().to_owned())
    }

    async fn run(&self, params: AttachParams, pod: &str, command: &[String]) -> Told<String> {
        let pods: Api<Pod> = self.api();
        let run = async {
            let params = params.stdin(false).stdout(true).stderr(true);
            let mut process = pods.exec(pod, command, &params).await?;
            let (stdout, stderr, status) = (process.stdout(), process.stderr(), process.take_status());
            let ended = async {
                match status {
                    Some(status) => status.await,
                    None => None,
                }
            };
            let (stdout, stderr, status) = futures::join!(everything(stdout), everything(stderr), ended);
            match status {
                Some(Status { status: Some(word), .. }) if word == "Success" => Ok(stdout),
                other => Stop::failed(format!("{}{}", stderr.trim_end(), reason(other))),
            }
        };
        match tokio::time::timeout(COMMAND, run).await {
            Ok(result) => result,
            Err(_) => Stop::failed(format!("a command in {pod} took longer than {} s", COMMAND.as_secs())),
        }
    }
}

fn reason(status: Option<Status>) -> String {
    let message = status.and_then(|status| status.message);
    message.map_or(String::new(), |message| format!(" ({message})"))
}

async fn everything(stream: Option<impl AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        // What came before the connection broke is still worth telling; the status says that it broke.
        let _ = stream.read_to_end(&mut bytes).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
