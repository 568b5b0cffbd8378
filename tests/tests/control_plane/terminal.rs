//! How long an error takes to the terminal: `kubectl apply` of a manifest with five mistakes, against kubectl's own start
//! and against an apply that no webhook is asked about.
//!
//! A measurement and no story: it is made when it is named, prints a table for docs/performance.md and asserts no time. The
//! webhook is the program that `WEBHOOK` names, so that an optimised one can be measured; or else it is part of this one.

use std::path::Path;
use std::time::{Duration, Instant};

use futures::future::Either;
use kube::Client;
use serde_json::{Value, json};
use shared::config::OperatorConfig;
use tests::catalogue::{self, Subject};
use tests::control_plane::WebhookProgram;
use tokio::process::Command;

use crate::admission::{Webhook, apply, certificate, configurations, namespace};
use crate::{golden, kubeconfig};

const ROUNDS: usize = 200;

pub(crate) async fn from_apply_to_error(client: Client) {
    namespace(&client, "asked", json!({})).await;
    namespace(&client, "not-asked", json!({})).await;
    let folder = std::env::temp_dir().join(format!("terminal-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    // Whichever it is, it answers until this is dropped.
    let _webhook = match std::env::var_os("WEBHOOK") {
        Some(program) => Either::Left(start(&client, Path::new(&program), &folder).await),
        None => Either::Right(Webhook::for_namespace(&client, "asked", OperatorConfig::default()).await),
    };
    let wrong = file(&folder, "wrong", "asked", manifest_with_five_errors());
    let (_, complete) = golden::manifests().into_iter().max_by_key(|(_, text)| text.len()).unwrap();
    let right: Value = serde_saphyr::from_str(&complete).unwrap();
    let not_asked = file(&folder, "not-asked", "not-asked", right.clone());
    let asked = file(&folder, "asked", "asked", right);

    let dry = |file: &str| {
        vec!["apply".to_owned(), "--dry-run=server".to_owned(), "-f".to_owned(), file.to_owned()]
    };
    let commands = [
        (
            "kubectl's start: `kubectl version --client`",
            vec!["version".to_owned(), "--client".to_owned()],
            "",
        ),
        ("dry run of a valid manifest, no webhook", dry(&not_asked), ""),
        ("dry run of a valid manifest, both webhooks", dry(&asked), ""),
        (
            "apply of a manifest with five errors",
            vec!["apply".to_owned(), "-f".to_owned(), wrong],
            "is invalid",
        ),
    ];
    let mut took: Vec<Vec<Duration>> = commands.iter().map(|_| Vec::new()).collect();
    for round in 0..=ROUNDS {
        for (at, (_, arguments, refusal)) in commands.iter().enumerate() {
            let time = timed(arguments, refusal).await;
            // In the first round kubectl learns what kinds there are, and keeps it.
            if round > 0 {
                took[at].push(time);
            }
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
    println!("| command | p50 | p99 | beyond kubectl's start, p50 | p99 |\n|---|---|---|---|---|");
    // The same quantile of both: a difference of single runs would hold the noise of two.
    let start = [at(&took[0], 0.5), at(&took[0], 0.99)];
    for ((what, ..), times) in commands.iter().zip(&took) {
        let [p50, p99] = [at(times, 0.5), at(times, 0.99)];
        println!(
            "| {what} | {p50:.0} ms | {p99:.0} ms | {:.0} ms | {:.0} ms |",
            p50 - start[0],
            p99 - start[1]
        );
    }
}

/// Starts a webhook's program, and registers it for the namespace.
async fn start(client: &Client, program: &Path, folder: &Path) -> WebhookProgram {
    let authority = certificate(folder);
    let program = WebhookProgram::start(program, kubeconfig(), folder, &[]).await.unwrap();
    for configuration in configurations(program.port(), &authority, "asked") {
        apply(client, &configuration).await;
    }
    // The API server learns of a configuration a moment after it is written.
    tokio::time::sleep(Duration::from_secs(3)).await;
    program
}

/// The milliseconds that this part of the runs took at most.
fn at(runs: &[Duration], part: f64) -> f64 {
    let mut runs = runs.to_vec();
    runs.sort();
    runs[((runs.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3
}

/// A manifest of the catalogue that is refused with five errors, none of which the CRD's schema would see first.
fn manifest_with_five_errors() -> Value {
    let five = catalogue::refused().into_iter().find_map(|case| match case.subject {
        Subject::Manifest { old: None, new } if case.denied.len() == 5 && case.configuration.is_empty() => {
            Some(new)
        }
        _ => None,
    });
    five.unwrap()
}

fn file(folder: &Path, name: &str, namespace: &str, mut manifest: Value) -> String {
    manifest["metadata"]["namespace"] = json!(namespace);
    let path = folder.join(format!("{name}.yaml"));
    std::fs::write(&path, manifest.to_string()).unwrap();
    path.display().to_string()
}

/// How long a run of kubectl takes from its start to its end; it must be refused in these words, or succeed without.
async fn timed(arguments: &[String], refusal: &str) -> Duration {
    let mut command = Command::new("kubectl");
    command.args(arguments).env("KUBECONFIG", kubeconfig());
    let begun = Instant::now();
    let output = command.output().await.unwrap();
    let took = begun.elapsed();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.success(), refusal.is_empty(), "{said}");
    assert!(said.contains(refusal), "{said}");
    let errors = said.lines().filter(|line| line.starts_with("* ")).count();
    assert_eq!(errors, if refusal.is_empty() { 0 } else { 5 }, "{said}");
    took
}
