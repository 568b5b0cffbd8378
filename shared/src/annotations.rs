//! Every annotation we write or heed.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use regex::Regex;

use crate::config::OperatorConfig;

/// On a pod: recreate it at the next opportunity. People and tools know this mark, and may set it by hand.
pub const ROLLING_UPDATE_REQUIRED: &str = "zalando-postgres-operator-rolling-update-required";
/// On a pod and in the template it was made from: a hash per restart-relevant field, see `plan::pod_template`.
pub const FINGERPRINT: &str = "postgres-operator.acid.zalan.do/fingerprint";
/// On every object we apply: a hash of what we asked for, so that a wish we no longer have is noticed.
pub const APPLIED: &str = "postgres-operator.acid.zalan.do/applied";
/// On the StatefulSet: the keys of Patroni's store that we have set, so that one we no longer want is removed.
pub const PATRONI_KEYS: &str = "postgres-operator.acid.zalan.do/patroni-keys";
/// On a manifest: a major upgrade was begun, to which version, when and in which pod (`observed::Attempt`). Gone when it
/// is over.
pub const UPGRADE_BEGUN: &str = "postgres-operator.acid.zalan.do/major-upgrade";
/// On a manifest: when a major upgrade failed. None is tried again until it is taken away (upstream's name).
pub const UPGRADE_FAILED: &str = "last-major-upgrade-failure";
/// On a manifest: when the last major upgrade succeeded (upstream's name).
pub const UPGRADED: &str = "last-major-upgrade-success";
/// On the StatefulSet: whether objects of event streams may be there, `true` or `false`; absent where there never were.
pub const EVENT_STREAMS: &str = "postgres-operator.acid.zalan.do/event-streams";
/// On a Secret in another namespace: whose it is, as `namespace/name` of the cluster.
pub const CLUSTER: &str = "postgres-operator.acid.zalan.do/cluster";
/// On the primary's Service: the UID of a manifest that is gone. What is left of its cluster is to be taken down.
pub const DELETED: &str = "postgres-operator.acid.zalan.do/deleted";
/// On a manifest: which operator handles it, where several share a Kubernetes.
pub const CONTROLLER: &str = "acid.zalan.do/controller";
/// On the Lease of a shard of clusters: the operator that has too few and would like to have this one.
pub const SHARD_ASKED_FOR_BY: &str = "postgres-operator.acid.zalan.do/asked-for-by";
/// On the operator's configuration: keys, separated by commas, that shall change although clusters break.
pub const INSIST: &str = "acid.zalan.do/insist";
/// On a load balancer's Service: the names that external-dns publishes.
pub const EXTERNAL_DNS: &str = "external-dns.alpha.kubernetes.io/hostname";
/// On a pod: the AWS role that kube2iam gives it.
pub const IAM_ROLE: &str = "iam.amazonaws.com/role";
/// On the pods' service account: the AWS role that IRSA gives it.
pub const IRSA_ROLE: &str = "eks.amazonaws.com/role-arn";

/// A set of annotations.
pub type AnnotationMap = BTreeMap<String, String>;

/// The manifest's annotations that tools which stop workloads out of hours read on the workloads themselves. A pattern
/// that is no regular expression matches nothing; admission of the configuration refuses it.
pub fn downscaler(own: Option<&AnnotationMap>, config: &OperatorConfig) -> AnnotationMap {
    let Some(own) = own.filter(|own| !own.is_empty()) else { return AnnotationMap::new() };
    let patterns = config.kubernetes.downscaler_annotations.iter();
    let patterns: Vec<Arc<Regex>> = patterns.filter_map(|text| compiled(text)).collect();
    own.iter()
        .filter(|(key, _)| patterns.iter().any(|pattern| pattern.is_match(key)))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Patterns that were compiled before: a configuration has few, every look at every cluster needs them, and compiling
/// one takes as long as a tenth of a look.
static COMPILED: RwLock<BTreeMap<String, Option<Arc<Regex>>>> = RwLock::new(BTreeMap::new());

/// How many patterns are kept; configurations come and go.
const MOST_COMPILED: usize = 100;

fn compiled(text: &str) -> Option<Arc<Regex>> {
    let known = COMPILED.read().ok().and_then(|all| all.get(text).cloned());
    known.unwrap_or_else(|| {
        let pattern = Regex::new(text).ok().map(Arc::new);
        if let Ok(mut all) = COMPILED.write() {
            if all.len() >= MOST_COMPILED {
                all.clear();
            }
            all.insert(text.to_owned(), pattern.clone());
        }
        pattern
    })
}

/// The manifest's annotations that the configuration hands down to children.
pub fn inherited(own: Option<&AnnotationMap>, config: &OperatorConfig) -> AnnotationMap {
    let keys = &config.kubernetes.inherited_annotations;
    own.into_iter()
        .flatten()
        .filter(|(key, _)| keys.contains(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}
