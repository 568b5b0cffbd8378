//! Services: who reaches a cluster from where, switched on and off while it runs.

use k8s_openapi::api::core::v1::{Node, Service};
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use tests::stage::{Cluster, SOON, Stage, Stop, Told, until};

const TWO: &str = include_str!("../../fixtures/e2e/two-members.yaml");

pub(crate) async fn load_balancers_and_node_ports_come_and_go_and_addresses_stay(stage: &Stage) -> Told {
    let cluster = stage.settled(TWO, 2).await?;
    let services = stage.api::<Service>();
    let foreign = Patch::Merge(json!({"metadata": {"annotations": {"example.org/somebody-elses": "note"}}}));
    services.patch("acid-shop", &PatchParams::default(), &foreign).await?;
    let address = spec(stage, "acid-shop").await?["clusterIP"].clone();
    let watcher = cluster.watch().await?;

    change(
        &cluster,
        json!({
            "enableMasterLoadBalancer": true, "enableReplicaLoadBalancer": true,
            "allowedSourceRanges": ["10.1.0.0/16", "192.168.7.0/24"],
            "masterServiceAnnotations": {"example.org/shop": "front"},
        }),
    )
    .await?;
    for name in ["acid-shop", "acid-shop-repl"] {
        until_spec(stage, name, |spec| {
            spec["type"] == "LoadBalancer"
                && spec["loadBalancerSourceRanges"] == json!(["10.1.0.0/16", "192.168.7.0/24"])
        })
        .await?;
    }
    let annotations = services.get("acid-shop").await?.metadata.annotations.unwrap_or_default();
    assert_eq!(annotations.get("example.org/shop").map(String::as_str), Some("front"));
    assert!(annotations.keys().any(|key| key.starts_with("external-dns")), "{annotations:?}");
    assert!(annotations.contains_key("example.org/somebody-elses"), "what others wrote stays");

    change(
        &cluster,
        json!({
            "enableMasterLoadBalancer": false, "enableReplicaLoadBalancer": false,
            "allowedSourceRanges": null, "enableMasterNodePort": true, "masterServiceAnnotations": null,
        }),
    )
    .await?;
    for (name, of_type) in [("acid-shop-repl", "ClusterIP"), ("acid-shop", "NodePort")] {
        until_spec(stage, name, |spec| spec["type"] == of_type && spec["loadBalancerSourceRanges"].is_null())
            .await?;
    }
    the_primary_answers_on_every_node(stage, &cluster).await?;

    change(&cluster, json!({"enableMasterNodePort": false})).await?;
    until_spec(stage, "acid-shop", |spec| {
        spec["type"] == "ClusterIP" && spec["ports"][0]["nodePort"].is_null()
    })
    .await?;
    assert_eq!(
        spec(stage, "acid-shop").await?["clusterIP"],
        address,
        "the address is the same all the while"
    );
    let annotations = services.get("acid-shop").await?.metadata.annotations.unwrap_or_default();
    assert!(!annotations.contains_key("example.org/shop"), "{annotations:?}");
    assert!(annotations.contains_key("example.org/somebody-elses"), "{annotations:?}");
    cluster.until_running().await?;
    assert_eq!(watcher.recreated(), Vec::<String>::new(), "no pod was touched");
    Ok(())
}

async fn the_primary_answers_on_every_node(stage: &Stage, cluster: &Cluster<'_>) -> Told {
    let port = spec(stage, "acid-shop").await?["ports"][0]["nodePort"].as_u64().unwrap_or_default();
    let nodes: Api<Node> = Api::all(stage.client());
    for node in nodes.list(&ListParams::default()).await? {
        let addresses = node.status.unwrap_or_default().addresses.unwrap_or_default();
        let Some(internal) = addresses.into_iter().find(|address| address.type_ == "InternalIP") else {
            continue;
        };
        let outside =
            cluster.session("shop_owner", "shop").await?.at(&internal.address).at_port(u16::try_from(port)?);
        outside.until_sql_is("SELECT current_user, pg_is_in_recovery()", "shop_owner|f").await?;
        stage.tell(format!("the primary answers at {}:{port}", internal.address));
    }
    Ok(())
}

async fn change(cluster: &Cluster<'_>, spec: Value) -> Told {
    cluster.change(json!({"spec": spec})).await
}

async fn spec(stage: &Stage, service: &str) -> Told<Value> {
    Ok(serde_json::to_value(stage.api::<Service>().get(service).await?.spec)?)
}

async fn until_spec(stage: &Stage, service: &str, is_right: impl Fn(&Value) -> bool) -> Told {
    until(&format!("Service {service} is as wanted"), SOON, async || match spec(stage, service).await? {
        spec if is_right(&spec) => Ok(()),
        spec => Stop::failed(spec.to_string()),
    })
    .await
}
