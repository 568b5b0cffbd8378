//! What every member's pod is made of, manifest over configuration.
//!
//! The builders turn this into a pod template and decide nothing more. Order matters in one place: environment
//! variables keep the order in which upstream writes them, so that an adopted pod looks the same.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{
    Container, EnvFromSource, EnvVar, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm,
    Probe, ResourceRequirements, Toleration, TopologySpreadConstraint, Volume,
};

use crate::annotations::{AnnotationMap, IAM_ROLE};
use crate::api::{AdditionalVolume, Postgresql, PostgresqlSpec, TlsDescription};
use crate::config::{NodeReadinessLabelMerge, OperatorConfig, PodManagementPolicy};
use crate::field::{FieldErrors, FieldPath};

use super::References;
use super::resources::{self, Bounds, Defaults};
use super::sidecars;
use super::stored_form::{normalise, stored};

/// The pods of a cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Pod {
    pub(crate) image: String,
    pub(crate) resources: ResourceRequirements,
    pub(crate) annotations: AnnotationMap,
    pub(crate) service_account: String,
    pub(crate) grace_period: Duration,
    pub(crate) parallel: bool,
    pub(crate) security: Security,
    pub(crate) scheduler: Option<String>,
    pub(crate) priority_class: Option<String>,
    pub(crate) liveness_probe: Option<Probe>,
    pub(crate) readiness_probe: bool,
    pub(crate) shared_memory: bool,
    pub(crate) shared_socket: bool,
    pub(crate) secret_mount: Option<SecretMount>,
    pub(crate) tls: Option<Tls>,
    pub(crate) tolerations: Vec<Toleration>,
    pub(crate) node_affinity: Option<NodeAffinity>,
    pub(crate) anti_affinity: Option<AntiAffinity>,
    pub(crate) spread: Vec<TopologySpreadConstraint>,
    pub(crate) init_containers: Vec<Container>,
    pub(crate) sidecars: Vec<Container>,
    pub(crate) volumes: Vec<ExtraVolume>,
    pub(crate) environment: Environment,
}

/// The security settings of the pod and of its database container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Security {
    pub(crate) user: Option<i64>,
    pub(crate) group: Option<i64>,
    pub(crate) volume_group: Option<i64>,
    pub(crate) privileged: bool,
    pub(crate) privilege_escalation: bool,
    pub(crate) capabilities: Vec<String>,
    /// Whether Pod Security `restricted` shall let the pods in.
    pub(crate) restricted: bool,
}

/// A Secret mounted into every container, for cloud credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretMount {
    pub(crate) secret: String,
    pub(crate) path: String,
}

/// The certificate that PostgreSQL serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    pub(crate) secret: String,
    pub(crate) certificate: String,
    pub(crate) private_key: String,
    pub(crate) ca: Option<String>,
    pub(crate) ca_secret: Option<String>,
}

/// How far members keep from each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AntiAffinity {
    pub(crate) topology_key: String,
    pub(crate) preferred: bool,
}

/// A further volume, and who mounts it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ExtraVolume {
    pub(crate) volume: Volume,
    pub(crate) mount_path: String,
    pub(crate) sub_path: Option<super::SubPath>,
    pub(crate) targets: Targets,
}

/// Which containers mount a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Targets {
    All,
    Named(Vec<String>),
}

impl Targets {
    pub(crate) fn include(&self, container: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.iter().any(|name| name == container),
        }
    }
}

/// Environment variables of the database container that are not the operator's own.
#[derive(Clone, Debug, PartialEq)]
pub struct Environment {
    pub(crate) manifest: Vec<EnvVar>,
    pub(crate) sources: Vec<EnvFromSource>,
    pub(crate) secret: Option<(String, Vec<String>)>,
    pub(crate) config_map: BTreeMap<String, String>,
    pub(crate) pam_configuration: String,
    pub(crate) human_role: String,
    pub(crate) wal_path_compat: bool,
    pub(crate) cloud: CloudStorage,
}

