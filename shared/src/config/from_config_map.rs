//! The configuration from a ConfigMap: flat keys, and every value a text.
//!
//! What a text means follows from what the key may hold: `true`, `8`, `a,b`, `key:value,key:value`. Upstream panics on
//! a bad value, drops unknown keys and reads an empty number or boolean as zero; here the first and the last are
//! errors and the second is a warning. Blanks around list items are dropped: no name begins with one.

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray,
};
use serde_json::{Map, Value};

use super::OperatorConfig;
use super::keys::{self, KEYS, Source};
use super::reading::{self, Findings, Reading};
use crate::field::FieldErrors;

/// Keys that hold whole Kubernetes structures, for which upstream has no text form either.
const ONLY_IN_A_RESOURCE: &[&str] = &["sidecars", "liveness_probe"];

/// Keys that upstream once had.
const GONE: &[(&str, &str)] = &[(
    "enable_load_balancer",
    "is deprecated and ignored; write enable_master_load_balancer and enable_replica_load_balancer",
)];

impl OperatorConfig {
    /// The configuration that the `data` of a ConfigMap describes.
    ///
    /// # Errors
    /// Every setting that is wrong, with its key.
    pub fn from_config_map(data: &BTreeMap<String, String>) -> Result<Self, FieldErrors> {
        read_config_map(data).config
    }
}

/// The configuration that the `data` of a ConfigMap describes, and what should be looked at in it.
pub fn read_config_map(data: &BTreeMap<String, String>) -> Reading {
    let mut findings = Findings::of(Source::ConfigMap);
    let settings = settings(data, &mut findings);
    reading::finish(OperatorConfig::default(), settings, findings)
}

/// The settings that `data` holds, as JSON.
pub(super) fn settings<'a>(
    data: &'a BTreeMap<String, String>,
    findings: &mut Findings,
) -> Vec<(&'a str, Value)> {
    let mut settings = Vec::new();
    for (name, text) in data {
        let Some(key) = KEYS.get(name).filter(|_| !ONLY_IN_A_RESOURCE.contains(&name.as_str())) else {
            findings.warn(name, why_ignored(name));
            continue;
        };
        match value(text, &key.schema) {
            Ok(value) => settings.push((name.as_str(), value)),
            Err(message) => findings.error(name, message),
        }
    }
    settings
}

/// What to say about a key that is not read.
fn why_ignored(name: &str) -> String {
    if let Some((_, message)) = GONE.iter().find(|(gone, _)| *gone == name) {
        return (*message).to_owned();
    }
    if ONLY_IN_A_RESOURCE.contains(&name) {
        return "can be set in an OperatorConfiguration only and is ignored".to_owned();
    }
    keys::unknown(name)
}

/// The JSON that `text` stands for under `schema`.
fn value(text: &str, schema: &JSONSchemaProps) -> Result<Value, String> {
    match schema.type_.as_deref() {
        Some("boolean") => boolean(text).map(Value::Bool),
        Some("integer") => integer(text).map(Value::from),
        Some("array") => match &schema.items {
            Some(JSONSchemaPropsOrArray::Schema(item)) if item.properties.is_some() => {
                let record = map(text, item)?;
                Ok(if record.is_empty() { Value::Array(vec![]) } else { Value::Array(vec![record.into()]) })
            }
            _ => Ok(list(text).map(Value::from).collect()),
        },
        Some("object") => map(text, schema).map(Value::Object),
        _ => Ok(Value::from(text)),
    }
}

/// A boolean as Go's `strconv.ParseBool` takes it.
fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        "" => Err("is empty; write true or false, or leave the key out for its default".to_owned()),
        _ => Err(format!("is {text:?}; write true or false")),
    }
}

/// A number as Go's `strconv.ParseInt` takes it with base 0: `8`, `0x8`, `0o10`, `010`, `0b1000`, `1_000`.
fn integer(text: &str) -> Result<i64, String> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text).to_ascii_lowercase().replace('_', "");
    let (digits, radix) = if let Some(hexadecimal) = digits.strip_prefix("0x") {
        (hexadecimal, 16)
    } else if let Some(octal) = digits.strip_prefix("0o") {
        (octal, 8)
    } else if let Some(binary) = digits.strip_prefix("0b") {
        (binary, 2)
    } else if let Some(octal) = digits.strip_prefix('0').filter(|rest| !rest.is_empty()) {
        (octal, 8)
    } else {
        (digits.as_str(), 10)
    };
    let signed_twice = digits.starts_with(['-', '+']);
    let number = i64::from_str_radix(digits, radix).ok().filter(|_| !signed_twice);
    let number = number.ok_or_else(|| match text {
        "" => "is empty; write a whole number, or leave the key out for its default".to_owned(),
        _ => format!("is {text:?}; write a whole number"),
    })?;
    Ok(if text.starts_with('-') { -number } else { number })
}

/// `a,b,c`; an empty text is an empty list.
fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// `key:value,key:value`; a comma inside double quotes separates nothing, and the quotes stay.
fn map(text: &str, schema: &JSONSchemaProps) -> Result<Map<String, Value>, String> {
    let mut quoted = false;
    let items = text.split(|c: char| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    let mut map = Map::new();
    for item in items.map(str::trim).filter(|item| !item.is_empty()) {
        let (name, text) =
            item.split_once(':').ok_or_else(|| format!("has {item:?}; write key:value,key:value"))?;
        let (name, text) = (name.trim(), text.trim());
        let inner = schema.properties.as_ref().and_then(|properties| properties.get(name));
        let value = match inner {
            Some(inner) => value(text, inner).map_err(|message| format!("{name} {message}"))?,
            None => Value::from(text),
        };
        if map.insert(name.to_owned(), value).is_some() {
            return Err(format!("has {name} twice"));
        }
    }
    Ok(map)
}
