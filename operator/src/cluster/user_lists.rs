//! The Secrets with the users that poolers admit: rewritten when a password is another one, or somebody else may read the
//! pooler's statistics, and only then.
//!
//! The pooler user's password comes from the user's own Secret, so a list can be made no earlier than at the look after
//! that Secret was; its creation brings that look. Until then the pooler's pods wait for the volume. Running pods read
//! list and password once, when they start: a list that changes restarts them, one after another.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams};
use shared::build::{PASSWORD_KEY, Resources, USER_LIST_KEY, UserList, user_list};
use shared::cluster::Cluster;
use shared::plan::Difference;

use crate::context::Context;

use super::Error;
use super::apply::FIELD_MANAGER;
use super::observe::Seen;

/// When a pooler's pods were told to read their list again, as `kubectl` names it.
const RESTARTED: &str = "kubectl.kubernetes.io/restartedAt";
/// Who owns that annotation.
const RESTARTER: &str = "postgres-operator-restart";

/// Whether a Secret that differs is a user list.
pub(super) fn is_one(difference: &Difference, desired: &Resources) -> bool {
    named(&difference.object.name, desired).is_some()
}

/// Brings labels, annotations and content of one list in line.
pub(super) async fn keep(
    difference: &Difference,
    desired: &Resources,
    seen: &Seen,
    ctx: &Context,
) -> Result<(), Error> {
    let Some(list) = named(&difference.object.name, desired) else { return Ok(()) };
    match content(list, seen) {
        Some(text) => write(list, &text, ctx).await,
        None => Ok(()),
    }
}

/// Rewrites the lists with another content than they should have; missing ones are `keep`'s.
pub(super) async fn refresh(
    cluster: &Cluster,
    desired: &Resources,
    seen: &Seen,
    ctx: &Context,
) -> Result<(), Error> {
    for pooler in &desired.poolers {
        let Some(list) = &pooler.users else { continue };
        let name = list.metadata.name.as_deref().unwrap_or_default();
        let Some(live) = seen.secrets.get(name) else { continue };
        let Some(wanted) = content(list, seen) else { continue };
        let written = live.data.as_ref().and_then(|data| data.get(USER_LIST_KEY));
        if written.is_none_or(|written| !is_same(&written.0, &wanted)) {
            tracing::info!(
                secret = name,
                cluster = cluster.identity().name,
                "the users of a pooler, or their passwords, are others"
            );
            write(list, &wanted, ctx).await?;
            if let Some(deployment) = &pooler.deployment {
                restart(deployment, ctx).await?;
            }
        }
    }
    Ok(())
}

/// Restarts a pooler's pods as `kubectl rollout restart` does. Under a name of its own: what the operator applies
/// otherwise does not have the annotation, and would take it away.
async fn restart(deployment: &Deployment, ctx: &Context) -> Result<(), Error> {
    let metadata = &deployment.metadata;
    let name = metadata.name.as_deref().unwrap_or_default();
    let deployments: Api<Deployment> =
        Api::namespaced(ctx.client.clone(), metadata.namespace.as_deref().unwrap_or_default());
    let annotations = serde_json::json!({ RESTARTED: ctx.now().to_string() });
    let patch = serde_json::json!({ "spec": { "template": { "metadata": { "annotations": annotations } } } });
    let params = PatchParams { field_manager: Some(RESTARTER.to_owned()), ..PatchParams::default() };
    match deployments.patch(name, &params, &Patch::Merge(&patch)).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        result => result.map(drop).map_err(Error::kubernetes(format!("restart Deployment {name}"))),
    }
}

fn lists(desired: &Resources) -> impl Iterator<Item = &UserList> {
    desired.poolers.iter().filter_map(|pooler| pooler.users.as_ref())
}

fn named<'a>(name: &str, desired: &'a Resources) -> Option<&'a UserList> {
    lists(desired).find(|list| list.metadata.name.as_deref() == Some(name))
}

/// Whether both lists say the same. In upstream's the order is by chance: it is no reason to restart a pooler.
fn is_same(written: &[u8], wanted: &str) -> bool {
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    std::str::from_utf8(written).is_ok_and(|written| sorted(written) == sorted(wanted))
}

/// What the list should say, once the user has a password: that user, and the infrastructure roles.
fn content(list: &UserList, seen: &Seen) -> Option<String> {
    let data = seen.secrets.get(&list.credential)?.data.as_ref()?;
    let password = std::str::from_utf8(&data.get(PASSWORD_KEY)?.0).ok()?;
    let others = seen.given.iter().filter(|(role, _)| **role != list.user);
    let others = others.map(|(role, password)| (role, password.as_str()));
    Some(user_list(std::iter::once((&list.user, password)).chain(others)))
}

async fn write(list: &UserList, text: &str, ctx: &Context) -> Result<(), Error> {
    let metadata = &list.metadata;
    let name = metadata.name.as_deref().unwrap_or_default();
    let secrets: Api<Secret> =
        Api::namespaced(ctx.client.clone(), metadata.namespace.as_deref().unwrap_or_default());
    let object = serde_json::json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": metadata, "data": { USER_LIST_KEY: k8s_openapi::ByteString(text.as_bytes().to_vec()) },
    });
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let applied = secrets.patch(name, &params, &Patch::Apply(&object)).await;
    applied.map(drop).map_err(Error::kubernetes(format!("apply Secret {name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_users_is_no_difference_and_a_password_is() {
        let list = "\"pooler\" \"a\"\n\"robot\" \"b\"\n";
        assert!(is_same(b"\"robot\" \"b\"\n\"pooler\" \"a\"", list));
        assert!(!is_same(b"\"robot\" \"c\"\n\"pooler\" \"a\"", list));
        assert!(!is_same(b"\"pooler\" \"a\"\n", list));
        assert!(!is_same(b"\xff", list));
    }
}
