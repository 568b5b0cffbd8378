//! Whether a caller may read: Kubernetes says who it is (`TokenReview`) and what it may do (`SubjectAccessReview`).
//!
//! The operator keeps no list of its own and remembers no answer: a right that is taken away is gone with the next request.

use http::{HeaderMap, StatusCode, header};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, PostParams};

use crate::cluster::told;
use crate::context::Context;

use super::question::Access;

/// The API group of manifests and configurations.
const GROUP: &str = "acid.zalan.do";

/// Why a question is not answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum Denied {
    /// No token, or none that counts.
    #[error("{0}; send a token of Kubernetes: Authorization: Bearer …")]
    Unknown(&'static str),
    /// Kubernetes knows the caller, and does not let it.
    #[error("user {user} may not {verb} {resource} {place}")]
    Forbidden {
        /// Who asks.
        user: String,
        /// What would be needed.
        verb: &'static str,
        /// Of what.
        resource: &'static str,
        /// Where.
        place: String,
    },
    /// Kubernetes could not be asked.
    #[error("could not ask Kubernetes whether the caller may read")]
    Unasked(#[source] Box<kube::Error>),
}

impl Denied {
    /// The status of the answer.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Unknown(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden { .. } => StatusCode::FORBIDDEN,
            Self::Unasked(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// Lets a caller pass, or says why not.
pub(super) async fn check(access: &Access, headers: &HeaderMap, ctx: &Context) -> Result<(), Denied> {
    if *access == Access::Open {
        return Ok(());
    }
    let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = token.and_then(|text| text.strip_prefix("Bearer ")).map(str::trim);
    let Some(token) = token.filter(|token| !token.is_empty()) else {
        return Err(Denied::Unknown("this page is not for everybody"));
    };
    let user = who(token, ctx).await?;
    may(access, user, ctx).await
}

fn unasked(error: kube::Error) -> Denied {
    let denied = Denied::Unasked(Box::new(error));
    tracing::warn!(
        error = told(&denied),
        "the REST API cannot tell who may read; the operator needs to create reviews"
    );
    denied
}

async fn who(token: &str, ctx: &Context) -> Result<UserInfo, Denied> {
    let review = TokenReview {
        metadata: ObjectMeta::default(),
        spec: TokenReviewSpec { token: Some(token.to_owned()), audiences: None },
        status: None,
    };
    let reviews: Api<TokenReview> = Api::all(ctx.client.clone());
    let answer = reviews.create(&PostParams::default(), &review).await.map_err(unasked)?;
    let status = answer.status.unwrap_or_default();
    let user = status.user.filter(|_| status.authenticated == Some(true));
    user.ok_or(Denied::Unknown("the token is not valid"))
}

async fn may(access: &Access, user: UserInfo, ctx: &Context) -> Result<(), Denied> {
    let (verb, resource, namespace, name) = match access {
        Access::Open => return Ok(()),
        Access::GetManifest(place) => {
            ("get", "postgresqls", Some(place.namespace.clone()), Some(place.name.clone()))
        }
        Access::ListManifests => ("list", "postgresqls", ctx.watched.clone(), None),
        Access::GetConfiguration => ("get", "operatorconfigurations", Some(ctx.namespace.clone()), None),
    };
    let place = match (&namespace, &name) {
        (Some(namespace), Some(name)) => format!("{namespace}/{name}"),
        (Some(namespace), None) => format!("in namespace {namespace}"),
        (None, _) => "in all namespaces".to_owned(),
    };
    let review = SubjectAccessReview {
        metadata: ObjectMeta::default(),
        spec: SubjectAccessReviewSpec {
            extra: user.extra,
            groups: user.groups,
            uid: user.uid,
            user: user.username.clone(),
            resource_attributes: Some(ResourceAttributes {
                group: Some(GROUP.to_owned()),
                resource: Some(resource.to_owned()),
                verb: Some(verb.to_owned()),
                namespace,
                name,
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        status: None,
    };
    let reviews: Api<SubjectAccessReview> = Api::all(ctx.client.clone());
    let answer = reviews.create(&PostParams::default(), &review).await.map_err(unasked)?;
    if answer.status.is_some_and(|status| status.allowed) {
        return Ok(());
    }
    Err(Denied::Forbidden { user: user.username.unwrap_or_default(), verb, resource, place })
}
