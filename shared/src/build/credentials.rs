//! The Secrets of login roles, all but the password, which only the operator's shell can draw.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::annotations::CLUSTER;
use crate::cluster::Cluster;
use crate::names::{self, MemberRole};
use crate::roles::{Role, RoleName};

use super::meta::meta;

/// The Secret's key of the role's name.
pub const USERNAME_KEY: &str = "username";
/// The Secret's key of the password.
pub const PASSWORD_KEY: &str = "password";

/// Upstream labels the Secret of a role of this name as the pooler's, whoever asked for the role; a pooler's user of
/// another name has a Secret like any other.
const NAMED_POOLER: &str = "pooler";

/// A Secret that should exist for a role that logs in.
#[derive(Clone, Debug, PartialEq)]
pub struct Credential {
    /// The Secret's name, namespace, labels, annotations and owners.
    pub metadata: ObjectMeta,
    /// The role.
    pub user: RoleName,
}

pub(super) fn credentials(cluster: &Cluster) -> Vec<Credential> {
    let roles = cluster.roles.roles.iter().filter(|role| role.wants_password);
    roles.map(|role| credential(cluster, role)).collect()
}

fn credential(cluster: &Cluster, role: &Role) -> Credential {
    let user = &role.name;
    let name = cluster.secret_name(user.as_str());
    let labels = match user.as_str() {
        NAMED_POOLER => {
            cluster.labels.pooler_selector(&names::pooler(&cluster.identity.name, MemberRole::Primary))
        }
        _ => cluster.labels.full(),
    };
    let mut metadata = meta(cluster, name, labels, Default::default());
    let namespace = cluster.secret_namespace(role);
    if namespace != cluster.identity.namespace {
        // Owners are of the same namespace; and two clusters of one name could mean the same Secret here.
        metadata.namespace = Some(namespace.to_owned());
        metadata.owner_references = None;
        metadata.annotations.get_or_insert_default().insert(CLUSTER.to_owned(), home(cluster));
    }
    Credential { metadata, user: user.clone() }
}

/// What a Secret in another namespace says of its cluster, in the annotation [`CLUSTER`].
pub fn home(cluster: &Cluster) -> String {
    format!("{}/{}", cluster.identity.namespace, cluster.identity.name)
}
