//! An object as one run of bytes: short to hash, and quick to hold a stored object against.
//!
//! `build` asks for the hash that every object carries, `difference` whether what is stored holds what we ask for. The
//! bytes never leave the process, only their hash does, so the layout may change at the price of one write per object.
//!
//! ```text
//! value = tag, then what the tag says:  null, no, yes: nothing │ number: 8 bytes │ text: length, bytes
//!                                       list: length, values   │ map: length, (length, key, value)…
//! ```

use serde::Serialize;
use twox_hash::XxHash3_64;

use super::told::{Listener, Scalar, Shape, Stop, tell};

pub(super) const NULL: u8 = 0;
pub(super) const NO: u8 = 1;
pub(super) const YES: u8 = 2;
pub(super) const WHOLE: u8 = 3;
pub(super) const FRACTION: u8 = 4;
pub(super) const TEXT: u8 = 5;
pub(super) const LIST: u8 = 6;
pub(super) const MAP: u8 = 7;

/// Bytes of a length.
pub(super) const LENGTH: usize = 4;

/// Where values are written, one after the other in the same memory.
pub(crate) struct Encoder {
    bytes: Vec<u8>,
}

/// Bytes of a large StatefulSet, so that the memory hardly ever has to grow.
const LARGE: usize = 16 * 1024;

impl Encoder {
    pub(crate) fn new() -> Self {
        Self { bytes: Vec::with_capacity(LARGE) }
    }

    /// The value as bytes; `None` for what is no value of Kubernetes.
    pub(super) fn encode(&mut self, value: &(impl Serialize + ?Sized)) -> Option<&[u8]> {
        self.bytes.clear();
        tell(value, self).ok().map(|()| self.bytes.as_slice())
    }

    /// A hash of the value that is the same in every process and on every machine, as 16 hex digits.
    ///
    /// It has to tell versions of one object apart, not to withstand anyone: who can choose what is hashed can change
    /// the object as well.
    pub(crate) fn digest(&mut self, value: &(impl Serialize + ?Sized)) -> String {
        let hash = match self.encode(value) {
            Some(bytes) => XxHash3_64::oneshot(bytes),
            None => XxHash3_64::oneshot(&serde_json::to_vec(value).unwrap_or_default()),
        };
        format!("{hash:016x}")
    }

    fn length(&mut self, length: usize) {
        self.bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn number(&mut self, tag: u8, number: [u8; 8]) {
        self.bytes.push(tag);
        self.bytes.extend_from_slice(&number);
    }
}

impl Listener for Encoder {
    /// Where the list or map begins, behind its length.
    type Open = usize;

    fn scalar(&mut self, value: Scalar<'_>) -> Result<(), Stop> {
        match value {
            Scalar::Null => self.bytes.push(NULL),
            Scalar::Bool(false) => self.bytes.push(NO),
            Scalar::Bool(true) => self.bytes.push(YES),
            Scalar::Int(number) => self.number(WHOLE, number.to_le_bytes()),
            Scalar::Float(number) => self.number(FRACTION, number.to_le_bytes()),
            Scalar::Text(text) => {
                self.bytes.push(TEXT);
                self.text(text);
            }
        }
        Ok(())
    }

    fn open(&mut self, shape: Shape) -> Result<usize, Stop> {
        self.bytes.push(match shape {
            Shape::List => LIST,
            Shape::Map => MAP,
        });
        self.length(0); // known at the end
        Ok(self.bytes.len())
    }

    fn element(&mut self, _: &mut usize) -> Result<(), Stop> {
        Ok(())
    }

    fn key(&mut self, _: &mut usize, key: &str) -> Result<bool, Stop> {
        self.text(key);
        Ok(true)
    }

    fn close(&mut self, begin: usize) -> Result<(), Stop> {
        let length = u32::try_from(self.bytes.len() - begin).map_err(|_| Stop)?;
        let place = self.bytes.get_mut(begin - LENGTH..begin).ok_or(Stop)?;
        place.copy_from_slice(&length.to_le_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn digest(value: &serde_json::Value) -> String {
        Encoder::new().digest(value)
    }

    #[test]
    fn a_hash_on_an_object_is_the_same_in_every_version_of_the_operator() {
        // Another value here costs one write for each object of each cluster, so it should have a reason.
        assert_eq!(
            digest(&json!({"spec": {"replicas": 2, "paused": false, "names": ["a", null]}})),
            "01d37cbb630623f6"
        );
    }

    #[test]
    fn values_that_differ_have_hashes_that_differ() {
        let values = [
            json!(null),
            json!(false),
            json!(0),
            json!(0.5),
            json!(""),
            json!([]),
            json!({}),
            json!(["a", "b"]),
            json!([["a"], "b"]),
            json!({"a": "b"}),
            json!({"a": ["b"]}),
            json!([{"a": 1}, {"b": 2}]),
            json!([{"a": 1, "b": 2}]),
        ];
        let hashes: std::collections::BTreeSet<String> = values.iter().map(digest).collect();
        assert_eq!(hashes.len(), values.len());
    }
}
