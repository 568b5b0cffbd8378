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
        Self { text: Some(TextForm { write: |object| serde_json::to_vec(object), read: |text| serde_json::from_slice(text) }) }
    }
}

impl<K: Serialize + DeserializeOwned> Form<DeserializeGuard<K>> {
    /// As JSON, and what could not be read as what is known of it.
    pub(super) fn guarded() -> Self {
        Self { text: Some(TextForm { write: write_guarded, read: read_guarded::<K> }) }
    }
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
    Ok(DeserializeGuard(match serde_json::from_slice::<Guarded<K, ObjectMeta>>(text)? {
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
                unpacked = decompress_size_prepended_with_dict(packed, pattern).ok()?;
                &unpacked
            }
        };
        let read = form.text.as_ref()?.read;
        let object = read(text).inspect_err(|error| tracing::error!(%error, "what was kept cannot be read"));
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
