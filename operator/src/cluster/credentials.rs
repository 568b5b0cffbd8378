//! The Secrets of roles: created once with a fresh password, or an infrastructure role's, never overwritten.
//!
//! An existing Secret keeps its data; labels, annotations and owners are applied without it. So a person may choose a
//! password beforehand, as a standby needs its source's: the Secret of that name and user is taken, unless a label says
//! that it is another cluster's. In another namespace its content would become the credential of somebody who may not
//! write there: it must say by annotation whose it is, as only we write it.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, Patch, PatchParams, PostParams};
use shared::annotations::{APPLIED, CLUSTER};
use shared::build::{Credential, PASSWORD_KEY, Resources, USERNAME_KEY, home};
use shared::cluster::Cluster;
use shared::labels::carries;
use shared::plan::Difference;

use crate::context::Context;

use super::Error;
use super::apply::FIELD_MANAGER;
use super::observe::Seen;

/// Length of a generated password, as upstream has it.
const PASSWORD_LENGTH: usize = 64;
/// Letters and digits only, so that a password needs no quoting anywhere.
const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Makes the Secret, or brings its metadata in line.
pub(super) async fn keep(
    difference: &Difference,
    desired: &Resources,
    seen: &Seen,
    ctx: &Context,
) -> Result<(), Error> {
    let name = difference.object.name.as_str();
    let wanted = desired.credentials.iter().find(|wanted| wanted.metadata.name.as_deref() == Some(name));
    let Some(wanted) = wanted else { return Ok(()) };
    let secrets: Api<Secret> = Api::namespaced(ctx.client.clone(), &difference.object.namespace);
    if seen.secrets.contains_key(name) {
        return apply_metadata(&secrets, name, &wanted.metadata).await;
    }
    let password = match seen.given.get(&wanted.user) {
        Some(given) => given.as_str().to_owned(),
        None => password()?,
    };
    create(&secrets, name, wanted, password).await
}

async fn create(
    secrets: &Api<Secret>,
    name: &str,
    wanted: &Credential,
    password: String,
) -> Result<(), Error> {
    let data = BTreeMap::from([
        (USERNAME_KEY.to_owned(), ByteString(wanted.user.as_str().as_bytes().to_vec())),
        (PASSWORD_KEY.to_owned(), ByteString(password.into_bytes())),
    ]);
    let secret = Secret {
        metadata: wanted.metadata.clone(),
        data: Some(data),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    };
    let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    match secrets.create(&params, &secret).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_already_exists() => adopt(secrets, name, wanted).await,
        Err(source) => Err(Error::kubernetes(format!("create Secret {name}"))(source)),
    }
}

/// Takes a Secret that the stores did not show: one that a person has made for this user, or one of ours that lost its
/// labels; never another cluster's.
async fn adopt(secrets: &Api<Secret>, name: &str, wanted: &Credential) -> Result<(), Error> {
    let found = secrets.get(name).await.map_err(Error::kubernetes(format!("read Secret {name}")))?;
    let user = found.data.as_ref().and_then(|data| data.get(USERNAME_KEY));
    let same_user = user.is_some_and(|user| user.0 == wanted.user.as_str().as_bytes());
    let made_by_us = found.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(APPLIED));
    let prepared = is_at_home(&wanted.metadata) && !contradicts(&found.metadata, &wanted.metadata);
    if same_user && (made_by_us || prepared) && same_home(&found.metadata, &wanted.metadata) {
        return apply_metadata(secrets, name, &wanted.metadata).await;
    }
    Err(Error::ForeignSecret(name.to_owned()))
}

/// Whether a Secret is in its cluster's own namespace: only others carry the annotation that says whose they are.
fn is_at_home(wanted: &ObjectMeta) -> bool {
    wanted.annotations.as_ref().is_none_or(|all| !all.contains_key(CLUSTER))
}

/// Whether a label says something else than ours do, for example the name of another cluster.
fn contradicts(found: &ObjectMeta, wanted: &ObjectMeta) -> bool {
    let labels = |metadata: &ObjectMeta| metadata.labels.clone().unwrap_or_default();
    let wanted = labels(wanted);
    labels(found).iter().any(|(key, value)| wanted.get(key).is_some_and(|other| other != value))
}

/// Whether both say the same about whose they are, or neither says anything.
fn same_home(one: &ObjectMeta, other: &ObjectMeta) -> bool {
    let home =
        |metadata: &ObjectMeta| metadata.annotations.as_ref().and_then(|all| all.get(CLUSTER).cloned());
    home(one) == home(other)
}

/// Whether a Secret in another namespace is this cluster's: it says so itself; or upstream's operator made it, which
/// leaves labels only, and then no other cluster has taken it yet.
pub(super) fn belongs(secret: &Secret, cluster: &Cluster) -> bool {
    let labelled = carries(secret.metadata.labels.as_ref(), &cluster.labels().selector());
    let annotation = secret.metadata.annotations.as_ref().and_then(|all| all.get(CLUSTER));
    labelled && annotation.is_none_or(|owner| *owner == home(cluster))
}

async fn apply_metadata(secrets: &Api<Secret>, name: &str, metadata: &ObjectMeta) -> Result<(), Error> {
    let object = serde_json::json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata });
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let applied = secrets.patch_metadata(name, &params, &Patch::Apply(&object)).await;
    applied.map(drop).map_err(Error::kubernetes(format!("apply the labels of Secret {name}")))
}

/// A fresh password. Bytes that would favour some letters are thrown away.
pub(super) fn password() -> Result<String, Error> {
    let fair = 256 / LETTERS.len() * LETTERS.len();
    let mut password = Vec::with_capacity(PASSWORD_LENGTH);
    while password.len() < PASSWORD_LENGTH {
        let mut bytes = [0_u8; PASSWORD_LENGTH];
        getrandom::fill(&mut bytes).map_err(Error::Random)?;
        let fair_ones = bytes.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < fair);
        password.extend(fair_ones.filter_map(|byte| LETTERS.get(byte % LETTERS.len()).copied()));
    }
    Ok(password.into_iter().take(PASSWORD_LENGTH).map(char::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_long_plain_and_different() {
        let (one, other) = (password().unwrap(), password().unwrap());
        assert_eq!(one.len(), PASSWORD_LENGTH);
        assert!(one.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_ne!(one, other);
    }
}
