//! How a cluster goes.

use serde_json::json;
use tests::fake_api::{Key, Verb};

use crate::world::{NAMESPACE, World, configuration, manifest, manifest_key};

/// What all clusters share: it stays.
const SHARED: [&str; 2] = ["serviceaccounts postgres-pod", "rolebindings postgres-pod"];

#[tokio::test(start_paused = true)]
async fn a_deleted_manifest_takes_everything_with_it_the_members_before_what_patroni_wrote() {
    let world = World::with(manifest(2)).await;
    world.delete();
    world.pass(120).await;
    assert_eq!(world.objects(), SHARED);
    let state = world.api.state();
    let deleted = state.journal.iter().filter(|call| call.verb == Verb::Delete && call.changed);
    let order: Vec<_> = deleted.map(|call| format!("{} {}", call.key.resource, call.key.name)).collect();
    let place =
        |what: &str| order.iter().position(|one| one == what).unwrap_or_else(|| panic!("{what}: {order:#?}"));
    assert!(place("statefulsets demo") < place("services demo-repl"));
    assert!(place("services demo-repl") < place("configmaps demo-config"));
    assert!(place("configmaps demo-config") < place("services demo"), "it bears the mark: {order:#?}");
}

#[tokio::test(start_paused = true)]
async fn the_name_of_a_deleted_cluster_is_free_again() {
    let world = World::with(manifest(1)).await;
    let uid = world.object("apps", "statefulsets", "demo")["metadata"]["uid"].clone();
    world.delete();
    world.pass(120).await;
    world.apply(manifest(1));
    world.settle().await;
    assert_eq!(world.word(), "Running");
    assert_ne!(world.object("apps", "statefulsets", "demo")["metadata"]["uid"], uid);
}

#[tokio::test(start_paused = true)]
async fn without_a_finalizer_the_event_of_the_deletion_does_the_same() {
    let world = World::without_finalizers(manifest(2)).await;
    assert!(world.manifest()["metadata"]["finalizers"].is_null(), "the story begins without");
    world.delete();
    assert!(world.api.get(&manifest_key()).is_none());
    world.pass(120).await;
    assert_eq!(world.objects(), SHARED);
}

#[tokio::test(start_paused = true)]
async fn a_deletion_without_a_finalizer_survives_a_stop_anywhere() {
    let mut world = World::without_finalizers(manifest(2)).await;
    let points = world.keep_points();
    world.delete();
    world.pass(120).await;
    drop(world);
    let service = Key::new("", "services", NAMESPACE, "demo");
    let is_marked = |service: &serde_json::Value| {
        service["metadata"]["annotations"]["postgres-operator.acid.zalan.do/deleted"].is_string()
    };
    let points = points.lock().unwrap().clone();
    let begun = points.into_iter().skip_while(|point| !point.get(&service).is_some_and(|one| is_marked(one)));
    let mut stops = 0;
    for point in begun {
        let label = point.label.clone();
        let mut world = World::of(point);
        world.start("successor");
        world.pass(120).await;
        assert_eq!(world.objects(), SHARED, "stopped {label}");
        stops += 1;
    }
    assert!(stops > 10, "{stops} stops");
}

#[tokio::test(start_paused = true)]
async fn a_cluster_whose_manifest_is_merely_missing_is_left_alone() {
    let mut world = World::without_finalizers(manifest(2)).await;
    world.kill("operator");
    world.delete();
    let before = world.objects();
    world.start("successor");
    world.pass(600).await;
    assert_eq!(world.objects(), before, "nobody has told this operator that it was deleted");
    world.apply(manifest(2));
    world.settle().await;
    assert_eq!(world.word(), "Running");
    assert_eq!(world.leader(), "demo-0", "its data is still there");
}

#[tokio::test(start_paused = true)]
async fn a_cluster_made_again_at_once_under_its_name_begins_when_the_old_one_is_gone() {
    for finalizers in [true, false] {
        let world = match finalizers {
            true => World::with(manifest(2)).await,
            false => World::without_finalizers(manifest(2)).await,
        };
        let uid =
            |what: &str, name: &str, group: &str| world.object(group, what, name)["metadata"]["uid"].clone();
        let before =
            (uid("statefulsets", "demo", "apps"), uid("persistentvolumeclaims", "pgdata-demo-0", ""));
        world.delete();
        while world.api.get(&manifest_key()).is_some() {
            world.pass(1).await;
        }
        world.apply(manifest(2));
        world.settle().await;
        assert_eq!(world.word(), "Running", "finalizers: {finalizers}");
        let after = (uid("statefulsets", "demo", "apps"), uid("persistentvolumeclaims", "pgdata-demo-0", ""));
        assert!(before.0 != after.0 && before.1 != after.1, "something of the old cluster is left");
        assert_eq!(world.pods(), ["demo-0", "demo-1"]);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_cluster_with_a_similar_name_is_touched() {
    for finalizers in [true, false] {
        let world = match finalizers {
            true => World::with(manifest(1)).await,
            false => World::without_finalizers(manifest(1)).await,
        };
        let mut theirs = Vec::new();
        for (plural, kind, name) in [
            ("services", "Service", "demo-config"),
            ("endpoints", "Endpoints", "demo-sync"),
            ("configmaps", "ConfigMap", "demo-failover"),
            ("secrets", "Secret", "app.demo.credentials.postgresql.acid.zalan.do.more"),
            ("persistentvolumeclaims", "PersistentVolumeClaim", "pgdata-demo-2-0"),
        ] {
            let labels = json!({"application": "spilo", "cluster-name": "demo-2"});
            let object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"labels": labels}});
            world
                .api
                .with(|store| store.create(Key::new("", plural, NAMESPACE, name), object, None))
                .unwrap();
            theirs.push(format!("{plural} {name}"));
        }
        world.delete();
        world.pass(120).await;
        let left = world.objects();
        for one in &theirs {
            assert!(left.contains(one), "{one} was another cluster's; left: {left:#?}");
        }
        assert_eq!(left.len(), theirs.len() + SHARED.len(), "{left:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_protected_cluster_stays_although_its_manifest_was_deleted_past_the_webhook() {
    for finalizers in [true, false] {
        let mut config = configuration();
        config.kubernetes.enable_finalizers = finalizers;
        config.kubernetes.delete_annotation_name_key = Some("delete-name".to_owned());
        let world = World::under(config, manifest(1)).await;
        let before = world.pods();
        world.delete();
        world.pass(300).await;
        assert_eq!(world.pods(), before, "finalizers: {finalizers}");
        assert_eq!(world.leader(), "demo-0");
        let warned =
            world.objects_of("events").iter().any(|event| event["note"].to_string().contains("protected"));
        assert_eq!(warned, finalizers, "where there is still a manifest to tell it about");
        if finalizers {
            world.api.with(|store| {
                store.edit(&manifest_key(), |manifest| {
                    manifest["metadata"]["annotations"] = json!({"delete-name": "demo"});
                });
            });
            world.pass(120).await;
            assert_eq!(world.objects(), SHARED, "now it is permitted");
        }
    }
}
