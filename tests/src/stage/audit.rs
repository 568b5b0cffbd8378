//! The API server's audit log: what somebody asked for since a moment.

use std::fmt;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use serde::Deserialize;

use crate::rights::{Asked, asked};

use super::{Stop, Told};

/// The variable that says where the log is.
const PATH: &str = "LOCAL_CLUSTER_AUDIT_LOG";

/// The log from a moment on.
pub struct AuditLog {
    path: PathBuf,
    offset: u64,
}

/// One request to the API server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// `get`, `list`, `watch`, `create`, `patch` ...
    pub verb: String,
    /// The path and its parameters.
    #[serde(rename = "requestURI")]
    pub uri: String,
    stage: String,
    user: User,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct User {
    username: String,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.uri)
    }
}

impl AuditLog {
    /// The log from now on.
    ///
    /// # Errors
    /// With the reason to skip, when nobody said where it is.
    pub fn from_now() -> Told<Self> {
        let Some(path) = std::env::var_os(PATH).map(PathBuf::from) else {
            return Stop::skipped(format!("{PATH} does not say where the API server's audit log is"));
        };
        let offset = std::fs::metadata(&path)?.len();
        Ok(Self { path, offset })
    }

    /// Every line there is, of the files that were rotated away as well.
    ///
    /// # Errors
    /// With the reason to skip, when nobody said where it is.
    pub fn whole() -> Told<Vec<String>> {
        let Some(path) = std::env::var_os(PATH).map(PathBuf::from) else {
            return Stop::skipped(format!("{PATH} does not say where the API server's audit log is"));
        };
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let folder = path.parent().map(PathBuf::from).unwrap_or_default();
        let mut lines = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let file = entry?;
            // audit.log, and audit-<date>.log beside it
            if file.file_name().to_string_lossy().starts_with(&stem) {
                lines.extend(std::fs::read_to_string(file.path())?.lines().map(str::to_owned));
            }
        }
        Ok(lines)
    }

    /// What a user asked for since then.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn requests_of(&self, user: &str) -> Told<Vec<Request>> {
        Ok(requests_of(&self.text()?, user))
    }

    /// What the service accounts of a namespace asked for since then, and whether they had the right.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn asked_from(&self, namespace: &str) -> Told<Vec<Asked>> {
        let is_from = |one: &Asked| one.account.split(':').next() == Some(namespace);
        Ok(self.text()?.lines().filter_map(asked).filter(is_from).collect())
    }

    fn text(&self) -> Told<String> {
        let mut file = std::fs::File::open(&self.path)?;
        if file.metadata()?.len() < self.offset {
            return Stop::failed("the audit log was rotated meanwhile");
        }
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// Each request once. A watch is told when it begins, everything else when it ends.
fn requests_of(log: &str, user: &str) -> Vec<Request> {
    let requests = log.lines().filter_map(|line| serde_json::from_str::<Request>(line).ok());
    requests
        .filter(|request| request.user.username == user)
        .filter(|request| match request.verb.as_str() {
            "watch" => request.stage == "ResponseStarted",
            _ => request.stage == "ResponseComplete" || request.stage == "Panic",
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_that_ends_is_no_request_and_others_do_not_count() {
        let line = |verb: &str, stage: &str, user: &str| {
            format!(
                r#"{{"verb":"{verb}","requestURI":"/api","stage":"{stage}","user":{{"username":"{user}"}}}}"#
            )
        };
        let log = [
            line("watch", "ResponseComplete", "us"),
            line("watch", "ResponseStarted", "us"),
            line("get", "ResponseStarted", "us"),
            line("get", "ResponseComplete", "us"),
            line("patch", "ResponseComplete", "them"),
        ];
        let seen: Vec<String> = requests_of(&log.join("\n"), "us").iter().map(ToString::to_string).collect();
        assert_eq!(seen, ["watch /api", "get /api"]);
    }
}
