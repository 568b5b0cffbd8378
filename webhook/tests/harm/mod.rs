//! What can be done to a document before somebody has to read it: values replaced, bytes changed, an early end, noise.

use proptest::prelude::*;
use serde_json::Value;

/// Any JSON, not too deep.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-zA-Z.]{0,8}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A place in a tree: at each level, the chosen entry, until there is none.
fn replaced(value: &mut Value, path: &[prop::sample::Index], with: Value) {
    let Some((at, rest)) = path.split_first() else { return *value = with };
    match value {
        Value::Object(map) if !map.is_empty() => {
            let key = map.keys().nth(at.index(map.len())).unwrap().clone();
            replaced(&mut map[&key], rest, with);
        }
        Value::Array(list) if !list.is_empty() => {
            let at = at.index(list.len());
            replaced(&mut list[at], rest, with);
        }
        other => *other = with,
    }
}

/// What is done to a document before it is sent.
#[derive(Clone, Debug)]
pub(crate) enum Harm {
    /// A value somewhere in it becomes another.
    Value(Vec<prop::sample::Index>, Value),
    /// Bytes become others.
    Bytes(Vec<(prop::sample::Index, u8)>),
    /// It ends early.
    Cut(prop::sample::Index),
    /// It is something else altogether.
    Noise(Vec<u8>),
}

/// Any harm.
pub(crate) fn harm() -> impl Strategy<Value = Harm> {
    let place = || prop::collection::vec(any::<prop::sample::Index>(), 2..7);
    prop_oneof![
        4 => (place(), anything()).prop_map(|(place, value)| Harm::Value(place, value)),
        2 => prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6).prop_map(Harm::Bytes),
        1 => any::<prop::sample::Index>().prop_map(Harm::Cut),
        1 => prop::collection::vec(any::<u8>(), 0..64).prop_map(Harm::Noise),
    ]
}

impl Harm {
    /// The document's bytes after it. A value is replaced at one of these places of the document, the first of them most
    /// often, or anywhere.
    pub(crate) fn done_to(self, mut document: Value, places: &[&str]) -> Vec<u8> {
        match self {
            Self::Value(path, value) => {
                let (first, rest) = path.split_first().unwrap();
                let at = first.index(places.len() + 2);
                let place = places.get(at.saturating_sub(1)).copied().unwrap_or_default();
                if let Some(place) = document.pointer_mut(place) {
                    replaced(place, rest, value);
                }
                document.to_string().into_bytes()
            }
            other => other.done_to_bytes(document.to_string().into_bytes()),
        }
    }

    /// As [`Harm::done_to`], for a text of any form: a value is replaced by bytes of another.
    pub(crate) fn done_to_bytes(self, mut bytes: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Value(path, value) => {
                let from = path.first().unwrap().index(bytes.len());
                let to = (from + path.last().unwrap().index(16)).min(bytes.len());
                bytes.splice(from..to, value.to_string().into_bytes());
                bytes
            }
            Self::Bytes(changes) => {
                for (at, byte) in changes {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                }
                bytes
            }
            Self::Cut(at) => {
                bytes.truncate(at.index(bytes.len()));
                bytes
            }
            Self::Noise(bytes) => bytes,
        }
    }
}
