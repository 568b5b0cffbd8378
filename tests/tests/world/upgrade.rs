//! Major upgrades, and what may come between: a script that fails, a connection that breaks, an operator that is gone.

use serde_json::{Value, json};
use shared::annotations::{UPGRADE_BEGUN, UPGRADE_FAILED, UPGRADED};

use crate::exec::Broken;
use crate::world::{World, manifest, manifest_key};

/// A cluster of two on PostgreSQL 16, which is asked to move to 17 under a plan.
async fn behind() -> World {
    let mut old = manifest(2);
    old["spec"]["postgresql"]["version"] = json!("16");
    World::with(old).await
}

fn ask_for_17(world: &World) {
    world.patch(json!({"postgresql": {"version": "17"}}));
}

/// Waits until the script runs.
async fn begun(world: &World) {
    while upgrades(world) == 0 {
        world.pass(1).await;
    }
}

/// How often the script was run.
fn upgrades(world: &World) -> usize {
    world.acts().iter().filter(|act| act.starts_with("upgrade")).count()
}

fn annotation(world: &World, name: &str) -> Value {
    world.manifest()["metadata"]["annotations"][name].clone()
}

fn message(world: &World) -> String {
    world.status()["conditions"][0]["message"].as_str().unwrap_or_default().to_owned()
}

/// The notes of events about upgrades.
fn told(world: &World) -> Vec<String> {
    let events = world.objects_of("events");
    let about = events.iter().filter(|event| event["reason"] == "Major Version Upgrade");
    about.map(|event| event["note"].as_str().unwrap_or_default().to_owned()).collect()
}

fn labelled(world: &World) -> usize {
    let pods = world.objects_of("pods");
    pods.iter().filter(|pod| pod["metadata"]["labels"]["critical-operation"] == "true").count()
}

#[tokio::test(start_paused = true)]
async fn members_take_the_new_programs_one_by_one_and_then_the_data_move_once() {
    let world = behind().await;
    ask_for_17(&world);
    begun(&world).await;
    assert_eq!((world.word().as_str(), labelled(&world)), ("Updating", 2));
    assert!(annotation(&world, UPGRADE_BEGUN).as_str().unwrap().starts_with("17 "));
    world.settle().await;
    assert_eq!(
        world.acts(),
        ["recreate demo-1", "switchover demo-0 to demo-1", "recreate demo-0", "upgrade to 17"]
    );
    assert_eq!((world.major(), world.word().as_str(), labelled(&world)), (17, "Running", 0));
    assert!(annotation(&world, UPGRADED).is_string() && annotation(&world, UPGRADE_BEGUN).is_null());
    assert_eq!(told(&world), ["starting the upgrade to PostgreSQL 17", "upgraded to PostgreSQL 17"]);
}

