//! What a manifest and the configuration put into a database's pod.

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::api::PostParams;
use serde_json::json;
use tests::stage::{Cluster, Stage, Told, image};

const PARTS: &str = include_str!("../../fixtures/e2e/pod-parts.yaml");

pub(crate) async fn sidecars_volumes_and_environment_are_in_the_pods_and_the_manifest_has_the_last_word(
    stage: &Stage,
) -> Told {
    stage.with_own_operator().await?;
    let maps = stage.api::<ConfigMap>();
    for (name, data) in [
        ("shop-settings", json!({"colour": "green"})),
        (
            "shop-environment",
            json!({"FROM_CONFIG_MAP": "config map", "FROM_BOTH": "config map", "FROM_ALL": "config map"}),
        ),
    ] {
        let map: ConfigMap = serde_json::from_value(json!({"metadata": {"name": name}, "data": data}))?;
        maps.create(&PostParams::default(), &map).await?;
    }
    let secret: Secret = serde_json::from_value(json!({
        "metadata": {"name": "shop-environment"},
        "stringData": {"FROM_SECRET": "secret", "FROM_BOTH": "secret", "FROM_ALL": "secret"},
    }))?;
    stage.api::<Secret>().create(&PostParams::default(), &secret).await?;
    stage
        .configure(
            "kubernetes",
            json!({
                "pod_environment_configmap": format!("{}/shop-environment", stage.namespace()),
                "pod_environment_secret": "shop-environment",
                "share_pgsocket_with_sidecars": true,
                "additional_pod_capabilities": ["SYS_NICE"],
            }),
        )
        .await?;

    let cluster = stage.settled(&PARTS.replace("IMAGE", &image()), 2).await?;
    for (container, script, expected) in [
        ("postgres", "echo $FROM_MANIFEST, $FROM_SECRET, $FROM_CONFIG_MAP", "manifest, secret, config map"),
        ("postgres", "echo $FROM_ALL, $FROM_BOTH, $TOKEN", "manifest, secret, secret"),
        ("postgres", "cat /opt/shared/prepared", "prepared"),
        ("observer", "cat /opt/shared/prepared", "prepared"),
        ("observer", "cat /etc/shop/colour", "green"),
        ("observer", "echo $OBSERVED, $POSTGRES_USER", "yes, postgres"),
        // Capability 23 is SYS_NICE.
        ("postgres", "echo $((0x$(sed -n 's/^CapBnd:\\t//p' /proc/1/status) >> 23 & 1))", "1"),
        ("postgres", "test $(df --output=size /dev/shm | tail -n 1) -gt 65536 && echo larger", "larger"),
        ("observer", "psql -h /var/run/postgresql -U postgres -XAtc 'SELECT 1'", "1"),
    ] {
        assert_eq!(
            stage.in_container("acid-shop-0", container, script).await?,
            expected,
            "{container}: {script}"
        );
    }
    settled_in_pods(&cluster).await
}

/// What the scheduler and the kubelet made of the rest.
async fn settled_in_pods(cluster: &Cluster<'_>) -> Told {
    let pods: Vec<Pod> = cluster.pods().await?;
    let mut nodes = Vec::new();
    for pod in &pods {
        let spec = pod.spec.clone().unwrap_or_default();
        assert_eq!(spec.priority_class_name.as_deref(), Some("system-cluster-critical"));
        assert!(spec.priority.is_some_and(|priority| priority > 0), "{:?}", spec.priority);
        let annotations = pod.metadata.annotations.clone().unwrap_or_default();
        assert_eq!(annotations.get("example.org/cost-centre").map(String::as_str), Some("4711"));
        let tolerated = spec
            .tolerations
            .iter()
            .flatten()
            .any(|each| each.key.as_deref() == Some("example.org/databases"));
        assert!(tolerated, "{:?}", spec.tolerations);
        nodes.extend(spec.node_name);
    }
    nodes.sort();
    nodes.dedup();
    assert_eq!(
        nodes.len(),
        pods.len(),
        "one member on each node, though the constraint has no selector: {nodes:?}"
    );
    Ok(())
}