/// Where WAL and logs are archived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CloudStorage {
    pub(crate) wal_s3_bucket: Option<String>,
    pub(crate) wal_gs_bucket: Option<String>,
    pub(crate) wal_az_storage_account: Option<String>,
    pub(crate) gcp_credentials: Option<String>,
    pub(crate) log_s3_bucket: Option<String>,
    pub(crate) irsa: Option<String>,
}

/// The name of the database container.
pub(crate) const DATABASE_CONTAINER: &str = "postgres";

impl Pod {
    /// The pods that manifest and configuration describe.
    pub(crate) fn resolve(
        manifest: &Postgresql,
        config: &OperatorConfig,
        references: &References,
        errors: &mut FieldErrors,
    ) -> Self {
        let spec = &manifest.spec;
        let (general, kubernetes) = (&config.general, &config.kubernetes);
        Self {
            image: given(&spec.docker_image).unwrap_or_else(|| general.docker_image.clone()),
            resources: database_resources(manifest, config),
            annotations: pod_annotations(spec, config),
            service_account: kubernetes.pod_service_account_name.clone(),
            grace_period: kubernetes.pod_terminate_grace_period,
            parallel: kubernetes.pod_management_policy == PodManagementPolicy::Parallel,
            security: security(spec, config),
            scheduler: given(&spec.scheduler_name),
            priority_class: given(&spec.pod_priority_class_name)
                .or_else(|| given(&kubernetes.pod_priority_class_name)),
            liveness_probe: stored(spec.liveness_probe.clone().or(kubernetes.liveness_probe.clone())),
            readiness_probe: kubernetes.enable_readiness_probe,
            shared_memory: spec.enable_shm_volume.unwrap_or(general.enable_shm_volume),
            shared_socket: kubernetes.share_pgsocket_with_sidecars,
            secret_mount: secret_mount(config),
            tls: spec.tls.as_ref().and_then(tls),
            tolerations: stored(tolerations(spec, config)),
            node_affinity: stored(node_affinity(spec.node_affinity.as_ref(), config))
                .filter(|affinity| *affinity != NodeAffinity::default()),
            anti_affinity: kubernetes.enable_pod_antiaffinity.then(|| AntiAffinity {
                topology_key: kubernetes.pod_antiaffinity_topology_key.clone(),
                preferred: kubernetes.pod_antiaffinity_preferred_during_scheduling,
            }),
            spread: stored(spec.topology_spread_constraints.clone().unwrap_or_default()),
            init_containers: stored(spec.init_containers.clone().unwrap_or_default()),
            sidecars: stored(sidecars::of(manifest, config)),
            volumes: extra_volumes(spec, errors),
            environment: environment(spec, config, references),
        }
    }
}

/// A text that says something.
fn given(text: &Option<String>) -> Option<String> {
    text.clone().filter(|text| !text.is_empty())
}

fn database_resources(manifest: &Postgresql, config: &OperatorConfig) -> ResourceRequirements {
    let key = config.general.ignore_resources_limits_annotation_key.as_ref();
    let annotations = manifest.metadata.annotations.as_ref();
    let unbounded =
        key.is_some_and(|key| annotations.is_some_and(|all| all.get(key).is_some_and(|v| v == "true")));
    let bounds = bounds(config);
    resources::requirements(
        manifest.spec.resources.as_ref(),
        &defaults(config),
        (!unbounded).then_some(&bounds),
        config.general.set_memory_request_to_limit,
    )
}

/// What fills in the requests and limits of database containers, sidecars and backups.
pub(super) fn defaults(config: &OperatorConfig) -> Defaults {
    let configured = &config.postgres_pod_resources;
    Defaults {
        requests: amounts(&configured.default_cpu_request, &configured.default_memory_request),
        limits: amounts(&configured.default_cpu_limit, &configured.default_memory_limit),
    }
}

fn bounds(config: &OperatorConfig) -> Bounds {
    let configured = &config.postgres_pod_resources;
    Bounds {
        min_limits: amounts(&configured.min_cpu_limit, &configured.min_memory_limit),
        max_requests: amounts(&configured.max_cpu_request, &configured.max_memory_request),
    }
}

