//! The Helm charts: that they make what kustomize makes, that Helm and a real API server take them, and that the
//! definitions outlive their release. Helm itself is built from Go modules when it is first needed (`tests/helm`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::Api;
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::deployment::{self, NAMESPACE, folder, identity, output};
use crate::kubeconfig;

/// The overlays, and the values that make the same of the chart.
const SAME: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("overlays/ha", &["replicas=2", "webhook.spread=true"]),
    ("overlays/cert-manager", &["certificates.issuer=cert-manager"]),
    (
        "overlays/guarded",
        &[
            "webhook.policy.refuseSidecars=true",
            "webhook.policy.refuseInitContainers=true",
            "webhook.policy.refusePrivileges=true",
            "webhook.policy.allowedVolumes={configMap,emptyDir,secret}",
            "webhook.policy.allowedRegistries={ghcr.io/zalando,registry.opensource.zalan.do/acid}",
        ],
    ),
    ("overlays/namespaced", &["rbac.namespaced=true", "configKubernetes.watched_namespace=databases"]),
    ("overlays/waiting", &["replicas=0"]),
];

/// What kustomize makes and the chart does not, and why.
const ONLY_KUSTOMIZE: &[(&str, &str)] = &[(
    "Namespace /postgres-operator",
    "Helm installs into a namespace, and makes it with --create-namespace",
)];

/// What the chart makes in other words.
const OTHER_WORDS: &[(&str, &str)] = &[(
    "/configuration/kubernetes/pod_service_account_role_binding_definition",
    "an object within a string: YAML for people there, JSON by the template here",
)];

async fn helm() -> PathBuf {
    let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("helm/build");
    let built = Command::new(build).stderr(Stdio::inherit()).output().await.unwrap();
    assert!(built.status.success(), "Helm could not be built; what was said stands above");
    PathBuf::from(String::from_utf8(built.stdout).unwrap().trim())
}

async fn run(arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new(helm().await);
    command.arg("--kubeconfig").arg(kubeconfig()).args(arguments).current_dir(folder("helm"));
    output(command, "").await
}

/// The objects of a release.
async fn rendered(release: &str, namespace: &str, arguments: &[&str]) -> Vec<Value> {
    let template = ["template", release, "postgres-operator", "--namespace", namespace];
    let text =
        run(&[&template, arguments].concat()).await.unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
    let all: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    all.into_iter().filter(|object| !object.is_null()).collect()
}

fn by_identity(objects: Vec<Value>) -> BTreeMap<String, Value> {
    objects.into_iter().map(|object| (identity(&object), in_one_way(object))).collect()
}

/// The object with what is said in other words put into one form.
fn in_one_way(mut object: Value) -> Value {
    for (place, _) in OTHER_WORDS {
        if let Some(text) = object.pointer_mut(place) {
            *text = serde_saphyr::from_str(text.as_str().unwrap()).unwrap();
        }
    }
    object
}

pub(crate) async fn the_chart_makes_what_kustomize_makes(_: Client) {
    for (overlay, values) in SAME {
        let set: Vec<&str> = values.iter().flat_map(|value| ["--set", value]).collect();
        let chart = by_identity(rendered("postgres-operator", NAMESPACE, &set).await);
        let mut kustomize = by_identity(deployment::rendered(overlay).await);
        for (name, _) in ONLY_KUSTOMIZE {
            assert!(kustomize.remove(*name).is_some(), "{overlay}: {name} is no difference any more");
        }
        let names = |objects: &BTreeMap<String, Value>| objects.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&chart), names(&kustomize), "{overlay}");
        for (name, object) in &kustomize {
            assert_eq!(chart[name], *object, "{overlay}: {name}: the chart (left), and kustomize (right)");
        }
    }
}

pub(crate) async fn both_charts_are_clean_and_wrong_values_are_told(_: Client) {
    let told = run(&["lint", "--strict", "postgres-operator", "postgres-operator-crds"]).await.unwrap();
    assert!(told.contains("2 chart(s) linted, 0 chart(s) failed"), "{told}");
    assert!(!told.contains("[WARNING]") && !told.contains("[ERROR]"), "{told}");
    for (value, words) in [
        ("replica=2", "additional properties 'replica' not allowed"),
        ("certificates.issuer=nobody", "value must be one of 'job', 'cert-manager', 'none'"),
        ("webhook.policy.refuseSidecar=true", "additional properties 'refuseSidecar' not allowed"),
        ("rbac.namespaced=true", "needs configKubernetes.watched_namespace"),
    ] {
        let refused = run(&["template", "pg", "postgres-operator", "--set", value]).await.unwrap_err();
        assert!(refused.contains(words), "{value}: {refused}");
    }
}

