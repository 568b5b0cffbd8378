//! Values that Kubernetes keeps in another form than they were written in: applied once, and then there is nothing to do.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::Client;
use kube::api::Api;
use kube::client::Body;
use shared::config::OperatorConfig;

use crate::manifests::{make_namespace, manifests};
use crate::operator::Operator;

const NAMESPACE: &str = "stored-form";

/// Zeros, negations and empty things wherever Kubernetes' own types are, and quantities in notations of their own.
const MANIFEST: &str = "
apiVersion: acid.zalan.do/v1
kind: postgresql
metadata: { name: acid-odd, namespace: stored-form }
spec:
  teamId: acid
  numberOfInstances: 1
  postgresql: { version: '17' }
  volume: { size: 10240Mi }
  resources: { requests: { cpu: '0.5', memory: 1024Mi }, limits: { cpu: 2000m, memory: 2048Mi } }
  enableConnectionPooler: true
  connectionPooler: { resources: { requests: { cpu: '0.5', memory: 1024Mi }, limits: { cpu: 1000m, memory: 1024Mi } } }
  enableLogicalBackup: true
  env:
    - { name: EMPTY, value: '' }
    - name: CPU
      valueFrom: { resourceFieldRef: { containerName: postgres, resource: limits.cpu, divisor: 1000m } }
    - name: PLACE
      valueFrom: { fieldRef: { fieldPath: metadata.namespace } }
  sidecars:
    - name: exporter
      image: exporter:1
      command: []
      env: []
      ports: [{ containerPort: 9187, hostPort: 0, name: '' }]
      resources: { requests: { cpu: '1', memory: 1024Mi }, limits: { cpu: 1000m } }
  initContainers:
    - name: first
      image: first:1
      args: []
      env: [{ name: A, value: '' }]
      stdin: false
      tty: false
      resources: { requests: { cpu: '0.1', memory: 1024Mi }, limits: {} }
      volumeMounts: [{ name: scratch, mountPath: /scratch, readOnly: false, subPath: '' }]
      securityContext: { runAsUser: 0, privileged: false, capabilities: { add: [], drop: [] } }
  livenessProbe:
    exec: { command: [pg_isready] }
    initialDelaySeconds: 0
    periodSeconds: 30
    successThreshold: 0
  additionalVolumes:
    - name: scratch
      mountPath: /scratch
      targetContainers: []
      subPath: ''
      volumeSource: { emptyDir: { medium: '', sizeLimit: 2048Mi } }
    - name: shared
      mountPath: /shared
      targetContainers: [all]
      volumeSource: { nfs: { server: nfs.example.com, path: /, readOnly: false } }
    - name: keys
      mountPath: /keys
      volumeSource: { secret: { secretName: keys, items: [], optional: false } }
  tolerations: [{ key: postgres, operator: Exists, value: '', effect: '' }]
  nodeAffinity:
    preferredDuringSchedulingIgnoredDuringExecution: []
    requiredDuringSchedulingIgnoredDuringExecution:
      nodeSelectorTerms: [{ matchExpressions: [{ key: pool, operator: Exists, values: [] }], matchFields: [] }]
  topologySpreadConstraints:
    - { maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway, labelSelector: {}, matchLabelKeys: [] }
  serviceAnnotations: {}
  podAnnotations: {}
";

pub(crate) async fn what_kubernetes_writes_in_another_way_is_applied_once(client: Client) {
    make_namespace(&client, NAMESPACE).await;
    let manifest = serde_saphyr::from_str(MANIFEST).unwrap();
    manifests(&client, NAMESPACE).create(&Default::default(), &manifest).await.unwrap();
    let (counted, writes) = counting(&client);
    let operator = Operator::start(&counted, OperatorConfig::default(), NAMESPACE, "acid-odd", 1).await;
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), NAMESPACE);
    operator
        .look_until("everything is made", async || sets.get_opt("acid-odd").await.unwrap().is_some())
        .await;
    // The stores learn of what was written a moment later; until then it may be written again.
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        writes.lock().unwrap().clear();
        for _ in 0..3 {
            operator.look_until("it has been looked at", async || true).await;
        }
        if writes.lock().unwrap().is_empty() {
            return;
        }
    }
    panic!("written at every look: {:#?}", writes.lock().unwrap());
}

type Writes = Arc<Mutex<Vec<String>>>;

/// A client that notes which objects are written. A write that changes nothing leaves no trace on the server.
fn counting(client: &Client) -> (Client, Writes) {
    let (client, writes) = (client.clone(), Writes::default());
    let noted = Arc::clone(&writes);
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let path = request.uri().path().to_owned();
        let of_status = path.ends_with("/status") || path.contains("/events");
        if request.method() != http::Method::GET && !of_status {
            noted.lock().unwrap().push(format!("{} {path}", request.method()));
        }
        let client = client.clone();
        async move { client.send(request).await }
    });
    (Client::new(service, NAMESPACE), writes)
}
