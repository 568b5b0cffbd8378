//! What the operator may do in this Kubernetes, asked once at the start; and what is done where a right is missing. Before
//! a switch from another operator the same is asked about the service account that it would have.
//!
//! Under upstream's own ClusterRole, which an image that takes its place finds, a good part is missing: leases, most
//! watches, some writes. The surprise: none of it stops the operator. What may not be watched is listed from time to time,
//! what may not be listed is read by name when its cluster is looked at, and what may not be written is left as it is.
//!
//! ```text
//!  list + watch ─► watched     list ─► listed every LIST_EVERY     get ─► asked for by name     nothing ─► not known
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client, Resource};

/// How many questions are under way at once.
pub(crate) const AT_ONCE: usize = 16;

/// Rights to one kind, and what is lost without them.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    /// The API group; empty for the core.
    pub group: &'static str,
    /// The resource, with its subresource.
    pub resource: &'static str,
    /// What is done with it.
    pub verbs: &'static [&'static str],
    /// Where.
    pub place: Place,
    /// What becomes of it otherwise.
    pub without: &'static str,
}

/// Where a right is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Wherever clusters are served.
    Served,
    /// In the operator's own namespace.
    Own,
    /// There, and of the operator's lease alone: a role may grant that one and no other.
    Lease,
}

/// Where the operator is, and where clusters are served.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// The namespace of the clusters; `None` for all.
    pub served: Option<&'a str>,
    /// The operator's namespace.
    pub own: &'a str,
    /// The name of its lease.
    pub lease: &'a str,
}

impl Need {
    /// What is asked about one verb.
    pub fn attributes(&self, verb: &str, places: Places<'_>) -> ResourceAttributes {
        let (resource, subresource) = self.resource.split_once('/').unwrap_or((self.resource, ""));
        let namespace = if self.place == Place::Served { places.served } else { Some(places.own) };
        ResourceAttributes {
            group: Some(self.group.to_owned()),
            resource: Some(resource.to_owned()),
            subresource: Some(subresource.to_owned()),
            verb: Some(verb.to_owned()),
            namespace: namespace.map(str::to_owned),
            name: (self.place == Place::Lease).then(|| places.lease.to_owned()),
            ..ResourceAttributes::default()
        }
    }
}

const fn need(
    group: &'static str,
    resource: &'static str,
    verbs: &'static [&'static str],
    without: &'static str,
) -> Need {
    Need { group, resource, verbs, place: Place::Served, without }
}

const WRITTEN: &[&str] = &["create", "delete", "get", "list", "patch", "watch"];
const FOLLOWED: &[&str] = &["list", "watch"];
const SLOWER: &str = "changes by others are noticed late, and what may not be written stays as it is";

/// What the operator needs before it can ask for anything: without its configuration it does not start, and says so itself.
pub const BEFORE_START: Need = Need {
    place: Place::Own,
    ..need("acid.zalan.do", "operatorconfigurations", FOLLOWED, "the operator does not start")
};

/// Everything that the operator does. `deploy/base/operator/rbac.yaml` grants it; `tests/tests/rights.rs` compares them.
pub const NEEDS: &[Need] = &[
    need("acid.zalan.do", "postgresqls", &["get", "list", "patch", "watch"], "no cluster is looked after"),
    need("acid.zalan.do", "postgresqls/status", &["patch"], "no status is written"),
    need("acid.zalan.do", "postgresteams", FOLLOWED, "teams come from the Teams API alone"),
    need(
        "zalando.org",
        "fabriceventstreams",
        &["create", "delete", "get", "list", "patch"],
        "no event streams",
    ),
    need("apps", "statefulsets", WRITTEN, SLOWER),
    need("apps", "deployments", WRITTEN, SLOWER),
    need("batch", "cronjobs", WRITTEN, SLOWER),
    need("policy", "poddisruptionbudgets", WRITTEN, SLOWER),
    need("", "configmaps", PATRONI, SLOWER),
    need("", "endpoints", PATRONI, SLOWER),
    need("", "endpoints/restricted", &["create"], "Patroni cannot keep its state in Endpoints"),
    need("", "services", WRITTEN, SLOWER),
    need("", "secrets", WRITTEN, SLOWER),
    need(
        "",
        "pods",
        &["create", "delete", "get", "list", "patch", "update", "watch"],
        "new pods are not rehearsed",
    ),
    need("", "pods/exec", &["create", "get"], "no major upgrades, and no file systems that grow"),
    need("", "persistentvolumeclaims", &["delete", "list", "patch", "watch"], SLOWER),
    need("", "persistentvolumes", &["get", "patch"], "disks behind volumes are not looked at"),
    need("authentication.k8s.io", "tokenreviews", &["create"], "the REST API knows nobody"),
    need("authorization.k8s.io", "subjectaccessreviews", &["create"], "the REST API answers nobody"),
    need("", "nodes", FOLLOWED, "nodes that are drained are not noticed"),
    need("", "serviceaccounts", &["create", "get", "list", "patch", "watch"], SLOWER),
    need("rbac.authorization.k8s.io", "rolebindings", &["create", "get", "list", "patch", "watch"], SLOWER),
    need("events.k8s.io", "events", &["create", "patch"], "events are written in their old form, if at all"),
    Need {
        place: Place::Lease,
        ..need(
            "coordination.k8s.io",
            "leases",
            &["create", "get", "list", "update", "watch"],
            "there is no election: see to it that one operator runs",
        )
    },
];

