//! No secret leaves its place. Every place that holds one gets a value of its own that stands nowhere else; then
//! whatever the operator has written for people and tools is searched for all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Request;
use http_body_util::BodyExt;
use operator::activity::Listening;
use serde_json::{Value, json};
use shared::config::OperatorConfig;
use tests::fake_api::{Failure, Fault, Key, Verb};
use tower::ServiceExt;
use tracing_subscriber::layer::SubscriberExt;

use crate::world::{NAMESPACE, OPERATORS, World, manifest};

/// What is logged while canaries are about: everything that our code can say, and of others what is usual.
const FINEST: &str = "info,operator=trace,shared=trace,world=trace";

/// A secret value, told by its place.
fn canary(place: &str) -> String {
    format!("canary-{place}-7f3a")
}

/// Places that hold secrets, apart from the passwords that the operator makes.
const PLACES: &[&str] = &[
    "infrastructure-role",
    "environment-secret",
    "environment",
    "sidecar",
    "team-token",
    "clone-key",
    "backup-key",
    "scalyr-key",
    "chosen-password",
];

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn configuration() -> OperatorConfig {
    let settings = [
        ("enable_finalizers", "true".to_owned()),
        ("infrastructure_roles_secret_name", "roles".to_owned()),
        ("pod_environment_secret", "environment".to_owned()),
        ("enable_teams_api", "true".to_owned()),
        ("teams_api_url", "http://127.0.0.1:9".to_owned()),
        ("oauth_token_secret_name", "team-token".to_owned()),
        ("logical_backup_s3_secret_access_key", canary("backup-key")),
        ("scalyr_api_key", canary("scalyr-key")),
        ("enable_init_containers", "true".to_owned()),
    ];
    let settings: BTreeMap<String, String> =
        settings.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    OperatorConfig::from_config_map(&settings).unwrap_or_else(|errors| panic!("{errors}"))
}

fn cluster() -> Value {
    let mut manifest = manifest(2);
    manifest["spec"]["env"] = json!([{"name": "TOKEN", "value": canary("environment")}]);
    manifest["spec"]["enableLogicalBackup"] = json!(true);
    manifest["spec"]["sidecars"] = json!([{"name": "teller", "image": "teller:1", "env": [{"name": "KEY", "value": canary("sidecar")}]}]);
    manifest["spec"]["clone"] = json!({
        "cluster": "other", "uid": "1", "timestamp": "2026-01-01T00:00:00+00:00", "s3_access_key_id": "somebody",
        "s3_secret_access_key": canary("clone-key"),
    });
    manifest
}

/// Makes a Secret of text.
fn secret(world: &World, namespace: &str, name: &str, texts: &[(&str, &str)]) {
    let data: BTreeMap<&str, String> =
        texts.iter().map(|(key, text)| (*key, STANDARD.encode(text))).collect();
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data});
    let key = Key::new("", "secrets", namespace, name);
    world.api.with(|store| store.create(key, secret, None).map(drop)).unwrap();
}

/// Every value that stands in a Secret and is no name, and those that are planted elsewhere.
fn secrets(world: &World) -> BTreeSet<String> {
    let mut all: BTreeSet<String> = PLACES.iter().map(|place| canary(place)).collect();
    for secret in world.objects_of("secrets") {
        let encoded = secret["data"]["password"].as_str().map(str::to_owned);
        all.extend(encoded.map(|text| String::from_utf8(STANDARD.decode(text).unwrap()).unwrap()));
    }
    all
}

/// What of these stands in a text, as it is or as a Secret would have it.
fn found_in<'a>(text: &str, secrets: &'a BTreeSet<String>) -> Vec<&'a String> {
    secrets
        .iter()
        .filter(|secret| text.contains(*secret) || text.contains(&STANDARD.encode(secret)))
        .collect()
}

