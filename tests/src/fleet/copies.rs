//! Ten thousand clusters without the hour that it takes to make them: one that has come to rest, copied in etcd.
//!
//! A copy has its own names, UIDs, passwords and addresses and the hashes of its own objects, so that an operator finds
//! nothing to do. Controllers would: the name of a revision of a StatefulSet is made from its contents, so they do not run
//! meanwhile.

use std::net::Ipv4Addr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use shared::annotations::{APPLIED, FINGERPRINT};
use shared::config::OperatorConfig;

use super::args::Args;
use super::world::World;
use super::{Outcome, floor, kubelet, load};

/// How many copies are stored at once.
const AT_ONCE: usize = 8;
/// The first address of Services that copies get: those before it are kept for fixed ones.
const FIRST_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 1, 0);
/// How many addresses of pods are left to the original.
const PODS_BEFORE: usize = 64;

/// What a cluster consists of: group, version, kind, and where etcd keeps it.
const KINDS: &[(&str, &str, &str, &str)] = &[
    ("acid.zalan.do", "v1", "postgresql", "acid.zalan.do/postgresqls"),
    ("", "v1", "Secret", "secrets"),
    ("", "v1", "Service", "services/specs"),
    ("", "v1", "Endpoints", "services/endpoints"),
    ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    ("", "v1", "PersistentVolume", "persistentvolumes"),
    ("", "v1", "Pod", "pods"),
    ("apps", "v1", "StatefulSet", "statefulsets"),
    ("apps", "v1", "ControllerRevision", "controllerrevisions"),
    ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    ("networking.k8s.io", "v1", "IPAddress", "ipaddresses"),
];

/// Copies the one cluster that there is until there are as many as wished, and waits until all of their pods answer.
pub(super) async fn make(world: &World, config: &OperatorConfig, args: &Args) -> Outcome<()> {
    let original = Original::read(&world.client, config, args).await?;
    let storage = world.control_plane.storage()?;
    let copies = stream::iter(1..args.clusters).map(async |number| {
        storage.put(&original.copy(number, config)?).await?;
        Outcome::Ok(())
    });
    copies.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    world.ready.reach(args.clusters * args.members).await;
    Ok(())
}

/// A cluster as it is stored.
struct Original {
    name: String,
    members: usize,
    marks: Vec<String>,
    /// Each object with the folder in etcd that it is in.
    objects: Vec<(&'static str, Value)>,
    uids: Vec<String>,
    pod_addresses: Vec<String>,
    service_addresses: Vec<String>,
    /// The addresses that copies of its Services may have.
    free_service_addresses: Vec<String>,
    free_pod_addresses: Vec<String>,
}

impl Original {
    async fn read(client: &Client, config: &OperatorConfig, args: &Args) -> Outcome<Self> {
        let name = load::names("fleet", 1).concat();
        let mut objects = Vec::new();
        for (group, version, kind, folder) in KINDS {
            let kind = GroupVersionKind::gvk(group, version, kind);
            let api: Api<DynamicObject> = Api::all_with(client.clone(), &ApiResource::from_gvk(&kind));
            for object in api.list(&ListParams::default()).await? {
                let mut object = serde_json::to_value(object)?;
                if !object.to_string().contains(&name) {
                    continue; // of nobody's cluster, or shared
                }
                json_patch::merge(
                    &mut object,
                    &json!({
                        "apiVersion": kind.api_version(), "kind": kind.kind,
                        "metadata": {"resourceVersion": null},
                    }),
                );
                objects.push((*folder, object));
            }
        }
        let all = |pointer: &str| -> Vec<String> {
            let found = objects.iter().filter_map(|(_, object)| object.pointer(pointer)?.as_str());
            found.map(str::to_owned).collect()
        };
        let mut service_addresses = all("/spec/clusterIP");
        service_addresses.retain(|address| address.parse::<Ipv4Addr>().is_ok());
        let free = (FIRST_SERVICE.to_bits()..).map(|bits| Ipv4Addr::from_bits(bits).to_string());
        let free = free.filter(|address| !service_addresses.contains(address));
        let network = kubelet::network(&args.network)?;
        let pods = PODS_BEFORE..PODS_BEFORE + args.clusters * args.members;
        let pods = pods.map(|number| kubelet::address(network, number));
        let pods = pods.map(|address| address.map(|address| address.to_string())).collect::<Option<_>>();
        Ok(Self {
            marks: marks(&name, args.members, config)?,
            members: args.members,
            uids: all("/metadata/uid"),
            pod_addresses: all("/status/podIP"),
            free_service_addresses: free.take(args.clusters * service_addresses.len()).collect(),
            free_pod_addresses: pods.ok_or("there are not so many addresses of pods")?,
            service_addresses,
            name,
            objects,
        })
    }

