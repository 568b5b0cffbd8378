//! What a new cluster asks of the API server, call by call, and how soon its status tells what it waits for.

use std::collections::BTreeMap;

use tests::fake_api::Verb;

use crate::invariants;
use crate::world::{World, manifest, manifest_key};

/// The calls of operators by verb and resource, apart from those that begin or go on with a watch.
fn calls(world: &World) -> BTreeMap<String, usize> {
    let mut calls = BTreeMap::new();
    for call in &world.api.state().journal {
        if !matches!(call.verb, Verb::List | Verb::Watch) {
            let part = if call.subresource.is_empty() { "" } else { "/" };
            let kind = format!("{:?} {}{part}{}", call.verb, call.key.resource, call.subresource);
            *calls.entry(kind.to_lowercase()).or_default() += 1;
        }
    }
    calls
}

/// Every status that was written, in order: the word, the seconds since the story began, what stands in `Ready`.
fn statuses(world: &World) -> Vec<(String, i64, String)> {
    let state = world.api.state();
    let written = state.journal.iter().filter(|call| call.subresource == "status" && call.changed);
    let times = written.map(|call| call.at.as_second() - state.journal[0].at.as_second());
    let manifests = state.store.events.iter().filter(|event| event.key == manifest_key());
    let changed = manifests.filter_map(|event| {
        let status = &event.after.as_ref()?["status"];
        let before = event.before.as_ref().map(|before| &before["status"]);
        (before.is_some() && before != Some(status)).then_some(status)
    });
    let told = changed.map(|status| {
        let message = status["conditions"][0]["message"].as_str().unwrap().to_owned();
        (status["PostgresClusterStatus"].as_str().unwrap().to_owned(), message)
    });
    told.zip(times).map(|((word, message), seconds)| (word, seconds, message)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_new_cluster_costs_each_of_its_objects_once_and_hardly_more() {
    let mut world = World::empty();
    world.start("operator");
    world.apply(manifest(2));
    world.settle().await;
    let expected = [
        ("create events", 2), // made, and it runs
        ("create secrets", 3),
        ("patch poddisruptionbudgets", 2),
        ("patch postgresqls", 1), // the finalizer
        ("patch postgresqls/status", 3),
        ("patch rolebindings", 1),
        ("patch serviceaccounts", 1),
        ("patch services", 2),
        ("patch statefulsets", 1),
    ];
    assert_eq!(calls(&world), expected.map(|(kind, count)| (kind.to_owned(), count)).into());
    let expected = [
        ("Creating", 0, "the operator has begun to work on this generation"),
        ("Creating", 10, "waiting for pod demo-1 to start"),
        ("Running", 15, "the cluster is as its manifest says"),
    ];
    let expected = expected.map(|(word, at, told)| (word.to_owned(), at, told.to_owned()));
    assert_eq!(statuses(&world), expected);
    invariants::hold(&world, "a new cluster");
}

#[tokio::test(start_paused = true)]
async fn what_it_waits_for_is_told_in_the_end_also_where_nothing_happens_any_more() {
    let mut world = World::empty();
    world.nature.lock().unwrap().kubelet.nodes = 0;
    world.start("operator");
    world.apply(manifest(1));
    world.pass(9).await;
    assert_eq!(statuses(&world).len(), 1, "{:?}", statuses(&world));
    world.pass(2).await;
    let told = statuses(&world);
    assert_eq!(told.last().unwrap().2, "waiting for pod demo-0 (Unschedulable) to start", "{told:?}");
}
