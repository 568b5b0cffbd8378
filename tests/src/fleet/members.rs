//! What Patroni knows: the members of every cluster, who leads, and the dynamic configuration. Plain data.
//!
//! Everything answers at once and nothing ever fails: what is measured is the operator.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

/// Namespace and name of a cluster.
pub(super) type Place = (String, String);

/// The members of all clusters. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Members(Arc<Mutex<HashMap<Place, Cluster>>>);

#[derive(Debug, Default)]
struct Cluster {
    leader: Option<String>,
    addresses: BTreeMap<String, Ipv4Addr>,
    configuration: Value,
}

impl Members {
    fn all(&self) -> MutexGuard<'_, HashMap<Place, Cluster>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A member has started; whether it leads: the first one does. `configuration` is what a new cluster begins with.
    pub(super) fn join(&self, place: &Place, name: &str, address: Ipv4Addr, configuration: Value) -> bool {
        let mut all = self.all();
        let cluster =
            all.entry(place.clone()).or_insert_with(|| Cluster { configuration, ..Cluster::default() });
        cluster.addresses.insert(name.to_owned(), address);
        cluster.leader.get_or_insert_with(|| name.to_owned()) == name
    }

    /// A member leads that joined before.
    pub(super) fn lead(&self, place: &Place, name: &str) {
        if let Some(cluster) = self.all().get_mut(place) {
            cluster.leader = Some(name.to_owned());
        }
    }

    /// A member has ended; who leads in its place, where it led.
    pub(super) fn leave(&self, place: &Place, name: &str) -> Option<String> {
        let mut all = self.all();
        let cluster = all.get_mut(place)?;
        cluster.addresses.remove(name);
        if cluster.leader.as_deref() != Some(name) {
            return None;
        }
        cluster.leader = cluster.addresses.keys().next().cloned();
        cluster.leader.clone()
    }

    /// `GET /cluster`.
    pub(super) fn described(&self, place: &Place) -> Value {
        let all = self.all();
        let members: Vec<Value> = all.get(place).into_iter().flat_map(Cluster::described).collect();
        json!({ "members": members, "scope": place.1 })
    }

    /// `GET /config`, and `PATCH /config` with a patch.
    pub(super) fn configuration(&self, place: &Place, patch: Option<&Value>) -> Value {
        let mut all = self.all();
        let Some(cluster) = all.get_mut(place) else { return Value::Null };
        if let Some(patch) = patch {
            json_patch::merge(&mut cluster.configuration, patch);
        }
        cluster.configuration.clone()
    }

    /// `POST /switchover`: whether the candidate leads now.
    pub(super) fn switch_over(&self, place: &Place, leader: &str, candidate: &str) -> bool {
        let mut all = self.all();
        let Some(cluster) = all.get_mut(place) else { return false };
        let right = cluster.leader.as_deref() == Some(leader) && cluster.addresses.contains_key(candidate);
        if right {
            cluster.leader = Some(candidate.to_owned());
        }
        right
    }
}

impl Cluster {
    fn described(&self) -> Vec<Value> {
        let leads = |name: &str| self.leader.as_deref() == Some(name);
        let member = |(name, address): (&String, &Ipv4Addr)| match leads(name) {
            true => {
                json!({"name": name, "role": "leader", "state": "running", "timeline": 1, "host": address})
            }
            false => json!({"name": name, "role": "replica", "state": "streaming", "timeline": 1, "lag": 0,
                "host": address}),
        };
        self.addresses.iter().map(member).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(members: &Members, place: &Place) -> Vec<String> {
        let described = members.described(place);
        let all = described["members"].as_array().unwrap().iter();
        all.map(|one| format!("{} {}", one["name"].as_str().unwrap(), one["role"].as_str().unwrap()))
            .collect()
    }

    #[test]
    fn the_first_member_leads_until_it_ends_or_hands_over() {
        let (members, place) = (Members::default(), ("a".to_owned(), "demo".to_owned()));
        let address = Ipv4Addr::LOCALHOST;
        assert!(members.join(&place, "demo-0", address, json!({"ttl": 30})));
        assert!(!members.join(&place, "demo-1", address, json!({})));
        assert_eq!(names(&members, &place), ["demo-0 leader", "demo-1 replica"]);
        assert!(!members.switch_over(&place, "demo-1", "demo-0"), "demo-1 does not lead");
        assert!(members.switch_over(&place, "demo-0", "demo-1"));
        assert_eq!(members.leave(&place, "demo-1").as_deref(), Some("demo-0"));
        assert_eq!(names(&members, &place), ["demo-0 leader"]);
    }

    #[test]
    fn a_cluster_keeps_what_it_is_told() {
        let (members, place) = (Members::default(), ("a".to_owned(), "demo".to_owned()));
        members.join(&place, "demo-0", Ipv4Addr::LOCALHOST, json!({"ttl": 30, "loop_wait": 10}));
        members.configuration(&place, Some(&json!({"ttl": 20, "loop_wait": null})));
        assert_eq!(members.configuration(&place, None), json!({"ttl": 20}));
    }
}
