//! Nodes that are to be left.

use serde_json::json;
use tests::fake_api::Key;

use crate::world::{NAMESPACE, World, manifest};

async fn on_nodes(members: i32) -> World {
    let world = World::with(manifest(members)).await;
    world.show_nodes();
    world.settle().await;
    world.forget();
    world
}

/// What the status says.
fn told(world: &World) -> String {
    world.status()["conditions"][0]["message"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(start_paused = true)]
async fn whoever_empties_a_node_marks_it_and_the_primary_hands_over() {
    let autoscaler = json!([{"key": "ToBeDeletedByClusterAutoscaler", "value": "1", "effect": "NoSchedule"}]);
    let karpenter = json!([{"key": "karpenter.sh/disrupted", "effect": "NoSchedule"}]);
    let eviction = json!([{"key": "maintenance", "effect": "NoExecute"}]);
    for mark in [
        json!({"unschedulable": true}),
        json!({ "taints": autoscaler }),
        json!({ "taints": karpenter }),
        json!({ "taints": eviction }),
    ] {
        let world = on_nodes(2).await;
        world.node("node-0", mark.clone());
        world.settle().await;
        assert_eq!(world.acts(), ["switchover demo-0 to demo-1"], "{mark}");
        assert_eq!(world.word(), "Running");
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_may_go_one_day_or_is_lost_moves_nobody() {
    let world = on_nodes(2).await;
    let taints = json!([
        {"key": "DeletionCandidateOfClusterAutoscaler", "effect": "PreferNoSchedule"},
        {"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"},
    ]);
    world.node("node-0", json!({ "taints": taints }));
    world.settle().await;
    assert!(world.acts().is_empty(), "{:?}", world.acts());
}

#[tokio::test(start_paused = true)]
async fn where_a_whole_pool_of_nodes_goes_a_replica_goes_ahead() {
    let world = on_nodes(2).await;
    for node in ["node-0", "node-1"] {
        world.node(node, json!({"unschedulable": true}));
    }
    world.settle().await;
    assert_eq!(world.acts(), ["recreate demo-1", "switchover demo-0 to demo-1"]);
    assert_eq!(world.object("", "pods", "demo-1")["spec"]["nodeName"], "node-2");
}

#[tokio::test(start_paused = true)]
async fn where_no_node_is_left_the_primary_stays_and_the_status_says_why() {
    for members in [1, 2] {
        let world = on_nodes(members).await;
        for node in ["node-0", "node-1", "node-2"] {
            world.node(node, json!({"unschedulable": true}));
        }
        world.settle().await;
        assert!(world.acts().is_empty(), "{:?}", world.acts());
        assert_eq!(world.word(), "Running", "it serves");
        assert!(
            told(&world).starts_with("the primary demo-0 on node node-0 serves and stays"),
            "{}",
            told(&world)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_single_member_goes_to_another_node() {
    let world = on_nodes(1).await;
    world.node("node-0", json!({"unschedulable": true}));
    world.settle().await;
    assert_eq!(world.acts(), ["recreate demo-0"]);
    assert_eq!(world.object("", "pods", "demo-0")["spec"]["nodeName"], "node-1");
    assert_eq!(world.word(), "Running");
}

/// Puts a member's volume on the node that it is on.
fn make_local(world: &World, pod: &str, node: &str) {
    let selected = json!({"key": "kubernetes.io/hostname", "operator": "In", "values": [node]});
    let terms = json!([{ "matchExpressions": [selected] }]);
    let volume = json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {},
        "spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}}});
    world.api.with(|store| {
        store.create(Key::new("", "persistentvolumes", "", "local"), volume, None).unwrap();
        let claim = Key::new("", "persistentvolumeclaims", NAMESPACE, &format!("pgdata-{pod}"));
        store.edit(&claim, |claim| claim["spec"]["volumeName"] = json!("local"));
    });
}

#[tokio::test(start_paused = true)]
async fn a_single_member_whose_volume_is_on_the_node_stays_and_an_update_of_it_waits() {
    let world = on_nodes(1).await;
    make_local(&world, "demo-0", "node-0");
    world.node("node-0", json!({"unschedulable": true}));
    world.settle().await;
    assert!(world.acts().is_empty(), "{:?}", world.acts());
    assert_eq!(world.word(), "Running");
    assert!(told(&world).contains("none where its volume is"), "{}", told(&world));

    world.patch(json!({"dockerImage": "spilo:2"}));
    world.pass(900).await;
    assert!(world.acts().is_empty(), "it would never start again: {:?}", world.acts());
    assert_eq!(world.word(), "UpdateFailed");
    assert!(
        told(&world).starts_with("pod demo-0 on node node-0 has to be recreated and is not"),
        "{}",
        told(&world)
    );

    world.node("node-0", json!({"unschedulable": null}));
    world.settle().await;
    assert_eq!(world.acts(), ["recreate demo-0"]);
    assert_eq!(world.word(), "Running");
}

#[tokio::test(start_paused = true)]
async fn a_primary_that_somebody_marked_hands_over_and_is_made_anew() {
    let world = World::with(manifest(2)).await;
    world.api.with(|store| {
        store.edit(&Key::new("", "pods", NAMESPACE, "demo-0"), |pod| {
            pod["metadata"]["annotations"]["zalando-postgres-operator-rolling-update-required"] =
                json!("true");
        });
    });
    world.settle().await;
    assert_eq!(world.acts(), ["switchover demo-0 to demo-1", "recreate demo-0"]);
}
