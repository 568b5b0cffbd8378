//! Secrets that are there before their cluster.

use operator::rights::Rights;
use serde_json::{Value, json};
use tests::fake_api::Key;

use crate::world::{Role, World, manifest};

const NAME: &str = "standby.demo.credentials.postgresql.acid.zalan.do";
/// "chosen", as a Secret has it.
const CHOSEN: &str = "Y2hvc2Vu";

/// A Secret that a person makes for the role `standby`, with the source's password for example.
fn prepare(world: &World, user: &str, labels: &Value) {
    let data = json!({ "username": user, "password": CHOSEN });
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": { "name": NAME, "labels": labels }, "data": data,
    });
    let key = Key::new("", "secrets", "default", NAME);
    world.api.with(|store| store.create(key, secret, None).map(drop)).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_a_person_has_prepared_keeps_its_password_and_becomes_the_cluster_s() {
    let mut world = World::empty();
    prepare(&world, "c3RhbmRieQ==", &json!({}));
    world.start("operator");
    world.apply(manifest(1));
    world.settle().await;
    assert_eq!(world.word(), "Running");
    let secret = world.object("", "secrets", NAME);
    assert_eq!(secret["data"]["password"], CHOSEN);
    assert_eq!(secret["metadata"]["labels"]["cluster-name"], "demo");
}

#[tokio::test(start_paused = true)]
async fn a_secret_of_another_cluster_or_another_user_is_nobody_s_password() {
    for (user, labels) in [("c3RhbmRieQ==", json!({ "cluster-name": "other" })), ("cG9zdGdyZXM=", json!({}))]
    {
        let mut world = World::empty();
        prepare(&world, user, &labels);
        world.start("operator");
        world.apply(manifest(1));
        world.pass(60).await;
        assert_ne!(world.word(), "Running");
        assert!(world.status().to_string().contains("is not this cluster's"), "{}", world.status());
        assert_eq!(world.object("", "secrets", NAME)["metadata"]["labels"], labels);
    }
}

/// Zalando's roles let an operator read a Secret by its name and not watch any, so that no event tells of one that it has made.
#[tokio::test(start_paused = true)]
async fn where_secrets_are_not_watched_a_new_user_is_made_within_seconds() {
    let mut world = World::empty();
    let rights = Rights::without([("", "secrets", "list"), ("", "secrets", "watch")]);
    world.start_as("operator", Role { rights, ..Role::default() });
    world.apply(manifest(1));
    world.settle().await;
    let mut with_a_user = manifest(1);
    with_a_user["spec"]["users"]["late"] = json!([]);
    world.apply(with_a_user);
    world.pass(20).await;
    let servers = world.servers.lock().unwrap();
    assert!(servers.catalogs["demo.default.svc"].roles.contains_key(&"late".parse().unwrap()));
}
