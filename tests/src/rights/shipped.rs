//! The rights that are shipped, and those among them that no story uses.

use serde_json::Value;

use super::{InVain, Kept, Role, roles};

const SHIPPED: &[&str] = &[
    include_str!("../../../deploy/base/operator/rbac.yaml"),
    include_str!("../../../deploy/base/webhook/rbac.yaml"),
    include_str!("../../../deploy/base/webhook/certificates_rbac.yaml"),
];

const OPERATOR: &str = "ClusterRole postgres-operator";
const SURROUNDINGS: &str = "ClusterRole postgres-operator-surroundings";
const OWN: &str = "Role postgres-operator";
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
pub const KEPT: &[Kept] = &[
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
        OWN,
        "coordination.k8s.io",
        &["leases"],
        &["list", "watch"],
        "an operator that waits for the lease follows it; the stories have but one",
    ),
    kept(
        SURROUNDINGS,
        "",
        &["persistentvolumes"],
        &["get", "patch"],
        "disks in EC2, and volumes that are tied to a node",
    ),
    kept(
        SURROUNDINGS,
        "authentication.k8s.io",
        &["tokenreviews"],
        &["create"],
        "the REST API, which no story here asks",
    ),
    kept(SURROUNDINGS, "authorization.k8s.io", &["subjectaccessreviews"], &["create"], "likewise"),
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

/// What is asked for and rightly refused.
pub const IN_VAIN: &[InVain] = &[InVain {
    account: "postgres-pod",
    path: "/api/v1/namespaces/default/endpoints/kubernetes",
    why: "Patroni looks for more API servers than one; it goes on with the Service, and databases need not know more",
}];

/// The roles that are shipped, with who has them.
///
/// # Errors
/// When a file is no YAML.
pub fn shipped() -> Result<Vec<Role>, serde_saphyr::Error> {
    let mut objects: Vec<Value> = Vec::new();
    for text in SHIPPED {
        objects.extend(serde_saphyr::from_multiple::<Value>(text)?);
    }
    let mut roles = roles(&objects);
    for role in roles.iter_mut().filter(|role| role.name == PODS) {
        role.accounts.insert("*:postgres-pod".to_owned()); // bound in each namespace by the operator
    }
    Ok(roles)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may be blunt")]
mod tests {
    use super::*;

    fn role(name: &str) -> Role {
        shipped().unwrap().into_iter().find(|role| role.name == name).unwrap()
    }

    #[test]
    fn the_webhook_reads_no_secret_and_writes_nothing() {
        let account = "postgres-operator:postgres-operator-webhook";
        let roles: Vec<Role> =
            shipped().unwrap().into_iter().filter(|role| role.accounts.contains(account)).collect();
        assert!(roles.len() > 2, "{roles:?}");
        for act in roles.iter().flat_map(|role| &role.acts) {
            assert!(act.resource != "secrets" && ["list", "watch"].contains(&act.verb.as_str()), "{act}");
        }
    }

    #[test]
    fn what_is_kept_is_granted_and_has_a_reason() {
        for kept in KEPT {
            let role = role(kept.role);
            let missing: Vec<String> =
                kept.acts().filter(|act| !role.acts.contains(act)).map(|act| act.to_string()).collect();
            assert!(missing.is_empty() && !kept.why.is_empty(), "{}: {missing:?}", kept.role);
        }
    }

    #[test]
    fn who_binds_the_pods_account_has_every_right_of_its_role() {
        let (pods, operator) = (role(PODS), role(OPERATOR));
        let missing: Vec<String> = pods.acts.difference(&operator.acts).map(ToString::to_string).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
