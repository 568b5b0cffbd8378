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

    /// Stores objects under their keys, such as `/registry/pods/default/demo-0`, all or none. At most 128, and no more than
    /// a megabyte of them.
    ///
    /// # Errors
    /// When they are too many or etcd does not answer.
    pub async fn put(&self, objects: &[(String, Value)]) -> kube::Result<()> {
        let put = |(key, object): &(String, Value)| json!({"requestPut": {"key": BASE64.encode(key), "value": BASE64.encode(object.to_string())}});
        let body = json!({ "success": objects.iter().map(put).collect::<Vec<_>>() });
        let request = http::Request::post("/v3/kv/txn").body(body.to_string().into_bytes());
        self.0.request::<Value>(request.map_err(kube::Error::HttpError)?).await.map(drop)
    }
}
