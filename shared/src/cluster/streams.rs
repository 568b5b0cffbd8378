//! The event streams of a cluster: which slots they need, and which applications read them.
//!
//! A slot belongs to a database and an application, an object to an application alone: an application that follows
//! tables of two databases has one object and two slots.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::api::{self, FabricEventStream, PostgresqlSpec};
use crate::names;
use crate::quantity::Amount;
use crate::roles::RoleName;
use crate::roles::contents::{Publications, Table};

use super::Cluster;

pub(crate) use crate::roles::contents::STREAM_USER as USER;
/// The output plugin of the slots.
pub(crate) const PLUGIN: &str = "pgoutput";

/// One entry of `spec.streams`, with its slot.
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    pub(crate) database: String,
    pub(crate) slot: String,
    pub(crate) section: api::Stream,
}

/// All streams of one application.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Application<'a> {
    pub(crate) id: &'a str,
    pub(crate) streams: Vec<&'a Stream>,
    /// The largest of its streams.
    pub(crate) cpu: Option<String>,
    pub(crate) memory: Option<String>,
}

/// The streams of a manifest; none on a standby, which takes no writes.
pub(super) fn streams(spec: &PostgresqlSpec) -> Vec<Stream> {
    let sections = spec.streams.iter().flatten().filter(|_| spec.standby.is_none());
    let resolved = sections.map(|section| Stream {
        database: section.database.clone(),
        slot: names::stream_slot(&section.database, &section.application_id),
        section: section.clone(),
    });
    resolved.collect()
}

/// The role that streams read with, where there are any.
pub(super) fn user(streams: &[Stream]) -> Option<RoleName> {
    (!streams.is_empty()).then(|| USER.parse().ok()).flatten()
}

impl Cluster {
    /// Whether anything follows the cluster's tables.
    pub fn has_streams(&self) -> bool {
        !self.streams.is_empty()
    }

    /// Whether Patroni's configuration has the slots of all streams.
    pub fn has_its_stream_slots(&self, config: &Value) -> bool {
        let slots = config.get("slots");
        self.streams
            .iter()
            .all(|stream| slots.is_some_and(|slots| slots.get(&stream.slot).is_some_and(Value::is_object)))
    }
}

/// Gives each wished object the name under which its application's is there already.
pub fn keep_names(wanted: &mut [FabricEventStream], live: &[FabricEventStream]) {
    for object in wanted {
        let same = live.iter().filter(|one| one.spec.application_id == object.spec.application_id);
        if let Some(name) = same.filter_map(|one| one.metadata.name.clone()).min() {
            object.metadata.name = Some(name);
        }
    }
}

/// What streams read from: a publication for each slot, with the tables of all streams that use it.
pub(super) fn publications(streams: &[Stream], spec: &PostgresqlSpec) -> Publications {
    let mut publications = Publications::default();
    for stream in streams {
        let (Ok(database), Ok(name)) = (stream.database.parse(), stream.slot.parse()) else { continue };
        let tables = publications.wanted.entry(database).or_default().entry(name).or_default();
        tables.extend(stream.section.tables.keys().filter_map(|name| table(name)));
    }
    let slots = spec.patroni.iter().flat_map(|patroni| patroni.slots.iter().flatten());
    publications.spared = slots.filter_map(|(name, _)| name.parse().ok()).collect::<BTreeSet<_>>();
    publications
}

/// `schema.table`, or a table of `public`.
fn table(name: &str) -> Option<Table> {
    let (schema, own_name) = name.split_once('.').unwrap_or(("public", name));
    Some(Table { schema: schema.parse().ok()?, name: own_name.parse().ok()? })
}

/// The streams by application, in the applications' order.
pub(crate) fn applications(streams: &[Stream]) -> Vec<Application<'_>> {
    let mut grouped: BTreeMap<&str, Vec<&Stream>> = BTreeMap::new();
    for stream in streams {
        grouped.entry(&stream.section.application_id).or_default().push(stream);
    }
    let applications = grouped.into_iter().map(|(id, streams)| Application {
        cpu: largest(streams.iter().filter_map(|stream| stream.section.cpu.as_ref())),
        memory: largest(streams.iter().filter_map(|stream| stream.section.memory.as_ref())),
        id,
        streams,
    });
    applications.collect()
}

/// The largest amount, in the user's own text.
fn largest<'a>(amounts: impl Iterator<Item = &'a String>) -> Option<String> {
    amounts.max_by_key(|text| text.parse::<Amount>().unwrap_or_default()).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::FabricEventStreamSpec;

    fn object(name: &str, application: &str) -> FabricEventStream {
        let spec = FabricEventStreamSpec { application_id: application.into(), ..Default::default() };
        FabricEventStream::new(name, spec)
    }

    #[test]
    fn an_application_that_is_followed_already_keeps_its_object_and_gets_no_second() {
        let mut wanted = [object("demo-shop", "shop"), object("demo-news", "news")];
        keep_names(&mut wanted, &[object("demo-xkcdq", "shop"), object("demo-other", "other")]);
        let names = wanted.map(|object| object.metadata.name.unwrap());
        assert_eq!(names, ["demo-xkcdq", "demo-news"]);
    }
}
