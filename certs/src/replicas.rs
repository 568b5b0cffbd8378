//! What the webhook's pods serve at this moment, by asking each. Asked by `ensure` before an old authority is dropped.
//!
//! The question put to a pod is the one that an API server would put once the old authority is gone: a TLS handshake that
//! trusts the current authority alone. Pods are listed rather than endpoints: one that has no address yet may have mounted
//! the Secret as it was before.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};
use rustls::ClientConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tracing::{info, warn};

use crate::args::Target;
use crate::certificate::{self, Certificate};
use crate::rotation::Served;

/// How long a pod may take to answer. One that takes longer counts as behind, and is asked again by the next look.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether every pod serves what the current authority vouches for.
pub async fn served(client: &Client, target: &Target, authority: &Certificate) -> Served {
    let pods = match pods(client, target).await {
        Ok(Some(pods)) => pods,
        Ok(None) => return Served::Unknown,
        Err(error) => {
            warn!(%error, service = target.service, "the service's pods cannot be listed; time has to do");
            return Served::Unknown;
        }
    };
    let Some(tls) = connector(authority) else { return Served::Unknown };
    let name = target.names().into_iter().next().unwrap_or_default();
    let asked = pods.iter().map(|(pod, port)| asked(pod, *port, &tls, &name));
    let answers = futures::future::join_all(asked).await;
    let behind: Vec<String> = answers.into_iter().flatten().collect();
    if behind.is_empty() {
        return Served::ByAll;
    }
    info!(?behind, "these pods do not serve the new certificate yet");
    Served::NotByAll
}

/// The pods behind the service, each with the port that it is called on. `None` when nothing selects them.
async fn pods(client: &Client, target: &Target) -> kube::Result<Option<Vec<(Pod, Option<u16>)>>> {
    let services: Api<Service> = Api::namespaced(client.clone(), &target.namespace);
    let Some(spec) = services.get_opt(&target.service).await?.and_then(|service| service.spec) else {
        return Ok(None);
    };
    let (Some(selector), Some(port)) = (spec.selector, spec.ports.into_iter().flatten().next()) else {
        return Ok(None);
    };
    let labels: Vec<String> = selector.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let pods: Api<Pod> = Api::namespaced(client.clone(), &target.namespace);
    let pods = pods.list(&ListParams::default().labels(&labels.join(","))).await?;
    let serving = pods.items.into_iter().filter(has_not_ended);
    Ok(Some(serving.map(|pod| (called_on(&port, &pod), pod)).map(|(port, pod)| (pod, port)).collect()))
}

fn has_not_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    !matches!(phase, Some("Succeeded" | "Failed"))
}

/// The port of a pod that a service's port leads to.
fn called_on(port: &ServicePort, pod: &Pod) -> Option<u16> {
    match &port.target_port {
        Some(IntOrString::Int(number)) => u16::try_from(*number).ok(),
        None => u16::try_from(port.port).ok(),
        Some(IntOrString::String(name)) => {
            let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
            let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
            let named = ports.find(|port| port.name.as_deref() == Some(name));
            named.and_then(|port| u16::try_from(port.container_port).ok())
        }
    }
}

fn connector(authority: &Certificate) -> Option<TlsConnector> {
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .ok()?
        .with_root_certificates(certificate::roots(std::slice::from_ref(authority)))
        .with_no_client_auth();
    Some(TlsConnector::from(Arc::new(config)))
}

/// The pod and what is wrong with it, if anything. One that is going away and does not listen any more is no matter.
async fn asked(pod: &Pod, port: Option<u16>, tls: &TlsConnector, name: &str) -> Option<String> {
    let address = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref()?.parse::<IpAddr>().ok());
    let (Some(address), Some(port)) = (address, port) else {
        return Some(format!("{}: has no address yet", pod.name_any()));
    };
    match tokio::time::timeout(PATIENCE, handshake(address, port, tls, name)).await {
        Ok(Ok(())) => None,
        Ok(Err(_)) | Err(_) if pod.metadata.deletion_timestamp.is_some() => None,
        Ok(Err(error)) => Some(format!("{}: {error}", pod.name_any())),
        Err(_) => Some(format!("{}: no answer", pod.name_any())),
    }
}

async fn handshake(address: IpAddr, port: u16, tls: &TlsConnector, name: &str) -> std::io::Result<()> {
    let name = ServerName::try_from(name.to_owned()).map_err(std::io::Error::other)?;
    let stream = TcpStream::connect((address, port)).await?;
    tls.connect(name, stream).await.map(drop)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(status: serde_json::Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": { "name": "webhook-1" }, "status": status,
            "spec": { "containers": [{ "name": "webhook", "ports": [{ "name": "reviews", "containerPort": 8443 }] }] },
        }))
        .unwrap()
    }

    #[test]
    fn a_port_is_found_by_its_name_or_its_number() {
        let port = |target| serde_json::from_value(json!({ "port": 443, "targetPort": target })).unwrap();
        let pod = pod(json!({}));
        assert_eq!(called_on(&port(json!("reviews")), &pod), Some(8443));
        assert_eq!(called_on(&port(json!(9443)), &pod), Some(9443));
        assert_eq!(called_on(&port(json!(null)), &pod), Some(443));
        assert_eq!(called_on(&port(json!("other")), &pod), None);
    }

    #[test]
    fn what_has_ended_is_not_asked() {
        assert!(!has_not_ended(&pod(json!({ "phase": "Failed" }))));
        assert!(has_not_ended(&pod(json!({ "phase": "Pending" }))), "it may have mounted the old Secret");
    }

    #[tokio::test]
    async fn a_pod_is_behind_while_its_authority_is_another_or_it_has_no_address() {
        use crate::authority::Authority;
        use jiff::{SignedDuration, Timestamp};
        let (now, day) = (Timestamp::now(), SignedDuration::from_hours(24));
        let (old, new) = (Authority::create(day, now).unwrap(), Authority::create(day, now).unwrap());
        let port = listen(&old.issue(&["w.ns.svc".to_owned()], day, now).unwrap()).await;
        let here = pod(json!({ "podIP": "127.0.0.1" }));
        let trusting = |authority: &Authority| {
            let read = Certificate::read_all(authority.certificate.as_bytes());
            connector(read.first().unwrap()).unwrap()
        };
        assert_eq!(asked(&here, Some(port), &trusting(&old), "w.ns.svc").await, None);
        let behind = asked(&here, Some(port), &trusting(&new), "w.ns.svc").await.unwrap();
        assert!(behind.starts_with("webhook-1: "), "{behind}");
        assert!(asked(&pod(json!({})), Some(port), &trusting(&old), "w.ns.svc").await.is_some());
    }

    /// A server with this certificate, as a pod would be; its port.
    async fn listen(pair: &crate::authority::Pair) -> u16 {
        use rustls::pki_types::pem::PemObject;
        use rustls::pki_types::{CertificateDer, PrivateKeyDer};
        let chain = CertificateDer::pem_slice_iter(pair.certificate.as_bytes()).map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = acceptor.accept(stream).await; // a client that distrusts us hangs up
            }
        });
        port
    }
}
