//! Values on their way into a statement and out of a row, the same for every store.
//!
//! A truth is an integer, 0 or 1, and a moment is milliseconds: the tables know integers, reals, texts and bytes, and nothing
//! that one database has and another has not.

use super::sql::{Error, Result};

/// What a column holds; also what a `NULL` would have been, which one of the databases wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    Integer,
    Real,
    Text,
    Blob,
}

/// One value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'v> {
    Null(Type),
    Integer(i64),
    Real(f64),
    Text(&'v str),
    Blob(&'v [u8]),
}

impl Value<'_> {
    /// The type it has or would have.
    pub fn kind(self) -> Type {
        match self {
            Value::Null(kind) => kind,
            Value::Integer(_) => Type::Integer,
            Value::Real(_) => Type::Real,
            Value::Text(_) => Type::Text,
            Value::Blob(_) => Type::Blob,
        }
    }
}

/// What a statement can be given.
pub trait ToSql {
    fn value(&self) -> Value<'_>;
}

/// What always has the same type, and so a `NULL` of it.
pub trait Typed: ToSql {
    const TYPE: Type;
}

/// What can be read out of a row.
pub trait FromSql: Sized {
    /// # Errors
    /// [`Mismatch`] where the column holds something else.
    fn read(value: Value<'_>) -> std::result::Result<Self, Mismatch>;
}

/// A column holds another type, or a number out of range.
#[derive(Debug, thiserror::Error)]
#[error("{0} where {1} was expected")]
pub struct Mismatch(pub String, pub &'static str);

fn mismatch(value: Value<'_>, expected: &'static str) -> Mismatch {
    // Never the content: it may be a person's.
    let found = match value {
        Value::Null(_) => "NULL".to_owned(),
        Value::Integer(number) => format!("the number {number}"),
        Value::Real(_) => "a real number".to_owned(),
        Value::Text(_) => "text".to_owned(),
        Value::Blob(_) => "bytes".to_owned(),
    };
    Mismatch(found, expected)
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl ToSql for $type {
            fn value(&self) -> Value<'_> {
                Value::Integer(i64::from(*self))
            }
        }
        impl Typed for $type {
            const TYPE: Type = Type::Integer;
        }
        impl FromSql for $type {
            fn read(value: Value<'_>) -> std::result::Result<Self, Mismatch> {
                let Value::Integer(number) = value else { return Err(mismatch(value, stringify!($type))) };
                <$type>::try_from(number).map_err(|_| mismatch(value, stringify!($type)))
            }
        }
    )*};
}
integers!(i64, i32, u32, u16, u8);

impl ToSql for bool {
    fn value(&self) -> Value<'_> {
        Value::Integer(i64::from(*self))
    }
}

impl Typed for bool {
    const TYPE: Type = Type::Integer;
}

impl FromSql for bool {
    fn read(value: Value<'_>) -> std::result::Result<Self, Mismatch> {
        i64::read(value).map(|number| number != 0)
    }
}

impl ToSql for f64 {
    fn value(&self) -> Value<'_> {
        Value::Real(*self)
    }
}

impl Typed for f64 {
    const TYPE: Type = Type::Real;
}

impl FromSql for f64 {
    fn read(value: Value<'_>) -> std::result::Result<Self, Mismatch> {
        match value {
            Value::Real(number) => Ok(number),
            Value::Integer(number) => Ok(number as f64),
            Value::Null(_) | Value::Text(_) | Value::Blob(_) => Err(mismatch(value, "a number")),
        }
    }
}

impl ToSql for str {
    fn value(&self) -> Value<'_> {
        Value::Text(self)
    }
}

impl Typed for str {
    const TYPE: Type = Type::Text;
}

impl ToSql for String {
    fn value(&self) -> Value<'_> {
        Value::Text(self)
    }
}

impl Typed for String {
    const TYPE: Type = Type::Text;
}

impl FromSql for String {
    fn read(value: Value<'_>) -> std::result::Result<Self, Mismatch> {
        let Value::Text(text) = value else { return Err(mismatch(value, "text")) };
        Ok(text.to_owned())
    }
}

impl ToSql for [u8] {
    fn value(&self) -> Value<'_> {
        Value::Blob(self)
    }
}

impl Typed for [u8] {
    const TYPE: Type = Type::Blob;
}

