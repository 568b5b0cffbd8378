//! What others do wrong: a server that refuses, a store that is late, another operator, a pod's name taken.

use std::time::Duration;

use serde_json::json;
use tests::fake_api::{Call, Deletion, Failure, Fault, Key, Verb};

use crate::world::{ROLLING_THREE, ROLLING_TWO, World, manifest};

#[tokio::test(start_paused = true)]
async fn a_refused_object_keeps_no_other_from_being_written_and_all_refusals_are_told() {
    let mut world = World::empty();
    let refused =
        |call: &Call| call.verb == Verb::Patch && call.key.resource == "services" && call.key.name == "demo";
    let too = |call: &Call| call.verb == Verb::Patch && call.key.resource == "poddisruptionbudgets";
    world.api.fail(Fault::on(refused, Failure::Status(403)).times(1000));
    world.api.fail(Fault::on(too, Failure::Status(403)).times(1000));
    world.start("operator");
    world.apply(manifest(1));
    world.pass(60).await;
    let objects = world.objects();
    for expected in ["services demo-repl", "statefulsets demo", "serviceaccounts postgres-pod"] {
        assert!(objects.contains(&expected.to_owned()), "{expected} is missing in {objects:#?}");
    }
    let told = world.status()["conditions"][0]["message"].as_str().unwrap().to_owned();
    for object in ["Service default/demo", "PodDisruptionBudget default/postgres-demo-pdb"] {
        assert!(told.contains(object), "{object} is not told: {told}");
    }
    assert_eq!(world.word(), "Creating");
    world.pass(900).await;
    for _ in 0..8 {
        world.pass(100).await;
        assert_eq!(world.word(), "CreateFailed", "failed stays failed: {:#}", world.status());
    }
    world.api.heal();
    world.pass(400).await;
    world.settle().await;
    assert_eq!(world.word(), "Running");
}

#[tokio::test(start_paused = true)]
async fn an_invalid_manifest_whose_status_is_refused_is_told_by_an_event_and_seldom_tried_again() {
    let mut world = World::empty();
    let of_status = |call: &Call| call.verb == Verb::Patch && call.subresource == "status";
    world.api.fail(Fault::on(of_status, Failure::Status(422)).times(1000));
    world.start("operator");
    let mut unreadable = manifest(1);
    unreadable["spec"]["users"] = json!(["app"]);
    world.apply(unreadable);
    world.pass(900).await;
    assert_eq!(world.word(), "", "the status was refused");
    let tries = world.api.state().journal.iter().filter(|call| of_status(call)).count();
    assert!((1..5).contains(&tries), "{tries} tries in a quarter of an hour");
    let events = world.objects_of("events");
    assert!(events.iter().any(|event| event.to_string().contains("spec.users")), "{events:#?}");

    world.api.heal();
    world.pass(400).await;
    assert_eq!(world.word(), "Invalid");
}

#[tokio::test(start_paused = true)]
async fn a_secret_of_somebody_else_costs_one_user_and_nobody_else() {
    let mut world = World::empty();
    let taken = "taken.demo.credentials.postgresql.acid.zalan.do";
    let foreign =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": taken}, "data": {"a": "Yg=="}});
    world.api.with(|store| store.create(Key::new("", "secrets", "default", taken), foreign, None)).unwrap();
    world.start("operator");
    let mut two_users = manifest(1);
    two_users["spec"]["users"] = json!({"app": [], "taken": []});
    world.apply(two_users);
    world.pass(120).await;
    let told = world.status()["conditions"][0]["message"].as_str().unwrap().to_owned();
    assert!(told.contains(taken), "{told}");
    let statements = world.servers.lock().unwrap().statements.join("\n");
    assert!(statements.contains(r#"CREATE ROLE "app""#), "{statements}");
    assert!(!statements.contains(r#"CREATE ROLE "taken""#), "{statements}");

    world
        .api
        .with(|store| store.delete(&Key::new("", "secrets", "default", taken), &Deletion::default()))
        .unwrap();
    world.pass(400).await;
    world.settle().await;
    assert_eq!(world.word(), "Running");
    let statements = world.servers.lock().unwrap().statements.join("\n");
    assert!(statements.contains(r#"CREATE ROLE "taken""#), "{statements}");
}

#[tokio::test(start_paused = true)]
async fn a_late_store_of_manifests_restarts_no_member_twice() {
    let world = World::with(manifest(2)).await;
    world.api.delay("postgresqls", Duration::from_secs(4));
    world.patch(json!({"postgresql": {"parameters": {"max_connections": "200"}}}));
    world.settle().await;
    let asked = world.nature.lock().unwrap().patroni.asked.clone();
    assert_eq!(asked, ["PATCH /config demo-0", "POST /restart demo-1", "POST /restart demo-0"]);
}

#[tokio::test(start_paused = true)]
async fn late_stores_of_pods_and_stateful_sets_cost_time_and_no_pod() {
    let world = World::with(manifest(2)).await;
    for plural in ["pods", "statefulsets", "services", "secrets"] {
        world.api.delay(plural, Duration::from_secs(4));
    }
    world.patch(json!({"dockerImage": "spilo:2"}));
    world.settle().await;
    assert_eq!(world.acts(), ROLLING_TWO);
    assert_eq!(world.word(), "Running");
}

#[tokio::test(start_paused = true)]
async fn two_operators_at_once_do_the_work_of_one() {
    let mut world = World::with(manifest(2)).await;
    world.start("another");
    world.patch(json!({"dockerImage": "spilo:2"}));
    world.settle().await;
    assert_eq!(world.acts(), ROLLING_TWO);
    world.forget();
    world.patch(json!({"postgresql": {"parameters": {"max_connections": "200"}}}));
    world.settle().await;
    assert_eq!(world.leader(), "demo-1");
    assert_eq!(world.acts(), ["patch configuration", "restart demo-0", "restart demo-1"]);
    assert_eq!(world.word(), "Running");
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_is_stopped_in_the_middle_is_followed_by_one_that_goes_on() {
    let mut world = World::with(manifest(3)).await;
    world.patch(json!({"dockerImage": "spilo:2"}));
    while world.acts().len() < 2 {
        world.pass(1).await;
    }
    world.kill("operator");
    world.pass(120).await;
    assert_eq!(world.acts().len(), 2);
    world.start("successor");
    world.settle().await;
    assert_eq!(world.acts(), ROLLING_THREE);
}

#[tokio::test(start_paused = true)]
async fn watches_that_break_and_begin_anew_lose_nothing() {
    let world = World::with(manifest(2)).await;
    world.api.cut_watches();
    world.patch(json!({"dockerImage": "spilo:2"}));
    for _ in 0..10 {
        world.pass(5).await;
        world.api.cut_watches();
    }
    world.settle().await;
    assert_eq!(world.acts(), ROLLING_TWO);
    assert_eq!(world.word(), "Running");
}

#[tokio::test(start_paused = true)]
async fn a_failing_role_is_told_and_holds_up_no_rolling_update() {
    let world = World::with(manifest(2)).await;
    world.servers.lock().unwrap().refuses = Some("robot".to_owned());
    world.patch(json!({"dockerImage": "spilo:2", "users": {"robot": []}}));
    world.pass(300).await;
    assert_eq!(world.acts(), ROLLING_TWO);
    let status = world.status();
    assert_ne!(world.word(), "Running", "{status:#}");
    let told = status["conditions"][0]["message"].as_str().unwrap().to_owned();
    assert!(told.contains("robot") && told.contains("not today"), "{told}");
    world.servers.lock().unwrap().refuses = None;
    world.settle().await;
    assert_eq!(world.word(), "Running");
}
