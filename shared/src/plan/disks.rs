//! What EC2 has to do to the disks behind the members' volumes, where `storage_resize_mode` is `ebs` or `mixed`.
//!
//! The operator asks at a look at which something may be left to do; it reads volumes and disks, and carries out what
//! [`next`] says of each. The surprise: EC2 takes one change per disk in six hours, so everything that differs is asked
//! for in one change, and before a claim grows, or the storage driver's change of the size would be that one.
//!
//! ```text
//!  ebs    the size, of disks whose volume is smaller than the manifest says; then the file system, by a command in the
//!         pod; then the volume's own capacity, which says that it is done (upstream's way; claims stay as they are)
//!  mixed  type, iops, throughput and size, where the manifest names one of the first three; the claim grows as with pvc
//! ```

use std::borrow::Borrow;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};

use crate::cluster::Cluster;
use crate::config::StorageResizeMode;
use crate::names;
use crate::quantity::Amount;

/// The driver of EBS volumes.
const DRIVER: &str = "ebs.csi.aws.com";
/// How long EC2 takes no further change of a disk, since the last one began.
const COOLDOWN: SignedDuration = SignedDuration::from_hours(6);
/// Where provisioned IOPS and throughput (MiB/s) start: less is what a disk has anyway, and upstream does not ask for it.
pub(crate) const LEAST_IOPS: i32 = 3_000;
/// See [`LEAST_IOPS`].
pub(crate) const LEAST_THROUGHPUT: i32 = 125;

/// What the disks of a cluster should be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskWish {
    /// The size as the manifest writes it.
    pub size: String,
    /// The size in GiB, rounded up: EC2 counts in whole ones.
    pub gib: i32,
    /// The type.
    pub kind: Option<String>,
    /// Provisioned I/O operations per second.
    pub iops: Option<i32>,
    /// Provisioned throughput in MiB/s.
    pub throughput: Option<i32>,
    /// Whether the operator makes the file system grow, too; otherwise the storage driver does.
    pub grows_file_systems: bool,
}

/// A member's claim that is bound to a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The claim.
    pub claim: String,
    /// The member's pod.
    pub pod: String,
    /// The volume.
    pub volume: String,
}

/// A disk as EC2 describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    /// Its id, `vol-…`.
    pub id: String,
    /// Its type: `gp3`, `io2`, …
    pub kind: String,
    /// Its size in GiB.
    pub gib: i32,
    /// Its I/O operations per second, where its type has any.
    pub iops: Option<i32>,
    /// Its throughput in MiB/s, where its type has any.
    pub throughput: Option<i32>,
    /// The last change that was asked for.
    pub last_change: Option<LastChange>,
}

/// How far a change of a disk has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastChange {
    /// Its state.
    pub state: ChangeState,
    /// When it began.
    pub began: Option<Timestamp>,
}

/// The states of a change, as EC2 names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeState {
    /// The disk is not yet what was asked for.
    Modifying,
    /// It is, and slower than it will be.
    Optimizing,
    /// It is.
    Completed,
    /// It was given up.
    Failed,
}

/// A change to ask EC2 for. What is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskChange {
    /// The disk.
    pub id: String,
    /// Its new size in GiB; always more than it has.
    pub gib: Option<i32>,
    /// Its new type.
    pub kind: Option<String>,
    /// Its new I/O operations per second.
    pub iops: Option<i32>,
    /// Its new throughput in MiB/s.
    pub throughput: Option<i32>,
}

/// What a disk needs next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskStep {
    /// Nothing.
    Nothing,
    /// Ask EC2 for this.
    Change(DiskChange),
    /// The disk is large enough: the file system on it can grow, and after it the volume's capacity.
    GrowFileSystem,
    /// Nothing now; what is waited for.
    Wait(String),
}

/// What the disks should be like, where EC2 has anything to do with it.
pub fn disk_wish(cluster: &Cluster) -> Option<DiskWish> {
    let volume = &cluster.volume;
    let gib = in_gib(volume.size.parse().ok()?)?;
    let wish = DiskWish {
        size: volume.size.clone(),
        gib,
        kind: None,
        iops: None,
        throughput: None,
        grows_file_systems: true,
    };
    match volume.resize {
        StorageResizeMode::Pvc | StorageResizeMode::Off => None,
        StorageResizeMode::Ebs => Some(wish),
        StorageResizeMode::Mixed => {
            let iops = volume.performance.iops.filter(|iops| *iops >= LEAST_IOPS);
            let throughput = volume.performance.throughput.filter(|number| *number >= LEAST_THROUGHPUT);
            let kind = volume.performance.kind.clone();
            let asked = kind.is_some() || iops.is_some() || throughput.is_some();
            asked.then_some(DiskWish { kind, iops, throughput, grows_file_systems: false, ..wish })
        }
    }
}

