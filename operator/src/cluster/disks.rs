//! The disks behind the members' volumes, where EC2 is asked to change them: what is to do comes from `shared::plan`.
//!
//! Surprising: most looks do not ask. What was found last time holds for a while, as long as the same is wished for of
//! the same volumes, or every event of every cluster would be two requests to EC2.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::PersistentVolume;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;
use shared::cluster::Cluster;
use shared::observed::Observed;
use shared::plan::{Bound, DiskStep, DiskWish, bound, disk_of, disk_wish, is_behind, next_of_disk};

use crate::context::Context;
use crate::exec::{Output, Target};

use super::stores::ClusterRef;
use super::{Error, told, volumes};

/// How long an answer holds while something is waited for, and while something is wrong.
const WAITING: SignedDuration = SignedDuration::from_secs(20);
const WRONG: SignedDuration = SignedDuration::from_secs(60);
/// How long a file system may take to grow.
const GROWING: Duration = Duration::from_secs(60);
/// Makes the file system of the data directory as large as its disk; nothing happens where it is.
const GROW: &str = r#"
set -eu
set -- $(df --output=source,fstype /home/postgres/pgdata | tail -n 1)
case $2 in
  ext2 | ext3 | ext4) resize2fs "$1" 2>&1 ;;
  xfs) xfs_growfs /home/postgres/pgdata 2>&1 ;;
  *) echo "the operator cannot make a file system of type $2 grow"; exit 65 ;;
esac"#;

/// What was found, and what was done about it.
#[derive(Clone, Debug, Default)]
pub(super) struct Tended {
    /// What is waited for.
    pub(super) waiting: Vec<String>,
    /// What is wrong.
    pub(super) problems: Vec<String>,
}

/// What is known of the disks of each cluster. Cheap to clone; all clones remember together.
#[derive(Clone, Debug, Default)]
pub struct KnownDisks(Arc<Mutex<HashMap<ClusterRef, Known>>>);

#[derive(Clone, Debug)]
struct Known {
    wish: DiskWish,
    volumes: Vec<Bound>,
    found: Tended,
    until: Timestamp,
}

impl KnownDisks {
    fn fresh(&self, of: &ClusterRef, wish: &DiskWish, volumes: &[Bound], now: Timestamp) -> Option<Tended> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.get(of).filter(|known| known.until > now && known.wish == *wish)?;
        (known.volumes == volumes).then(|| known.found.clone())
    }

    fn remember(&self, of: ClusterRef, known: Known) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(of, known);
    }

    /// Forgets a cluster that has gone, or needs no EC2 any more.
    pub(super) fn forget(&self, of: &ClusterRef) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(of);
    }
}

/// Brings the disks one step nearer to what the manifest says.
pub(super) async fn tend(cluster: &Cluster, seen: &Observed, ctx: &Context) -> Tended {
    let identity = cluster.identity();
    let this = ClusterRef::new(&identity.name).within(&identity.namespace);
    let Some(wish) = disk_wish(cluster) else {
        ctx.known_disks.forget(&this);
        return Tended::default();
    };
    let volumes = bound(cluster, &volumes::claims(cluster, ctx));
    let now = ctx.now();
    if let Some(found) = ctx.known_disks.fresh(&this, &wish, &volumes, now) {
        return found;
    }
    let mut look = Look { cluster, wish: &wish, seen, ctx, found: Tended::default() };
    if let Err(error) = look.at(&volumes).await {
        look.problem(told(&error));
    }
    let found = look.found;
    let config = ctx.config();
    let holds = match (found.problems.is_empty(), found.waiting.is_empty()) {
        (false, _) => WRONG,
        (true, false) => WAITING,
        (true, true) => SignedDuration::try_from(config.general.resync_period).unwrap_or(WRONG),
    };
    let until = now.checked_add(holds).unwrap_or(now);
    ctx.known_disks.remember(this, Known { wish: wish.clone(), volumes, found: found.clone(), until });
    found
}

/// One look at the disks of a cluster.
struct Look<'a> {
    cluster: &'a Cluster,
    wish: &'a DiskWish,
    seen: &'a Observed,
    ctx: &'a Context,
    found: Tended,
}

