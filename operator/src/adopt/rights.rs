//! Which rights the operator's service account lacks. What it needs is read from the roles that it is installed with, so
//! that there is no second list.

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::rbac::v1::PolicyRule;
use kube::Client;
use kube::api::{Api, PostParams};
use serde_json::Value;

/// The roles of an installation.
const ROLES: &str = include_str!("../../../deploy/base/operator/rbac.yaml");
/// How many questions are under way at once.
const AT_ONCE: usize = 16;

/// One right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Right {
    group: String,
    resource: String,
    subresource: Option<String>,
    verb: String,
    /// In the operator's own namespace only.
    own: bool,
}

impl std::fmt::Display for Right {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if let Some(subresource) = &self.subresource {
            write!(f, "/{subresource}")?;
        }
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        Ok(())
    }
}

fn name(role: &Value) -> &str {
    role.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

/// Every right in the operator's own roles. Those of the database pods are not among them.
pub(super) fn needed() -> Vec<Right> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(ROLES).unwrap_or_default();
    let ours = documents.iter().filter(|role| name(role).starts_with("postgres-operator"));
    let mut rights = Vec::new();
    for role in ours {
        let own = role.get("kind").and_then(Value::as_str) == Some("Role");
        let rules = role.get("rules").cloned().unwrap_or_default();
        let rules: Vec<PolicyRule> = serde_json::from_value(rules).unwrap_or_default();
        rules.iter().for_each(|rule| of_rule(rule, own, &mut rights));
    }
    rights
}

fn of_rule(rule: &PolicyRule, own: bool, into: &mut Vec<Right>) {
    for group in rule.api_groups.iter().flatten() {
        for resource in rule.resources.iter().flatten() {
            let (resource, subresource) = match resource.split_once('/') {
                Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
                None => (resource.as_str(), None),
            };
            into.extend(rule.verbs.iter().map(|verb| Right {
                group: group.clone(),
                resource: resource.to_owned(),
                subresource: subresource.clone(),
                verb: verb.clone(),
                own,
            }));
        }
    }
}

/// Those of the rights that a service account (`namespace:name`) does not have, where clusters are and where it runs itself.
///
/// # Errors
/// When the API server cannot be asked, or does not tell the caller.
pub(super) async fn missing(
    client: &Client,
    account: &str,
    watched: Option<&str>,
    own: &str,
) -> Result<Vec<Right>, kube::Error> {
    let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
    let asked = stream::iter(needed()).map(|right| {
        let namespace = if right.own { Some(own) } else { watched };
        let review = review(&right, account, namespace);
        let reviews = &reviews;
        async move {
            let answer = reviews.create(&PostParams::default(), &review).await?;
            let allowed = answer.status.is_some_and(|status| status.allowed);
            Ok::<_, kube::Error>((!allowed).then_some(right))
        }
    });
    let missing: Vec<Option<Right>> = asked.buffered(AT_ONCE).try_collect().await?;
    Ok(missing.into_iter().flatten().collect())
}

fn review(right: &Right, account: &str, namespace: Option<&str>) -> SubjectAccessReview {
    let group = account.split(':').next().map(|namespace| format!("system:serviceaccounts:{namespace}"));
    let attributes = ResourceAttributes {
        group: Some(right.group.clone()),
        resource: Some(right.resource.clone()),
        subresource: right.subresource.clone(),
        verb: Some(right.verb.clone()),
        namespace: namespace.map(str::to_owned),
        ..ResourceAttributes::default()
    };
    SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(format!("system:serviceaccount:{account}")),
            groups: Some(
                ["system:serviceaccounts".to_owned(), "system:authenticated".to_owned()]
                    .into_iter()
                    .chain(group)
                    .collect(),
            ),
            resource_attributes: Some(attributes),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_is_what_an_installation_grants() {
        let words: Vec<String> = needed().iter().map(ToString::to_string).collect();
        for right in
            ["patch postgresqls/status.acid.zalan.do", "delete pods", "create leases.coordination.k8s.io"]
        {
            assert!(words.iter().any(|word| word == right), "{right} in {words:#?}");
        }
        assert!(words.len() > 80, "{}", words.len());
    }
}
