//! A namespace that enforces Pod Security `restricted`, and every kind of pod that a cluster has.

use k8s_openapi::api::core::v1::{Namespace, Pod, PodTemplateSpec, ServiceAccount};
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};
use serde_json::json;
use shared::build::{Resources, build};
use shared::cluster::{Cluster, References};
use shared::config::OperatorConfig;

const NAMESPACE: &str = "restricted-pods";

/// What makes pods: members with a sidecar and an init container, poolers, backups.
const MANIFEST: &str = "
apiVersion: acid.zalan.do/v1
kind: postgresql
metadata: { name: acid-restricted, namespace: restricted-pods, uid: '42' }
spec:
  teamId: acid
  numberOfInstances: 2
  volume: { size: 1Gi }
  postgresql: { version: '17' }
  enableConnectionPooler: true
  enableReplicaConnectionPooler: true
  enableLogicalBackup: true
  sidecars: [{ name: exporter, image: 'exporter:1' }]
  initContainers: [{ name: prepare, image: 'busybox:1' }]
  additionalVolumes: [{ name: scratch, mountPath: /scratch, volumeSource: { emptyDir: {} } }]
";

pub(crate) async fn a_restricted_namespace_lets_the_pods_in_only_where_that_is_configured(client: Client) {
    let labels = json!({ "pod-security.kubernetes.io/enforce": "restricted" });
    let namespace: Namespace =
        serde_json::from_value(json!({ "metadata": { "name": NAMESPACE, "labels": labels } })).unwrap();
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
    let account: ServiceAccount =
        serde_json::from_value(json!({ "metadata": { "name": "postgres-pod" } })).unwrap();
    Api::namespaced(client.clone(), NAMESPACE).create(&PostParams::default(), &account).await.unwrap();

    let pods: Api<Pod> = Api::namespaced(client, NAMESPACE);
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    for enable_restricted_pods in [false, true] {
        let mut config = OperatorConfig::default();
        config.kubernetes.enable_restricted_pods = enable_restricted_pods;
        let manifest = serde_saphyr::from_str(MANIFEST).unwrap();
        let cluster = Cluster::resolve(&manifest, &config, &References::unread()).unwrap();
        let templates = templates(build(&cluster));
        assert_eq!(templates.len(), 4, "a StatefulSet, two poolers, a CronJob");
        for (name, template) in templates {
            match pods.create(&dry, &pod(&name, template)).await {
                Ok(_) => assert!(enable_restricted_pods, "{name} was let in"),
                Err(error) => {
                    let error = error.to_string();
                    assert!(
                        !enable_restricted_pods && error.contains("violates PodSecurity"),
                        "{name}: {error}"
                    );
                }
            }
        }
    }
}

fn templates(objects: Resources) -> Vec<(String, PodTemplateSpec)> {
    let mut all = Vec::new();
    if let Some(set) = objects.stateful_set {
        all.push(("member".to_owned(), set.spec.unwrap().template));
    }
    for deployment in objects.poolers.into_iter().filter_map(|pooler| pooler.deployment) {
        all.push((deployment.metadata.name.unwrap(), deployment.spec.unwrap().template));
    }
    if let Some(job) = objects.logical_backup {
        all.push(("backup".to_owned(), job.spec.unwrap().job_template.spec.unwrap().template));
    }
    all
}

/// The pod that a controller would make, with the volume that it would add for the claim.
fn pod(name: &str, template: PodTemplateSpec) -> Pod {
    let mut spec = template.spec.unwrap();
    if name == "member" {
        let claim =
            json!({ "name": "pgdata", "persistentVolumeClaim": { "claimName": "pgdata-acid-restricted-0" } });
        spec.volumes.get_or_insert_default().push(serde_json::from_value(claim).unwrap());
    }
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..template.metadata.unwrap() };
    Pod { metadata, spec: Some(spec), status: None }
}