#[tokio::test(start_paused = true)]
async fn a_script_that_fails_is_told_everywhere_and_not_run_again_until_somebody_asks_for_it() {
    let world = behind().await;
    world.nature.lock().unwrap().patroni.plan.fails = Some("no space left".to_owned());
    ask_for_17(&world);
    begun(&world).await;
    world.pass(4000).await;
    assert_eq!((upgrades(&world), world.major(), world.word().as_str()), (1, 16, "UpdateFailed"));
    assert!(annotation(&world, UPGRADE_FAILED).is_string() && annotation(&world, UPGRADE_BEGUN).is_null());
    assert!(message(&world).contains("the upgrade to PostgreSQL 17 failed"), "{}", message(&world));
    let why = "the upgrade to PostgreSQL 17 failed: the script ended with 1: no space left";
    assert!(told(&world).contains(&why.to_owned()), "{:?}", told(&world));

    world.nature.lock().unwrap().patroni.plan.fails = None;
    world.api.with(|store| {
        store.edit(&manifest_key(), |manifest| {
            manifest["metadata"]["annotations"].as_object_mut().unwrap().remove(UPGRADE_FAILED);
        });
    });
    world.settle().await;
    assert_eq!((upgrades(&world), world.major(), world.word().as_str()), (2, 17, "Running"));
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_put_back_ends_a_failure() {
    let world = behind().await;
    world.nature.lock().unwrap().patroni.plan.fails = Some("no space left".to_owned());
    ask_for_17(&world);
    begun(&world).await;
    world.pass(300).await;
    world.patch(json!({"postgresql": {"version": "16"}}));
    world.settle().await;
    assert_eq!((upgrades(&world), world.major(), world.word().as_str()), (1, 16, "Running"));
    assert!(annotation(&world, UPGRADE_FAILED).is_null());
}

#[tokio::test(start_paused = true)]
async fn a_successor_waits_for_the_script_of_an_operator_that_is_gone_and_touches_nothing() {
    let world = behind().await;
    world.nature.lock().unwrap().patroni.plan.takes = Some(3 * 3600);
    ask_for_17(&world);
    begun(&world).await;
    let saved = world.saved();
    drop(world);

    let mut world = World::of(saved);
    world.start("successor");
    world.patch(json!({"dockerImage": "spilo:2", "numberOfInstances": 1, "users": {"late": []}}));
    world.forget();
    world.pass(3 * 3600 - 60).await;
    assert_eq!((world.word().as_str(), world.acts(), world.pods().len()), ("Updating", Vec::new(), 2));
    assert!(world.servers.lock().unwrap().statements.is_empty(), "no SQL into data that may be left behind");
    world.settle().await;
    assert_eq!((world.major(), world.word().as_str(), labelled(&world)), (17, "Running", 0));
    assert_eq!((upgrades(&world), world.pods().len()), (0, 1));
    assert!(annotation(&world, UPGRADED).is_string() && annotation(&world, UPGRADE_BEGUN).is_null());
}

#[tokio::test(start_paused = true)]
async fn a_script_that_fails_after_its_operator_is_gone_is_told_with_its_last_words() {
    let world = behind().await;
    world.nature.lock().unwrap().patroni.plan.fails = Some("no space left".to_owned());
    ask_for_17(&world);
    begun(&world).await;
    let saved = world.saved();
    drop(world);

    let mut world = World::of(saved);
    world.start("successor");
    world.pass(4000).await;
    assert_eq!((upgrades(&world), world.major(), world.word().as_str()), (1, 16, "UpdateFailed"));
    assert!(annotation(&world, UPGRADE_FAILED).is_string() && annotation(&world, UPGRADE_BEGUN).is_null());
    let why = "the upgrade to PostgreSQL 17 failed: no space left";
    assert!(told(&world).contains(&why.to_owned()), "{:?}", told(&world));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_at_any_moment_costs_no_second_run() {
    for broken in [Broken::Before, Broken::After, Broken::AtTheEnd] {
        let world = behind().await;
        world.commands.lock().unwrap().fails = vec![broken];
        ask_for_17(&world);
        world.settle().await;
        let seen = (upgrades(&world), world.major(), world.word(), labelled(&world));
        assert_eq!(seen, (1, 17, "Running".to_owned(), 0), "{broken:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_cannot_be_asked_is_waited_for_and_the_status_says_so() {
    let world = behind().await;
    let mut fails = vec![Broken::After];
    fails.extend(vec![Broken::Before; 12]);
    world.commands.lock().unwrap().fails = fails;
    ask_for_17(&world);
    begun(&world).await;
    world.pass(45).await;
    assert!(
        message(&world).contains("whether it still runs in pod demo-1 is not known"),
        "{}",
        message(&world)
    );
    world.settle().await;
    assert_eq!((upgrades(&world), world.major(), world.word().as_str()), (1, 17, "Running"));
}

#[tokio::test(start_paused = true)]
async fn a_script_that_ends_with_its_pod_is_told_as_failed_and_never_left_unseen() {
    let world = behind().await;
    ask_for_17(&world);
    begun(&world).await;
    world.pass(5).await;
    let primary = world.leader();
    world
        .api
        .with(|store| {
            let key = tests::fake_api::Key::new("", "pods", crate::world::NAMESPACE, &primary);
            store.delete(&key, &tests::fake_api::Deletion::default()).map(drop)
        })
        .unwrap();
    world.pass(900).await;
    assert_eq!((upgrades(&world), world.major(), world.word().as_str()), (1, 16, "UpdateFailed"));
    assert!(annotation(&world, UPGRADE_FAILED).is_string() && annotation(&world, UPGRADE_BEGUN).is_null());
    assert_eq!(labelled(&world), 0);
}

#[tokio::test(start_paused = true)]
async fn outside_its_window_no_pod_is_replaced_for_a_version_and_inside_it_everything_follows() {
    let mut old = manifest(2);
    old["spec"]["postgresql"]["version"] = json!("16");
    old["spec"]["maintenanceWindows"] = json!(["02:00-04:00"]);
    let world = World::with(old).await;
    ask_for_17(&world);
    world.settle().await;
    assert_eq!((world.acts(), world.major(), world.word().as_str()), (Vec::new(), 16, "Running"));
    assert!(message(&world).contains("02:00-04:00"), "{}", message(&world));
    world.pass(2 * 3600).await;
    world.settle().await;
    assert_eq!((upgrades(&world), world.major(), world.word().as_str()), (1, 17, "Running"));
}

#[tokio::test(start_paused = true)]
async fn after_an_old_failure_pods_take_the_new_programs_and_the_data_stay() {
    let world = behind().await;
    world.api.with(|store| {
        store.edit(&manifest_key(), |manifest| {
            manifest["metadata"]["annotations"] = json!({ UPGRADE_FAILED: "2025-12-24T12:00:00Z" });
        });
    });
    ask_for_17(&world);
    world.pass(900).await;
    assert_eq!(world.acts(), ["recreate demo-1", "switchover demo-0 to demo-1", "recreate demo-0"]);
    assert_eq!((world.major(), world.word().as_str()), (16, "UpdateFailed"));
    assert!(message(&world).contains("2025-12-24T12:00:00Z"), "{}", message(&world));
}
