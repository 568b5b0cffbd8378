//! The operator may be stopped anywhere. Each story is told once, and the world is copied before and after every call
//! that can change something; then a fresh operator goes on from each copy. The end is the same, no act is done twice,
//! no password is made twice.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use shared::annotations::{UPGRADE_FAILED, UPGRADED};
use shared::config::MajorVersionUpgradeMode;
use tests::fake_api::{Call, Failure, Fault};

use crate::invariants;
use crate::world::{Saved, World, manifest};

/// A story: how it begins, what is prepared when that has settled, and what happens then.
struct Story {
    name: &'static str,
    begins: Option<Value>,
    happens: fn(&World),
}

/// What is compared at the end of a story.
#[derive(Debug, PartialEq)]
struct End {
    word: String,
    acts: Vec<String>,
    objects: BTreeMap<String, Value>,
    in_force: Vec<String>,
    major: u64,
}

impl Story {
    fn new(name: &'static str, begins: Value, happens: fn(&World)) -> Self {
        Self { name, begins: Some(begins), happens }
    }

    /// Tells the story to its end. The copies that were made on the way.
    async fn told(&self) -> (End, Vec<Saved>) {
        let mut world = match &self.begins {
            Some(manifest) => World::with(manifest.clone()).await,
            None => World::empty(),
        };
        if self.begins.is_none() {
            world.start("operator");
        }
        let points = world.keep_points();
        (self.happens)(&world);
        let end = end(&world, self.name).await;
        let points = points.lock().unwrap().clone();
        (end, points)
    }

    /// Tells the story with two operators that know nothing of each other.
    async fn survives_another_operator(&self) {
        let (expected, points) = self.told().await;
        let story = format!("{}, by two operators", self.name);
        let Some(begin) = points.into_iter().next() else { panic!("{story}: no points") };
        let mut world = World::of(begin);
        world.start("one");
        world.start("another");
        let found = end(&world, &story).await;
        compare(&expected, &found, &story);
    }

    /// Stops the operator at each point, lets another one go on, and compares the ends.
    async fn survives_a_stop_anywhere(&self) {
        let (expected, points) = self.told().await;
        assert!(points.len() >= 2, "{}: {} points", self.name, points.len());
        for point in points {
            let story = format!("{}, stopped {}", self.name, point.label);
            let mut world = World::of(point);
            world.start("successor");
            let found = end(&world, &story).await;
            compare(&expected, &found, &story);
        }
    }

    /// Lets the first call that changes something fail from each point on, each in another way.
    async fn survives_a_failed_call_anywhere(&self) {
        let ways: [fn() -> Fault; 6] = [
            || Fault::on(writes, Failure::Status(500)),
            || Fault::on(writes, Failure::Status(409)).times(2),
            || Fault::on(writes, Failure::Status(429)).too_late(),
            || Fault::on(writes, Failure::Broken).too_late(),
            || Fault::on(writes, Failure::Silence),
            || Fault::on(reads, Failure::Status(500)).times(5),
        ];
        let (expected, points) = self.told().await;
        for (point, way) in points.into_iter().zip(ways.iter().cycle()) {
            let story = format!("{}, a call fails {}", self.name, point.label);
            let mut world = World::of(point);
            world.api.fail(way());
            world.start("successor");
            let found = end(&world, &story).await;
            compare(&expected, &found, &story);
        }
    }
}

fn writes(call: &Call) -> bool {
    call.verb.writes() && call.key.resource != "events"
}

fn reads(call: &Call) -> bool {
    !call.verb.writes()
}

fn compare(expected: &End, found: &End, story: &str) {
    assert_eq!(expected.acts, found.acts, "{story}: other acts");
    assert_eq!(expected.word, found.word, "{story}: another word");
    assert_eq!(expected.major, found.major, "{story}: another major version");
    assert_eq!(expected.in_force, found.in_force, "{story}: other settings in force");
    let names = |end: &End| end.objects.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(expected), names(found), "{story}: other objects");
    for (name, object) in &expected.objects {
        assert_eq!(object, &found.objects[name], "{story}: {name} is another one");
    }
}

/// Lets a world settle, and tells what it has come to.
async fn end(world: &World, story: &str) -> End {
    world.settle().await;
    invariants::hold(world, story);
    let mut acts = world.acts();
    acts.sort();
    let objects: BTreeMap<String, Value> = {
        let state = world.api.state();
        let objects = state.store.everything().filter(|(key, _)| key.resource != "events");
        objects
            .map(|(key, object)| (format!("{} {}", key.resource, key.name), lasting((**object).clone())))
            .collect()
    };
    End {
        word: world.word(),
        acts,
        objects,
        in_force: world.in_force("max_connections"),
        major: world.major(),
    }
}

