//! The variables of a container, as a kubelet would work them out. Pure: what they refer to has been read before.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, EnvFromSource, EnvVar, EnvVarSource, Pod};

use super::references::{Data, References};

/// Why a container cannot have its variables yet.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// An object that is named is not there.
    #[error("{kind} \"{name}\" is not there")]
    Missing {
        /// Secret or ConfigMap.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// The object is there, the key is not.
    #[error("{kind} \"{name}\" has no key \"{key}\"")]
    NoKey {
        /// Secret or ConfigMap.
        kind: &'static str,
        /// Its name.
        name: String,
        /// The key.
        key: String,
    },
    /// A source that process nodes do not know.
    #[error("variable {0} has a source that process nodes do not know")]
    Source(String),
}

/// Names and values.
pub type Variables = BTreeMap<String, String>;

/// All variables of a container: sources first, then its own, which may refer to earlier ones as `$(NAME)`.
///
/// # Errors
/// When something that is not optional is missing.
pub fn resolve(
    container: &Container,
    pod: &Pod,
    address: &str,
    read: &References,
) -> Result<Variables, Problem> {
    let mut variables = Variables::new();
    for source in container.env_from.as_deref().unwrap_or_default() {
        add_source(&mut variables, source, read)?;
    }
    for variable in container.env.as_deref().unwrap_or_default() {
        if let Some(value) = value(variable, pod, address, read, &variables)? {
            variables.insert(variable.name.clone(), value);
        }
    }
    Ok(variables)
}

fn add_source(variables: &mut Variables, source: &EnvFromSource, read: &References) -> Result<(), Problem> {
    let secret =
        source.secret_ref.as_ref().map(|named| ("Secret", &named.name, named.optional, &read.secrets));
    let map = source
        .config_map_ref
        .as_ref()
        .map(|named| ("ConfigMap", &named.name, named.optional, &read.config_maps));
    let Some((kind, name, optional, all)) = secret.or(map) else { return Ok(()) };
    let Some(data) = all.get(name) else {
        let missing = Problem::Missing { kind, name: name.clone() };
        return if optional == Some(true) { Ok(()) } else { Err(missing) };
    };
    let prefix = source.prefix.as_deref().unwrap_or_default();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    variables.extend(data.iter().map(|(key, bytes)| (format!("{prefix}{key}"), text(bytes))));
    Ok(())
}

fn value(
    variable: &EnvVar,
    pod: &Pod,
    address: &str,
    read: &References,
    earlier: &Variables,
) -> Result<Option<String>, Problem> {
    let Some(source) = &variable.value_from else {
        return Ok(Some(expand(variable.value.as_deref().unwrap_or_default(), earlier)));
    };
    let EnvVarSource { field_ref, secret_key_ref, config_map_key_ref, .. } = source;
    if let Some(field) = field_ref {
        let value = field_of(pod, address, &field.field_path);
        return value.map(Some).ok_or_else(|| Problem::Source(variable.name.clone()));
    }
    if let Some(wanted) = secret_key_ref {
        return key_of("Secret", &read.secrets, (&wanted.name, &wanted.key), wanted.optional);
    }
    if let Some(wanted) = config_map_key_ref {
        return key_of("ConfigMap", &read.config_maps, (&wanted.name, &wanted.key), wanted.optional);
    }
    Err(Problem::Source(variable.name.clone()))
}

fn key_of(
    kind: &'static str,
    all: &BTreeMap<String, Data>,
    (name, key): (&String, &String),
    optional: Option<bool>,
) -> Result<Option<String>, Problem> {
    let problem = match all.get(name) {
        None => Problem::Missing { kind, name: name.clone() },
        Some(data) => match data.get(key) {
            Some(bytes) => return Ok(Some(String::from_utf8_lossy(bytes).into_owned())),
            None => Problem::NoKey { kind, name: name.clone(), key: key.clone() },
        },
    };
    if optional == Some(true) { Ok(None) } else { Err(problem) }
}

