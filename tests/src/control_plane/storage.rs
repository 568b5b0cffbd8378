//! etcd itself, behind the API server's back.
//!
//! What was made once through the API server can be stored ten thousand times here within a minute. The API server reads
//! JSON as well as its own binary form, whatever the kind, and tells its watchers of what others store.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use kube::Client;
use kube::config::Config;
use serde_json::{Value, json};

/// The storage of one control plane.
pub struct Storage(Client);

impl Storage {
    pub(super) fn at(port: u16) -> kube::Result<Self> {
        let address = http::Uri::builder()
            .scheme("http")
            .authority(format!("127.0.0.1:{port}"))
            .path_and_query("/")
            .build()
            .map_err(kube::Error::HttpError)?;
        Client::try_from(Config::new(address)).map(Self)
    }

    /// Stores objects under their keys, such as `/registry/pods/default/demo-0`, so that no two of a kind have one revision.
    ///
    /// # Errors
    /// When etcd does not answer, or not to so much at once.
    pub async fn put(&self, objects: &[(String, Value)]) -> kube::Result<()> {
        for transaction in apart(objects) {
            self.put_at_once(&transaction).await?;
        }
        Ok(())
    }

    async fn put_at_once(&self, objects: &[&(String, Value)]) -> kube::Result<()> {
        let put = |(key, object): &&(String, Value)| json!({"requestPut": {"key": BASE64.encode(key), "value": BASE64.encode(object.to_string())}});
        let body = json!({ "success": objects.iter().map(put).collect::<Vec<_>>() });
        let request = http::Request::post("/v3/kv/txn").body(body.to_string().into_bytes());
        self.0.request::<Value>(request.map_err(kube::Error::HttpError)?).await.map(drop)
    }
}

/// Transactions in none of which are two of a kind.
///
/// All that a transaction stores has one revision, and a watch that was interrupted goes on after the revision that it
/// saw last. Of two objects with the same one it could miss the second for good.
fn apart(objects: &[(String, Value)]) -> Vec<Vec<&(String, Value)>> {
    let mut transactions: Vec<Vec<&(String, Value)>> = Vec::new();
    let kind = |(_, object): &(String, Value)| object.get("kind").cloned();
    for object in objects {
        match transactions.iter_mut().find(|others| others.iter().all(|other| kind(other) != kind(object))) {
            Some(others) => others.push(object),
            None => transactions.push(vec![object]),
        }
    }
    transactions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_of_a_kind_get_one_revision() {
        let object = |kind: &str, name: &str| (format!("/registry/{name}"), json!({"kind": kind}));
        let objects = [object("Pod", "a"), object("Secret", "b"), object("Pod", "c"), object("Pod", "d")];
        let transactions = apart(&objects);
        let keys = |at: usize| transactions[at].iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>();
        assert_eq!(transactions.len(), 3);
        assert_eq!(keys(0), ["/registry/a", "/registry/b"]);
        assert_eq!((keys(1), keys(2)), (vec!["/registry/c"], vec!["/registry/d"]));
    }
}
