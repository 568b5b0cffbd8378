//! What is installed: every overlay as kustomize renders it, held against what we promise, and as a real API server
//! takes it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use kube::Client;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::kubeconfig;

/// The namespace that the services stand in.
pub(crate) const NAMESPACE: &str = "postgres-operator";
/// The namespace that the overlay `namespaced` serves.
const SERVED: &str = "databases";
/// Those that a user chooses from; `light` and `local` are the local cluster's.
pub(crate) const OVERLAYS: &[&str] = &[
    "base",
    "overlays/cert-manager",
    "overlays/dev",
    "overlays/guarded",
    "overlays/ha",
    "overlays/light",
    "overlays/local",
    "overlays/namespaced",
    "overlays/waiting",
];

/// A program of this machine, or the one that the local cluster has built.
fn kubectl() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let built = tests::control_plane::Programs::find().unwrap().api_server.with_file_name("kubectl");
    let in_path = variable("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|one| one.join("kubectl").exists()));
    if in_path { PathBuf::from("kubectl") } else { built }
}

/// What a program prints for this input; it fails with what the program says.
pub(crate) async fn output(mut command: Command, input: &str) -> Result<String, String> {
    let mut process = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{command:?}: {error}"))?;
    let mut stdin = process.stdin.take().unwrap();
    let (written, output) = tokio::join!(
        async {
            let written = stdin.write_all(input.as_bytes()).await;
            drop(stdin);
            written
        },
        process.wait_with_output()
    );
    let output = output.unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    written.unwrap();
    Ok(String::from_utf8(output.stdout).unwrap())
}

pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name)
}

/// The objects of an overlay.
pub(crate) async fn rendered(overlay: &str) -> Vec<Value> {
    let mut command = Command::new(kubectl());
    command.arg("kustomize").arg(folder(overlay));
    let text = output(command, "").await.unwrap_or_else(|error| panic!("{overlay}: {error}"));
    serde_saphyr::from_multiple(&text).unwrap()
}

/// Kind, namespace and name.
pub(crate) fn identity(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &object["metadata"];
    format!("{} {}/{}", text(&object["kind"]), text(&metadata["namespace"]), text(&metadata["name"]))
}

fn of_kind<'a>(objects: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    objects.iter().filter(move |object| object["kind"] == kind)
}

fn the<'a>(objects: &'a [Value], what: &str) -> &'a Value {
    objects.iter().find(|object| identity(object) == what).unwrap_or_else(|| panic!("there is no {what}"))
}

/// The templates of pods, each with whose it is.
fn templates(objects: &[Value]) -> Vec<(String, Value)> {
    let places = ["/spec/template", "/spec/jobTemplate/spec/template"];
    let template = |object: &Value| places.iter().find_map(|place| object.pointer(place)).cloned();
    objects.iter().filter_map(|object| Some((identity(object), template(object)?))).collect()
}

/// `kubectl apply --dry-run=server`, or for real.
pub(crate) async fn apply(objects: &[Value], is_dry: bool) -> Result<String, String> {
    let mut command = Command::new(kubectl());
    command.arg("--kubeconfig").arg(kubeconfig()).args([
        "apply",
        "--server-side",
        "--force-conflicts",
        "--filename",
        "-",
    ]);
    if is_dry {
        command.arg("--dry-run=server");
    }
    output(command, &json!({ "apiVersion": "v1", "kind": "List", "items": objects }).to_string()).await
}

