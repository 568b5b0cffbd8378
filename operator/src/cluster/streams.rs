//! The objects of event streams: found, made once what they read from is there, removed when no longer wanted.
//!
//! Their kind belongs to another operator and need not be installed, so it is not watched: a watch of a missing kind fails
//! for ever. Only a cluster that has streams, or had some (an annotation on its StatefulSet says so), costs a request.

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use shared::annotations::EVENT_STREAMS;
use shared::api::FabricEventStream;
use shared::build::Resources;
use shared::cluster::Cluster;
use shared::cluster::streams;
use shared::labels::{LabelMap, selector_text};
use shared::plan::{Difference, Kind};

use crate::context::Context;

use super::observe::Seen;
use super::{Error, apply};

/// Adds what is there to what was seen. An error where it cannot be known: then no object of a stream is written.
pub(super) async fn look(cluster: &Cluster, seen: &mut Seen, ctx: &Context) -> Result<(), Error> {
    let remembered = remembered(seen.resources.stateful_set.as_ref());
    seen.observed.event_streams = remembered;
    if !cluster.has_streams() && remembered != Some(true) {
        return Ok(());
    }
    let found = list(&cluster.identity().namespace, &cluster.labels().selector(), ctx).await?;
    if found.is_none() && cluster.has_streams() {
        return Err(Error::NoEventStreams);
    }
    seen.resources.event_streams = found.unwrap_or_default();
    seen.observed.event_streams = Some(!seen.resources.event_streams.is_empty());
    Ok(())
}

/// What the StatefulSet says about streams: `None` where there never were any.
pub(super) fn remembered(stateful_set: Option<&StatefulSet>) -> Option<bool> {
    stateful_set.and_then(|set| set.annotations().get(EVENT_STREAMS)).map(|text| text == "true")
}

/// The objects with these labels; `None` where their kind is not installed.
pub(super) async fn list(
    namespace: &str,
    labels: &LabelMap,
    ctx: &Context,
) -> Result<Option<Vec<FabricEventStream>>, Error> {
    let api: Api<FabricEventStream> = Api::namespaced(ctx.client.clone(), namespace);
    match api.list(&ListParams::default().labels(&selector_text(labels))).await {
        Ok(found) => Ok(Some(found.items)),
        // The answer for a group that nobody serves is plain text, which has no reason.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(source) => Err(Error::kubernetes("list FabricEventStreams")(source)),
    }
}

/// Gives the wished objects the names of those that are there: upstream's operator draws them by lot.
pub(super) fn keep_names(desired: &mut Resources, seen: &Seen) {
    streams::keep_names(&mut desired.event_streams, &seen.resources.event_streams);
}

/// What is to be written now, and of the streams' objects what may be written at the end of a look.
pub(super) fn parted(differences: Vec<Difference>) -> (Vec<Difference>, Vec<Difference>) {
    differences.into_iter().partition(|difference| difference.object.kind != Kind::FabricEventStream)
}

/// Writes the objects that differ, once they can run; what was refused.
pub(super) async fn run(
    differences: &[Difference],
    cluster: &Cluster,
    desired: &Resources,
    seen: &Seen,
    ctx: &Context,
) -> Vec<Error> {
    if !can_run(cluster, seen) {
        return Vec::new();
    }
    apply::objects(differences, desired, seen, ctx).await.err().unwrap_or_default()
}

/// Whether what the streams read from is there: Patroni has been told of every slot. The publications are made with the
/// other contents of the databases, whose failure ends a look before this is asked.
fn can_run(cluster: &Cluster, seen: &Seen) -> bool {
    let view = seen.observed.patroni.as_ref();
    view.is_some_and(|view| view.members.leader().is_some() && cluster.has_its_stream_slots(&view.config))
}
