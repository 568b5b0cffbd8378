//! When a cluster is looked at: when its manifest or one of its objects changes, when the configuration does, when it
//! becomes ours, and from time to time.
//!
//! Nobody waits for anybody: as many clusters are in flight as `workers` allows, and each is looked at by one reconcile
//! at a time.

use std::future::Future;
use std::sync::Arc;

use futures::StreamExt;
use kube::runtime::applier;
use kube::runtime::controller::{Action, Config};
use kube::runtime::reflector::ObjectRef;
use shared::config::OperatorConfig;
use tokio::sync::watch;

use crate::cluster::stores::{Changes, ClusterRef, Manifest, Present, Store};
use crate::cluster::{Error, departed, error_policy, reconcile};
use crate::context::Context;

/// Events of one cluster that come within this time are one look.
const DEBOUNCE: std::time::Duration = std::time::Duration::from_millis(100);

/// Looks at clusters until `stop`, then finishes the looks under way.
pub async fn run(ctx: Context, changes: Changes, stop: impl Future<Output = ()> + Send + Sync + 'static) {
    let config = ctx.config();
    let concurrency = u16::try_from(config.general.workers).unwrap_or(u16::MAX);
    let manifests = ctx.stores.manifests.clone();
    let all_on_configuration = every_cluster_on(ctx.config.clone(), changes.clone(), manifests.clone());
    let begins = begin_with_shards(ctx.clone(), changes.clone());
    let (stored, metrics) = (manifests.clone(), ctx.metrics.clone());
    let queued = move |cluster: &ClusterRef| {
        if stored.contains(cluster) {
            metrics.queued(place(cluster));
        }
    };
    let names =
        changes.into_stream().inspect(queued).map(|cluster| cluster.into_kind_unchecked::<Present>(()));
    let triggers = names.take_until(stop).map(Ok::<_, std::convert::Infallible>);
    let (present, ctx) = (ctx.stores.present.clone(), Arc::new(ctx));
    let takedowns = take_down_departed(Arc::clone(&ctx));
    let looks = applier(
        |name, ctx| Box::pin(look(name, ctx)),
        error_policy,
        ctx,
        present,
        triggers,
        Config::default().concurrency(concurrency).debounce(DEBOUNCE),
    );
    tokio::select! {
        () = looks.for_each(async |_| {}) => {}
        () = all_on_configuration => {}
        () = begins => {}
        () = takedowns => {}
    }
}

/// Looks at a cluster as its manifest is now.
async fn look(name: Arc<Present>, ctx: Arc<Context>) -> Result<Action, Error> {
    match ctx.stores.manifests.get(&ObjectRef::from_obj(&*name).into_kind_unchecked(())) {
        Some(manifest) => reconcile(manifest, ctx).await,
        None => Ok(Action::await_change()), // it went a moment ago
    }
}

/// Opens every shard that is ours, and looks at its clusters; without shards, once. Does not end.
///
/// No look begins in a shard before it is opened here: a deletion seen while another operator acted may be carried out
/// already, and must be forgotten before anybody takes down what stands under that name now.
async fn begin_with_shards(ctx: Context, changes: Changes) {
    let mut held = ctx.mandate.held();
    // These stores are new: whatever is ours begins with them, opened before or not.
    let mut begins = held.borrow_and_update().clone();
    loop {
        if !begins.is_empty() {
            let is_new = |cluster: &ClusterRef| begins.contains(&ctx.mandate.shard_of(cluster));
            departed::resume(&ctx, is_new);
            begins.iter().for_each(|shard| ctx.mandate.open(*shard));
            let clusters = ctx.stores.manifests.names();
            clusters.into_iter().filter(is_new).for_each(|cluster| changes.push(cluster));
        }
        if held.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        begins = ctx.mandate.unopened();
    }
}

/// Takes down clusters whose manifests went without our finalizer. Does not end: the looks do.
async fn take_down_departed(ctx: Arc<Context>) {
    let gone = ctx.stores.departed.clone();
    let triggers = gone.changes.into_stream().map(Ok::<_, std::convert::Infallible>);
    let looks = applier(
        |manifest, ctx| Box::pin(departed::take_down(manifest, ctx)),
        |manifest, error, ctx| {
            ctx.metrics.failed(error.category());
            error_policy(manifest, error, ctx)
        },
        ctx,
        gone.manifests,
        triggers,
        Config::default(),
    );
    looks.for_each(async |_| {}).await;
}

/// Queues every cluster whenever the configuration changes.
async fn every_cluster_on(
    mut config: watch::Receiver<Arc<OperatorConfig>>,
    changes: Changes,
    manifests: Store<Manifest>,
) {
    config.mark_unchanged();
    while config.changed().await.is_ok() {
        let clusters = manifests.names();
        tracing::info!(clusters = clusters.len(), "the configuration changed; looking at every cluster");
        clusters.into_iter().for_each(|cluster| changes.push(cluster));
    }
    std::future::pending().await
}

/// `namespace/name`, as figures name a cluster.
pub(crate) fn place(cluster: &ClusterRef) -> String {
    format!("{}/{}", cluster.namespace.as_deref().unwrap_or_default(), cluster.name)
}
