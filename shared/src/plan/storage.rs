//! What becomes of the members' volumes when the manifest asks for another size.
//!
//! The operator asks at every look and patches claims that are too small; Kubernetes and the storage driver do the rest,
//! without touching a pod. A claim is never shrunk: one that is larger than the manifest says stays as it is, and so
//! does the template, or the next new member would get a smaller disk than the others (as with upstream).

use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use crate::cluster::Cluster;
use crate::config::StorageResizeMode;
use crate::names;
use crate::quantity::Amount;

/// A claim that has to grow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Growth {
    /// The claim's name.
    pub claim: String,
    /// The claim that was seen: one of that name made later has another one.
    pub uid: Option<String>,
    /// What it asks for now.
    pub from: String,
    /// What it shall ask for.
    pub to: String,
}

/// What was found about the claims of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Storage {
    /// Claims that have to ask for more.
    pub to_grow: Vec<Growth>,
    /// Claims that ask for more than their volumes have, each with both sizes.
    pub growing: Vec<String>,
    /// The largest size that a member's claim asks for, where that is more than the manifest says.
    pub larger: Option<String>,
}

/// Compares the members' claims with the size that the manifest asks for.
pub fn storage<'a>(
    cluster: &Cluster,
    claims: impl IntoIterator<Item = &'a PersistentVolumeClaim>,
) -> Storage {
    let mut found = Storage::default();
    let Some(wanted) = quantity(&cluster.volume.size) else { return found };
    let mut largest = wanted;
    for claim in claims.into_iter().filter(|claim| is_members(cluster, claim)) {
        let name = claim.metadata.name.clone().unwrap_or_default();
        let Some((asked, text)) = asked(claim) else { continue };
        if asked > largest {
            largest = asked;
            found.larger = Some(text.clone());
        }
        if asked < wanted && grows_claims(cluster.volume.resize) {
            let (uid, to) = (claim.metadata.uid.clone(), cluster.volume.size.clone());
            found.to_grow.push(Growth { claim: name, uid, from: text, to });
        } else if let Some((_, has)) = provided(claim).filter(|(provided, _)| *provided < asked) {
            found.growing.push(format!("{name} from {has} to {text}"));
        }
    }
    found
}

/// Whether claims are made to grow. With `ebs`, upstream enlarges the disks behind them and leaves the claims alone.
fn grows_claims(mode: StorageResizeMode) -> bool {
    match mode {
        StorageResizeMode::Pvc | StorageResizeMode::Mixed => true,
        StorageResizeMode::Ebs | StorageResizeMode::Off => false,
    }
}

fn is_members(cluster: &Cluster, claim: &PersistentVolumeClaim) -> bool {
    let name = claim.metadata.name.as_deref().unwrap_or_default();
    let ordinal = name.rsplit('-').next().and_then(|digits| digits.parse::<i32>().ok());
    claim.metadata.deletion_timestamp.is_none()
        && ordinal.is_some_and(|ordinal| names::data_claim(&cluster.identity.name, ordinal) == name)
}

fn asked(claim: &PersistentVolumeClaim) -> Option<(Amount, String)> {
    let text = &claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?.get("storage")?.0;
    Some((quantity(text)?, text.clone()))
}

fn provided(claim: &PersistentVolumeClaim) -> Option<(Amount, String)> {
    let text = &claim.status.as_ref()?.capacity.as_ref()?.get("storage")?.0;
    Some((quantity(text)?, text.clone()))
}

fn quantity(text: &str) -> Option<Amount> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::References;
    use crate::config::OperatorConfig;

    fn cluster(size: &str, mode: StorageResizeMode) -> Cluster {
        let manifest = serde_json::from_value(json!({
            "apiVersion": "acid.zalan.do/v1", "kind": "postgresql", "metadata": {"name": "demo", "namespace": "a"},
            "spec": {"teamId": "acid", "numberOfInstances": 2, "volume": {"size": size}, "postgresql": {"version": "17"}},
        }))
        .unwrap();
        let mut config = OperatorConfig::default();
        config.kubernetes.storage_resize_mode = mode;
        Cluster::resolve(&manifest, &config, &References::unread()).unwrap()
    }

    fn claim(name: &str, asked: &str, provided: &str) -> PersistentVolumeClaim {
        serde_json::from_value(json!({
            "metadata": {"name": name, "uid": format!("uid-of-{name}")},
            "spec": {"resources": {"requests": {"storage": asked}}}, "status": {"capacity": {"storage": provided}},
        }))
        .unwrap()
    }

    #[test]
    fn claims_that_are_too_small_grow_and_those_of_others_do_not() {
        let claims = [
            claim("pgdata-demo-0", "1Gi", "1Gi"),
            claim("pgdata-demo-1", "1536Mi", "1Gi"),
            claim("pgdata-demo-two-0", "1Gi", "1Gi"),
            claim("dump-demo-0", "1Gi", "1Gi"),
        ];
        let found = storage(&cluster("1.5Gi", StorageResizeMode::Pvc), &claims);
        let grown: Vec<&str> = found.to_grow.iter().map(|growth| growth.claim.as_str()).collect();
        assert_eq!(grown, ["pgdata-demo-0"]);
        assert_eq!(found.growing, ["pgdata-demo-1 from 1Gi to 1536Mi"]);
        assert_eq!(found.larger, None);
    }

    #[test]
    fn a_larger_claim_is_kept_and_remembered_for_new_members() {
        let claims = [claim("pgdata-demo-0", "3Gi", "3Gi"), claim("pgdata-demo-1", "2Gi", "2Gi")];
        let found = storage(&cluster("1Gi", StorageResizeMode::Pvc), &claims);
        assert_eq!(found, Storage { larger: Some("3Gi".to_owned()), ..Storage::default() });
    }

    #[test]
    fn claims_are_left_alone_where_the_operator_is_told_so() {
        let claims = [claim("pgdata-demo-0", "1Gi", "1Gi")];
        for mode in [StorageResizeMode::Off, StorageResizeMode::Ebs] {
            assert_eq!(storage(&cluster("2Gi", mode), &claims), Storage::default());
        }
    }
}