/// Patroni's service account may do these things to what it keeps its state in, so whoever binds it must be able to.
const PATRONI: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// How objects of a kind can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By a watch.
    Watch,
    /// By a list from time to time.
    List,
    /// One by one, by name.
    Get,
    /// Not at all.
    Never,
}

/// What is missing, as `group/resource` and verb. By default nothing. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    missing: Arc<BTreeSet<(&'static str, &'static str, &'static str)>>,
}

impl Rights {
    /// Asks about everything. What cannot be asked counts as granted: then the refusal comes where it is used.
    pub async fn ask(client: &Client, places: Places<'_>) -> Self {
        // Made before any is awaited: a closure that lives on beside them keeps the compiler from seeing that all this
        // may move between threads.
        let mut questions: Vec<BoxFuture<'_, Option<_>>> = Vec::new();
        for need in NEEDS {
            for verb in need.verbs {
                let lacks = async move {
                    let granted = may(client, need, verb, places).await;
                    (!granted).then_some((need.group, need.resource, *verb))
                };
                questions.push(lacks.boxed());
            }
        }
        let answers = stream::iter(questions).buffer_unordered(AT_ONCE);
        let missing = answers.filter_map(std::future::ready).collect().await;
        Self { missing: Arc::new(missing) }
    }

    /// Only these are missing.
    pub fn without(missing: impl IntoIterator<Item = (&'static str, &'static str, &'static str)>) -> Self {
        Self { missing: Arc::new(missing.into_iter().collect()) }
    }

    /// Whether this may be done with a kind.
    pub fn allow(&self, group: &str, resource: &str, verb: &str) -> bool {
        !self.missing.iter().any(|(g, r, v)| (*g, *r, *v) == (group, resource, verb))
    }

    /// Whether this may be done with objects of this type.
    pub fn allow_for<K: Resource<DynamicType = ()>>(&self, verb: &str) -> bool {
        self.allow(&K::group(&()), &K::plural(&()), verb)
    }

    /// How objects of this type are read.
    pub fn way<K: Resource<DynamicType = ()>>(&self) -> Way {
        let may = |verb| self.allow_for::<K>(verb);
        match (may("list"), may("watch"), may("get")) {
            (true, true, _) => Way::Watch,
            (true, false, _) => Way::List,
            (false, _, true) => Way::Get,
            (false, _, false) => Way::Never,
        }
    }

    /// How many are missing.
    pub fn missing(&self) -> usize {
        self.missing.len()
    }

    /// What is missing, with what it costs, in one text; nothing when nothing is.
    pub fn told(&self) -> Option<String> {
        let mut costs: Vec<(&str, Vec<String>)> = Vec::new();
        for need in NEEDS {
            let is_missing = |verb: &&&str| !self.allow(need.group, need.resource, verb);
            let verbs: Vec<&str> = need.verbs.iter().filter(is_missing).copied().collect();
            if verbs.is_empty() {
                continue;
            }
            let dot = if need.group.is_empty() { "" } else { "." };
            let kind = format!("{}{dot}{} ({})", need.resource, need.group, verbs.join(", "));
            match costs.iter_mut().find(|(without, _)| *without == need.without) {
                Some((_, kinds)) => kinds.push(kind),
                None => costs.push((need.without, vec![kind])),
            }
        }
        let told: Vec<String> =
            costs.iter().map(|(without, kinds)| format!("{}: {without}", kinds.join(", "))).collect();
        (!told.is_empty()).then(|| told.join("; "))
    }
}

async fn may(client: &Client, need: &Need, verb: &str, places: Places<'_>) -> bool {
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(need.attributes(verb, places)),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    match reviews.create(&PostParams::default(), &review).await {
        Ok(answer) => answer.status.is_some_and(|status| status.allowed),
        Err(error) => {
            tracing::debug!(%error, resource = need.resource, verb, "could not ask for a right");
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::StatefulSet;
    use k8s_openapi::api::core::v1::{Pod, Secret, Service};

    use super::*;

    #[test]
    fn what_may_not_be_watched_is_listed_and_what_may_not_be_listed_is_asked_for() {
        let rights = Rights::without([
            ("apps", "statefulsets", "watch"),
            ("", "secrets", "list"),
            ("", "secrets", "watch"),
            ("", "services", "get"),
            ("", "services", "list"),
        ]);
        assert_eq!(rights.way::<Pod>(), Way::Watch);
        assert_eq!(rights.way::<StatefulSet>(), Way::List);
        assert_eq!(rights.way::<Secret>(), Way::Get);
        assert_eq!(rights.way::<Service>(), Way::Never);
        assert_eq!(rights.missing(), 5);
    }

    #[test]
    fn everything_that_is_missing_is_told_at_once_with_what_it_costs() {
        assert_eq!(Rights::default().told(), None);
        let rights = Rights::without([
            ("", "nodes", "watch"),
            ("", "nodes", "list"),
            ("coordination.k8s.io", "leases", "create"),
        ]);
        assert_eq!(
            rights.told().unwrap(),
            "nodes (list, watch): nodes that are drained are not noticed; leases.coordination.k8s.io (create): there is \
             no election: see to it that one operator runs"
        );
    }
}