pub(crate) async fn every_overlay_is_taken_by_the_api_server_and_its_pods_pass_pod_security(client: Client) {
    crate::manifests::make_namespace(&client, SERVED).await;
    for overlay in OVERLAYS {
        let mut objects = rendered(overlay).await;
        // Its kinds are cert-manager's own.
        objects.retain(|object| !object["apiVersion"].as_str().unwrap().starts_with("cert-manager.io/"));
        let namespaces: Vec<Value> = of_kind(&objects, "Namespace").cloned().collect();
        assert_eq!(namespaces[0]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "restricted");
        apply(&namespaces, false).await.unwrap();
        let told = apply(&objects, true).await.unwrap_or_else(|error| panic!("{overlay}: {error}"));
        assert_eq!(told.lines().count(), objects.len(), "{overlay}: {told}");
        for (owner, template) in templates(&objects) {
            apply(&[pod(&template)], true)
                .await
                .unwrap_or_else(|error| panic!("{overlay}: {owner}: {error}"));
        }
    }
    let (_, mut template) = templates(&rendered("base").await).remove(0);
    template["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = json!(true);
    let refused = apply(&[pod(&template)], true).await.unwrap_err();
    assert!(refused.contains("violates PodSecurity \"restricted"), "nothing is enforced: {refused}");
}

fn pod(template: &Value) -> Value {
    let mut pod = template.clone();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = json!("from-template");
    pod["metadata"]["namespace"] = json!(NAMESPACE);
    pod
}

pub(crate) async fn in_every_overlay_what_is_named_is_there_and_ports_are_guarded(_: Client) {
    for overlay in OVERLAYS {
        let objects = rendered(overlay).await;
        let all: BTreeSet<String> = objects.iter().map(identity).collect();
        assert_eq!(all.len(), objects.len(), "{overlay}: an object is there twice");
        for binding in objects.iter().filter(|object| object["kind"].as_str().unwrap().ends_with("Binding")) {
            assert_bound(overlay, binding, &all);
        }
        for (owner, template) in templates(&objects) {
            let account = template["spec"]["serviceAccountName"].as_str().unwrap();
            assert!(
                all.contains(&format!("ServiceAccount {NAMESPACE}/{account}")),
                "{overlay}: {owner}: {account}"
            );
            let guards: Vec<&Value> =
                of_kind(&objects, "NetworkPolicy").filter(|policy| selects(policy, &template)).collect();
            assert_eq!(guards.len(), 1, "{overlay}: {owner} has one network policy");
            assert_eq!(ports(&template), let_in(guards[0]), "{overlay}: {owner}: ports, and those let in");
        }
        assert!(!json!(objects).to_string().contains("caBundle"), "{overlay}: certs owns the caBundle");
    }
}

/// That role and accounts of a binding exist, where we ship them.
fn assert_bound(overlay: &str, binding: &Value, all: &BTreeSet<String>) {
    let role = &binding["roleRef"];
    let namespace = match role["kind"].as_str() {
        Some("Role") => binding["metadata"]["namespace"].as_str().unwrap(),
        _ => "",
    };
    let role = format!("{} {namespace}/{}", role["kind"].as_str().unwrap(), role["name"].as_str().unwrap());
    assert!(all.contains(&role), "{overlay}: {} names {role}", identity(binding));
    for subject in binding["subjects"].as_array().unwrap() {
        let account = format!("ServiceAccount {NAMESPACE}/{}", subject["name"].as_str().unwrap());
        assert!(all.contains(&account) && subject["namespace"] == NAMESPACE, "{overlay}: {account}");
    }
}

fn selects(policy: &Value, template: &Value) -> bool {
    let wanted = policy["spec"]["podSelector"]["matchLabels"].as_object().unwrap();
    wanted.iter().all(|(label, value)| template["metadata"]["labels"].get(label) == Some(value))
}

fn ports(template: &Value) -> BTreeSet<String> {
    let containers = template["spec"]["containers"].as_array().unwrap();
    let ports = containers.iter().filter_map(|container| container["ports"].as_array()).flatten();
    ports.map(|port| port["name"].as_str().unwrap().to_owned()).collect()
}

fn let_in(policy: &Value) -> BTreeSet<String> {
    assert_eq!(policy["spec"]["policyTypes"], json!(["Ingress"]));
    let rules = policy["spec"]["ingress"].as_array().into_iter().flatten();
    let ports = rules.flat_map(|rule| rule["ports"].as_array().unwrap());
    ports.map(|port| port["port"].as_str().unwrap().to_owned()).collect()
}

pub(crate) async fn for_high_availability_there_are_two_of_each_apart_from_one_another(_: Client) {
    let objects = rendered("overlays/ha").await;
    for name in ["postgres-operator", "postgres-operator-webhook"] {
        let deployment = the(&objects, &format!("Deployment {NAMESPACE}/{name}"));
        let labels = &deployment["spec"]["template"]["metadata"]["labels"];
        assert_eq!(deployment["spec"]["replicas"], 2, "{name}");
        let spread = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"].as_array().unwrap();
        let over: Vec<&Value> = spread.iter().map(|one| &one["topologyKey"]).collect();
        assert_eq!(over, ["kubernetes.io/hostname", "topology.kubernetes.io/zone"], "{name}");
        assert!(
            spread.iter().all(|one| one["labelSelector"]["matchLabels"] == *labels),
            "{name}: {spread:#?}"
        );
        let budget = the(&objects, &format!("PodDisruptionBudget {NAMESPACE}/{name}"));
        assert_eq!(budget["spec"]["minAvailable"], 1);
        assert_eq!(budget["spec"]["selector"]["matchLabels"], *labels);
    }
    let operator = the(&objects, "Deployment postgres-operator/postgres-operator");
    let variables = operator["spec"]["template"]["spec"]["containers"][0]["env"].as_array().unwrap();
    assert!(variables.contains(&json!({ "name": "LEADER_ELECTION", "value": "true" })), "{variables:?}");
}

pub(crate) async fn with_cert_manager_it_issues_what_the_webhook_mounts_and_our_job_is_gone(_: Client) {
    let objects = rendered("overlays/cert-manager").await;
    let certificate = the(&objects, "Certificate postgres-operator/postgres-operator-webhook");
    let webhook = the(&objects, "Deployment postgres-operator/postgres-operator-webhook");
    let mounted = &webhook["spec"]["template"]["spec"]["volumes"][0]["secret"]["secretName"];
    assert_eq!(certificate["spec"]["secretName"], *mounted);
    assert_eq!(certificate["spec"]["dnsNames"][0], "postgres-operator-webhook.postgres-operator.svc");
    for kind in ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"] {
        let configuration = the(&objects, &format!("{kind} /postgres-operator"));
        let from = &configuration["metadata"]["annotations"]["cert-manager.io/inject-ca-from"];
        assert_eq!(*from, "postgres-operator/postgres-operator-webhook");
    }
    let left: Vec<String> = objects.iter().map(identity).filter(|name| name.contains("certs")).collect();
    assert_eq!(left, Vec::<String>::new());
}

