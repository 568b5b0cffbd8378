//! What happens to the members, and in which order.

use std::time::Duration;

use serde_json::json;
use shared::config::Disruption;
use tests::fake_api::{Call, Deletion, Failure, Fault, Key, Verb};
use tests::simulation::patroni::Version;

use crate::world::{ROLLING_THREE, ROLLING_TWO, World, manifest};

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
async fn a_settled_cluster_is_left_alone() {
    let world = World::with(manifest(2)).await;
    world.pass(4000).await;
    assert_eq!(world.writes(), 0);
    assert!(world.acts().is_empty());
    assert!(world.servers.lock().unwrap().statements.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_new_image_takes_replicas_first_hands_over_once_and_takes_the_old_primary_last() {
    let world = World::with(manifest(3)).await;
    world.patch(json!({"dockerImage": "spilo:2"}));
    world.settle().await;
    assert_eq!(world.acts(), ROLLING_THREE);
    assert_eq!(world.word(), "Running");
}

#[tokio::test(start_paused = true)]
async fn a_reloadable_parameter_restarts_nothing() {
    let world = World::with(manifest(2)).await;
    world.patch(json!({"postgresql": {"parameters": {"work_mem": "8MB"}}}));
    world.settle().await;
    assert_eq!(world.acts(), ["patch configuration"]);
    assert_eq!(world.in_force("work_mem"), ["8MB", "8MB"]);
}

#[tokio::test(start_paused = true)]
async fn a_parameter_that_grows_restarts_replicas_first_and_each_member_once() {
    for version in [Version::Three, Version::Four] {
        let world = World::with(manifest(3)).await;
        world.nature.lock().unwrap().patroni.version = version;
        world.patch(json!({"postgresql": {"parameters": {"max_connections": "200"}}}));
        world.settle().await;
        assert_eq!(
            world.acts(),
            ["patch configuration", "restart demo-1", "restart demo-2", "restart demo-0"],
            "{version:?}"
        );
        assert_eq!(world.in_force("max_connections"), ["200", "200", "200"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_parameter_that_shrinks_restarts_the_primary_first_where_patroni_says_why() {
    let world = World::with(manifest(3)).await;
    world.patch(json!({"postgresql": {"parameters": {"max_connections": "50"}}}));
    world.settle().await;
    assert_eq!(world.acts(), ["patch configuration", "restart demo-0", "restart demo-1", "restart demo-2"]);
    assert_eq!(world.in_force("max_connections"), ["50", "50", "50"]);
}

#[tokio::test(start_paused = true)]
async fn a_parameter_that_shrinks_is_in_force_everywhere_even_where_patroni_does_not_say_why() {
    let world = World::with(manifest(2)).await;
    world.nature.lock().unwrap().patroni.version = Version::Three;
    world.patch(json!({"postgresql": {"parameters": {"max_connections": "50"}}}));
    world.settle().await;
    assert_eq!(world.in_force("max_connections"), ["50", "50"]);
    let of_primary = world.acts().iter().filter(|act| *act == "restart demo-0").count();
    assert_eq!(of_primary, 1, "{:?}", world.acts());
}

#[tokio::test(start_paused = true)]
async fn a_parameter_of_the_pods_environment_is_a_rolling_update() {
    let world = World::with(manifest(2)).await;
    world.patch(json!({"postgresql": {"parameters": {"shared_buffers": "64MB"}}}));
    world.settle().await;
    assert_eq!(world.acts(), ROLLING_TWO);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_is_scaled_out_in_to_nothing_and_back() {
    let world = World::with(manifest(2)).await;
    for (members, expected) in [
        (3, vec!["demo-0", "demo-1", "demo-2"]),
        (1, vec!["demo-0"]),
        (0, vec![]),
        (2, vec!["demo-0", "demo-1"]),
    ] {
        world.patch(json!({ "numberOfInstances": members }));
        world.settle().await;
        assert_eq!(world.pods(), expected);
        assert_eq!(world.word(), "Running", "{members} members: {:#}", world.status());
    }
    assert!(world.acts().is_empty(), "{:?}", world.acts());
}

#[tokio::test(start_paused = true)]
async fn a_primary_that_is_scaled_away_hands_over_first() {
    let world = World::with(manifest(2)).await;
    world.patch(json!({"dockerImage": "spilo:2"}));
    world.settle().await;
    assert_eq!(world.leader(), "demo-1");
    world.forget();
    world.patch(json!({"numberOfInstances": 1}));
    world.settle().await;
    assert_eq!(world.acts(), ["switchover demo-1 to demo-0"]);
    assert_eq!(world.pods(), ["demo-0"]);
}

#[tokio::test(start_paused = true)]
async fn a_new_image_by_configuration_reaches_clusters_that_name_none() {
    let mut plain = manifest(2);
    plain["spec"].as_object_mut().unwrap().remove("dockerImage");
    let world = World::with(plain).await;
    world.configure(|config| config.general.docker_image = "spilo:by-configuration".to_owned());
    world.settle().await;
    assert_eq!(world.acts(), ROLLING_TWO);
    let pod = world.object("", "pods", "demo-0");
    assert_eq!(pod["spec"]["containers"][0]["image"], "spilo:by-configuration");
}

#[tokio::test(start_paused = true)]
async fn an_image_that_cannot_be_pulled_stops_at_one_replica_and_reverting_it_heals() {
    let world = World::with(manifest(3)).await;
    world.nature.lock().unwrap().kubelet.broken_images.insert("spilo:broken".to_owned());
    world.patch(json!({"dockerImage": "spilo:broken"}));
    world.pass(1500).await;
    assert_eq!(world.acts(), ["recreate demo-1"]);
    assert_eq!(world.leader(), "demo-0");
    assert_eq!(world.word(), "UpdateFailed", "{:#}", world.status());
    let message = world.status()["conditions"][0]["message"].to_string();
    assert!(message.contains("demo-1") && message.contains("ImagePullBackOff"), "{message}");
    world.patch(json!({"dockerImage": "spilo:1"}));
    world.settle().await;
    assert_eq!(world.acts(), ["recreate demo-1", "recreate demo-1"]);
    assert_eq!(world.word(), "Running");
}

#[tokio::test(start_paused = true)]
async fn one_bad_flag_and_one_bad_name_of_long_ago_are_told_and_hold_nothing_up() {
    let mut old = manifest(2);
    old["spec"]["users"]["broken"] = json!(["superuserr"]);
    old["spec"]["databases"] = json!({"app": "app", "": "app"});
    let mut world = World::empty();
    world.start("operator");
    world.apply(old);
    world.pass(60).await;
    let told = world.status()["conditions"][0]["message"].as_str().unwrap().to_owned();
    for part in ["spec.users[broken]: ", "spec.databases[]: "] {
        assert!(told.contains(part), "{part} is not in: {told}");
    }
    assert_ne!(world.word(), "Invalid");
    let roles = world.servers.lock().unwrap().catalogs["demo.default.svc"].roles.clone();
    assert!(roles.contains_key(&"app".parse().unwrap()) && !roles.contains_key(&"broken".parse().unwrap()));
    world.patch(json!({"dockerImage": "spilo:2"}));
    world.pass(120).await;
    assert_eq!(world.acts(), ROLLING_TWO);
    world.patch(json!({"users": {"broken": null}, "databases": {"": null}}));
    world.settle().await;
    assert_eq!(world.word(), "Running", "{:#}", world.status());
}

#[tokio::test(start_paused = true)]
async fn outside_its_window_a_cluster_recreates_what_may_be_and_hands_over_when_the_window_opens() {
    let mut windowed = manifest(2);
    windowed["spec"]["maintenanceWindows"] = json!(["00:30-01:00"]);
    let world = World::with(windowed).await;
    world.configure(|config| {
        config.general.outside_maintenance_windows = vec![Disruption::RecreateReplica];
    });
    world.patch(json!({"dockerImage": "spilo:2"}));
    world.pass(300).await;
    assert_eq!(world.acts(), ["recreate demo-1"]);
    assert_eq!(world.word(), "Running");
    let told = world.status()["conditions"][0]["message"].as_str().unwrap().to_owned();
    assert_eq!(told, "an update waits for the maintenance window 00:30-01:00 UTC");
    world.pass(1800).await;
    world.settle().await;
    assert_eq!(world.acts(), ROLLING_TWO);
}

#[tokio::test(start_paused = true)]
async fn a_lagging_controller_of_stateful_sets_never_makes_a_new_pod_from_the_old_template() {
    let world = World::with(manifest(2)).await;
    world.nature.lock().unwrap().stateful_sets.lag = Duration::from_secs(25);
    world.patch(json!({"dockerImage": "spilo:2"}));
    world.settle().await;
    assert_eq!(world.acts(), ROLLING_TWO);
}

#[tokio::test(start_paused = true)]
async fn a_primary_whose_pod_goes_is_replaced_and_nothing_else_happens() {
    let world = World::with(manifest(2)).await;
    world.api.with(|store| {
        let key = tests::fake_api::Key::new("", "pods", "default", "demo-0");
        store.delete(&key, &tests::fake_api::Deletion::default()).unwrap();
    });
    world.settle().await;
    assert_eq!(world.leader(), "demo-1");
    assert!(world.acts().is_empty());
    assert_eq!(world.word(), "Running");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_the_api_server_would_refuse_stops_the_rollout_before_any_pod_goes() {
    let world = World::with(manifest(3)).await;
    let dry = |call: &Call| call.verb == Verb::Create && call.key.resource == "pods";
    world.api.fail(Fault::on(dry, Failure::Status(403)).times(100_000));
    world.patch(json!({"dockerImage": "spilo:2"}));
    world.pass(300).await;
    assert!(world.acts().is_empty(), "{:?}", world.acts());
    assert_eq!(world.word(), "UpdateFailed", "{:#}", world.status());
    let ready = world.status()["conditions"][0].clone();
    assert_eq!(ready["reason"], "PodRefused");
    assert!(ready["message"].as_str().unwrap().ends_with("made to fail with 403"), "{ready:#}");
    world.api.heal();
    world.settle().await;
    assert_eq!(world.acts(), ROLLING_THREE);
    assert_eq!(world.word(), "Running");
}

#[tokio::test(start_paused = true)]
async fn while_nobody_can_say_whether_a_new_pod_would_be_accepted_none_goes() {
    let world = World::with(manifest(2)).await;
    let dry = |call: &Call| call.verb == Verb::Create && call.key.resource == "pods";
    world.api.fail(Fault::on(dry, Failure::Status(500)).times(5));
    world.patch(json!({"dockerImage": "spilo:2"}));
    world.pass(4).await;
    assert!(world.acts().is_empty(), "{:?}", world.acts());
    world.settle().await;
    assert_eq!(world.acts(), ROLLING_TWO);
}

#[tokio::test(start_paused = true)]
async fn annotations_reach_running_pods_and_no_pod_is_recreated() {
    let mut first = manifest(2);
    first["metadata"]["annotations"] = json!({"owned-by": "us", "other": "x"});
    first["spec"]["podAnnotations"] = json!({"scrape": "true", "old": "1"});
    let world = World::with(first).await;
    world.configure(|config| config.kubernetes.inherited_annotations = vec!["owned-by".to_owned()]);
    world.patch(json!({"podAnnotations": {"scrape": "false", "old": null, "new": "1"}}));
    world.settle().await;
    assert!(world.acts().is_empty(), "{:?}", world.acts());
    for pod in ["demo-0", "demo-1"] {
        let annotations = world.object("", "pods", pod)["metadata"]["annotations"].clone();
        let of = |key: &str| annotations[key].as_str();
        assert_eq!(
            (of("scrape"), of("new"), of("owned-by"), of("old"), of("other")),
            (Some("false"), Some("1"), Some("us"), None, None),
            "{pod}: {annotations:#}"
        );
        assert!(of("status").is_some(), "Patroni's stays");
    }
}

#[tokio::test(start_paused = true)]
async fn a_primary_that_fails_in_the_middle_of_a_rolling_update_costs_no_pod_twice() {
    let world = World::with(manifest(3)).await;
    world.patch(json!({"dockerImage": "spilo:2"}));
    while world.acts().is_empty() {
        world.pass(1).await;
    }
    world.pass(2).await;
    world
        .api
        .with(|store| store.delete(&Key::new("", "pods", "default", "demo-0"), &Deletion::default()))
        .unwrap();
    world.settle().await;
    let mut acts = world.acts();
    acts.sort();
    let number = acts.len();
    acts.dedup();
    assert_eq!(acts.len(), number, "something was done twice: {:?}", world.acts());
    for pod in world.pods() {
        assert_eq!(world.object("", "pods", &pod)["spec"]["containers"][0]["image"], "spilo:2", "{pod}");
    }
    assert_eq!(world.word(), "Running");
}

/// Upstream's definition declares the word of the status only.
fn upstreams_definition(world: &World) {
    world.api.with(|store| {
        store.declared.insert("postgresqls".to_owned(), vec!["PostgresClusterStatus".to_owned()]);
    });
}

#[tokio::test(start_paused = true)]
async fn with_upstreams_definition_the_word_is_right_and_nothing_is_written_for_ever() {
    let mut world = World::empty();
    upstreams_definition(&world);
    world.start("operator");
    world.apply(manifest(2));
    world.pass(300).await;
    assert_eq!(world.status(), json!({"PostgresClusterStatus": "Running"}));
    world.forget();
    world.pass(4000).await;
    assert_eq!(world.writes(), 0, "a settled cluster is left alone");

    world.patch(json!({"postgresql": {"parameters": {"max_connections": "200"}}}));
    world.pass(5).await;
    assert_eq!(world.word(), "Updating");
    world.pass(300).await;
    assert_eq!(world.acts(), ["patch configuration", "restart demo-1", "restart demo-0"], "nobody twice");
    assert_eq!(world.status(), json!({"PostgresClusterStatus": "Running"}));
    let notes = world
        .objects_of("events")
        .into_iter()
        .filter(|event| event["note"].to_string().contains("definition"));
    assert_eq!(notes.count(), 1, "it is told once");

    world.kill("operator");
    world.start("successor");
    world.pass(300).await;
    world.forget();
    world.pass(4000).await;
    assert_eq!((world.word().as_str(), world.writes()), ("Running", 0));

    world.api.with(|store| store.declared.clear());
    world.pass(2000).await;
    assert_eq!(world.status()["observedGeneration"], world.manifest()["metadata"]["generation"]);
}

#[tokio::test(start_paused = true)]
async fn one_member_that_does_not_answer_keeps_no_setting_from_the_others() {
    let world = World::with(manifest(3)).await;
    world.api.with(|store| {
        store.delete(&Key::new("", "pods", "default", "demo-0"), &Deletion::default()).unwrap();
    });
    world.settle().await;
    assert_ne!(world.leader(), "demo-0", "the one that is asked first is a replica now");
    world.nature.lock().unwrap().patroni.silent.insert("demo-0".to_owned());
    world.patch(json!({"postgresql": {"parameters": {"work_mem": "8MB"}}}));
    world.settle().await;
    assert_eq!(world.acts(), ["patch configuration"]);
    assert_eq!(world.in_force("work_mem"), ["8MB", "8MB", "8MB"]);
    assert_eq!(world.word(), "Running");
}

#[tokio::test(start_paused = true)]
async fn a_lazy_upgrade_reaches_a_pod_that_is_made_anew_and_the_rest_when_it_is_lazy_no_more() {
    let world = World::with(manifest(2)).await;
    world.configure(|config| config.general.enable_lazy_spilo_upgrade = true);
    world.patch(json!({"dockerImage": "spilo:2"}));
    world.settle().await;
    assert!(world.acts().is_empty(), "{:?}", world.acts());
    world.api.with(|store| {
        store.delete(&Key::new("", "pods", "default", "demo-1"), &Deletion::default()).unwrap();
    });
    world.settle().await;
    let image = |pod: &str| world.object("", "pods", pod)["spec"]["containers"][0]["image"].clone();
    assert_eq!((image("demo-0"), image("demo-1")), (json!("spilo:1"), json!("spilo:2")));
    world.configure(|config| config.general.enable_lazy_spilo_upgrade = false);
    world.settle().await;
    assert_eq!(world.acts(), ["switchover demo-0 to demo-1", "recreate demo-0"]);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_takes_longer_than_it_may_is_told_and_the_rollout_goes_on_when_it_is_up() {
    let world = World::with(manifest(2)).await;
    world.configure(|config| config.timeouts.pod_label_wait_timeout = Duration::from_secs(10));
    world.settle().await;
    world.nature.lock().unwrap().kubelet.start = 60;
    world.patch(json!({"dockerImage": "spilo:2"}));
    world.pass(40).await;
    assert_eq!(world.word(), "UpdateFailed", "{:#}", world.status());
    assert_eq!(world.acts(), ["recreate demo-1"]);
    world.settle().await;
    world.pass(300).await;
    assert_eq!(world.acts(), ROLLING_TWO);
    assert_eq!(world.word(), "Running");
}
