//! What Argo CD itself says after an apply: its own library (`tests/argocd`) applies, compares and applies once more.
//!
//! Over every golden manifest and every valid manifest of the catalogue, each under the configuration that it stands
//! there with. One thing is found: a user without a value, which every client-side apply leaves out; users are warned of
//! it (`shared::validation`), and it must stay the only one. An update that only its past makes valid cannot be created and is left out. Go builds the library when it
//! is first needed; without Go the story fails and says so.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use kube::Client;
use serde_json::{Value, json};
use shared::admission;
use shared::config::OperatorConfig;
use tests::catalogue::{self, Subject};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::admission::{Webhook, namespace};
use crate::{golden, kubeconfig};

const NAMESPACE: &str = "argo-library";
/// Where an apply on the client's side leaves what it was given.
const LAST_APPLIED: &str = "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration";
/// Cases with a user without a value. The API server keeps it when it is applied there, and `kubectl apply` drops it
/// before it sends anything, so whoever applies one way and compares the other way sees a difference for ever.
const NULL_USER: &[&str] = &["users-of-every-form"];
/// What is compared of each manifest: four comparisons and a second write, after either way to apply.
const COMPARISONS: u64 = 10;

pub(crate) async fn argo_cds_own_library_finds_nothing_out_of_sync(client: Client) {
    namespace(&client, NAMESPACE, json!({})).await;
    let webhook = Webhook::for_namespace(&client, NAMESPACE, OperatorConfig::default()).await;
    let mut library = Library::start(&built().await).await;
    let mut wrong = Vec::new();
    let all = corpus();
    for (name, manifest, config) in &all {
        webhook.configure(config.clone());
        let answer = library.ask(manifest).await;
        let differences = answer["differences"].as_array().unwrap();
        let differences: Vec<&str> = differences.iter().filter_map(Value::as_str).collect();
        if NULL_USER.contains(&name.as_str()) {
            let expected =
                ["server-side comparison", "server-side comparison with mutations", "structured comparison"];
            let starts = expected.map(|one| format!("after a client-side apply, the {one} sees "));
            let as_expected = differences.len() == 3
                && differences.iter().zip(&starts).all(|(one, start)| one.starts_with(start));
            assert!(as_expected, "{name}: {differences:#?}");
        } else {
            wrong.extend(differences.iter().map(|one| format!("{name}: {one}")));
        }
        match answer["error"].as_str() {
            Some(error) => wrong.push(format!("{name}: {error}")),
            None => assert_eq!(answer["comparisons"], COMPARISONS, "{name}"),
        }
    }
    assert!(all.len() > 70, "only {} manifests were found", all.len());
    assert!(wrong.is_empty(), "{} of {} manifests:\n{}", wrong.len(), all.len(), wrong.join("\n"));
    println!("       {} manifests, {} comparisons", all.len(), all.len() as u64 * COMPARISONS);
}

/// Every manifest that may be created, by the name of its case, with the configuration it may be created under.
fn corpus() -> Vec<(String, Value, OperatorConfig)> {
    let golden = golden::manifests().into_iter().map(|(file, text)| {
        (file, serde_saphyr::from_str::<Value>(&text).unwrap(), OperatorConfig::default())
    });
    let accepted = catalogue::accepted().into_iter().filter_map(|case| match case.subject {
        Subject::Manifest { new, .. } => {
            let config = OperatorConfig::from_config_map(&case.configuration).unwrap();
            Some((case.name, new, config))
        }
        _ => None,
    });
    let mut all = Vec::new();
    for (name, mut manifest, config) in golden.chain(accepted) {
        manifest["metadata"]["namespace"] = json!(NAMESPACE);
        // An annotation that only an apply writes is in nobody's repository.
        let was_applied = manifest.pointer(LAST_APPLIED).is_some();
        if !was_applied && admission::mutate(&manifest, &config).is_ok() {
            all.push((name, manifest, config));
        }
    }
    all
}

/// The program that speaks for Argo CD.
async fn built() -> PathBuf {
    let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("argocd/build");
    let output = Command::new(build).stderr(Stdio::inherit()).output().await.unwrap();
    assert!(output.status.success(), "Argo CD's library could not be built; what was said stands above");
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

/// The running program: a question a line, an answer a line.
struct Library {
    _process: Child,
    questions: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Library {
    async fn start(program: &Path) -> Self {
        let mut process = Command::new(program)
            .env("KUBECONFIG", kubeconfig())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (questions, answers) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Self { _process: process, questions, answers: BufReader::new(answers).lines() }
    }

    async fn ask(&mut self, manifest: &Value) -> Value {
        self.questions.write_all(format!("{manifest}\n").as_bytes()).await.unwrap();
        let answer = self.answers.next_line().await.unwrap();
        serde_json::from_str(&answer.unwrap_or_else(|| panic!("Argo CD's library has ended"))).unwrap()
    }
}
