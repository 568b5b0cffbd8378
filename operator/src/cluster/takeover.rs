//! What the first look at a cluster that another operator made would do, without doing it: for `operator adopt --check`.
//!
//! The same reads and the same decisions as in a reconcile, up to where it writes. Patroni and PostgreSQL are not asked, so
//! that it can be told from anywhere.

use kube::ResourceExt;
use shared::api::{FINALIZER, Postgresql};
use shared::build::build;
use shared::cluster::Cluster;
use shared::field::FieldErrors;
use shared::plan::{self, Effect};
use shared::rollout;

use crate::context::Context;

use super::{Error, is_ours, observe, role_sources, streams};

/// What taking a cluster over would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Takeover {
    /// Objects that change under running pods: which one, and the first field that differs; no field where it is missing.
    pub patched: Vec<(String, Option<String>)>,
    /// Objects that are replaced, or pods that restart with them, and what that costs.
    pub costly: Vec<(String, String)>,
    /// Pods that would be recreated, and the fields why.
    pub recreated: Vec<(String, Vec<&'static str>)>,
    /// Objects that would be deleted because nothing asks for them any more.
    pub deleted: Vec<String>,
    /// What could not be read; with it the cluster would be looked after as far as it goes.
    pub unread: Vec<String>,
}

impl Takeover {
    /// Whether anybody connected to the database would notice.
    pub fn is_disruptive(&self) -> bool {
        !self.costly.is_empty() || !self.recreated.is_empty()
    }
}

/// What became of the question.
#[derive(Clone, Debug)]
pub enum Foreseen {
    /// Another operator's, by its annotation.
    Anothers,
    /// On its way out.
    Deleted,
    /// It would not be looked after until these are corrected.
    Invalid(FieldErrors),
    /// It would be taken over.
    Taken(Takeover),
}

/// Foresees the first look at a cluster.
///
/// # Errors
/// What would keep the whole cluster from being looked at.
pub async fn foresee(manifest: &Postgresql, ctx: &Context) -> Result<Foreseen, Error> {
    if !is_ours(manifest, ctx) {
        return Ok(Foreseen::Anothers);
    }
    if manifest.metadata.deletion_timestamp.is_some() {
        return Ok(Foreseen::Deleted);
    }
    let config = ctx.config();
    let mut references = observe::references(manifest, &config, ctx).await?;
    let unread = role_sources::fill_in(&mut references, manifest, &config, ctx).await;
    let cluster = match Cluster::resolve(manifest, &config, &references) {
        Ok(cluster) => cluster,
        Err(errors) => return Ok(Foreseen::Invalid(errors)),
    };
    let mut takeover = Takeover { unread, ..Takeover::default() };
    let has_finalizer = manifest.finalizers().iter().any(|name| name == FINALIZER);
    if cluster.policy().finalizer != has_finalizer {
        let object = format!("postgresql {}/{}", cluster.identity().namespace, cluster.identity().name);
        takeover.patched.push((object, Some("metadata.finalizers".to_owned())));
    }
    let mut seen = observe::world(manifest, &cluster, &references, ctx).await;
    if let Err(error) = streams::look(&cluster, &mut seen, ctx).await {
        takeover.unread.push(super::told(&error));
    }
    let desired = rollout::for_now(build(&cluster), &cluster, &seen.observed);
    rollout::recognise(&mut seen.observed, seen.resources.stateful_set.as_ref(), &desired);
    for difference in plan::between(&seen.resources, &desired) {
        let object = difference.object.to_string();
        if matches!(difference.effect, Effect::Ignored | Effect::Patch | Effect::Sql | Effect::Reload) {
            takeover.patched.push((object, difference.field));
        } else {
            let field = difference.field.unwrap_or_default();
            takeover.costly.push((object, format!("{field}: {:?}", difference.effect)));
        }
    }
    for pod in &seen.observed.pods {
        let why = rollout::outdated(&cluster, &desired, pod);
        if !why.is_empty() {
            takeover.recreated.push((pod.identity.name.clone(), why));
        }
    }
    let orphans = plan::orphans(&cluster, &seen.resources, &desired);
    takeover.deleted = orphans.iter().map(|orphan| orphan.object.to_string()).collect();
    Ok(Foreseen::Taken(takeover))
}
