//! Whether a stored object holds everything that we ask for: the question every look asks of every object.
//!
//! The quick half of `object`, and never more lenient: what this calls equal, [`super::object::first_difference`] calls
//! equal, too (`shared/tests/drift.rs` tries every field of every golden object). What this cannot decide, that one
//! does, more slowly and with the place. Here, too, only what we ask for counts; Kubernetes' own defaults, which make up
//! half of a stored object, are passed over without a look.

use serde::Serialize;

use crate::quantity::Amount;

use super::encoded::{FRACTION, LENGTH, LIST, MAP, NO, NULL, TEXT, WHOLE, YES};
use super::told::{Listener, Scalar, Shape, Stop, tell};

/// Whether `live` holds all of a value that [`super::encoded::Encoder`] wrote.
pub(super) fn contains(live: &(impl Serialize + ?Sized), desired: &[u8]) -> bool {
    let mut comparison = Comparison { desired, at: 0, is_amount: false, holds_amounts: false };
    tell(live, &mut comparison).is_ok()
}

/// Stops at the first difference.
struct Comparison<'a> {
    desired: &'a [u8],
    /// Where the value stands that the next told one is compared with.
    at: usize,
    /// Whether that value is a quantity, which Kubernetes may write in another way than we did.
    is_amount: bool,
    /// Whether it is a map of quantities.
    holds_amounts: bool,
}

/// A list or map of what we ask for, while the stored one is told.
struct Open {
    begin: usize,
    /// What of it has not been met.
    rest: usize,
    end: usize,
    /// Whether it holds quantities.
    holds_amounts: bool,
}

impl<'a> Comparison<'a> {
    fn tag(&self, at: usize) -> Result<u8, Stop> {
        self.desired.get(at).copied().ok_or(Stop)
    }

    fn length(&self, at: usize) -> Result<usize, Stop> {
        let bytes = self.desired.get(at..at + LENGTH).ok_or(Stop)?;
        let length = u32::from_le_bytes(bytes.try_into().map_err(|_| Stop)?);
        usize::try_from(length).map_err(|_| Stop)
    }

    /// The text whose length stands at `at`, and where it ends.
    fn text(&self, at: usize) -> Result<(&'a [u8], usize), Stop> {
        let begin = at + LENGTH;
        let end = begin + self.length(at)?;
        Ok((self.desired.get(begin..end).ok_or(Stop)?, end))
    }

    /// Where the value at `at` ends.
    fn end(&self, at: usize) -> Result<usize, Stop> {
        Ok(match self.tag(at)? {
            NULL | NO | YES => at + 1,
            WHOLE | FRACTION => at + 9,
            TEXT | LIST | MAP => at + 1 + LENGTH + self.length(at + 1)?,
            _ => return Err(Stop),
        })
    }

    /// Whether a value is one that Kubernetes does not store: it leaves empty ones out.
    fn is_nothing(&self, at: usize) -> Result<bool, Stop> {
        Ok(match self.tag(at)? {
            NULL => true,
            TEXT | LIST => self.length(at + 1)? == 0,
            MAP => {
                let begin = at + 1 + LENGTH;
                self.are_nothing(begin, begin + self.length(at + 1)?)?
            }
            _ => false,
        })
    }

    /// Whether all the entries of a map between two places are.
    fn are_nothing(&self, mut at: usize, end: usize) -> Result<bool, Stop> {
        while at < end {
            let (_, value) = self.text(at)?;
            if !self.is_nothing(value)? {
                return Ok(false);
            }
            at = self.end(value)?;
        }
        Ok(true)
    }

    /// Where a key stands between two places of a map: the entry, and its value.
    fn find(&self, key: &str, mut at: usize, end: usize) -> Result<Option<(usize, usize)>, Stop> {
        while at < end {
            let (candidate, value) = self.text(at)?;
            if candidate == key.as_bytes() {
                return Ok(Some((at, value)));
            }
            at = self.end(value)?;
        }
        Ok(None)
    }

    /// Whether a stored text is the one at `at`.
    fn is_text(&self, at: usize, have: &str) -> Result<bool, Stop> {
        match self.tag(at)? {
            TEXT => {
                let (want, _) = self.text(at + 1)?;
                Ok(want == have.as_bytes() || (self.is_amount && is_same_amount(want, have)))
            }
            _ => Ok(have.is_empty() && self.is_nothing(at)?),
        }
    }

    fn is_number(&self, at: usize, tag: u8, number: [u8; 8]) -> Result<bool, Stop> {
        Ok(self.tag(at)? == tag && self.desired.get(at + 1..at + 9) == Some(number.as_slice()))
    }
}

impl Listener for Comparison<'_> {
    type Open = Open;

    fn scalar(&mut self, value: Scalar<'_>) -> Result<(), Stop> {
        let at = self.at;
        let same = match value {
            Scalar::Null => self.is_nothing(at)?,
            Scalar::Bool(have) => self.tag(at)? == if have { YES } else { NO },
            Scalar::Int(have) => self.is_number(at, WHOLE, have.to_le_bytes())?,
            Scalar::Float(have) => self.is_number(at, FRACTION, have.to_le_bytes())?,
            Scalar::Text(have) => self.is_text(at, have)?,
        };
        if same { Ok(()) } else { Err(Stop) }
    }

    fn open(&mut self, shape: Shape) -> Result<Open, Stop> {
        let expected = match shape {
            Shape::List => LIST,
            Shape::Map => MAP,
        };
        if self.tag(self.at)? != expected {
            return Err(Stop);
        }
        let begin = self.at + 1 + LENGTH;
        let end = self.end(self.at)?;
        Ok(Open { begin, rest: begin, end, holds_amounts: self.holds_amounts })
    }

    fn element(&mut self, list: &mut Open) -> Result<(), Stop> {
        if list.rest >= list.end {
            return Err(Stop);
        }
        (self.at, self.is_amount, self.holds_amounts) = (list.rest, false, false);
        list.rest = self.end(list.rest)?;
        Ok(())
    }

    fn key(&mut self, map: &mut Open, key: &str) -> Result<bool, Stop> {
        let Some((entry, value)) = self.find(key, map.rest, map.end)? else {
            // Nothing that we ask for; if it was passed over a moment ago, the keys are in no order.
            let passed = self.find(key, map.begin, map.rest)?.is_some();
            return if passed { Err(Stop) } else { Ok(false) };
        };
        // What stands before it was not told, so it is not stored.
        if !self.are_nothing(map.rest, entry)? {
            return Err(Stop);
        }
        (self.at, self.is_amount) = (value, map.holds_amounts);
        self.holds_amounts = matches!(key, "requests" | "limits");
        map.rest = self.end(value)?;
        Ok(true)
    }

    fn close(&mut self, open: Open) -> Result<(), Stop> {
        // A list that is shorter lacks elements, and those are never nothing.
        let tag = self.tag(open.begin - 1 - LENGTH)?;
        let complete =
            if tag == LIST { open.rest == open.end } else { self.are_nothing(open.rest, open.end)? };
        if complete { Ok(()) } else { Err(Stop) }
    }
}

fn is_same_amount(one: &[u8], other: &str) -> bool {
    let one = std::str::from_utf8(one).ok().and_then(|text| text.parse::<Amount>().ok());
    one.is_some() && one == other.parse().ok()
}
