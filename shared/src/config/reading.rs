//! From single settings to an `OperatorConfig`: what both sources have in common.
//!
//! A source hands in its settings as JSON, one by one, with its own defaults. Every setting that does not fit is
//! reported; the surprise is how: each is tried alone on the defaults, so serde's one error at a time is enough.

use serde_json::Value;

use super::keys::{KEYS, Key, Source};
use super::{OperatorConfig, check};
use crate::field::{FieldErrors, FieldPath, Reason};
use crate::schema;

/// Something in a configuration that works, but hardly as meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The setting.
    pub path: FieldPath,
    /// What happens instead, and what to write.
    pub message: String,
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// What reading a configuration gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The configuration, or everything that is wrong with it.
    pub config: Result<OperatorConfig, FieldErrors>,
    /// The configuration as far as it can be read: with the default where a setting is wrong.
    pub readable: OperatorConfig,
    /// What should be looked at either way.
    pub warnings: Vec<Warning>,
}

/// What was found so far. Parsers and checks name keys; the source knows their paths.
pub(super) struct Findings {
    source: Source,
    errors: FieldErrors,
    warnings: Vec<Warning>,
}

impl Findings {
    pub(super) fn of(source: Source) -> Self {
        Self { source, errors: FieldErrors::default(), warnings: Vec::new() }
    }

    /// How much was found: errors and warnings.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.errors.len() + self.warnings.len()
    }

    /// A setting that is wrong.
    pub(super) fn error(&mut self, leaf: &str, message: impl Into<String>) {
        self.errors.invalid(self.source.path(leaf), message);
    }

    /// A setting that is none of the words it may be.
    fn not_supported(&mut self, leaf: &str, message: impl Into<String>) {
        self.errors.push(self.source.path(leaf), Reason::NotSupported, message);
    }

    /// A setting that does not do what it seems to.
    pub(super) fn warn(&mut self, leaf: &str, message: impl Into<String>) {
        self.warn_at(self.source.path(leaf), message);
    }

    /// The same, of something that is no key.
    pub(super) fn warn_at(&mut self, path: FieldPath, message: impl Into<String>) {
        self.warnings.push(Warning { path, message: message.into() });
    }
}

/// Puts `settings` on top of `defaults`, checks the whole, and gives what was found on the way.
pub(super) fn finish(
    defaults: OperatorConfig,
    settings: Vec<(&str, Value)>,
    mut findings: Findings,
) -> Reading {
    let config = assemble(defaults, settings, &mut findings);
    check::all(&config, &mut findings);
    let readable = config.clone();
    Reading { config: findings.errors.into_result().map(|()| config), readable, warnings: findings.warnings }
}

/// The defaults with every setting on top that can be read.
pub(super) fn assemble(
    defaults: OperatorConfig,
    settings: Vec<(&str, Value)>,
    findings: &mut Findings,
) -> OperatorConfig {
    let settings = settings.into_iter().filter_map(|(leaf, value)| accept(leaf, value, findings)).collect();
    let mut config = overlay(defaults, settings, findings);
    raise_retention(&mut config, findings);
    config
}

/// A setting with its key, when it says something and the schema has no objection.
fn accept<'a>(
    leaf: &'a str,
    value: Value,
    findings: &mut Findings,
) -> Option<(&'a str, &'static Key, Value)> {
    let key = KEYS.get(leaf)?;
    let value = match value {
        Value::Null => return None,
        Value::String(text) if text.is_empty() && key.is_optional() => Value::Null,
        Value::String(text) if text.is_empty() && key.schema.type_.as_deref() == Some("string") => {
            if let Some(default) = &key.schema.default {
                findings.warn(leaf, format!("is empty, which means the default {}", default.0));
            }
            return None;
        }
        value => value,
    };
    if let Some(message) = key.schema.type_.as_deref().and_then(|wanted| schema::unlike(wanted, &value)) {
        findings.error(leaf, message);
        return None;
    }
    if let (Some(least), Some(number)) = (key.schema.minimum, value.as_f64())
        && number < least
    {
        findings.error(leaf, format!("is {number}; write at least {least}"));
        return None;
    }
    if let (Some(words), Some(text)) = (&key.schema.enum_, value.as_str())
        && !words.iter().any(|word| word.0 == value)
    {
        let words: Vec<_> = words.iter().filter_map(|word| word.0.as_str()).collect();
        findings.not_supported(leaf, format!("is {text:?}; choose one of {}", words.join(", ")));
        return None;
    }
    Some((leaf, key, value))
}

/// The defaults with every setting that fits; the others become errors.
fn overlay(
    defaults: OperatorConfig,
    settings: Vec<(&str, &Key, Value)>,
    findings: &mut Findings,
) -> OperatorConfig {
    let base = serde_json::to_value(&defaults).unwrap_or_default();
    let mut whole = base.clone();
    for (leaf, key, value) in &settings {
        put(&mut whole, &key.pointer(leaf), value.clone());
    }
    if let Ok(config) = serde_json::from_value(whole) {
        return config;
    }
    for (leaf, key, value) in settings {
        let mut single = base.clone();
        put(&mut single, &key.pointer(leaf), value);
        if let Err(error) = serde_json::from_value::<OperatorConfig>(single.clone()) {
            findings.error(leaf, unreadable(single.pointer(&key.pointer(leaf)), &error.to_string()));
        }
    }
    defaults
}

/// What to say of a value that its type does not take.
fn unreadable(value: Option<&Value>, error: &str) -> String {
    match value {
        Some(number @ Value::Number(_)) => format!("is {number}, which is out of range"),
        // A parser of YAML shows the place below its first line.
        _ => error.lines().next().unwrap_or_default().to_owned(),
    }
}

/// Writes `value` at `pointer`. Every key is there already: the defaults are complete.
fn put(whole: &mut Value, pointer: &str, value: Value) {
    if let Some(place) = whole.pointer_mut(pointer) {
        *place = value;
    }
}

/// A user must outlive the password that replaced its own, and the next one.
fn raise_retention(config: &mut OperatorConfig, findings: &mut Findings) {
    let least = config.users.password_rotation_interval.saturating_mul(2);
    let retention = &mut config.users.password_rotation_user_retention;
    if *retention < least {
        if *retention != OperatorConfig::default_of_resource().users.password_rotation_user_retention {
            let leaf = "password_rotation_user_retention";
            findings.warn(leaf, format!("is raised to {least}, twice password_rotation_interval"));
        }
        *retention = least;
    }
}
