//! The rights that are shipped, held against everything the services asked for while all other stories were played.

use serde_json::Value;
use tests::rights::{Asked, Kept, asked, compare, roles};
use tests::stage::{AuditLog, Stage, Stop, Told};

const SHIPPED: &[&str] = &[
    include_str!("../../../deploy/base/operator/rbac.yaml"),
    include_str!("../../../deploy/base/webhook/rbac.yaml"),
    include_str!("../../../deploy/base/webhook/certificates.yaml"),
];

const OPERATOR: &str = "ClusterRole postgres-operator";
const PODS: &str = "ClusterRole postgres-pod";

const MADE: &str =
    "a server-side apply that makes an object needs it; the audit log has the verb patch for both";
const ADOPTED: &str =
    "read once when an object of upstream's operator is taken over, which no story here does";
const BOUND: &str = "who binds the pods' account to its role must have every right in it";
const PATRONI: &str =
    "Patroni keeps its state in Endpoints or in ConfigMaps, and removes it only when told to";
const EITHER: &str = "of the two kinds in which Patroni keeps its state, a cluster has one";

/// Rights that stay although no story shows why.
const KEPT: &[Kept] = &[
    kept(OPERATOR, "apps", &["statefulsets", "deployments"], &["create"], MADE),
    kept(OPERATOR, "batch", &["cronjobs"], &["create"], MADE),
    kept(OPERATOR, "policy", &["poddisruptionbudgets"], &["create"], MADE),
    kept(OPERATOR, "", &["services", "serviceaccounts"], &["create"], MADE),
    kept(OPERATOR, "rbac.authorization.k8s.io", &["rolebindings"], &["create"], MADE),
    kept(OPERATOR, "zalando.org", &["fabriceventstreams"], &["create"], MADE),
    kept(OPERATOR, "apps", &["statefulsets", "deployments"], &["get"], ADOPTED),
    kept(OPERATOR, "batch", &["cronjobs"], &["get"], ADOPTED),
    kept(OPERATOR, "", &["serviceaccounts"], &["get"], ADOPTED),
    kept(OPERATOR, "rbac.authorization.k8s.io", &["rolebindings"], &["get"], ADOPTED),
    kept(OPERATOR, "zalando.org", &["fabriceventstreams"], &["get"], ADOPTED),
    kept(
        OPERATOR,
        "",
        &["configmaps", "endpoints"],
        &["create", "update", "patch", "deletecollection"],
        BOUND,
    ),
    kept(OPERATOR, "", &["endpoints/restricted"], &["create"], BOUND),
    kept(OPERATOR, "", &["pods"], &["get", "update", "patch"], BOUND),
    kept(OPERATOR, "", &["configmaps", "endpoints"], &["delete"], EITHER),
    kept(OPERATOR, "", &["pods/exec"], &["create"], "from Kubernetes 1.35 on a command needs it beside get"),
    kept(
        OPERATOR,
        "",
        &["persistentvolumes"],
        &["get", "patch"],
        "disks in EC2, and volumes that are tied to a node",
    ),
    kept(
        OPERATOR,
        "authentication.k8s.io",
        &["tokenreviews"],
        &["create"],
        "the REST API, which no story here asks",
    ),
    kept(OPERATOR, "authorization.k8s.io", &["subjectaccessreviews"], &["create"], "likewise"),
    kept(
        PODS,
        "",
        &["configmaps", "endpoints"],
        &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        PATRONI,
    ),
    kept(
        PODS,
        "",
        &["endpoints/restricted"],
        &["create"],
        "admission looks at it; it is no request of its own",
    ),
    kept(PODS, "", &["pods"], &["get", "update", "watch"], "older versions of Patroni"),
    kept(
        PODS,
        "",
        &["services"],
        &["create"],
        "Patroni makes a Service for its configuration where there is none",
    ),
];

const fn kept(
    role: &'static str,
    group: &'static str,
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
    why: &'static str,
) -> Kept {
    Kept { role, group, resources, verbs, why }
}

pub(crate) async fn no_right_is_missing_and_none_is_granted_in_vain(stage: &Stage) -> Told {
    let requests: Vec<Asked> = AuditLog::whole()?.iter().filter_map(|line| asked(line)).collect();
    let mut objects: Vec<Value> = Vec::new();
    for text in SHIPPED {
        objects.extend(serde_saphyr::from_multiple::<Value>(text)?);
    }
    let mut roles = roles(&objects);
    for role in roles.iter_mut().filter(|role| role.name == PODS) {
        role.accounts.insert("*:postgres-pod".to_owned()); // bound in each namespace by the operator
    }
    let findings = compare(&roles, &requests, KEPT);
    let rights: usize = roles.iter().map(|role| role.acts.len()).sum();
    stage.tell(format!(
        "{rights} rights of {} roles, {} requests of service accounts",
        roles.len(),
        requests.len()
    ));
    assert_eq!(findings.refused, [].into(), "refused to our accounts");
    for right in &findings.needless {
        stage.tell(format!("is kept without need: {right}"));
    }
    if std::env::args().skip(1).any(|argument| !argument.starts_with('-')) {
        return Stop::skipped(format!(
            "only some stories were chosen; so far nobody used {:?}",
            findings.unused
        ));
    }
    assert_eq!(findings.unused, [].into(), "granted, and never asked for");
    Ok(())
}
