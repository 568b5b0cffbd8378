//! An S3-compatible store in the story's namespace, to which archives and dumps go.

use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;

use super::cluster::is_ready;
use super::{Cluster, SETTLED, SOON, Stage, Stop, Told, image, until};

/// The store's pod, Service and keys.
const OBJECTS: &str = include_str!("../../fixtures/e2e/object-store.yaml");
/// The pod, which is also the host.
const STORE: &str = "object-store";
/// What lists the base backups of a member's own archive.
const LIST: [&str; 4] = ["envdir", "/run/etc/wal-e.d/env", "/scripts/archive.py", "list"];

/// The store. It lives as long as the stage.
pub struct ObjectStore<'a> {
    stage: &'a Stage,
}

impl Stage {
    /// Sets a store up and waits until it has its buckets.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn with_object_store(&self) -> Told<ObjectStore<'_>> {
        let objects = OBJECTS.replace("localhost/spilo:1", &image());
        self.install(&objects).await?;
        let pods: Api<Pod> = self.api();
        until("the object store is ready", SOON, async || match pods.get(STORE).await? {
            pod if is_ready(&pod) => Ok(()),
            _ => Stop::failed("its pod is not"),
        })
        .await?;
        Ok(ObjectStore { stage: self })
    }
}

impl ObjectStore<'_> {
    /// The keys of everything in a bucket.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn keys(&self, bucket: &str) -> Told<Vec<String>> {
        let url = format!("http://localhost:9000/{bucket}?list-type=2");
        let command = ["curl", "--fail", "--silent", "--show-error", &url].map(str::to_owned);
        let listing = self.stage.in_pod(STORE, &command).await?;
        Ok(keys_in(&listing))
    }
}

impl Cluster<'_> {
    /// Waits until the cluster's own archive holds a finished base backup.
    ///
    /// # Errors
    /// With what the archive says last.
    pub async fn until_backed_up(&self) -> Told {
        until("there is a base backup", SETTLED, async || {
            let listed = self.stage().in_pod(&self.primary().await?, &LIST.map(str::to_owned)).await?;
            if listed.trim().is_empty() { Stop::failed("none yet") } else { Ok(()) }
        })
        .await
    }

    /// Ends the WAL file in use and waits until it is in the archive: with it all that was committed before.
    ///
    /// # Errors
    /// When the archive does not take it.
    pub async fn until_archived(&self) -> Told {
        let superuser = self.session("postgres", "postgres").await?;
        let file = superuser.until_sql("SELECT pg_walfile_name(pg_switch_wal())").await?;
        let archived = format!("SELECT last_archived_wal >= '{file}' FROM pg_stat_archiver");
        superuser.until_sql_is(&archived, "t").await
    }
}

/// The keys in S3's answer, which is XML.
fn keys_in(listing: &str) -> Vec<String> {
    let parts = listing.split("<Key>").skip(1);
    parts.filter_map(|part| part.split_once("</Key>")).map(|(key, _)| key.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_a_bucket_are_read() {
        let listing = "<R><Name>dumps</Name><Contents><Key>a/1.sql.gz</Key></Contents>\
                       <Contents><Key>a/2.sql.gz</Key></Contents></R>";
        assert_eq!(keys_in(listing), ["a/1.sql.gz", "a/2.sql.gz"]);
        assert_eq!(keys_in("<R><Name>dumps</Name></R>"), Vec::<String>::new());
    }
}