type Quantity = k8s_openapi::apimachinery::pkg::api::resource::Quantity;

pub(super) fn amounts(cpu: &Option<Quantity>, memory: &Option<Quantity>) -> resources::Amounts {
    [("cpu", cpu), ("memory", memory)]
        .into_iter()
        .filter_map(|(name, quantity)| Some((name.to_owned(), quantity.as_ref()?.0.clone())))
        .collect()
}

fn pod_annotations(spec: &PostgresqlSpec, config: &OperatorConfig) -> AnnotationMap {
    let mut annotations = own_annotations(spec, config);
    if let Some(role) = &config.aws_or_gcp.kube_iam_role {
        annotations.insert(IAM_ROLE.to_owned(), role.clone());
    }
    annotations
}

/// The annotations of any pod of a cluster, poolers' and backups' among them.
pub(super) fn own_annotations(spec: &PostgresqlSpec, config: &OperatorConfig) -> AnnotationMap {
    let mut annotations = config.kubernetes.custom_pod_annotations.clone();
    annotations.extend(spec.pod_annotations.clone().unwrap_or_default());
    annotations
}

/// User and group of PostgreSQL in Spilo's image.
const POSTGRES: (i64, i64) = (101, 103);

fn security(spec: &PostgresqlSpec, config: &OperatorConfig) -> Security {
    let kubernetes = &config.kubernetes;
    let restricted = kubernetes.enable_restricted_pods;
    let images_own = |id: i64| restricted.then_some(id);
    let added = kubernetes.additional_pod_capabilities.iter().filter(|_| !restricted);
    Security {
        user: spec.spilo_run_as_user.or(kubernetes.spilo_runasuser).or(images_own(POSTGRES.0)),
        group: spec.spilo_run_as_group.or(kubernetes.spilo_runasgroup).or(images_own(POSTGRES.1)),
        volume_group: spec.spilo_fs_group.or(kubernetes.spilo_fsgroup).or(images_own(POSTGRES.1)),
        privileged: kubernetes.spilo_privileged && !restricted,
        privilege_escalation: kubernetes.spilo_allow_privilege_escalation && !restricted,
        capabilities: added.map(|name| name.to_uppercase()).collect(),
        restricted,
    }
}

fn secret_mount(config: &OperatorConfig) -> Option<SecretMount> {
    let cloud = &config.aws_or_gcp;
    let (secret, path) =
        (cloud.additional_secret_mount.clone()?, cloud.additional_secret_mount_path.clone()?);
    Some(SecretMount { secret, path })
}

/// Where the certificate's Secret is mounted, and where the CA's is.
pub(crate) const TLS_PATH: &str = "/tls";
pub(crate) const TLS_CA_PATH: &str = "/tlsca";

fn tls(section: &TlsDescription) -> Option<Tls> {
    let ca_secret = given(&section.ca_secret_name);
    let ca_folder = if ca_secret.is_some() { TLS_CA_PATH } else { TLS_PATH };
    let file =
        |name: Option<String>, default: &str| format!("{TLS_PATH}/{}", name.as_deref().unwrap_or(default));
    (!section.secret_name.is_empty()).then(|| Tls {
        secret: section.secret_name.clone(),
        certificate: file(given(&section.certificate_file), "tls.crt"),
        private_key: file(given(&section.private_key_file), "tls.key"),
        ca: given(&section.ca_file).map(|name| format!("{ca_folder}/{name}")),
        ca_secret,
    })
}

fn tolerations(spec: &PostgresqlSpec, config: &OperatorConfig) -> Vec<Toleration> {
    match spec.tolerations.as_deref() {
        Some(own) if !own.is_empty() => own.to_vec(),
        _ => config.kubernetes.toleration.clone().into_iter().collect(),
    }
}

