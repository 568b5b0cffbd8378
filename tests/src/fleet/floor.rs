//! The floor: what the control plane needs for the same objects, when nobody decides anything.

use std::time::Instant;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;
use shared::api::Postgresql;
use shared::build::build;
use shared::cluster::{Cluster, References};
use shared::config::OperatorConfig;
use shared::plan;

use super::Outcome;
use super::args::Args;
use super::load;
use super::report::Floor;
use super::world::World;

/// Creates manifests and objects, and waits until every pod is ready.
pub(super) async fn measure(world: &World, config: &OperatorConfig, args: &Args) -> Outcome<Floor> {
    let fleet = load::names("fleet", args.clusters).into_iter().map(|name| {
        let manifest = load::manifest(&name, args.members)?;
        let objects = objects(&manifest, config)?;
        Ok((manifest, objects))
    });
    let fleet = fleet.collect::<Outcome<Vec<_>>>()?;
    let objects_each = fleet.first().map_or(0, |(_, (_, own))| own.len());
    if let Some((_, (shared, _))) = fleet.first() {
        for object in shared {
            load::create(&world.client, object.clone()).await?;
        }
    }
    let begun = Instant::now();
    let made = stream::iter(fleet).map(|(manifest, (_, objects))| async {
        load::apply(&world.client, vec![manifest]).await?;
        for object in objects {
            load::create(&world.client, object).await?;
        }
        Outcome::Ok(())
    });
    made.buffer_unordered(load::AT_ONCE).try_collect::<()>().await?;
    world.ready.reach(args.clusters * args.members).await;
    let seconds = begun.elapsed().as_secs_f64();
    Ok(Floor { seconds, objects_each, pods_ready_at: world.ready.since(begun) })
}

/// The objects of a cluster: those that it shares with all of its namespace, and its own.
pub(super) fn objects(manifest: &Postgresql, config: &OperatorConfig) -> Outcome<(Vec<Value>, Vec<Value>)> {
    let cluster = Cluster::resolve(manifest, config, &References::unread())
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
    let all = plan::rendered(&build(&cluster), "0123456789abcdef");
    let is_shared = |object: &Value| {
        let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
        ["ServiceAccount", "RoleBinding"].contains(&kind)
    };
    Ok(all.into_iter().partition(is_shared))
}