    /// The objects of one more cluster, with their keys.
    fn copy(&self, number: usize, config: &OperatorConfig) -> Outcome<Vec<(String, Value)>> {
        let name = format!("{}{number:05}", self.name.trim_end_matches('0'));
        let mut parts = vec![(self.name.as_str(), name.clone())];
        parts.extend(self.uids.iter().map(|uid| (uid.as_str(), uid_of(&drawn(&name, uid)))));
        let pods = of_copy(&self.free_pod_addresses, number, self.pod_addresses.len());
        let services = of_copy(&self.free_service_addresses, number, self.service_addresses.len());
        let mut wholes: Vec<(&str, String)> = Vec::new();
        wholes.extend(self.pod_addresses.iter().map(String::as_str).zip(pods));
        wholes.extend(self.service_addresses.iter().map(String::as_str).zip(services));
        wholes.extend(self.marks.iter().map(String::as_str).zip(marks(&name, self.members, config)?));
        let changes = Changes { parts, wholes };
        let objects = self.objects.iter().map(|(folder, object)| {
            let mut object = changes.made_in(object);
            if let Some(password) = object.pointer_mut("/data/password") {
                *password = json!(BASE64.encode(drawn(&name, &password.to_string())));
            }
            let text = |pointer: &str| {
                object.pointer(pointer).and_then(Value::as_str).map(|text| format!("/{text}"))
            };
            let namespace = text("/metadata/namespace").unwrap_or_default();
            let name = text("/metadata/name").unwrap_or_default();
            (format!("/registry/{folder}{namespace}{name}"), object)
        });
        Ok(objects.collect())
    }
}

/// Of what all copies share, that of one.
fn of_copy(all: &[String], number: usize, each: usize) -> impl Iterator<Item = String> {
    all.iter().skip((number - 1) * each).take(each).cloned()
}

/// What stands for something random: a word of 64 characters.
fn drawn(cluster: &str, what: &str) -> String {
    let digest = Sha256::new().chain_update(cluster).chain_update(what).finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A word of hexadecimal digits in the form of a UID.
fn uid_of(word: &str) -> String {
    let mut digits = word.chars();
    [8, 4, 4, 4, 12].map(|length| digits.by_ref().take(length).collect::<String>()).join("-")
}

/// The hashes that a cluster's objects and its pods carry, always in the same order.
fn marks(name: &str, members: usize, config: &OperatorConfig) -> Outcome<Vec<String>> {
    let (_, objects) = floor::objects(&load::manifest(name, members)?, config)?;
    let places = [("/metadata/annotations", APPLIED), ("/spec/template/metadata/annotations", FINGERPRINT)];
    let marks = objects.iter().flat_map(|object| {
        places.map(|(place, mark)| object.pointer(place)?.get(mark)?.as_str().map(str::to_owned))
    });
    Ok(marks.flatten().collect())
}

/// What is another text in a copy.
struct Changes<'a> {
    /// Wherever it stands in a text or a name.
    parts: Vec<(&'a str, String)>,
    /// Only as a whole: one address is the beginning of another.
    wholes: Vec<(&'a str, String)>,
}

impl Changes<'_> {
    fn made_in(&self, value: &Value) -> Value {
        match value {
            Value::String(old) => Value::String(self.text(old)),
            Value::Array(items) => Value::Array(items.iter().map(|item| self.made_in(item)).collect()),
            Value::Object(fields) => {
                let fields = fields.iter().map(|(name, field)| (self.text(name), self.made_in(field)));
                Value::Object(fields.collect())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    fn text(&self, text: &str) -> String {
        if let Some((_, to)) = self.wholes.iter().find(|(from, _)| *from == text) {
            return to.clone();
        }
        let parts = self.parts.iter().filter(|(from, _)| text.contains(from));
        parts.fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_has_the_form_of_a_uid() {
        assert_eq!(uid_of("0123456789abcdef0123456789abcdef01"), "01234567-89ab-cdef-0123-456789abcdef");
        assert_ne!(drawn("one", "uid"), drawn("other", "uid"));
    }

    #[test]
    fn a_copy_has_its_own_names_everywhere_and_its_own_addresses() {
        let changes = Changes {
            parts: vec![("demo", "other".to_owned())],
            wholes: vec![("127.90.0.1", "127.90.0.3".to_owned())],
        };
        let original = json!({"metadata": {"name": "demo-0", "labels": {"of-demo": "127.90.0.1"}}, "spec": [7, "127.90.0.15"]});
        let copy = json!({"metadata": {"name": "other-0", "labels": {"of-other": "127.90.0.3"}}, "spec": [7, "127.90.0.15"]});
        assert_eq!(changes.made_in(&original), copy);
    }
}