/// What may be asked for all of Kubernetes when one namespace is served: no data of anybody's.
const SURROUNDINGS: &[&str] = &[
    "mutatingwebhookconfigurations",
    "namespaces",
    "nodes",
    "persistentvolumes",
    "priorityclasses",
    "storageclasses",
    "subjectaccessreviews",
    "tokenreviews",
    "validatingwebhookconfigurations",
];

pub(crate) async fn an_installation_for_one_namespace_has_the_same_rights_but_only_there(_: Client) {
    let (base, namespaced) = (rendered("base").await, rendered("overlays/namespaced").await);
    let mut asked = BTreeSet::new();
    for role in of_kind(&namespaced, "ClusterRole") {
        let rules = role["rules"].as_array().unwrap().iter();
        asked.extend(
            rules
                .flat_map(|rule| rule["resources"].as_array().unwrap())
                .map(|one| one.as_str().unwrap().to_owned()),
        );
    }
    assert_eq!(asked.iter().map(String::as_str).collect::<Vec<_>>(), SURROUNDINGS);
    for name in ["postgres-operator", "postgres-operator-webhook", "postgres-pod"] {
        let role = the(&namespaced, &format!("Role {SERVED}/{name}"));
        assert_eq!(role["rules"], the(&base, &format!("ClusterRole /{name}"))["rules"], "{name}");
    }
    let configuration = the(&namespaced, "OperatorConfiguration postgres-operator/postgres-operator");
    let kubernetes = &configuration["configuration"]["kubernetes"];
    assert_eq!(kubernetes["watched_namespace"], SERVED);
    let binding = kubernetes["pod_service_account_role_binding_definition"].as_str().unwrap();
    assert_eq!(serde_saphyr::from_str::<Value>(binding).unwrap()["roleRef"]["kind"], "Role");
    let selectors: BTreeMap<&str, &Value> = namespaced
        .iter()
        .filter_map(|object| object["webhooks"].as_array())
        .flatten()
        .map(|webhook| (webhook["name"].as_str().unwrap(), &webhook["namespaceSelector"]["matchLabels"]))
        .collect();
    for (webhook, selector) in selectors {
        let is_about_clusters = webhook.contains("postgresql") || webhook.contains("postgresteam");
        let namespace = if is_about_clusters { SERVED } else { NAMESPACE };
        assert_eq!(*selector, json!({ "kubernetes.io/metadata.name": namespace }), "{webhook}");
    }
}
