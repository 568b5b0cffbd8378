//! Disks in EC2, as the operator's port sees them, and the stories about them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use operator::disks::{Disks, DisksError};
use serde_json::{Value, json};
use shared::config::StorageResizeMode;
use shared::plan::{ChangeState, Disk, DiskChange, LastChange};
use tests::fake_api::Key;
use tests::simulation::clock;

use crate::world::{NAMESPACE, World, manifest};

/// How long a change takes here.
const CHANGING: SignedDuration = SignedDuration::from_secs(40);

/// The disks of a cloud, which takes one change per disk in six hours. Clones are the same cloud.
#[derive(Clone, Default)]
pub(crate) struct Cloud {
    pub(crate) disks: Arc<Mutex<BTreeMap<String, Disk>>>,
    /// What was asked of it.
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
    /// What it answers to every question, if not the truth.
    pub(crate) closed: Arc<Mutex<Option<&'static str>>>,
}

impl Cloud {
    fn refused(&self, action: &'static str) -> Result<(), DisksError> {
        let refused =
            |code: &str| DisksError::Refused { action, code: code.to_owned(), message: "no".to_owned() };
        self.closed.lock().unwrap().map_or(Ok(()), |code| Err(refused(code)))
    }

    fn described(&self, ids: &[String]) -> Result<Vec<Disk>, DisksError> {
        self.asked.lock().unwrap().push("describe".to_owned());
        self.refused("DescribeVolumes")?;
        let disks = self.disks.lock().unwrap();
        let found = ids.iter().filter_map(|id| disks.get(id)).cloned().map(|mut disk| {
            if let Some(change) = &mut disk.last_change
                && change.began.is_some_and(|began| began + CHANGING < clock::now())
            {
                change.state = ChangeState::Completed;
            }
            disk
        });
        Ok(found.collect())
    }

    fn changed(&self, change: &DiskChange) -> Result<(), DisksError> {
        self.asked.lock().unwrap().push(format!("change {}", change.id));
        self.refused("ModifyVolume")?;
        let mut disks = self.disks.lock().unwrap();
        let disk = disks.get_mut(&change.id).unwrap();
        let began: Option<Timestamp> = disk.last_change.as_ref().and_then(|change| change.began);
        assert!(
            began.is_none_or(|began| began + SignedDuration::from_hours(6) <= clock::now()),
            "EC2 would refuse a second change of {} within six hours",
            change.id
        );
        disk.gib = change.gib.unwrap_or(disk.gib);
        disk.iops = change.iops.or(disk.iops);
        disk.throughput = change.throughput.or(disk.throughput);
        disk.kind = change.kind.clone().unwrap_or_else(|| disk.kind.clone());
        disk.last_change = Some(LastChange { state: ChangeState::Modifying, began: Some(clock::now()) });
        Ok(())
    }

    fn changes(&self) -> Vec<String> {
        let asked = std::mem::take(&mut *self.asked.lock().unwrap());
        asked.into_iter().filter(|asked| asked != "describe").collect()
    }
}

impl Disks for Cloud {
    fn describe<'a>(&'a self, _: &'a str, ids: &'a [String]) -> BoxFuture<'a, Result<Vec<Disk>, DisksError>> {
        let described = self.described(ids);
        async { described }.boxed()
    }

    fn change<'a>(&'a self, _: &'a str, change: &'a DiskChange) -> BoxFuture<'a, Result<(), DisksError>> {
        let changed = self.changed(change);
        async { changed }.boxed()
    }
}

/// A cluster of two whose claims are bound to EBS volumes of 1 GiB, under a mode.
async fn on_disks(mode: StorageResizeMode) -> World {
    let world = World::with(manifest(2)).await;
    world.configure(|config| config.kubernetes.storage_resize_mode = mode);
    for ordinal in 0..2 {
        let (volume, id) = (format!("pv-{ordinal}"), format!("vol-{ordinal}"));
        let disk =
            Disk { id: id.clone(), kind: "gp3".to_owned(), gib: 1, iops: Some(3_000), ..Disk::default() };
        world.cloud.disks.lock().unwrap().insert(id.clone(), disk);
        let claim = Key::new("", "persistentvolumeclaims", NAMESPACE, &format!("pgdata-demo-{ordinal}"));
        world.api.with(|store| {
            let object = json!({
                "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {},
                "spec": {"capacity": {"storage": "1Gi"}, "csi": {"driver": "ebs.csi.aws.com", "volumeHandle": id}},
            });
            store.create(Key::new("", "persistentvolumes", "", &volume), object, None).unwrap();
            store.edit(&claim, |claim| claim["spec"]["volumeName"] = json!(volume));
        });
    }
    world.settle().await;
    world.forget();
    world.cloud.changes();
    world
}

