//! One error with its field, and the collector of all of them.

use std::fmt;

use super::FieldPath;

/// Why a value is refused: the machine-readable half of an error.
///
/// Displays as the cause types that Kubernetes itself uses (`FieldValueInvalid`, …), see `metav1.CauseType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The field must be there and is not.
    Required,
    /// The value is malformed or out of range.
    Invalid,
    /// The value is not one of those allowed.
    NotSupported,
    /// The value stands twice where it may stand once.
    Duplicate,
    /// The value is longer than what it becomes may be.
    TooLong,
    /// The value is well formed but not allowed here or now.
    Forbidden,
}

impl Reason {
    /// The name of this reason in a Kubernetes `Status` (`details.causes[].reason`).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Duplicate => "FieldValueDuplicate",
            Self::TooLong => "FieldValueTooLong",
            Self::Forbidden => "FieldValueForbidden",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that is wrong with an object: where, of what kind, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldError {
    /// The field to change.
    pub path: FieldPath,
    /// The kind of mistake.
    pub reason: Reason,
    /// What is wrong and what would be right, without the path.
    pub message: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Everything that is wrong with an object, in the order in which it was found.
///
/// A collector, not the error arm of a chain of `?`: checks add to it and go on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    /// Adds an error. The same error at the same path is kept once.
    pub fn push(&mut self, path: FieldPath, reason: Reason, message: impl Into<String>) {
        let error = FieldError { path, reason, message: message.into() };
        if !self.0.contains(&error) {
            self.0.push(error);
        }
    }

    /// A malformed or out-of-range value.
    pub fn invalid(&mut self, path: FieldPath, message: impl Into<String>) {
        self.push(path, Reason::Invalid, message);
    }

    /// A missing value.
    pub fn required(&mut self, path: FieldPath, message: impl Into<String>) {
        self.push(path, Reason::Required, message);
    }

    /// A value that is not allowed here or now.
    pub fn forbidden(&mut self, path: FieldPath, message: impl Into<String>) {
        self.push(path, Reason::Forbidden, message);
    }

    /// A value outside its enumeration.
    pub fn not_supported(&mut self, path: FieldPath, message: impl Into<String>) {
        self.push(path, Reason::NotSupported, message);
    }

    /// A value that stands there already.
    pub fn duplicate(&mut self, path: FieldPath, message: impl Into<String>) {
        self.push(path, Reason::Duplicate, message);
    }

    /// A value that makes some name or label too long.
    pub fn too_long(&mut self, path: FieldPath, message: impl Into<String>) {
        self.push(path, Reason::TooLong, message);
    }

    /// Adds all errors of `other`, without repeating any.
    pub fn extend(&mut self, other: Self) {
        for error in other.0 {
            self.push(error.path, error.reason, error.message);
        }
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many errors there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The errors, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, FieldError> {
        self.0.iter()
    }

    /// `Ok` when nothing is wrong, else everything that is.
    ///
    /// # Errors
    /// The collected errors, when there are any.
    pub fn into_result(self) -> Result<(), Self> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }

    /// The paths alone. What may stand in a status that many can read: values may be confidential.
    pub fn paths(&self) -> impl Iterator<Item = &FieldPath> {
        self.0.iter().map(|error| &error.path)
    }
}

impl<'a> IntoIterator for &'a FieldErrors {
    type Item = &'a FieldError;
    type IntoIter = std::slice::Iter<'a, FieldError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for FieldErrors {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_error_is_reported_once() {
        let mut errors = FieldErrors::default();
        errors.invalid(FieldPath::spec().field("teamId"), "not a label value");
        errors.invalid(FieldPath::spec().field("teamId"), "not a label value");
        assert_eq!(errors.len(), 1);
    }

    #[test]
    fn all_errors_stand_in_one_text() {
        let mut errors = FieldErrors::default();
        errors.required(FieldPath::spec().field("volume"), "is required");
        errors.invalid(FieldPath::spec().field("teamId"), "too odd");
        assert_eq!(errors.to_string(), "spec.volume: is required; spec.teamId: too odd");
        assert!(errors.into_result().is_err());
    }
}