/// What the REST API says to somebody who may read everything.
async fn told(world: &World, path: &str) -> String {
    let request = Request::get(path).header("authorization", "Bearer ann@*").body(axum::body::Body::empty());
    let answer = world.rest_api().oneshot(request.unwrap()).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

/// A life in which much goes wrong.
async fn live(world: &mut World) {
    secret(world, OPERATORS, "roles", &[("user1", "infra"), ("password1", &canary("infrastructure-role"))]);
    secret(world, NAMESPACE, "environment", &[("API_KEY", &canary("environment-secret"))]);
    let token = canary("team-token");
    let token = [("read-only-token-type", "Bearer"), ("read-only-token-secret", token.as_str())];
    secret(world, OPERATORS, "team-token", &token);
    world.api.fail(Fault::on(
        |call| call.key.resource == "secrets" && call.verb == Verb::Create,
        Failure::Status(500),
    ));
    world.servers.lock().unwrap().refuses = Some("CREATE ROLE".to_owned());
    world.start("operator");
    world.apply(cluster());
    world.pass(300).await;
    world.servers.lock().unwrap().refuses = Some("PASSWORD".to_owned());
    world.pass(300).await;
    world.servers.lock().unwrap().refuses = None;
    world.pass(400).await;
    // Somebody changes a password, which cannot be done at first.
    world.servers.lock().unwrap().refuses = Some("PASSWORD".to_owned());
    let app = Key::new("", "secrets", NAMESPACE, "app.demo.credentials.postgresql.acid.zalan.do");
    let chosen = STANDARD.encode(canary("chosen-password"));
    world.api.with(|store| store.edit(&app, |secret| secret["data"]["password"] = json!(chosen)));
    world.pass(60).await;
    world.servers.lock().unwrap().refuses = None;
    world.patch(json!({"dockerImage": "spilo:2"}));
    world.pass(900).await;
    // And a manifest that nothing can be made of.
    world.patch(json!({"volume": {"size": "no size"}}));
    world.pass(60).await;
}

#[tokio::test(start_paused = true)]
async fn no_secret_stands_in_logs_events_status_figures_or_answers() {
    let mut world = World::configured(configuration());
    let log = Log::default();
    let writer = log.clone();
    let lines = tracing_subscriber::fmt().json().with_env_filter(FINEST).with_writer(move || writer.clone());
    // With one subscriber alone a line that another test's thread comes to first would be off for all threads.
    let _other = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    let _logging = tracing::subscriber::set_default(lines.finish().with(Listening(world.activity.clone())));
    live(&mut world).await;

    let secrets = secrets(&world);
    // Of the superuser and of replication; those of the two others were chosen.
    assert!(secrets.len() >= PLACES.len() + 2, "the operator has made passwords: {}", secrets.len());
    let statements = world.servers.lock().unwrap().statements.join("\n");
    for role in ["infra", "app"] {
        assert!(statements.contains(&format!("CREATE ROLE \"{role}\"")), "{role}: {statements}");
    }
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for line in ["step taken", "a stage failed", "not today", "the Teams API did not say"] {
        assert!(log.contains(line), "the log has something to leak, for example {line:?}:\n{log}");
    }
    let mut written = vec![("the log".to_owned(), log), ("the figures".to_owned(), world.metrics.text())];
    written.push(("statements".to_owned(), statements));
    for (kind, objects) in ["events", "postgresqls"].map(|kind| (kind, world.objects_of(kind))) {
        assert!(!objects.is_empty(), "no {kind}");
        let parts = objects
            .iter()
            .map(|object| if kind == "events" { (**object).clone() } else { object["status"].clone() });
        written.push((kind.to_owned(), json!(parts.collect::<Vec<_>>()).to_string()));
    }
    for path in [
        "/status/",
        "/config/",
        "/clusters/",
        "/databases/",
        "/workers/all/status/",
        "/workers/all/queue/",
        "/workers/0/logs/",
        "/clusters/default/demo/",
        "/clusters/default/demo/logs/",
        "/clusters/default/demo/history/",
    ] {
        written.push((path.to_owned(), told(&world, path).await));
    }
    let leaks: Vec<String> = written
        .iter()
        .flat_map(|(place, text)| {
            found_in(text, &secrets).into_iter().map(move |secret| format!("{secret} in {place}"))
        })
        .collect();
    assert!(leaks.is_empty(), "{leaks:#?}");
}

#[tokio::test(start_paused = true)]
async fn passwords_stand_in_secrets_and_in_no_other_object() {
    let mut world = World::configured(configuration());
    live(&mut world).await;
    // What a user writes into a manifest in clear is passed on in clear: that is told at admission.
    let written = ["environment", "sidecar", "clone-key", "backup-key", "scalyr-key"].map(canary);
    let mut passwords = secrets(&world);
    passwords.retain(|password| !written.contains(password));
    let state = world.api.state();
    for (key, object) in state.store.everything().filter(|(key, _)| key.resource != "secrets") {
        let found = found_in(&object.to_string(), &passwords);
        assert!(found.is_empty(), "{found:?} in {} {}", key.resource, key.name);
    }
}
