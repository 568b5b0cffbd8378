//! How an object is kept: as its JSON, packed as what differs from others of its kind.
//!
//! With ten thousand clusters this decides how much memory the operator needs. A StatefulSet weighs some thirty kilobytes in
//! its type, three as JSON, and a few hundred bytes beside the StatefulSet of another cluster. A look unpacks about ten
//! objects, which takes less than one request. Surprising: a pattern is made of whatever came last, and made anew while
//! a store grows, because pods that have only just been made say little about pods that run.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::DeserializeGuard;
use kube::core::error_boundary::InvalidObject;
use lz4_flex::block::{compress_prepend_size_with_dict, decompress_size_prepended_with_dict};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// How much text makes a pattern, in bytes. LZ4 looks back 64 KiB, and is done sooner with less.
const PATTERN: usize = 16 << 10;

/// A pattern is made anew when so many times as many objects have come as when it was made.
const RENEWAL: u64 = 8;

/// In which form objects of a kind are kept.
pub(super) struct Form<K> {
    text: Option<TextForm<K>>,
}

struct TextForm<K> {
    write: fn(&K) -> serde_json::Result<Vec<u8>>,
    read: fn(&[u8]) -> serde_json::Result<K>,
}

impl<K> Form<K> {
    /// As they are: for kinds with few objects, all of which are read in every look.
    pub(super) fn whole() -> Self {
        Self { text: None }
    }
}

impl<K: Serialize + DeserializeOwned> Form<K> {
    /// As JSON.
    pub(super) fn json() -> Self {
        Self { text: Some(TextForm { write: |object| serde_json::to_vec(object), read: read_text::<K> }) }
    }
}

impl<K: Serialize + DeserializeOwned> Form<DeserializeGuard<K>> {
    /// As JSON, and what could not be read as what is known of it.
    pub(super) fn guarded() -> Self {
        Self { text: Some(TextForm { write: write_guarded, read: read_guarded::<K> }) }
    }
}

/// From a string, as the client reads its answers: from bytes, reading each kind would be there twice.
fn read_text<K: DeserializeOwned>(text: &[u8]) -> serde_json::Result<K> {
    serde_json::from_str(std::str::from_utf8(text).unwrap_or_default())
}

/// An object that may be unreadable, as text.
#[derive(Serialize, Deserialize)]
enum Guarded<K, M> {
    Readable(K),
    Unreadable { error: String, metadata: M },
}

fn write_guarded<K: Serialize>(object: &DeserializeGuard<K>) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&match &object.0 {
        Ok(object) => Guarded::Readable(object),
        Err(InvalidObject { error, metadata }) => Guarded::Unreadable { error: error.clone(), metadata },
    })
}

fn read_guarded<K: DeserializeOwned>(text: &[u8]) -> serde_json::Result<DeserializeGuard<K>> {
    Ok(DeserializeGuard(match read_text::<Guarded<K, ObjectMeta>>(text)? {
        Guarded::Readable(object) => Ok(object),
        Guarded::Unreadable { error, metadata } => Err(InvalidObject { error, metadata }),
    }))
}

/// What objects are found by without being unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cluster) struct Clue(u32);

impl Clue {
    /// The cluster of this name, in whatever namespace.
    pub(in crate::cluster) fn cluster(name: &str) -> Self {
        Self::of("cluster", name)
    }

    /// The node of this name.
    pub(super) fn node(name: &str) -> Self {
        Self::of("node", name)
    }

    /// Half of a hash: whoever finds something by it looks whether it is what was looked for.
    fn of(what: &str, name: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        (what, name).hash(&mut hasher);
        Self(u32::try_from(hasher.finish() >> 32).unwrap_or_default())
    }
}

/// An object as it is kept.
pub(super) struct Kept<K> {
    /// What it is, apart from the version of its last write.
    pub(super) digest: u64,
    clues: [Option<Clue>; 2],
    body: Body<K>,
}

enum Body<K> {
    Whole(Arc<K>),
    Text(Box<[u8]>),
    Packed(Box<[u8]>, Arc<[u8]>),
}

/// For a look it is then as if the object were not there, which must not happen in silence.
const UNREADABLE: &str = "what was kept of an object cannot be read";

impl<K> Kept<K> {
    /// Whether it may be what is looked for.
    pub(super) fn has(&self, clue: Clue) -> bool {
        self.clues.contains(&Some(clue))
    }

    /// The object itself.
    pub(super) fn object(&self, form: &Form<K>) -> Option<Arc<K>> {
        let unpacked;
        let text: &[u8] = match &self.body {
            Body::Whole(object) => return Some(Arc::clone(object)),
            Body::Text(text) => text,
            Body::Packed(packed, pattern) => {
                let text = decompress_size_prepended_with_dict(packed, pattern);
                unpacked = text.inspect_err(|error| tracing::error!(%error, "{UNREADABLE}")).ok()?;
                &unpacked
            }
        };
        let read = form.text.as_ref()?.read;
        let object = read(text).inspect_err(|error| tracing::error!(%error, "{UNREADABLE}"));
        object.ok().map(Arc::new)
    }
}

/// What the objects of a kind look like, and what it takes to know it.
#[derive(Default)]
pub(super) struct Packer {
    pattern: Option<Arc<[u8]>>,
    next: Vec<u8>,
    packed: u64,
    renewed: u64,
}

