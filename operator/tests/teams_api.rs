//! The Teams API over real connections: who is asked what, and what a failure costs.

// Clippy exempts test functions, not the helpers beside them.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use operator::metrics::Metrics;
use operator::team::{Answers, Teams, TeamsError, Token, authorities, connect};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use shared::roles::team::Answer;
use tokio_rustls::TlsAcceptor;

/// What the server answers from now on, and what it was asked.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    down: bool,
    asked: Vec<String>,
}

async fn team(
    State(server): State<Server>,
    Path(team): Path<String>,
    headers: HeaderMap,
) -> (StatusCode, String) {
    let mut told = server.0.lock().unwrap();
    told.asked.push(team.clone());
    let authorised = headers.get("authorization").is_some_and(|value| value == "Bearer s3cret");
    let answer = |status, body: &str| (status, body.to_owned());
    match team.as_str() {
        _ if told.down => answer(StatusCode::BAD_GATEWAY, "{\"error\": \"s3cret\"}"),
        _ if !authorised => answer(StatusCode::UNAUTHORIZED, "{\"error\": \"who are you\"}"),
        "acid" => answer(StatusCode::OK, r#"{"id": "acid", "member": ["ann", "bob"], "alias": []}"#),
        "a/b ü" => answer(StatusCode::OK, r#"{"member": []}"#),
        "broken" => answer(StatusCode::OK, r#"{"id": "broken"}"#),
        "null" => answer(StatusCode::OK, r#"{"member": null}"#),
        _ => answer(StatusCode::NOT_FOUND, r#"{"error": "no such team"}"#),
    }
}

impl Server {
    /// Starts to listen; the address.
    async fn start(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/api/", listener.local_addr().unwrap());
        let router = Router::new().route("/api/teams/{team}", get(team)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().asked)
    }

    fn down(&self, down: bool) {
        self.0.lock().unwrap().down = down;
    }
}

fn client() -> Teams {
    Teams::new(connect(authorities()).unwrap(), Metrics::default())
}

async fn answers(client: &Teams, url: &str, teams: &[&str], secret: &str) -> Answers {
    let teams: Vec<String> = teams.iter().map(|team| (*team).to_owned()).collect();
    let token = async || {
        Token::new(Some("Bearer"), Some(secret.to_owned()))
            .ok_or(TeamsError::Token { secret: "operator/token".to_owned() })
    };
    client.answers(url, &teams, token).await
}

/// Long enough for everything to be asked again.
async fn later() {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(301)).await;
    tokio::time::resume();
}

fn members(names: &[&str]) -> Answer {
    Answer::Members(names.iter().map(|name| (*name).to_owned()).collect())
}

#[tokio::test]
async fn members_are_asked_for_by_name_and_with_the_token() {
    let server = Server::default();
    let url = server.start().await;
    let answers = answers(&client(), &url, &["acid", "a/b ü", "nobody", ".."], "s3cret").await;
    assert_eq!(answers.of["acid"], members(&["ann", "bob"]));
    assert_eq!(answers.of["a/b ü"], members(&[]), "its name is one part of the address");
    assert_eq!(answers.of["nobody"], Answer::NoSuchTeam);
    assert_eq!(answers.of[".."], Answer::NoSuchTeam);
    assert_eq!(answers.problems, [""; 0]);
    assert_eq!(server.asked().len(), 3, "nobody is asked about the folder above");
}

#[tokio::test]
async fn a_good_answer_serves_for_a_while() {
    let server = Server::default();
    let (url, client) = (server.start().await, client());
    answers(&client, &url, &["acid"], "s3cret").await;
    answers(&client.clone(), &url, &["acid"], "s3cret").await;
    assert_eq!(server.asked(), ["acid"]);
}

#[tokio::test]
async fn whom_the_api_once_named_stays_while_it_is_down() {
    let server = Server::default();
    let (url, client) = (server.start().await, client());
    answers(&client, &url, &["acid"], "s3cret").await;
    server.down(true);
    later().await;
    let down = answers(&client, &url, &["acid", "late"], "s3cret").await;
    assert_eq!(down.of["acid"], members(&["ann", "bob"]), "as it was before");
    assert_eq!(down.of["late"], Answer::Unknown);
    assert_eq!(
        down.problems,
        [
            r#"the Teams API answered 502 Bad Gateway about team "acid""#,
            r#"the Teams API answered 502 Bad Gateway about team "late""#
        ]
    );
    server.asked();
    answers(&client, &url, &["acid", "late"], "s3cret").await;
    assert_eq!(server.asked(), [""; 0], "a failed question is not repeated at once");

    server.down(false);
    later().await;
    let up = answers(&client, &url, &["acid", "late"], "s3cret").await;
    assert_eq!((up.problems.len(), &up.of["late"]), (0, &Answer::NoSuchTeam));
}

#[tokio::test]
async fn an_answer_without_members_is_no_empty_team() {
    let server = Server::default();
    let url = server.start().await;
    let answers = answers(&client(), &url, &["broken", "null"], "s3cret").await;
    assert!(answers.of.values().all(|answer| *answer == Answer::Unknown));
    assert_eq!(answers.problems.len(), 2, "{:?}", answers.problems);
}

#[tokio::test]
async fn a_wrong_token_an_unusable_one_and_nobody_there_are_told_without_it() {
    let server = Server::default();
    let url = server.start().await;
    let closed = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let told =
        async |url: &str, secret: &str| answers(&client(), url, &["acid"], secret).await.problems.join(";");
    assert_eq!(told(&url, "hunter2").await, r#"the Teams API answered 401 Unauthorized about team "acid""#);
    assert!(told(&url, "").await.starts_with("Secret operator/token holds no token"));
    let unreachable = told(&closed, "hunter2").await;
    assert!(unreachable.starts_with(r#"could not reach the Teams API about team "acid""#), "{unreachable}");
    assert!(!unreachable.contains("hunter2"));
    assert!(told("no address", "hunter2").await.starts_with("could not reach the Teams API"));
    assert!(Token::new(Some("Basic"), Some("x".to_owned())).is_none());
    assert!(!format!("{:?}", Token::new(Some("Bearer"), Some("hunter2".to_owned()))).contains("hunter2"));
}

/// A server with a certificate of its own authority; its address and the authority.
async fn over_tls() -> (String, CertificateDer<'static>) {
    let authority = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&authority).unwrap();
    let key = KeyPair::generate().unwrap();
    let issuer = Issuer::from_params(&params, &authority);
    let leaf = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let provider = rustls::crypto::ring::default_provider();
    let config = rustls::ServerConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/api/", listener.local_addr().unwrap().port());
    let router = Router::new().route("/api/teams/{team}", get(team)).with_state(Server::default());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let service = TowerToHyperService::new(router.clone());
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    (url, ca.der().clone())
}

#[tokio::test]
async fn over_https_only_an_api_is_believed_for_which_a_known_authority_vouches() {
    let (url, authority) = over_tls().await;
    let stranger = answers(&client(), &url, &["acid"], "s3cret").await;
    assert_eq!(stranger.of["acid"], Answer::Unknown);
    assert_eq!(stranger.problems.len(), 1);
    assert!(stranger.problems[0].contains("could not reach the Teams API"), "{:?}", stranger.problems);
    assert!(stranger.problems[0].contains("UnknownIssuer"), "{:?}", stranger.problems);

    let mut trusted = rustls::RootCertStore::empty();
    trusted.add(authority).unwrap();
    let client = Teams::new(connect(trusted).unwrap(), Metrics::default());
    let known = answers(&client, &url, &["acid"], "s3cret").await;
    assert_eq!((known.problems.len(), &known.of["acid"]), (0, &members(&["ann", "bob"])));
}
