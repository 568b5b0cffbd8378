//! Several operators in one world: by leases, by shards, by controller id.

use std::collections::BTreeMap;
use std::time::Duration;

use operator::leader::{Candidacy, LEASE, Tenure};
use serde_json::{Value, json};
use tests::fake_api::Key;
use tokio::time::Instant;

use crate::world::{NAMESPACE, Role, World, configuration, manifest};

/// Two clusters that belong to different shards of two.
const CLUSTERS: [&str; 2] = ["alpha", "gamma"];

fn key(name: &str) -> Key {
    Key::new("acid.zalan.do", "postgresqls", NAMESPACE, name)
}

fn make(world: &World, name: &str, annotations: Value) {
    let mut new = manifest(1);
    new["metadata"] = json!({ "name": name, "annotations": annotations });
    world.api.with(|store| store.create(key(name), new, None).map(drop)).unwrap();
}

fn give_image(world: &World, name: &str, image: &str) {
    world.api.with(|store| store.edit(&key(name), |manifest| manifest["spec"]["dockerImage"] = json!(image)));
}

fn word(world: &World, name: &str) -> Value {
    world.api.get(&key(name)).unwrap()["status"]["PostgresClusterStatus"].clone()
}

/// Who has changed objects of a cluster, in order, one after the other.
fn hands(world: &World, name: &str) -> Vec<String> {
    let state = world.api.state();
    let writes = state.journal.iter().filter(|call| call.changed && call.key.namespace == NAMESPACE);
    let own = writes.filter(|call| call.key.resource != "events" && call.key.name.contains(name));
    let mut hands: Vec<String> = own.map(|call| call.actor.clone()).collect();
    hands.dedup();
    hands
}

fn sharing() -> Role {
    Role { shards: Some(2), ..Role::default() }
}

/// Who holds which lease.
fn holders(world: &World) -> BTreeMap<String, String> {
    let leases = world.objects_of("leases");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    leases
        .iter()
        .map(|lease| (text(&lease["metadata"]["name"]), text(&lease["spec"]["holderIdentity"])))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_given_back_changes_hands_within_a_second_and_one_of_the_dead_within_ten() {
    let world = World::empty();
    let take = async |name: &str| {
        Tenure::take(&world.api.client(name), Candidacy::new("operators", LEASE, name), 1).await.unwrap()
    };
    let one = take("one").await;
    let waiting = async {
        let two = take("two").await;
        (two, Instant::now())
    };
    let released = async {
        world.pass(60).await;
        let begun = Instant::now();
        one.release().await.unwrap();
        begun
    };
    let ((two, taken), given_back) = tokio::join!(waiting, released);
    let hand_over = taken - given_back;
    drop(two);
    let begun = Instant::now();
    let _three = take("three").await;
    let takeover = begun.elapsed();
    println!("handed over in {hand_over:?}, taken over in {takeover:?}");
    assert!(hand_over < Duration::from_secs(1) && takeover < Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn two_operators_share_the_clusters_and_the_one_that_is_left_takes_all() {
    let mut world = World::configured(configuration());
    world.start_as("one", sharing());
    world.pass(30).await;
    world.start_as("two", sharing());
    world.pass(60).await;
    let all = holders(&world);
    assert_eq!(all[LEASE], "2-shards", "{all:?}");
    let mut shards: Vec<&String> = all.values().filter(|holder| *holder != "2-shards").collect();
    shards.sort();
    assert_eq!(shards, ["one", "two"], "who came later has asked for its part: {all:?}");

    CLUSTERS.iter().for_each(|name| make(&world, name, json!({})));
    world.pass(180).await;
    let first: Vec<Vec<String>> = CLUSTERS.iter().map(|name| hands(&world, name)).collect();
    assert!(CLUSTERS.iter().all(|name| word(&world, name) == "Running"), "{first:?}");
    assert!(first.iter().all(|hands| hands.len() == 1) && first[0] != first[1], "{first:?}");

    world.kill("one");
    CLUSTERS.iter().for_each(|name| give_image(&world, name, "spilo:2"));
    world.pass(300).await;
    assert!(CLUSTERS.iter().all(|name| word(&world, name) == "Running"));
    for (name, first) in CLUSTERS.iter().zip(first) {
        let all = hands(&world, name);
        let expected = if first == ["one"] { vec!["one", "two"] } else { vec!["two"] };
        assert_eq!(all, expected, "never two at a time, and never back: {name}");
    }
}

#[tokio::test(start_paused = true)]
async fn operators_that_divide_clusters_in_different_ways_never_act_side_by_side() {
    let mut world = World::configured(configuration());
    world.start_as("one", sharing());
    world.pass(30).await;
    world.start_as("other", Role { shards: Some(3), ..Role::default() });
    world.start_as("alone", Role { shards: Some(1), ..Role::default() });
    CLUSTERS.iter().for_each(|name| make(&world, name, json!({})));
    world.pass(180).await;
    assert!(CLUSTERS.iter().all(|name| hands(&world, name) == ["one"]));
    world.kill("one");
    CLUSTERS.iter().for_each(|name| give_image(&world, name, "spilo:2"));
    world.pass(300).await;
    let last: Vec<Vec<String>> = CLUSTERS.iter().map(|name| hands(&world, name)).collect();
    assert!(last.iter().all(|hands| hands.len() == 2), "{last:?}");
    assert_eq!(last[0], last[1], "whoever was first has them all: {:?}", holders(&world));
}

#[tokio::test(start_paused = true)]
async fn a_cluster_belongs_to_the_operator_that_its_annotation_names_and_to_no_other() {
    let mut world = World::configured(configuration());
    world.start_as("blue", Role { controller_id: Some("blue".into()), ..Role::default() });
    world.start("nameless");
    make(&world, "alpha", json!({ "acid.zalan.do/controller": "blue" }));
    make(&world, "delta", json!({}));
    make(&world, "gamma", json!({ "acid.zalan.do/controller": "green" }));
    world.pass(180).await;
    assert_eq!([hands(&world, "alpha"), hands(&world, "delta")], [["blue"], ["nameless"]]);
    assert_eq!(hands(&world, "gamma"), [""; 0], "its operator does not run");
    world.api.with(|store| {
        store.edit(&key("alpha"), |manifest| {
            manifest["metadata"]["annotations"] = json!({});
            manifest["spec"]["dockerImage"] = json!("spilo:2");
        });
    });
    world.pass(180).await;
    assert_eq!(hands(&world, "alpha"), ["blue", "nameless"], "it was handed over");
    assert_eq!(word(&world, "alpha"), "Running");
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_another_has_carried_out_does_not_reach_the_cluster_made_again_under_its_name() {
    let mut config = configuration();
    config.kubernetes.enable_finalizers = false;
    let mut world = World::configured(config);
    let alone = || Role { shards: Some(1), ..Role::default() };
    world.start_as("first", alone());
    world.pass(5).await;
    world.start_as("second", alone());
    world.apply(manifest(1));
    world.pass(180).await; // it never comes to rest: the lease is renewed
    world.delete();
    world.pass(120).await;
    world.apply(manifest(1));
    world.pass(180).await;
    let uid = || world.object("apps", "statefulsets", "demo")["metadata"]["uid"].clone();
    let before = uid();
    // The second has seen the deletion, too, and what came after it.
    world.kill("first");
    world.pass(120).await;
    let uid = world.object("apps", "statefulsets", "demo")["metadata"]["uid"].clone();
    assert_eq!(uid, before, "the new cluster is left alone");
    assert!(holders(&world)[LEASE] == "second" && world.word() == "Running");
}