/// The manifest's affinity joined with the readiness label: `OR` adds a term, `AND` adds to each term.
pub(super) fn node_affinity(own: Option<&NodeAffinity>, config: &OperatorConfig) -> Option<NodeAffinity> {
    let ready: Vec<NodeSelectorRequirement> = config
        .kubernetes
        .node_readiness_label
        .iter()
        .map(|(key, value)| NodeSelectorRequirement {
            key: key.clone(),
            operator: "In".to_owned(),
            values: Some(vec![value.clone()]),
        })
        .collect();
    if ready.is_empty() {
        return own.cloned();
    }
    let ready_term = NodeSelectorTerm { match_expressions: Some(ready.clone()), match_fields: None };
    let mut affinity = own.cloned().unwrap_or_default();
    let required = affinity.required_during_scheduling_ignored_during_execution.take();
    let mut terms = required.map(|selector| selector.node_selector_terms).unwrap_or_default();
    match config.kubernetes.node_readiness_label_merge {
        NodeReadinessLabelMerge::And if !terms.is_empty() => {
            for term in &mut terms {
                term.match_expressions.get_or_insert_default().extend(ready.iter().cloned());
            }
        }
        NodeReadinessLabelMerge::And | NodeReadinessLabelMerge::Or => terms.push(ready_term),
    }
    affinity.required_during_scheduling_ignored_during_execution =
        Some(NodeSelector { node_selector_terms: terms });
    Some(affinity)
}

fn extra_volumes(spec: &PostgresqlSpec, errors: &mut FieldErrors) -> Vec<ExtraVolume> {
    let path = FieldPath::spec().field("additionalVolumes");
    let listed = spec.additional_volumes.iter().flatten().enumerate();
    listed.filter_map(|(index, wanted)| extra_volume(wanted, path.index(index), errors)).collect()
}

fn extra_volume(wanted: &AdditionalVolume, path: FieldPath, errors: &mut FieldErrors) -> Option<ExtraVolume> {
    let mut source = wanted.volume_source.0.clone();
    let Some(fields) = source.as_object_mut() else {
        errors.invalid(path.field("volumeSource"), "must be a volume source, for example {emptyDir: {}}");
        return None;
    };
    fields.insert("name".to_owned(), wanted.name.clone().into());
    normalise(&mut source);
    let volume = serde_json::from_value(source)
        .map_err(|error| errors.invalid(path.field("volumeSource"), format!("is no volume source: {error}")))
        .ok()?;
    let targets = wanted.target_containers.clone().unwrap_or_default();
    let targets = match targets.as_slice() {
        [] => Targets::Named(vec![DATABASE_CONTAINER.to_owned()]),
        [all] if all == "all" => Targets::All,
        _ => Targets::Named(targets),
    };
    let sub_path = super::SubPath::of(wanted.sub_path.as_deref(), wanted.is_sub_path_expr);
    Some(ExtraVolume { volume, mount_path: wanted.mount_path.clone(), sub_path, targets })
}

fn environment(spec: &PostgresqlSpec, config: &OperatorConfig, references: &References) -> Environment {
    let cloud = &config.aws_or_gcp;
    let mut keys = references.environment_secret_keys.clone();
    keys.sort();
    Environment {
        manifest: stored(spec.env.clone().unwrap_or_default()),
        sources: stored(spec.env_from.clone().unwrap_or_default()),
        secret: config.kubernetes.pod_environment_secret.clone().map(|name| (name, keys)),
        config_map: references.environment_config_map.clone(),
        pam_configuration: config.teams_api.pam_configuration.clone(),
        human_role: config.teams_api.pam_role_name.clone(),
        wal_path_compat: config.general.enable_spilo_wal_path_compat,
        cloud: CloudStorage {
            wal_s3_bucket: cloud.wal_s3_bucket.clone(),
            wal_gs_bucket: cloud.wal_gs_bucket.clone(),
            wal_az_storage_account: cloud.wal_az_storage_account.clone(),
            gcp_credentials: cloud.gcp_credentials.clone(),
            log_s3_bucket: cloud.log_s3_bucket.clone(),
            irsa: cloud.irsa_role_arn.clone(),
        },
    }
}
