//! Admission as a real API server asks for it: the shipped webhook configurations, and the shipped rights.

use std::sync::Arc;
use std::time::Duration;

use certs::authority::Authority;
use http::Request;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams,
};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use shared::config::OperatorConfig;
use tokio::sync::watch;
use webhook::configuration::Source;
use webhook::metrics::Metrics;
use webhook::routes::{App, reviews};
use webhook::serve;
use webhook::surroundings::{Reach, World};
use webhook::tls::{Certificate, Files};

use crate::manifests::{manifest, manifests};

const CONFIGURATIONS: &str = include_str!("../../../deploy/base/webhook/admission.yaml");
const RIGHTS: &str = include_str!("../../../deploy/base/webhook/rbac.yaml");
/// The account that the webhook runs under.
const ACCOUNT: &str = "system:serviceaccount:postgres-operator:postgres-operator-webhook";

/// A webhook of this process that the API server asks about one namespace.
pub(crate) struct Webhook {
    pub(crate) world: Arc<World>,
    pub(crate) metrics: Arc<Metrics>,
    // Both end the server when they are dropped.
    _closed: watch::Sender<bool>,
    configuration: watch::Sender<Option<Arc<OperatorConfig>>>,
}

impl Webhook {
    /// Serves, and registers with the API server for what happens in `namespace`.
    pub(crate) async fn for_namespace(client: &Client, namespace: &str, config: OperatorConfig) -> Self {
        let (sender, configuration) = watch::channel(Some(Arc::new(config)));
        let (_closed, closed) = watch::channel(false);
        let (world, metrics) = (Arc::new(World::default()), Arc::new(Metrics::default()));
        let app = App {
            configuration,
            source: Arc::new(Source::Defaults),
            draining: watch::channel(false).1,
            metrics: Arc::clone(&metrics),
            world: Arc::clone(&world),
            clock: || "2026-11-22T08:00:00Z".parse().unwrap(),
        };
        let folder = std::env::temp_dir().join(format!("admission-{}-{namespace}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let authority = certificate(&folder);
        let certificate = Certificate::load(Files::within(&folder), Arc::clone(&metrics)).await.unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let tls = Arc::new(certificate.server_config().unwrap());
        tokio::spawn(serve::accept(listener, tls, reviews(app), closed));
        for configuration in configurations(port, &authority, namespace) {
            apply(client, &configuration).await;
        }
        let webhook = Self { world, metrics, _closed, configuration: sender };
        webhook.until_asked(client, namespace).await;
        webhook
    }

    /// Goes by another configuration from now on.
    pub(crate) fn configure(&self, config: OperatorConfig) {
        self.configuration.send_replace(Some(Arc::new(config)));
    }

    /// Waits until the API server asks: it learns of a configuration a moment after it is written.
    async fn until_asked(&self, client: &Client, namespace: &str) {
        let params = PostParams { dry_run: true, ..PostParams::default() };
        let api = manifests(client, namespace);
        while !self.metrics.text().contains("webhook=\"validate\"") {
            let _ = api.create(&params, &manifest("acid-first", &json!({}))).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Writes a certificate for `localhost` into a folder, where a webhook looks for it; whoever has signed it.
pub(crate) fn certificate(folder: &std::path::Path) -> Authority {
    let day = SignedDuration::from_hours(24);
    let authority = Authority::create(day, Timestamp::now()).unwrap();
    let pair = authority.issue(&["localhost".to_owned()], day, Timestamp::now()).unwrap();
    std::fs::write(folder.join("tls.crt"), pair.certificate).unwrap();
    std::fs::write(folder.join("tls.key"), pair.key).unwrap();
    authority
}

/// What is shipped, with this process in the Service's place, for one namespace.
pub(crate) fn configurations(port: u16, authority: &Authority, namespace: &str) -> Vec<Value> {
    use base64::Engine as _;
    let bundle = base64::engine::general_purpose::STANDARD.encode(&authority.certificate);
    let mut all: Vec<Value> = serde_saphyr::from_multiple(CONFIGURATIONS).unwrap();
    for configuration in &mut all {
        configuration["metadata"]["name"] = json!(namespace);
        let webhooks = configuration["webhooks"].as_array_mut().unwrap();
        webhooks.retain(|webhook| {
            ["postgresqls", "postgresteams"].map(Value::from).contains(&webhook["rules"][0]["resources"][0])
        });
        for webhook in webhooks {
            let path = webhook["clientConfig"]["service"]["path"].as_str().unwrap();
            let url = format!("https://localhost:{port}{path}");
            webhook["clientConfig"] = json!({ "url": url, "caBundle": bundle });
            webhook["namespaceSelector"] =
                json!({ "matchLabels": { "kubernetes.io/metadata.name": namespace } });
        }
    }
    all
}

/// Applies an object of any kind that needs no look-up of its plural.
pub(crate) async fn apply(client: &Client, object: &Value) {
    let typed: DynamicObject = serde_json::from_value(object.clone()).unwrap();
    let types = typed.types.clone().unwrap();
    let (group, version) = types.api_version.split_once('/').unwrap_or(("", &types.api_version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &types.kind));
    let api: Api<DynamicObject> = match &typed.metadata.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let params = PatchParams::apply("control-plane-test").force();
    let applied = api.patch(&typed.name_any(), &params, &Patch::Apply(object)).await;
    applied.unwrap_or_else(|error| panic!("{}: {error}", typed.name_any()));
}

pub(crate) async fn namespace(client: &Client, name: &str, labels: Value) {
    let namespace =
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels } });
    apply(client, &namespace).await;
    let api: Api<Namespace> = Api::all(client.clone());
    assert!(api.get(name).await.is_ok());
}

/// The answer to a dry run of creating a manifest: its status and its warnings.
async fn warnings(client: &Client, namespace: &str, manifest: &DynamicObject) -> Vec<String> {
    let path = format!("/apis/acid.zalan.do/v1/namespaces/{namespace}/postgresqls?dryRun=All");
    let body = serde_json::to_vec(manifest).unwrap();
    let request = Request::post(path).header("content-type", "application/json").body(body.into()).unwrap();
    warnings_of(client, request).await
}

/// The warnings in the answer to a request, each as it was told: without the code and the quotes of HTTP.
pub(crate) async fn warnings_of(client: &Client, request: Request<kube::client::Body>) -> Vec<String> {
    let response = client.send(request).await.unwrap();
    assert!(response.status().is_success(), "{}", response.status());
    let lines = response.headers().get_all("warning").iter().map(|line| {
        let line = String::from_utf8(line.as_bytes().to_vec()).unwrap();
        line.strip_prefix("299 - \"").and_then(|line| line.strip_suffix('"')).unwrap().replace("\\\"", "\"")
    });
    lines.collect()
}

pub(crate) async fn a_deletion_without_its_annotations_is_refused_finalizer_or_not(client: Client) {
    namespace(&client, "kept", json!({})).await;
    let mut config = OperatorConfig::default();
    config.kubernetes.delete_annotation_name_key = Some("delete-name".to_owned());
    let _webhook = Webhook::for_namespace(&client, "kept", config).await;
    let api = manifests(&client, "kept");
    for finalizers in [json!([]), json!(["acid.zalan.do/test"])] {
        let mut kept = manifest("acid-kept", &json!({}));
        kept.metadata.finalizers = serde_json::from_value(finalizers.clone()).unwrap();
        api.create(&PostParams::default(), &kept).await.unwrap();
        let refused = api.delete("acid-kept", &DeleteParams::default()).await.unwrap_err();
        let status = match refused {
            kube::Error::Api(status) => status,
            other => panic!("{other}"),
        };
        assert_eq!((status.code, status.reason.as_str()), (422, "Invalid"), "{status:?}");
        assert!(status.message.contains("metadata.annotations[delete-name]: must be"), "{}", status.message);
        let stored = api.get("acid-kept").await.unwrap();
        assert!(stored.metadata.deletion_timestamp.is_none(), "the deletion has begun all the same");
        let all = api.delete_collection(&DeleteParams::default(), &Default::default()).await;
        assert!(all.is_err(), "a deletion of all is let through");

        let annotation = json!({ "metadata": { "annotations": { "delete-name": "acid-kept" } } });
        api.patch("acid-kept", &PatchParams::default(), &Patch::Merge(&annotation)).await.unwrap();
        api.delete("acid-kept", &DeleteParams::default()).await.unwrap();
        if finalizers != json!([]) {
            assert!(api.get("acid-kept").await.unwrap().metadata.deletion_timestamp.is_some());
            let free = json!({ "metadata": { "finalizers": null } });
            api.patch("acid-kept", &PatchParams::default(), &Patch::Merge(&free)).await.unwrap();
        }
        assert!(api.get_opt("acid-kept").await.unwrap().is_none());
    }
}

pub(crate) async fn what_stands_around_is_told_under_the_shipped_rights(client: Client) {
    namespace(&client, "postgres-operator", json!({})).await;
    for right in serde_saphyr::from_multiple::<Value>(RIGHTS).unwrap() {
        apply(&client, &right).await;
    }
    namespace(&client, "small", json!({ "pod-security.kubernetes.io/enforce": "restricted" })).await;
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "few", "namespace": "small" },
        "spec": { "hard": { "pods": "1" } },
    });
    apply(&client, &quota).await;
    let webhook = Webhook::for_namespace(&client, "small", OperatorConfig::default()).await;
    let reach = Reach { secrets: true, ..Reach::default() };
    webhook.world.watch(&acting_as(&client, ACCOUNT), &reach, &webhook.metrics);
    let kinds = [
        "configmaps",
        "limitranges",
        "namespaces",
        "postgresqls",
        "postgresteams",
        "priorityclasses",
        "resourcequotas",
    ];
    let text = loop {
        let text = webhook.metrics.text();
        let works = |kind: &&str| text.contains(&format!("watch_failed{{kind=\"{kind}\"}} 0"));
        if kinds.iter().chain(&["storageclasses"]).all(works)
            && text.contains("watch_failed{kind=\"secrets\"}")
        {
            break text;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(text.contains("watch_failed{kind=\"secrets\"} 1"), "the webhook may see Secrets: {text}");

    let fields = json!({
        "volume": { "size": "1Gi", "storageClass": "none" }, "podPriorityClassName": "none",
        "envFrom": [{ "configMapRef": { "name": "none" } }, { "secretRef": { "name": "none" } }],
    });
    let told = warnings(&client, "small", &manifest("acid-demo", &fields)).await;
    for (field, words) in [
        ("spec.volume.storageClass", "there is no StorageClass"),
        ("spec.podPriorityClassName", "there is no PriorityClass"),
        ("spec.envFrom[0].configMapRef.name", "there is no ConfigMap"),
        ("metadata.namespace", "ResourceQuota"),
        ("metadata.namespace", "Pod Security"),
    ] {
        let is_told = told.iter().any(|line| line.contains(&format!("{field}: {words}")));
        assert!(is_told, "{field}: {words} is not among {told:#?}");
    }
    assert_eq!(told.iter().filter(|line| line.contains("Secret")).count(), 0, "{told:#?}");
}

/// A client with the rights of an account and no others.
pub(crate) fn acting_as(client: &Client, account: &'static str) -> Client {
    let client = client.clone();
    let impersonating = tower::service_fn(move |mut request: Request<kube::client::Body>| {
        request.headers_mut().insert("impersonate-user", account.parse().unwrap());
        let client = client.clone();
        async move { client.send(request).await }
    });
    Client::new(impersonating, "default")
}
