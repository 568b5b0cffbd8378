//! All stored manifests, for the preview of a configuration change: read a few at a time, on every processor there is.
//!
//! They are kept as text, and typed they are ten times as large: each part is read, looked at and dropped again. The API
//! server waits for the answer, so that a preview may have the whole machine for less than a second.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, available_parallelism};

use shared::admission::configuration::{Fleet, Part};
use shared::admission::surroundings::{Named, StoredManifest};
use shared::api::Postgresql;

/// How many manifests are read at once by each thread: some megabytes, and enough that nobody waits long for the last.
const PART: usize = 100;

/// The stored manifests by namespace, as they were when they were asked for.
#[derive(Debug)]
pub(super) struct Stored(Vec<(String, Named<StoredManifest>)>);

impl Stored {
    /// Those of these namespaces.
    pub(super) fn of(namespaces: Vec<(String, Named<StoredManifest>)>) -> Self {
        Self(namespaces)
    }

    fn all(&self) -> Vec<&StoredManifest> {
        self.0.iter().flat_map(|(_, named)| named.values()).collect()
    }
}

impl Fleet for Stored {
    fn count(&self) -> usize {
        self.0.iter().map(|(_, named)| named.len()).sum()
    }

    fn parts(&self, look: &(dyn Fn(usize, &[Postgresql]) -> Part + Sync)) -> Vec<Part> {
        let all = self.all();
        let parts: Vec<&[&StoredManifest]> = all.chunks(PART).collect();
        let taken = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            loop {
                let number = taken.fetch_add(1, Ordering::Relaxed);
                let Some(part) = parts.get(number) else { return done };
                let typed: Vec<Postgresql> = part.iter().filter_map(|stored| stored.typed()).collect();
                done.push((number, look(number * PART, &typed)));
            }
        };
        let threads = available_parallelism().map_or(1, usize::from).min(parts.len());
        let mut done = thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let mut done = work();
            for other in others {
                done.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
            }
            done
        });
        done.sort_by_key(|(number, _)| *number);
        done.into_iter().map(|(_, part)| part).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use shared::admission::configuration::{ConfigurationChange, review_configuration};
    use shared::config::{OperatorConfig, Source};

    use super::*;
    use crate::surroundings::Shelf;

    fn manifest(number: usize) -> serde_json::Value {
        let namespace = format!("team-{}", number % 3);
        json!({
            "apiVersion": "acid.zalan.do/v1", "kind": "postgresql",
            "metadata": {"name": format!("acid-{number:03}"), "namespace": namespace},
            "spec": {
                "teamId": "acid", "numberOfInstances": 1 + number % 2, "volume": {"size": "1Gi"},
                "postgresql": {"version": "17"}, "enableLogicalBackup": number.is_multiple_of(5),
                "sidecars": [{"name": "x", "image": "x:1"}],
            },
        })
    }

    #[test]
    fn a_fleet_in_parts_is_told_of_as_one_whole() {
        let shelf = Shelf::default();
        shelf.fill((0..PART * 5 / 2).map(|number| {
            let object = manifest(number);
            let text = |field: &str| object["metadata"][field].as_str().unwrap().to_owned();
            (text("namespace"), text("name"), StoredManifest::of(&object))
        }));
        let stored = Stored::of(shelf.all().unwrap());
        let whole: Vec<Postgresql> = stored.all().into_iter().filter_map(StoredManifest::typed).collect();
        let old = OperatorConfig::default();
        let answer = |manifests: &dyn Fleet, new: &OperatorConfig| {
            let source = Source::Resource;
            let change = ConfigurationChange { source, old: &old, new, manifests, insisted: "", now: None };
            review_configuration(&change).map_err(|errors| errors.to_string())
        };
        let mut costly = old.clone();
        costly.general.docker_image = "spilo:next".to_owned();
        costly.kubernetes.enable_sidecars = false;
        let told = answer(&stored, &costly).unwrap();
        assert_eq!(told, answer(&whole, &costly).unwrap());
        let expected = "rolling update of 250 clusters (375 pods); first: team-0/acid-000, team-0/acid-003";
        assert!(told.iter().any(|change| change.message == expected), "{told:?}");
        let mut dangerous = old.clone();
        dangerous.logical_backup.job_prefix = "other-".to_owned();
        let refused = answer(&stored, &dangerous).unwrap_err();
        assert_eq!(refused, answer(&whole, &dangerous).unwrap_err());
        assert!(refused.contains("in 50 clusters; first: team-0/acid-000, team-0/acid-015"), "{refused}");
    }
}