/// An object without what is another at each telling: identities, times, addresses, random passwords.
fn lasting(mut object: Value) -> Value {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in
            ["uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "ownerReferences"]
        {
            metadata.remove(field);
        }
    }
    if let Some(failed) = object["metadata"]["annotations"][UPGRADE_FAILED].as_str().map(str::to_owned) {
        object["status"] = serde_json::from_str(&object["status"].to_string().replace(&failed, "…")).unwrap();
    }
    if let Some(status) = object["status"].as_object_mut() {
        status.remove("lastStep");
        status.remove("podIP");
        status.remove("startTime");
        status.remove("containerStatuses");
        status.remove("observedGeneration");
        for condition in status.get_mut("conditions").and_then(Value::as_array_mut).into_iter().flatten() {
            condition["lastTransitionTime"] = Value::Null;
            condition["observedGeneration"] = Value::Null;
        }
    }
    for note in [UPGRADED, UPGRADE_FAILED] {
        if let Some(time) = object["metadata"]["annotations"].get_mut(note) {
            *time = json!("…");
        }
    }
    for secret in ["password", "userlist.txt", "users.txt"] {
        if let Some(data) = object["data"].as_object_mut().filter(|data| data.contains_key(secret)) {
            data.insert(secret.to_owned(), json!("…"));
        }
    }
    object
}

fn with(members: i32, patch: Value) -> Value {
    let mut manifest = manifest(members);
    json_patch::merge(&mut manifest, &json!({ "spec": patch }));
    manifest
}

/// The stories, by what they are about.
fn stories() -> Vec<Story> {
    let new = |world: &World| world.apply(manifest(2));
    let mut stories = vec![
        Story { name: "a new cluster", begins: None, happens: new },
        Story::new("a new image", manifest(2), |world| world.patch(json!({"dockerImage": "spilo:2"}))),
        Story::new("a parameter to reload", manifest(2), |world| {
            world.patch(json!({"postgresql": {"parameters": {"work_mem": "8MB"}}}));
        }),
        Story::new("a parameter that grows", manifest(2), |world| {
            world.patch(json!({"postgresql": {"parameters": {"max_connections": "200"}}}));
        }),
        Story::new("a parameter that shrinks", manifest(2), |world| {
            world.patch(json!({"postgresql": {"parameters": {"max_connections": "50"}}}));
        }),
        Story::new(
            "a parameter that goes",
            with(2, json!({"postgresql": {"parameters": {"work_mem": "8MB"}}})),
            |world| {
                world.patch(json!({"postgresql": {"parameters": null}}));
            },
        ),
        Story::new("more members", manifest(1), |world| world.patch(json!({"numberOfInstances": 3}))),
        Story::new("fewer members", manifest(3), |world| world.patch(json!({"numberOfInstances": 1}))),
        Story::new("no members", manifest(2), |world| world.patch(json!({"numberOfInstances": 0}))),
        Story::new("members again", manifest(0), |world| world.patch(json!({"numberOfInstances": 2}))),
        Story::new("an image by configuration", with(2, json!({"dockerImage": null})), |world| {
            world.configure(|config| config.general.docker_image = "spilo:2".to_owned());
        }),
        Story::new("a user and a database", manifest(1), |world| {
            world.patch(json!({"users": {"robot": ["createdb"]}, "databases": {"orders": "robot"}}));
        }),
        Story::new("a pooler", manifest(1), |world| world.patch(json!({"enableConnectionPooler": true}))),
        Story::new("no pooler", with(1, json!({"enableConnectionPooler": true})), |world| {
            world.patch(json!({"enableConnectionPooler": false}));
        }),
        Story::new("a backup", manifest(1), |world| world.patch(json!({"enableLogicalBackup": true}))),
        Story::new("an image and a parameter at once", manifest(2), |world| {
            let parameters = json!({"parameters": {"max_connections": "200", "shared_buffers": "64MB"}});
            world.patch(json!({"dockerImage": "spilo:2", "postgresql": parameters}));
        }),
        Story::new("a broken image", manifest(2), |world| {
            world.nature.lock().unwrap().kubelet.broken_images.insert("spilo:broken".to_owned());
            world.patch(json!({"dockerImage": "spilo:broken"}));
        }),
        Story::new("larger volumes", manifest(2), |world| world.patch(json!({"volume": {"size": "2Gi"}}))),
        Story::new("annotations of pods", with(2, json!({"podAnnotations": {"old": "1"}})), |world| {
            world.patch(json!({"podAnnotations": {"old": null, "new": "1"}}));
        }),
        Story::new("a deletion", manifest(2), World::delete),
    ];
    stories.extend(major_upgrades());
    stories
}