/// A field of the pod, by the path that the downward API knows.
pub fn field_of(pod: &Pod, address: &str, path: &str) -> Option<String> {
    let metadata = &pod.metadata;
    let spec = pod.spec.as_ref();
    let entry = |map: &Option<BTreeMap<String, String>>, rest: &str| {
        let key = rest.strip_prefix("['")?.strip_suffix("']")?;
        Some(map.as_ref().and_then(|map| map.get(key)).cloned().unwrap_or_default())
    };
    if let Some(rest) = path.strip_prefix("metadata.labels") {
        return entry(&metadata.labels, rest);
    }
    if let Some(rest) = path.strip_prefix("metadata.annotations") {
        return entry(&metadata.annotations, rest);
    }
    match path {
        "metadata.name" => metadata.name.clone(),
        "metadata.namespace" => metadata.namespace.clone(),
        "metadata.uid" => metadata.uid.clone(),
        "spec.nodeName" => spec?.node_name.clone(),
        "spec.serviceAccountName" => spec?.service_account_name.clone(),
        "status.podIP" | "status.podIPs" => Some(address.to_owned()),
        "status.hostIP" | "status.hostIPs" => Some("127.0.0.1".to_owned()),
        _ => None,
    }
}

/// `$(NAME)` is replaced where NAME is known, `$$` is a dollar sign.
pub fn expand(text: &str, variables: &Variables) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let named = after.strip_prefix('(').and_then(|inner| inner.split_once(')'));
        rest = if let Some(escaped) = after.strip_prefix('$') {
            out.push('$');
            escaped
        } else if let Some((value, tail)) = named.and_then(|(name, tail)| Some((variables.get(name)?, tail)))
        {
            out.push_str(value);
            tail
        } else {
            out.push('$');
            after
        };
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod() -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "demo-0", "namespace": "apps", "labels": {"team": "a"}},
            "spec": {"nodeName": "node1", "containers": []},
        }))
        .unwrap()
    }

    fn container(env: serde_json::Value, env_from: serde_json::Value) -> Container {
        serde_json::from_value(json!({"name": "postgres", "env": env, "envFrom": env_from})).unwrap()
    }

    fn read() -> References {
        let data = |entries: &[(&str, &str)]| -> Data {
            entries.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect()
        };
        References {
            secrets: [("login".to_owned(), data(&[("password", "s3cret")]))].into(),
            config_maps: [("settings".to_owned(), data(&[("LEVEL", "7"), ("SCOPE", "other")]))].into(),
        }
    }

    #[test]
    fn every_kind_of_source_is_resolved_and_later_ones_win() {
        let container = container(
            json!([
                {"name": "SCOPE", "value": "demo"},
                {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                {"name": "TEAM", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['team']"}}},
                {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "login", "key": "password"}}},
                {"name": "COPY", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "LEVEL"}}},
                {"name": "NONE", "valueFrom": {"secretKeyRef": {"name": "no", "key": "k", "optional": true}}},
                {"name": "LISTEN", "value": "$(POD_IP):8080 $$(POD_IP) $(NO) $"},
            ]),
            json!([{"configMapRef": {"name": "settings"}}, {"prefix": "X_", "secretRef": {"name": "login"}}]),
        );
        let variables = resolve(&container, &pod(), "127.64.0.10", &read()).unwrap();
        let expected = json!({
            "SCOPE": "demo", "POD_IP": "127.64.0.10", "TEAM": "a", "PASSWORD": "s3cret", "COPY": "7", "LEVEL": "7",
            "X_password": "s3cret", "LISTEN": "127.64.0.10:8080 $(POD_IP) $(NO) $",
        });
        assert_eq!(serde_json::to_value(variables).unwrap(), expected);
    }

    #[test]
    fn what_is_missing_is_named() {
        let of = |source: serde_json::Value| {
            let container = container(json!([{"name": "A", "valueFrom": source}]), json!([]));
            resolve(&container, &pod(), "127.64.0.10", &read()).unwrap_err().to_string()
        };
        assert_eq!(of(json!({"secretKeyRef": {"name": "no", "key": "k"}})), "Secret \"no\" is not there");
        assert_eq!(
            of(json!({"secretKeyRef": {"name": "login", "key": "k"}})),
            "Secret \"login\" has no key \"k\""
        );
        assert_eq!(
            of(json!({"resourceFieldRef": {"resource": "limits.cpu"}})),
            "variable A has a source that process nodes do not know"
        );
    }

    #[test]
    fn a_missing_source_is_refused_unless_it_is_optional() {
        let of = |optional: bool| {
            let container =
                container(json!([]), json!([{"secretRef": {"name": "no", "optional": optional}}]));
            resolve(&container, &pod(), "127.64.0.10", &read())
        };
        assert!(of(true).unwrap().is_empty());
        assert_eq!(of(false).unwrap_err(), Problem::Missing { kind: "Secret", name: "no".to_owned() });
    }
}
