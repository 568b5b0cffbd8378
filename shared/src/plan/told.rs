//! A value told piece by piece to a listener, instead of being turned into a tree of JSON first.
//!
//! `encoded` and `contains` listen: one hashes an object, the other holds it against a stored one. `cluster::stored_form`
//! listens, too. All run for every cluster at every look, and building the two trees used to be nine tenths of what a look
//! cost. The fact to know: the types of Kubernetes tell their fields in alphabetical order and leave out what is not set.

use serde::Serialize;
use serde::ser::{self, Impossible, Serializer};

/// A value that holds no others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scalar<'a> {
    /// Nothing.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A whole number; those above `i64::MAX` come as [`Scalar::Float`], and no field of Kubernetes holds one.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(&'a str),
}

/// What holds other values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A list.
    List,
    /// A map, or a struct.
    Map,
}

/// The listener has heard enough, or the value cannot be told.
pub(crate) use std::fmt::Error as Stop;

/// Who listens.
pub(crate) trait Listener {
    /// What the listener keeps while a list or a map is told.
    type Open;

    /// A value that holds no others.
    fn scalar(&mut self, value: Scalar<'_>) -> Result<(), Stop>;
    /// A list or a map begins.
    fn open(&mut self, shape: Shape) -> Result<Self::Open, Stop>;
    /// The list's next element follows.
    fn element(&mut self, list: &mut Self::Open) -> Result<(), Stop>;
    /// The value of this key would follow. Whether it shall be told.
    fn key(&mut self, map: &mut Self::Open, key: &str) -> Result<bool, Stop>;
    /// The list or the map ends.
    fn close(&mut self, open: Self::Open) -> Result<(), Stop>;
}

/// Tells a value to a listener.
///
/// # Errors
/// When the listener has heard enough, and for an enum's variants with fields, of which Kubernetes has none.
pub(crate) fn tell<L: Listener>(value: &(impl Serialize + ?Sized), listener: &mut L) -> Result<(), Stop> {
    value.serialize(Teller(listener))
}

/// The way from `serde` to a listener.
struct Teller<'a, L>(&'a mut L);

/// A list or a map that is being told.
struct Inside<'a, L: Listener> {
    listener: &'a mut L,
    open: L::Open,
    /// Whether the value of the last key is to be told.
    wanted: bool,
}

impl<'a, L: Listener> Teller<'a, L> {
    fn inside(self, shape: Shape) -> Result<Inside<'a, L>, Stop> {
        let open = self.0.open(shape)?;
        Ok(Inside { listener: self.0, open, wanted: true })
    }
}

/// Serialises these numbers as the widest of their kind.
macro_rules! numbers {
    ($($method:ident($kind:ty)),*) => {
        $(fn $method(self, value: $kind) -> Result<(), Stop> {
            self.0.scalar(Scalar::Int(value.into()))
        })*
    };
}

impl<'a, L: Listener> Serializer for Teller<'a, L> {
    type Ok = ();
    type Error = Stop;
    type SerializeSeq = Inside<'a, L>;
    type SerializeTuple = Inside<'a, L>;
    type SerializeTupleStruct = Inside<'a, L>;
    type SerializeTupleVariant = Impossible<(), Stop>;
    type SerializeMap = Inside<'a, L>;
    type SerializeStruct = Inside<'a, L>;
    type SerializeStructVariant = Impossible<(), Stop>;

    numbers!(serialize_i8(i8), serialize_i16(i16), serialize_i32(i32), serialize_i64(i64));
    numbers!(serialize_u8(u8), serialize_u16(u16), serialize_u32(u32));

    fn serialize_u64(self, value: u64) -> Result<(), Stop> {
        #[allow(clippy::cast_precision_loss, reason = "no field of Kubernetes holds such a number")]
        let large = Scalar::Float(value as f64);
        self.0.scalar(i64::try_from(value).map_or(large, Scalar::Int))
    }

    fn serialize_bool(self, value: bool) -> Result<(), Stop> {
        self.0.scalar(Scalar::Bool(value))
    }

    fn serialize_f32(self, value: f32) -> Result<(), Stop> {
        self.0.scalar(Scalar::Float(value.into()))
    }

    fn serialize_f64(self, value: f64) -> Result<(), Stop> {
        self.0.scalar(Scalar::Float(value))
    }

