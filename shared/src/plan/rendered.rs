//! The objects as documents for a person: what `operator render` prints.

use serde_json::{Value, json};

use crate::build::{PASSWORD_KEY, Resources, USER_LIST_KEY, USERNAME_KEY, user_list};

use super::{Kind, objects};

/// Every object in the order in which it is applied; in Secrets, `password` stands for what is drawn later.
pub fn rendered(resources: &Resources, password: &str) -> Vec<Value> {
    let mut all = objects(resources);
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    let documents = all.into_iter().map(|(name, object)| match name.kind {
        Kind::Secret => json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": object.get("metadata"),
            "stringData": content(resources, &name.name, password),
        }),
        Kind::ServiceAccount
        | Kind::RoleBinding
        | Kind::Service
        | Kind::Endpoints
        | Kind::PodDisruptionBudget
        | Kind::StatefulSet
        | Kind::Deployment
        | Kind::CronJob
        | Kind::FabricEventStream => object,
    });
    documents.collect()
}

/// What a Secret holds: a login, or a pooler's list of users.
fn content(resources: &Resources, name: &str, password: &str) -> Value {
    let mut lists = resources.poolers.iter().filter_map(|pooler| pooler.users.as_ref());
    if let Some(list) = lists.find(|list| list.metadata.name.as_deref() == Some(name)) {
        return json!({ USER_LIST_KEY: user_list([(&list.user, password)]) });
    }
    let mut logins = resources.credentials.iter();
    let login = logins.find(|login| login.metadata.name.as_deref() == Some(name));
    json!({ USERNAME_KEY: login.map(|login| login.user.as_str()), PASSWORD_KEY: password })
}
