//! What happens to the members, and in which order.

use serde_json::json;

use crate::world::{World, manifest};

#[tokio::test(start_paused = true)]
async fn a_new_cluster_comes_up_with_its_roles_and_says_so() {
    let world = World::with(manifest(2)).await;
    assert_eq!(world.word(), "Running");
    assert_eq!(world.pods(), ["demo-0", "demo-1"]);
    assert_eq!(world.leader(), "demo-0");
    let servers = world.servers.lock().unwrap();
    let catalog = &servers.catalogs["demo.default.svc"];
    assert!(catalog.roles.contains_key(&"app".parse().unwrap()));
    assert!(catalog.databases.contains_key(&"app".parse().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_new_image_takes_replicas_first_hands_over_once_and_takes_the_old_primary_last() {
    let world = World::with(manifest(3)).await;
    world.patch(json!({"dockerImage": "spilo:2"}));
    world.settle().await;
    assert_eq!(
        world.acts(),
        ["recreate demo-1", "recreate demo-2", "switchover demo-0 to demo-1", "recreate demo-0"]
    );
    assert_eq!(world.word(), "Running");
}
