//! The real thing: EC2's query API, signed with Signature Version 4.
//!
//! Three calls are all that is needed, so the AWS SDK's crate with all of EC2 is not: it takes minutes and gigabytes to
//! build. Credentials are found as the SDK finds them: environment, profile, web identity (IRSA), container, instance.
//! Surprising: changes are asked for by a filter, because EC2 refuses the whole question when a disk never had one.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response};
use reqsign_aws_v4::{Credential, DefaultCredentialProvider, RequestSigner};
use reqsign_core::{Context, FileRead, HttpSend, OsEnv, Signer};
use sha2::{Digest, Sha256};
use shared::plan::{Disk, DiskChange};
use tower::ServiceExt;

use super::{Disks, DisksError, answer};
use crate::metrics::Metrics;
use crate::patroni::HttpPort;

/// The version of the API.
const VERSION: &str = "2016-11-15";
/// How long one question may take, credentials included.
const QUESTION: Duration = Duration::from_secs(15);

/// EC2 behind an HTTP port.
pub struct Ec2 {
    http: HttpPort,
    endpoint: Option<String>,
    metrics: Metrics,
    signers: Mutex<HashMap<String, Signer<Credential>>>,
}

impl fmt::Debug for Ec2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ec2").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// Where EC2 is to be found, if not where it usually is: the variables of AWS' own tools.
pub(super) fn endpoint_of_environment() -> Option<String> {
    ["AWS_ENDPOINT_URL_EC2", "AWS_ENDPOINT_URL"].iter().find_map(|name| std::env::var(name).ok())
}

impl Ec2 {
    /// EC2 through this port; at `endpoint`, or where each region has its own.
    pub fn new(http: HttpPort, endpoint: Option<String>, metrics: Metrics) -> Self {
        Self { http, endpoint, metrics, signers: Mutex::default() }
    }

    fn address(&self, region: &str) -> String {
        let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let usual = || format!("https://ec2.{region}.{domain}");
        let at = self.endpoint.clone().unwrap_or_else(usual);
        format!("{}/", at.trim_end_matches('/'))
    }

    /// The region's signer; it remembers credentials until they expire.
    fn signer(&self, region: &str) -> Signer<Credential> {
        let mut signers = self.signers.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            let context = Context::new()
                .with_file_read(Files)
                .with_http_send(Sender(self.http.clone()))
                .with_env(OsEnv);
            Signer::new(context, DefaultCredentialProvider::new(), RequestSigner::new("ec2", region))
        };
        signers.entry(region.to_owned()).or_insert_with(new).clone()
    }

    /// Puts one question; its answer's body.
    async fn ask(
        &self,
        region: &str,
        action: &'static str,
        parameters: &[(String, String)],
    ) -> Result<Bytes, DisksError> {
        let begun = tokio::time::Instant::now();
        let asked = tokio::time::timeout(QUESTION, self.send(region, action, parameters)).await;
        let result = asked.unwrap_or_else(|_| Err(DisksError::Deadline { at: self.address(region), action }));
        let outcome = result.as_ref().map(drop).map_err(DisksError::category);
        self.metrics.requested("ec2", outcome, begun.elapsed());
        result
    }

    async fn send(
        &self,
        region: &str,
        action: &'static str,
        parameters: &[(String, String)],
    ) -> Result<Bytes, DisksError> {
        let at = self.address(region);
        let unreachable = |source| DisksError::Unreachable { at: at.clone(), action, source };
        let body = form(action, parameters);
        let request = Request::post(&at)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))
            .header("x-amz-content-sha256", hex(&Sha256::digest(&body)))
            .body(body)
            .map_err(|error| unreachable(error.into()))?;
        let (mut head, body) = request.into_parts();
        let signed = self.signer(region).sign(&mut head, None).await;
        signed.map_err(|error| DisksError::Credentials { action, source: Box::new(error) })?;
        let response =
            self.http.clone().oneshot(Request::from_parts(head, body)).await.map_err(unreachable)?;
        if response.status().is_success() {
            return Ok(response.into_body());
        }
        let status = response.status();
        let unknown = || DisksError::Answer { action, reason: format!("it is {status} without a reason") };
        Err(answer::refusal(action, response.body()).unwrap_or_else(unknown))
    }

    async fn disks(&self, region: &str, ids: &[String]) -> Result<Vec<Disk>, DisksError> {
        let volumes = self.ask(region, "DescribeVolumes", &numbered("VolumeId", ids)).await?;
        let mut disks = answer::disks(&volumes)?;
        let mut filter = vec![("Filter.1.Name".to_owned(), "volume-id".to_owned())];
        filter.extend(numbered("Filter.1.Value", ids));
        let changes = self.ask(region, "DescribeVolumesModifications", &filter).await?;
        answer::add_changes(&mut disks, &changes)?;
        Ok(disks)
    }
}

impl Disks for Ec2 {
    fn describe<'a>(
        &'a self,
        region: &'a str,
        ids: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Disk>, DisksError>> {
        self.disks(region, ids).boxed()
    }

    fn change<'a>(
        &'a self,
        region: &'a str,
        change: &'a DiskChange,
    ) -> BoxFuture<'a, Result<(), DisksError>> {
        let number =
            |name: &str, number: Option<i32>| number.map(|number| (name.to_owned(), number.to_string()));
        let mut parameters = vec![("VolumeId".to_owned(), change.id.clone())];
        parameters.extend(number("Size", change.gib));
        parameters.extend(change.kind.clone().map(|kind| ("VolumeType".to_owned(), kind)));
        parameters.extend(number("Iops", change.iops));
        parameters.extend(number("Throughput", change.throughput));
        async move { self.ask(region, "ModifyVolume", &parameters).await.map(drop) }.boxed()
    }
}

/// A question as the query API takes it.
fn form(action: &str, parameters: &[(String, String)]) -> Bytes {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("Action", action).append_pair("Version", VERSION).extend_pairs(parameters);
    Bytes::from(form.finish())
}

/// A list as the query API takes it: `VolumeId.1`, `VolumeId.2`, …
fn numbered(name: &str, values: &[String]) -> Vec<(String, String)> {
    (1..).zip(values).map(|(number, value)| (format!("{name}.{number}"), value.clone())).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Files with credentials: profiles, tokens of web identities.
#[derive(Debug)]
struct Files;

impl FileRead for Files {
    async fn file_read(&self, path: &str) -> reqsign_core::Result<Vec<u8>> {
        Ok(tokio::fs::read(path).await?)
    }
}

/// Requests for credentials: to STS, to the instance.
struct Sender(HttpPort);

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender")
    }
}

impl HttpSend for Sender {
    async fn http_send(&self, request: Request<Bytes>) -> reqsign_core::Result<Response<Bytes>> {
        let sent = self.0.clone().oneshot(request).await;
        sent.map_err(|error| reqsign_core::Error::unexpected(error.to_string()))
    }
}