    fn serialize_char(self, value: char) -> Result<(), Stop> {
        self.0.scalar(Scalar::Text(value.encode_utf8(&mut [0; 4])))
    }

    fn serialize_str(self, value: &str) -> Result<(), Stop> {
        self.0.scalar(Scalar::Text(value))
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Stop> {
        self.collect_seq(value)
    }

    fn serialize_none(self) -> Result<(), Stop> {
        self.0.scalar(Scalar::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Stop> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Stop> {
        self.0.scalar(Scalar::Null)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Stop> {
        self.0.scalar(Scalar::Null)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Stop> {
        self.0.scalar(Scalar::Text(variant))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Stop> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Stop> {
        let mut inside = self.inside(Shape::Map)?;
        inside.entry(variant, value)?;
        inside.listener.close(inside.open)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Inside<'a, L>, Stop> {
        self.inside(Shape::List)
    }

    fn serialize_tuple(self, _: usize) -> Result<Inside<'a, L>, Stop> {
        self.inside(Shape::List)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Inside<'a, L>, Stop> {
        self.inside(Shape::List)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Stop> {
        Err(Stop)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Inside<'a, L>, Stop> {
        self.inside(Shape::Map)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Inside<'a, L>, Stop> {
        self.inside(Shape::Map)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Stop> {
        Err(Stop)
    }
}

impl<L: Listener> Inside<'_, L> {
    fn next<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Stop> {
        self.listener.element(&mut self.open)?;
        value.serialize(Teller(self.listener))
    }

    fn entry<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), Stop> {
        if self.listener.key(&mut self.open, key)? { value.serialize(Teller(self.listener)) } else { Ok(()) }
    }
}

impl<L: Listener> ser::SerializeSeq for Inside<'_, L> {
    type Ok = ();
    type Error = Stop;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Stop> {
        self.next(value)
    }

    fn end(self) -> Result<(), Stop> {
        self.listener.close(self.open)
    }
}

impl<L: Listener> ser::SerializeTuple for Inside<'_, L> {
    type Ok = ();
    type Error = Stop;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Stop> {
        self.next(value)
    }

    fn end(self) -> Result<(), Stop> {
        self.listener.close(self.open)
    }
}

impl<L: Listener> ser::SerializeTupleStruct for Inside<'_, L> {
    type Ok = ();
    type Error = Stop;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Stop> {
        self.next(value)
    }

    fn end(self) -> Result<(), Stop> {
        self.listener.close(self.open)
    }
}

impl<L: Listener> ser::SerializeStruct for Inside<'_, L> {
    type Ok = ();
    type Error = Stop;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Stop> {
        self.entry(key, value)
    }

    fn end(self) -> Result<(), Stop> {
        self.listener.close(self.open)
    }
}

impl<L: Listener> ser::SerializeMap for Inside<'_, L> {
    type Ok = ();
    type Error = Stop;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Stop> {
        let mut heard = KeyOf { listener: self.listener, map: &mut self.open, wanted: true };
        key.serialize(Teller(&mut heard))?;
        self.wanted = heard.wanted;
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Stop> {
        if self.wanted { value.serialize(Teller(self.listener)) } else { Ok(()) }
    }

    fn end(self) -> Result<(), Stop> {
        self.listener.close(self.open)
    }
}

/// Hears the key of a map, which `serde` tells as a value of its own.
struct KeyOf<'a, L: Listener> {
    listener: &'a mut L,
    map: &'a mut L::Open,
    wanted: bool,
}

impl<L: Listener> Listener for KeyOf<'_, L> {
    type Open = ();

    fn scalar(&mut self, value: Scalar<'_>) -> Result<(), Stop> {
        let Scalar::Text(key) = value else { return Err(Stop) };
        self.wanted = self.listener.key(self.map, key)?;
        Ok(())
    }

    fn open(&mut self, _: Shape) -> Result<(), Stop> {
        Err(Stop)
    }

    fn element(&mut self, (): &mut ()) -> Result<(), Stop> {
        Err(Stop)
    }

    fn key(&mut self, (): &mut (), _: &str) -> Result<bool, Stop> {
        Err(Stop)
    }

    fn close(&mut self, (): ()) -> Result<(), Stop> {
        Err(Stop)
    }
}
