//! Which rights a service account lacks that the operator would run under: the same needs that the operator asks about
//! itself when it starts.

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use k8s_openapi::api::authorization::v1::{SubjectAccessReview, SubjectAccessReviewSpec};
use kube::Client;
use kube::api::{Api, PostParams};

use crate::rights::{AT_ONCE, BEFORE_START, NEEDS, Need, Places};

/// What a service account (`namespace:name`) may not do, each as `verb resource.group`.
///
/// # Errors
/// When the API server cannot be asked, or does not tell the caller.
pub(super) async fn missing(
    client: &Client,
    account: &str,
    places: Places<'_>,
) -> Result<Vec<String>, kube::Error> {
    let mut questions: Vec<BoxFuture<'_, Result<Option<String>, kube::Error>>> = Vec::new();
    for need in NEEDS.iter().chain([&BEFORE_START]) {
        for verb in need.verbs {
            let lacks = async move {
                let granted = may(client, account, need, verb, places).await?;
                let dot = if need.group.is_empty() { "" } else { "." };
                Ok((!granted).then(|| format!("{verb} {}{dot}{}", need.resource, need.group)))
            };
            questions.push(lacks.boxed());
        }
    }
    let missing: Vec<Option<String>> = stream::iter(questions).buffered(AT_ONCE).try_collect().await?;
    Ok(missing.into_iter().flatten().collect())
}

async fn may(
    client: &Client,
    account: &str,
    need: &Need,
    verb: &str,
    places: Places<'_>,
) -> Result<bool, kube::Error> {
    let namespace = account.split(':').next().unwrap_or_default();
    let groups = [
        "system:serviceaccounts".to_owned(),
        format!("system:serviceaccounts:{namespace}"),
        "system:authenticated".to_owned(),
    ];
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(format!("system:serviceaccount:{account}")),
            groups: Some(groups.into()),
            resource_attributes: Some(need.attributes(verb, places)),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
    let answer = reviews.create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}