/// The volumes of the members. Those of members that have gone are left alone: nobody could make their file systems grow.
pub fn bound(cluster: &Cluster, claims: &[impl Borrow<PersistentVolumeClaim>]) -> Vec<Bound> {
    let name = &cluster.identity.name;
    let of_member = |ordinal: i32| {
        let claim = names::data_claim(name, ordinal);
        let found = claims.iter().map(Borrow::borrow).find(|other: &&PersistentVolumeClaim| {
            other.metadata.name.as_deref() == Some(&claim) && other.metadata.deletion_timestamp.is_none()
        })?;
        let volume = found.spec.as_ref()?.volume_name.clone().filter(|volume| !volume.is_empty())?;
        Some(Bound { claim, pod: names::member(name, ordinal), volume })
    };
    (0..cluster.members).filter_map(of_member).collect()
}

/// The id of the disk behind a volume; `None` where EC2 knows nothing of it.
pub fn disk_of(volume: &PersistentVolume) -> Option<String> {
    let spec = volume.spec.as_ref()?;
    let driver = spec.csi.as_ref().filter(|driver| driver.driver == DRIVER);
    let handle = driver.map(|driver| driver.volume_handle.as_str());
    let in_tree = || spec.aws_elastic_block_store.as_ref().map(|disk| disk.volume_id.as_str());
    // In the tree it is written aws://ZONE/vol-0123; the driver's handle is the id alone.
    let id = handle.or_else(in_tree)?.rsplit('/').next()?;
    id.starts_with("vol-").then(|| id.to_owned())
}

/// Whether a volume says that it is smaller than is wished for.
pub fn is_behind(wish: &DiskWish, volume: &PersistentVolume) -> bool {
    let capacity = volume.spec.as_ref().and_then(|spec| spec.capacity.as_ref()?.get("storage"));
    let capacity = capacity.and_then(|capacity| capacity.0.parse().ok()).and_then(in_gib);
    capacity.is_some_and(|capacity| capacity < wish.gib)
}

/// What one disk needs next.
pub fn next(wish: &DiskWish, disk: &Disk, now: Timestamp) -> DiskStep {
    let id = &disk.id;
    let state = disk.last_change.as_ref().map(|change| change.state);
    if state == Some(ChangeState::Modifying) {
        return DiskStep::Wait(format!("EC2 is changing {id}"));
    }
    let change = difference(wish, disk);
    if change == (DiskChange { id: id.clone(), ..DiskChange::default() }) {
        return if wish.grows_file_systems { DiskStep::GrowFileSystem } else { DiskStep::Nothing };
    }
    if state == Some(ChangeState::Optimizing) {
        return DiskStep::Wait(format!("EC2 still optimises {id} and takes no further change before"));
    }
    let began = disk.last_change.as_ref().and_then(|change| change.began);
    match began.and_then(|began| began.checked_add(COOLDOWN).ok()).filter(|until| *until > now) {
        Some(until) => {
            DiskStep::Wait(format!("EC2 takes one change of {id} in six hours, the next one at {until:.0}"))
        }
        None => DiskStep::Change(change),
    }
}

/// Everything that is not as wished for. A disk never shrinks.
fn difference(wish: &DiskWish, disk: &Disk) -> DiskChange {
    DiskChange {
        id: disk.id.clone(),
        gib: Some(wish.gib).filter(|gib| *gib > disk.gib),
        kind: wish.kind.clone().filter(|kind| *kind != disk.kind),
        iops: wish.iops.filter(|iops| Some(*iops) != disk.iops),
        throughput: wish.throughput.filter(|throughput| Some(*throughput) != disk.throughput),
    }
}

/// Whole GiB that hold an amount of bytes.
fn in_gib(amount: Amount) -> Option<i32> {
    const GIB: i128 = 1 << 30;
    let bytes = amount.units();
    i32::try_from(bytes.div_euclid(GIB) + i128::from(bytes.rem_euclid(GIB) != 0)).ok()
}

#[cfg(test)]
#[path = "disks_tests.rs"]
mod tests;