impl Packer {
    /// Makes of an object what is kept of it.
    pub(super) fn keep<K: Clone>(
        &mut self,
        object: &K,
        form: &Form<K>,
        digest: u64,
        clues: [Option<Clue>; 2],
    ) -> Kept<K> {
        // Kubernetes objects came from JSON and go back to it; were one not to, it is kept as it is.
        let text = form.text.as_ref().and_then(|form| (form.write)(object).ok());
        let body = text.map_or_else(|| Body::Whole(Arc::new(object.clone())), |text| self.pack(text));
        Kept { digest, clues, body }
    }

    fn pack<K>(&mut self, text: Vec<u8>) -> Body<K> {
        self.learn(&text);
        match &self.pattern {
            Some(pattern) => {
                let packed = compress_prepend_size_with_dict(&text, pattern).into_boxed_slice();
                Body::Packed(packed, Arc::clone(pattern))
            }
            None => Body::Text(text.into_boxed_slice()),
        }
    }

    /// Gathers texts for the next pattern, when it is time for one.
    fn learn(&mut self, text: &[u8]) {
        self.packed = self.packed.saturating_add(1);
        if self.packed < self.renewed.saturating_mul(RENEWAL) {
            return;
        }
        let room = PATTERN - self.next.len();
        self.next.extend_from_slice(text.get(..room).unwrap_or(text));
        if self.next.len() == PATTERN {
            self.pattern = Some(std::mem::take(&mut self.next).into());
            self.renewed = self.packed;
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::StatefulSet;
    use kube::ResourceExt;
    use serde_json::{Value, json};
    use shared::api::Postgresql;

    use super::*;

    const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/golden");

    /// Every manifest among the fixtures.
    fn manifests() -> Vec<Postgresql> {
        let files = std::fs::read_dir(format!("{FIXTURES}/manifests")).unwrap();
        let texts = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
        texts.map(|text| serde_saphyr::from_str(&text).unwrap()).collect()
    }

    /// A StatefulSet of a real cluster, as one of the cluster of that number.
    fn stateful_set(number: usize) -> StatefulSet {
        let text = std::fs::read_to_string(format!("{FIXTURES}/objects/default/minimal.yaml")).unwrap();
        let text = text.replace("acid-minimal", &format!("acid-{number}"));
        let documents = serde_saphyr::from_multiple::<Value>(&text).unwrap();
        let mut set = documents.into_iter().find(|object| object["kind"] == "StatefulSet").unwrap();
        set["metadata"]["uid"] = json!(format!("{:032x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        set["metadata"]["resourceVersion"] = json!((number * 7919).to_string());
        serde_json::from_value(set).unwrap()
    }

    fn keep<K: Clone>(packer: &mut Packer, object: &K, form: &Form<K>) -> Kept<K> {
        packer.keep(object, form, 0, [None, None])
    }

    fn weight<K>(kept: &Kept<K>) -> usize {
        match &kept.body {
            Body::Text(text) | Body::Packed(text, _) => text.len(),
            Body::Whole(_) => panic!("it is no text"),
        }
    }

    #[test]
    fn a_manifest_is_the_same_after_it_was_kept_whatever_came_before_it() {
        let (form, mut packer) = (Form::guarded(), Packer::default());
        // Three times over: as text, beside the first pattern, and beside a later one.
        for manifest in std::iter::repeat_n(manifests(), 3).flatten() {
            let kept = keep(&mut packer, &DeserializeGuard(Ok(manifest.clone())), &form);
            assert_eq!(kept.object(&form).unwrap().0.as_ref().unwrap(), &manifest);
        }
        assert!(packer.pattern.is_some());
    }

    #[test]
    fn a_manifest_that_cannot_be_read_keeps_its_name_and_the_reason() {
        let (form, mut packer) = (Form::<DeserializeGuard<Postgresql>>::guarded(), Packer::default());
        let metadata = ObjectMeta { name: Some("broken".into()), ..ObjectMeta::default() };
        let object = DeserializeGuard(Err(InvalidObject { error: "no spec".into(), metadata }));
        let found = keep(&mut packer, &object, &form).object(&form).unwrap();
        assert_eq!(
            (found.name_any(), found.0.as_ref().unwrap_err().error.as_str()),
            ("broken".into(), "no spec")
        );
    }

    #[test]
    fn the_objects_of_many_clusters_weigh_a_tenth_of_their_text() {
        let (form, mut packer) = (Form::json(), Packer::default());
        let sets: Vec<StatefulSet> = (0..200).map(stateful_set).collect();
        let kept: Vec<Kept<StatefulSet>> = sets.iter().map(|set| keep(&mut packer, set, &form)).collect();
        for (set, kept) in sets.iter().zip(&kept) {
            assert_eq!(&*kept.object(&form).unwrap(), set);
        }
        let text: usize = sets.iter().map(|set| serde_json::to_vec(set).unwrap().len()).sum();
        let packed: usize = kept.iter().map(weight).sum();
        assert!(packed * 10 < text, "{packed} of {text} bytes");
    }

    #[test]
    fn an_object_is_found_by_its_cluster_and_a_node_of_that_name_is_another_clue() {
        let clues = [Some(Clue::cluster("demo")), None];
        let kept = Packer::default().keep(&stateful_set(1), &Form::json(), 0, clues);
        assert!(kept.has(Clue::cluster("demo")));
        assert!(!kept.has(Clue::cluster("other")));
        assert!(!kept.has(Clue::node("demo")));
    }
}