impl Look<'_> {
    fn problem(&mut self, what: String) {
        tracing::warn!(error = what, "a disk is not as it should be");
        self.found.problems.push(what);
    }

    async fn at(&mut self, volumes: &[Bound]) -> Result<(), Error> {
        let api: Api<PersistentVolume> = Api::all(self.ctx.client.clone());
        let mut disks = Vec::new();
        for one in volumes {
            let act = format!("read PersistentVolume {}", one.volume);
            let Some(volume) = api.get_opt(&one.volume).await.map_err(Error::kubernetes(act))? else {
                continue;
            };
            if self.wish.grows_file_systems && !is_behind(self.wish, &volume) {
                continue;
            }
            match disk_of(&volume) {
                Some(id) => disks.push((one, id)),
                None => self.problem(format!(
                    "{}: volume {} is no EBS volume, so EC2 cannot change it; use storage_resize_mode: pvc",
                    one.claim, one.volume
                )),
            }
        }
        let ids: Vec<String> = disks.iter().map(|(_, id)| id.clone()).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let config = self.ctx.config();
        let region = config.aws_or_gcp.aws_region.as_str();
        let described = self.ctx.disks.describe(region, &ids).await.map_err(disks_error("look at disks"))?;
        for (one, id) in disks {
            match described.iter().find(|disk| disk.id == id) {
                Some(disk) => {
                    let step = next_of_disk(self.wish, disk, self.ctx.now());
                    if let Err(error) = self.take(step, one, region).await {
                        self.problem(format!("{}: {}", one.claim, told(&error)));
                    }
                }
                None => self.problem(format!("{}: EC2 knows no disk {id} in {region}", one.claim)),
            }
        }
        Ok(())
    }

    async fn take(&mut self, step: DiskStep, one: &Bound, region: &str) -> Result<(), Error> {
        let waits = match step {
            DiskStep::Nothing => return Ok(()),
            DiskStep::Wait(what) => what,
            DiskStep::Change(change) => {
                tracing::info!(claim = one.claim, ?change, "asking EC2 to change a disk");
                match self.ctx.disks.change(region, &change).await {
                    Ok(()) => format!("EC2 is changing {}", change.id),
                    Err(error) if error.is_too_early() => error.to_string(),
                    Err(error) => return Err(disks_error("change a disk")(error)),
                }
            }
            DiskStep::GrowFileSystem => {
                let pod = self.seen.pod(&one.pod).filter(|pod| pod.running && !pod.terminating);
                if pod.is_some() {
                    return self.grow_file_system(one).await;
                }
                format!("pod {} has to run for its file system to grow", one.pod)
            }
        };
        self.found.waiting.push(format!("{}: {waits}", one.claim));
        Ok(())
    }

    /// The file system, and after it the volume's capacity: that it is done stands nowhere else.
    async fn grow_file_system(&mut self, one: &Bound) -> Result<(), Error> {
        let at = Target {
            namespace: self.cluster.identity().namespace.clone(),
            pod: one.pod.clone(),
            container: "postgres".to_owned(),
        };
        let command = ["/bin/bash", "-c", GROW].map(str::to_owned);
        let run = self.ctx.exec.run(&at, &command, GROWING).await;
        let Output { status, stdout, .. } =
            run.map_err(|source| Error::Exec { act: "make a file system grow", source: Box::new(source) })?;
        if status != 0 {
            let last = stdout.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
            self.problem(format!("{}: its file system could not grow ({status}): {last}", one.claim));
            return Ok(());
        }
        tracing::info!(claim = one.claim, size = self.wish.size, "a file system has grown");
        let api: Api<PersistentVolume> = Api::all(self.ctx.client.clone());
        let patch = json!({"spec": {"capacity": {"storage": self.wish.size}}});
        let patched = api.patch(&one.volume, &PatchParams::default(), &Patch::Merge(&patch)).await;
        patched
            .map(drop)
            .map_err(Error::kubernetes(format!("write the size of PersistentVolume {}", one.volume)))
    }
}

fn disks_error(act: &'static str) -> impl FnOnce(crate::disks::DisksError) -> Error {
    move |source| Error::Disks { act, source: Box::new(source) }
}
