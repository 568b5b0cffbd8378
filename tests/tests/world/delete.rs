//! How a cluster goes.

use tests::fake_api::{Deletion, Verb};

use crate::world::{World, manifest, manifest_key};

#[tokio::test(start_paused = true)]
async fn a_deleted_manifest_takes_everything_with_it_the_members_before_what_patroni_wrote() {
    let world = World::with(manifest(2)).await;
    world.api.with(|store| store.delete(&manifest_key(), &Deletion::default()).map(drop)).unwrap();
    world.pass(120).await;
    let kept = ["serviceaccounts postgres-pod", "rolebindings postgres-pod"];
    assert_eq!(world.objects(), kept, "what all clusters share stays");
    let state = world.api.state();
    let deleted = state.journal.iter().filter(|call| call.verb == Verb::Delete && call.changed);
    let order: Vec<_> = deleted.map(|call| format!("{} {}", call.key.resource, call.key.name)).collect();
    let place =
        |what: &str| order.iter().position(|one| one == what).unwrap_or_else(|| panic!("{what}: {order:#?}"));
    assert!(place("statefulsets demo") < place("services demo"));
    assert!(place("services demo") < place("configmaps demo-config"));
}

#[tokio::test(start_paused = true)]
async fn the_name_of_a_deleted_cluster_is_free_again() {
    let world = World::with(manifest(1)).await;
    let uid = world.object("apps", "statefulsets", "demo")["metadata"]["uid"].clone();
    world.api.with(|store| store.delete(&manifest_key(), &Deletion::default()).map(drop)).unwrap();
    world.pass(120).await;
    world.apply(manifest(1));
    world.settle().await;
    assert_eq!(world.word(), "Running");
    assert_ne!(world.object("apps", "statefulsets", "demo")["metadata"]["uid"], uid);
}
