//! The audit log: what the operator asked the API server for, by verb and resource.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::PathBuf;

use serde::Deserialize;

/// How many requests of each kind: `patch services`, `patch postgresqls/status`.
pub(super) type Requests = BTreeMap<String, usize>;

/// The log from a moment on.
#[derive(Clone, Debug)]
pub(super) struct AuditLog {
    path: PathBuf,
    from: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    verb: String,
    stage: String,
    user: User,
    object_ref: Option<About>,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize)]
struct About {
    resource: String,
    subresource: Option<String>,
}

impl AuditLog {
    /// The log from now on.
    pub(super) fn from_now(path: PathBuf) -> io::Result<Self> {
        let from = std::fs::metadata(&path)?.len();
        Ok(Self { path, from })
    }

    /// What a user has asked for since.
    pub(super) fn requests_of(&self, user: &str) -> io::Result<Requests> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.from))?;
        let mut requests = Requests::new();
        for line in BufReader::new(file).lines() {
            if let Some(kind) = kind_of(&line?, user) {
                *requests.entry(kind).or_default() += 1;
            }
        }
        Ok(requests)
    }
}

/// The kind of a request of this user. A watch is told when it begins, everything else when it ends.
fn kind_of(line: &str, user: &str) -> Option<String> {
    let line: Line = serde_json::from_str(line).ok().filter(|line: &Line| line.user.username == user)?;
    let told = match line.verb.as_str() {
        "watch" => line.stage == "ResponseStarted",
        _ => line.stage == "ResponseComplete" || line.stage == "Panic",
    };
    let about = line.object_ref.filter(|_| told)?;
    let part = about.subresource.map(|part| format!("/{part}")).unwrap_or_default();
    Some(format!("{} {}{part}", line.verb, about.resource))
}

/// Those that are neither watches (with the lists that they begin with) nor the lease.
pub(super) fn work(requests: &Requests) -> usize {
    let is_work =
        |kind: &str| !kind.starts_with("watch ") && !kind.starts_with("list ") && !kind.ends_with(" leases");
    requests.iter().filter(|(kind, _)| is_work(kind)).map(|(_, count)| count).sum()
}

/// Those that change something, the lease apart. A review is a question.
pub(super) fn writes(requests: &Requests) -> usize {
    let is_write = |kind: &str| {
        !["get ", "list ", "watch "].iter().any(|verb| kind.starts_with(verb))
            && !kind.ends_with(" leases")
            && !kind.ends_with("reviews")
    };
    requests.iter().filter(|(kind, _)| is_write(kind)).map(|(_, count)| count).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_counts_once_by_verb_and_resource() {
        let line = |verb: &str, stage: &str, user: &str| {
            format!(
                r#"{{"verb":"{verb}","stage":"{stage}","user":{{"username":"{user}"}},
                "objectRef":{{"resource":"postgresqls","subresource":"status"}}}}"#
            )
        };
        let kind = |verb, stage, user| kind_of(&line(verb, stage, user), "operator");
        assert_eq!(kind("patch", "ResponseComplete", "operator").unwrap(), "patch postgresqls/status");
        assert_eq!(kind("patch", "ResponseStarted", "operator"), None);
        assert_eq!(kind("watch", "ResponseComplete", "operator"), None);
        assert_eq!(kind("watch", "ResponseStarted", "operator").unwrap(), "watch postgresqls/status");
        assert_eq!(kind("patch", "ResponseComplete", "somebody"), None);
    }

    #[test]
    fn leases_and_watches_are_no_work_and_reading_is_no_write() {
        let kinds = [
            "watch pods",
            "list pods",
            "update leases",
            "get secrets",
            "patch services",
            "create selfsubjectaccessreviews",
        ];
        let requests: Requests = kinds.iter().map(|kind| ((*kind).to_owned(), 1)).collect();
        assert_eq!((work(&requests), writes(&requests)), (3, 1));
    }
}