pub(crate) async fn every_key_of_zalandos_chart_does_what_it_did(client: Client) {
    let values = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/helm/known-keys.yaml");
    let values = values.to_str().unwrap();
    crate::manifests::make_namespace(&client, "ops").await;
    for target in ["OperatorConfigurationCRD", "ConfigMap"] {
        let set = format!("configTarget={target}");
        let objects = rendered("pg", "ops", &["--values", values, "--set", &set]).await;
        deployment::apply(&objects, true).await.unwrap_or_else(|error| panic!("{target}: {error}"));
        let all = by_identity(objects);
        let operator = &all["Deployment ops/databases"]["spec"]["template"];
        let container = &operator["spec"]["containers"][0];
        assert_eq!(container["image"], "registry.example.org/databases/operator:1.2");
        assert_eq!(container["args"], json!(["--nodatabaseaccess"]));
        assert_eq!(container["ports"][0]["containerPort"], 8090);
        assert_eq!(container["readinessProbe"]["initialDelaySeconds"], 5);
        assert_eq!(operator["spec"]["serviceAccountName"], "databases-operator");
        assert_eq!(operator["spec"]["priorityClassName"], "system-cluster-critical");
        assert_eq!(operator["metadata"]["labels"]["tier"], "control");
        let variables = container["env"].as_array().unwrap();
        for (name, value) in [
            ("CONTROLLER_ID", "databases"),
            ("ENABLE_JSON_LOGGING", "true"),
            ("LEASE_NAME", "databases"),
            ("RUST_LOG", "info"),
        ] {
            assert!(variables.contains(&json!({ "name": name, "value": value })), "{name}: {variables:?}");
        }
        assert_eq!(all["PriorityClass /databases"]["value"], 1_000_000);
        assert!(all.contains_key("ClusterRole /databases:users:admin"));
        let rules = all["ClusterRole /databases"]["rules"].to_string();
        assert!(!rules.contains("fabriceventstreams"), "enableStreams is false");
        assert_configured(target, &all);
    }
}

/// Both forms say the same, and nothing in them is unknown.
fn assert_configured(target: &str, all: &BTreeMap<String, Value>) {
    let reading = match target {
        "ConfigMap" => {
            let data = &all["ConfigMap ops/databases"]["data"];
            shared::config::read_config_map(&serde_json::from_value(data.clone()).unwrap())
        }
        _ => {
            let object = &all["OperatorConfiguration ops/databases"];
            shared::config::read_resource(&serde_json::from_value(object.clone()).unwrap())
        }
    };
    assert_eq!(
        reading.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        Vec::<String>::new(),
        "{target}"
    );
    let config = reading.config.unwrap_or_else(|errors| panic!("{target}: {errors}"));
    assert_eq!(config.general.workers, 4, "{target}");
    assert_eq!(config.kubernetes.pod_service_account_name, "databases-pod", "{target}");
    assert_eq!(config.teams_api.protected_role_names, ["admin"], "{target}");
}

pub(crate) async fn definitions_are_upgraded_with_their_release_and_outlive_it(client: Client) {
    let definitions: Api<CustomResourceDefinition> = Api::all(client);
    let before = definitions.get("postgresqls.acid.zalan.do").await.unwrap();
    // Those that are there already, of whomever, become the release's.
    let install = [
        "upgrade",
        "--install",
        "postgres-operator-crds",
        "postgres-operator-crds",
        "--namespace",
        "default",
    ];
    run(&[&install[..], &["--take-ownership"]].concat()).await.unwrap();
    run(&install).await.unwrap();
    let during = definitions.get("postgresqls.acid.zalan.do").await.unwrap();
    assert_eq!(during.labels().get("app.kubernetes.io/managed-by").map(String::as_str), Some("Helm"));
    run(&["uninstall", "postgres-operator-crds", "--namespace", "default"]).await.unwrap();
    let after = definitions.get("postgresqls.acid.zalan.do").await.unwrap();
    assert_eq!(after.uid(), before.uid(), "the definition, and with it every database, was deleted");
    assert_eq!(json!(after.spec), json!(before.spec), "Helm's chart holds another definition than crds/");
}
