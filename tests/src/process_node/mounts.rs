//! Where the paths of a container are on this machine. Pure.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The mounts of one container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mounts(Vec<(String, PathBuf)>);

impl Mounts {
    /// Paths in the container, and the folders they stand for.
    pub fn new(mut all: Vec<(String, PathBuf)>) -> Self {
        for (path, _) in &mut all {
            path.truncate(path.trim_end_matches('/').len());
        }
        // The longest first: /data/logs is not the `logs` of what is mounted at /data.
        all.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        Self(all)
    }

    /// A path in a mounted volume, as it is on this machine; anything else as it is.
    pub fn path(&self, text: &str) -> String {
        let found = self.0.iter().find_map(|(path, folder)| {
            let rest = text.strip_prefix(path.as_str())?;
            (rest.is_empty() || rest.starts_with('/')).then(|| format!("{}{rest}", folder.display()))
        });
        found.unwrap_or_else(|| text.to_owned())
    }

    /// An argument: a path, or `--flag=path`.
    pub fn argument(&self, text: &str) -> String {
        match text.split_once('=') {
            Some((flag, path)) if flag.starts_with('-') => format!("{flag}={}", self.path(path)),
            _ => self.path(text),
        }
    }

    /// All texts in a value that are paths.
    pub fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.path(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::Object(entries) => entries.values_mut().for_each(|entry| self.value(entry)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// The folder of a mount.
    pub fn folder(&self, path: &str) -> Option<&Path> {
        self.0.iter().find(|(mounted, _)| mounted == path).map(|(_, folder)| folder.as_path())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mounts() -> Mounts {
        let all = [("/home/postgres/pgdata", "/s/data"), ("/tls/", "/s/tls"), ("/tls/ca", "/s/ca")];
        Mounts::new(all.map(|(path, folder)| (path.to_owned(), folder.into())).into())
    }

    #[test]
    fn the_longest_mount_counts_and_whole_names_only() {
        assert_eq!(mounts().path("/home/postgres/pgdata/pgroot"), "/s/data/pgroot");
        assert_eq!(mounts().path("/home/postgres/pgdata"), "/s/data");
        assert_eq!(mounts().path("/home/postgres/pgdata2"), "/home/postgres/pgdata2");
        assert_eq!(mounts().path("/tls/ca/ca.crt"), "/s/ca/ca.crt");
        assert_eq!(mounts().path("/tls/tls.crt"), "/s/tls/tls.crt");
        assert_eq!(mounts().folder("/tls").unwrap(), Path::new("/s/tls"));
    }

    #[test]
    fn arguments_and_values_are_translated() {
        assert_eq!(mounts().argument("--tls-dir=/tls"), "--tls-dir=/s/tls");
        assert_eq!(mounts().argument("/tls"), "/s/tls");
        let mut value = json!({"a": ["/tls/x", 1, null], "b": {"c": "text /tls"}});
        mounts().value(&mut value);
        assert_eq!(value, json!({"a": ["/s/tls/x", 1, null], "b": {"c": "text /tls"}}));
    }
}