fn claimed(world: &World, ordinal: i32) -> Value {
    let claim = world.object("", "persistentvolumeclaims", &format!("pgdata-demo-{ordinal}"));
    claim["spec"]["resources"]["requests"]["storage"].clone()
}

fn capacity(world: &World, ordinal: i32) -> Value {
    let volume = world.api.get(&Key::new("", "persistentvolumes", "", &format!("pv-{ordinal}"))).unwrap();
    volume["spec"]["capacity"]["storage"].clone()
}

fn message(world: &World) -> String {
    world.status()["conditions"][0]["message"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(start_paused = true)]
async fn mixed_asks_ec2_for_speed_and_size_at_once_and_the_claims_grow() {
    let world = on_disks(StorageResizeMode::Mixed).await;
    world.patch(json!({"volume": {"size": "2Gi", "iops": 6000}}));
    world.settle().await;
    assert_eq!(world.word(), "Running", "{}", message(&world));
    assert_eq!(world.cloud.changes(), ["change vol-0", "change vol-1"]);
    let disks = world.cloud.disks.lock().unwrap().clone();
    assert!(disks.values().all(|disk| (disk.gib, disk.iops) == (2, Some(6_000))), "{disks:?}");
    assert_eq!((claimed(&world, 0), claimed(&world, 1)), (json!("2Gi"), json!("2Gi")));
    assert!(world.acts().is_empty(), "no pod is touched");
}

#[tokio::test(start_paused = true)]
async fn a_second_change_waits_for_six_hours_and_does_not_fail() {
    let world = on_disks(StorageResizeMode::Mixed).await;
    world.patch(json!({"volume": {"iops": 6000}}));
    world.settle().await;
    world.cloud.changes();
    world.patch(json!({"volume": {"iops": 7000}}));
    world.pass(700).await; // longer than anything else may take without being called failed
    assert_eq!((world.word().as_str(), world.cloud.changes()), ("Updating", Vec::<String>::new()));
    assert!(message(&world).contains("EC2 takes one change of vol-0 in six hours"), "{}", message(&world));
    for disk in world.cloud.disks.lock().unwrap().values_mut() {
        let last = disk.last_change.as_mut().unwrap();
        last.began = last.began.map(|began| began - SignedDuration::from_hours(6));
    }
    world.settle().await;
    assert_eq!(world.word(), "Running", "{}", message(&world));
    assert_eq!(world.cloud.changes(), ["change vol-0", "change vol-1"]);
}

#[tokio::test(start_paused = true)]
async fn ebs_grows_the_disk_then_the_file_system_and_leaves_the_claim() {
    let world = on_disks(StorageResizeMode::Ebs).await;
    world.commands.lock().unwrap().works = true;
    world.patch(json!({"volume": {"size": "3Gi"}}));
    world.settle().await;
    assert_eq!(world.word(), "Running", "{}", message(&world));
    assert_eq!(world.cloud.changes(), ["change vol-0", "change vol-1"]);
    assert_eq!(world.commands.lock().unwrap().ran, ["demo-0", "demo-1"]);
    assert_eq!((capacity(&world, 0), capacity(&world, 1)), (json!("3Gi"), json!("3Gi")));
    assert_eq!(claimed(&world, 0), json!("1Gi"));
    assert!(world.acts().is_empty(), "no pod is touched");
}

#[tokio::test(start_paused = true)]
async fn a_cloud_that_refuses_is_told_and_the_claims_grow_all_the_same() {
    let world = on_disks(StorageResizeMode::Mixed).await;
    *world.cloud.closed.lock().unwrap() = Some("UnauthorizedOperation");
    world.patch(json!({"volume": {"size": "2Gi", "iops": 6000}}));
    world.pass(120).await;
    assert!(
        message(&world).contains("EC2 refused DescribeVolumes: UnauthorizedOperation"),
        "{}",
        message(&world)
    );
    assert_eq!(claimed(&world, 0), json!("2Gi"));
    *world.cloud.closed.lock().unwrap() = None;
    world.settle().await;
    assert_eq!(world.word(), "Running", "{}", message(&world));
}

#[tokio::test(start_paused = true)]
async fn disks_that_are_as_they_should_be_are_hardly_asked_about() {
    let world = on_disks(StorageResizeMode::Mixed).await;
    world.patch(json!({"volume": {"iops": 3000}}));
    world.settle().await;
    world.cloud.asked.lock().unwrap().clear();
    world.pass(1500).await;
    let asked = world.cloud.asked.lock().unwrap().len();
    assert!(asked <= 1, "asked {asked} times in less than a resync_period");
}