fn major_upgrades() -> [Story; 3] {
    [
        Story::new("a major upgrade", with(2, json!({"postgresql": {"version": "16"}})), |world| {
            world.patch(json!({"postgresql": {"version": "17"}}));
        }),
        Story::new(
            "a configured major upgrade",
            with(2, json!({"postgresql": {"version": "15"}})),
            |world| {
                world.configure(|config| {
                    let upgrade = &mut config.major_version_upgrade;
                    upgrade.major_version_upgrade_mode = MajorVersionUpgradeMode::Full;
                    upgrade.minimal_major_version = "16".parse().unwrap();
                    upgrade.target_major_version = "17".parse().unwrap();
                });
            },
        ),
        Story::new("a failing major upgrade", with(2, json!({"postgresql": {"version": "16"}})), |world| {
            world.nature.lock().unwrap().patroni.plan.fails = Some("no space left".to_owned());
            world.patch(json!({"postgresql": {"version": "17"}}));
        }),
    ]
}

/// One test per story, so that they run beside each other and a failure names its story.
macro_rules! each {
    ($($test:ident, $failing:ident: $story:literal;)*) => {
        $(
            #[tokio::test(start_paused = true)]
            async fn $test() {
                story($story).survives_a_stop_anywhere().await;
            }

            #[tokio::test(start_paused = true)]
            async fn $failing() {
                story($story).survives_a_failed_call_anywhere().await;
            }
        )*

        #[test]
        fn no_story_is_forgotten() {
            let told = [$($story),*];
            assert_eq!(stories().iter().map(|story| story.name).collect::<Vec<_>>(), told);
        }
    };
}

#[tokio::test(start_paused = true)]
async fn two_operators_at_once_come_to_the_end_of_every_story_that_one_comes_to() {
    for story in stories() {
        story.survives_another_operator().await;
    }
}

fn story(name: &str) -> Story {
    stories().into_iter().find(|story| story.name == name).unwrap()
}

each! {
    a_new_cluster_survives_a_stop, a_new_cluster_survives_failed_calls: "a new cluster";
    a_new_image_survives_a_stop, a_new_image_survives_failed_calls: "a new image";
    a_reload_survives_a_stop, a_reload_survives_failed_calls: "a parameter to reload";
    a_growing_parameter_survives_a_stop, a_growing_parameter_survives_failed_calls: "a parameter that grows";
    a_shrinking_parameter_survives_a_stop, a_shrinking_parameter_survives_failed_calls: "a parameter that shrinks";
    a_removed_parameter_survives_a_stop, a_removed_parameter_survives_failed_calls: "a parameter that goes";
    more_members_survive_a_stop, more_members_survive_failed_calls: "more members";
    fewer_members_survive_a_stop, fewer_members_survive_failed_calls: "fewer members";
    no_members_survive_a_stop, no_members_survive_failed_calls: "no members";
    members_that_come_again_survive_a_stop, members_that_come_again_survive_failed_calls: "members again";
    a_configured_image_survives_a_stop, a_configured_image_survives_failed_calls: "an image by configuration";
    a_user_and_a_database_survive_a_stop, a_user_and_a_database_survive_failed_calls: "a user and a database";
    a_pooler_survives_a_stop, a_pooler_survives_failed_calls: "a pooler";
    a_removed_pooler_survives_a_stop, a_removed_pooler_survives_failed_calls: "no pooler";
    a_backup_survives_a_stop, a_backup_survives_failed_calls: "a backup";
    both_at_once_survive_a_stop, both_at_once_survive_failed_calls: "an image and a parameter at once";
    a_broken_image_survives_a_stop, a_broken_image_survives_failed_calls: "a broken image";
    larger_volumes_survive_a_stop, larger_volumes_survive_failed_calls: "larger volumes";
    annotations_survive_a_stop, annotations_survive_failed_calls: "annotations of pods";
    a_deletion_survives_a_stop, a_deletion_survives_failed_calls: "a deletion";
    a_major_upgrade_survives_a_stop, a_major_upgrade_survives_failed_calls: "a major upgrade";
    a_configured_upgrade_survives_a_stop, a_configured_upgrade_survives_failed_calls: "a configured major upgrade";
    a_failing_upgrade_survives_a_stop, a_failing_upgrade_survives_failed_calls: "a failing major upgrade";
}