impl ToSql for Vec<u8> {
    fn value(&self) -> Value<'_> {
        Value::Blob(self)
    }
}

impl Typed for Vec<u8> {
    const TYPE: Type = Type::Blob;
}

impl FromSql for Vec<u8> {
    fn read(value: Value<'_>) -> std::result::Result<Self, Mismatch> {
        let Value::Blob(bytes) = value else { return Err(mismatch(value, "bytes")) };
        Ok(bytes.to_vec())
    }
}

impl<const N: usize> ToSql for [u8; N] {
    fn value(&self) -> Value<'_> {
        Value::Blob(self)
    }
}

impl<const N: usize> Typed for [u8; N] {
    const TYPE: Type = Type::Blob;
}

impl<const N: usize> FromSql for [u8; N] {
    fn read(value: Value<'_>) -> std::result::Result<Self, Mismatch> {
        let Value::Blob(bytes) = value else { return Err(mismatch(value, "bytes")) };
        bytes.try_into().map_err(|_| mismatch(value, "bytes of another number"))
    }
}

impl<T: ToSql + ?Sized> ToSql for &T {
    fn value(&self) -> Value<'_> {
        (**self).value()
    }
}

impl<T: Typed + ?Sized> Typed for &T {
    const TYPE: Type = T::TYPE;
}

impl<T: Typed> ToSql for Option<T> {
    fn value(&self) -> Value<'_> {
        self.as_ref().map_or(Value::Null(T::TYPE), ToSql::value)
    }
}

impl<T: FromSql> FromSql for Option<T> {
    fn read(value: Value<'_>) -> std::result::Result<Self, Mismatch> {
        if matches!(value, Value::Null(_)) { Ok(None) } else { T::read(value).map(Some) }
    }
}

/// The values of one statement: an array of one type, a tuple, or [`params!`](crate::platform::db::params).
pub trait Params {
    /// # Errors
    /// Those of `take`.
    fn with<T>(self, take: impl FnOnce(&[&dyn ToSql]) -> Result<T>) -> Result<T>;
}

impl Params for &[&dyn ToSql] {
    fn with<T>(self, take: impl FnOnce(&[&dyn ToSql]) -> Result<T>) -> Result<T> {
        take(self)
    }
}

impl Params for [&dyn ToSql; 0] {
    fn with<T>(self, take: impl FnOnce(&[&dyn ToSql]) -> Result<T>) -> Result<T> {
        take(&[])
    }
}

macro_rules! arrays {
    ($($length:literal),*) => {$(
        impl<V: ToSql> Params for [V; $length] {
            fn with<T>(self, take: impl FnOnce(&[&dyn ToSql]) -> Result<T>) -> Result<T> {
                take(&self.each_ref().map(|value| value as &dyn ToSql))
            }
        }
    )*};
}
arrays!(1, 2, 3, 4, 5, 6);

impl<A: ToSql, B: ToSql, C: ToSql> Params for (A, B, C) {
    fn with<T>(self, take: impl FnOnce(&[&dyn ToSql]) -> Result<T>) -> Result<T> {
        take(&[&self.0, &self.1, &self.2])
    }
}

/// As one value of `column`.
pub(super) fn read<T: FromSql>(column: usize, value: Value<'_>) -> Result<T> {
    let kind = value.kind();
    T::read(value).map_err(|error| Error::FromSqlConversionFailure(column, kind, Box::new(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_null_knows_what_it_would_have_been() {
        assert_eq!(None::<String>.value(), Value::Null(Type::Text));
        assert_eq!(None::<&str>.value(), Value::Null(Type::Text));
        assert_eq!(None::<i64>.value(), Value::Null(Type::Integer));
        assert_eq!(Some(true).value(), Value::Integer(1));
        assert_eq!(Some([1_u8, 2]).value(), Value::Blob(&[1, 2]));
    }

    #[test]
    fn what_does_not_fit_is_refused_and_its_content_not_told() {
        assert!(u16::read(Value::Integer(70_000)).is_err());
        assert!(<[u8; 3]>::read(Value::Blob(&[1])).is_err());
        let error = i64::read(Value::Text("张三")).unwrap_err().to_string();
        assert!(error.contains("text where i64") && !error.contains('张'), "{error}");
        assert_eq!(Option::<bool>::read(Value::Null(Type::Text)).unwrap(), None);
    }
}
