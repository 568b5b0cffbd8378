//! The one door: manifest + configuration + references → [`Cluster`], or every error.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, OwnerReference};

use crate::annotations;
use crate::api::{self, Postgresql, PostgresqlSpec};
use crate::config::{MajorVersionUpgradeMode, NodeReadinessLabelMerge, OperatorConfig, RetentionPolicy};
use crate::field::{FieldErrors, FieldPath};
use crate::labels::Labels;
use crate::names;
use crate::quantity::as_stored;
use crate::roles::contents::Lookup;
use crate::roles::{self, Humans, RoleInputs, RoleName, RoleSet, Rotation, Skipped};
use crate::version::PostgresVersion;

use super::{
    Budgets, ClaimRetention, Cluster, DataVolume, DiskPerformance, Identity, LogicalBackups, Network, Origin,
    Pod, Policy, PoolerSettings, Poolers, Postgres, References, ServiceAccountTemplate, Stream, SubPath,
    SystemUsers, Windows, databases, streams,
};

impl Cluster {
    /// Reads a manifest against the configuration.
    ///
    /// # Errors
    /// Everything that keeps the manifest from becoming a cluster. A manifest that passed admission has none, unless
    /// the configuration has changed since.
    pub fn resolve(
        manifest: &Postgresql,
        config: &OperatorConfig,
        references: &References,
    ) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::default();
        let spec = &manifest.spec;
        let identity = identity(manifest);
        let version = version(spec, config, &mut errors);
        let pod = Pod::resolve(manifest, config, references, &mut errors);
        let poolers = Poolers::resolve(&identity, spec, config, &mut errors);
        let streams = streams::streams(spec);
        let asked = Asked { pooler: poolers.wanted.as_ref(), streams: &streams, references };
        let roles = roles(manifest, config, &asked, &mut errors);
        let service_account = service_account(config);
        let Some(version) = version.filter(|_| errors.is_empty()) else { return Err(errors) };
        Ok(Self {
            labels: Labels::new(&identity.name, &identity.team, manifest.metadata.labels.as_ref(), config),
            inherited: annotations::inherited(manifest.metadata.annotations.as_ref(), config),
            downscaler: annotations::downscaler(manifest.metadata.annotations.as_ref(), config),
            owners: owners(manifest, config),
            members: members(manifest, config),
            postgres: Postgres::resolve(spec, version, &streams, config),
            origin: Origin::of(spec),
            pod,
            volume: data_volume(spec, config),
            network: Network::resolve(&identity, spec, config),
            poolers,
            logical_backups: LogicalBackups::resolve(&identity, spec, config, references),
            streams,
            budgets: budgets(&identity, spec, config),
            service_account,
            users: SystemUsers {
                superuser: config.users.super_username.clone(),
                replication: config.users.replication_username.clone(),
                secret_template: config.kubernetes.secret_name_template.clone(),
            },
            roles,
            rotation: rotation(spec, config),
            policy: policy(spec, config),
            identity,
        })
    }
}

fn identity(manifest: &Postgresql) -> Identity {
    Identity {
        name: manifest.metadata.name.clone().unwrap_or_default(),
        namespace: manifest.metadata.namespace.clone().unwrap_or_else(|| "default".to_owned()),
        uid: manifest.metadata.uid.clone().unwrap_or_default(),
        team: manifest.spec.team_id.clone(),
    }
}

/// The version that the cluster shall have. In mode `full` one that is older than the configuration wants is raised.
fn version(
    spec: &PostgresqlSpec,
    config: &OperatorConfig,
    errors: &mut FieldErrors,
) -> Option<PostgresVersion> {
    let path = FieldPath::spec().field("postgresql").field("version");
    let text = &spec.postgresql.version;
    let asked: PostgresVersion =
        text.parse().map_err(|error| errors.not_supported(path, format!("{text:?} {error}"))).ok()?;
    let upgrade = &config.major_version_upgrade;
    let raised = upgrade.major_version_upgrade_mode == MajorVersionUpgradeMode::Full
        && asked < upgrade.minimal_major_version;
    Some(if raised { upgrade.target_major_version } else { asked })
}

/// The manifest's own owners and, where configured, the manifest itself.
fn owners(manifest: &Postgresql, config: &OperatorConfig) -> Vec<OwnerReference> {
    let mut owners = manifest.metadata.owner_references.clone().unwrap_or_default();
    let uid = manifest.metadata.uid.clone().unwrap_or_default();
    if config.kubernetes.enable_owner_references && owners.iter().all(|owner| owner.uid != uid) {
        owners.push(OwnerReference {
            api_version: format!("{}/{}", api::GROUP, api::VERSION),
            kind: "postgresql".to_owned(),
            name: manifest.metadata.name.clone().unwrap_or_default(),
            uid,
            controller: Some(true),
            block_owner_deletion: None,
        });
    }
    owners
}

/// The number of members within the configured bounds. A standby cluster of one stays one.
pub(crate) fn members(manifest: &Postgresql, config: &OperatorConfig) -> i32 {
    let asked = manifest.spec.number_of_instances;
    let key = config.general.ignore_instance_limits_annotation_key.as_ref();
    let annotations = manifest.metadata.annotations.as_ref();
    let unbounded =
        key.is_some_and(|key| annotations.is_some_and(|all| all.get(key).is_some_and(|v| v == "true")));
    if unbounded || (manifest.spec.standby.is_some() && asked == 1) {
        return asked;
    }
    let at_most = config.general.max_instances.map_or(asked, |maximum| asked.min(maximum));
    config.general.min_instances.map_or(at_most, |minimum| at_most.max(minimum))
}

fn data_volume(spec: &PostgresqlSpec, config: &OperatorConfig) -> DataVolume {
    let volume = &spec.volume;
    let retention = config.kubernetes.persistent_volume_claim_retention_policy;
    DataVolume {
        size: as_stored(&volume.size),
        storage_class: volume.storage_class.clone().filter(|class| !class.is_empty()),
        selector: volume.selector.clone().filter(|selector| *selector != LabelSelector::default()),
        sub_path: SubPath::of(volume.sub_path.as_deref(), volume.is_sub_path_expr),
        retention: ClaimRetention {
            delete_when_deleted: retention.when_deleted == RetentionPolicy::Delete,
            delete_when_scaled: retention.when_scaled == RetentionPolicy::Delete,
        },
        resize: config.kubernetes.storage_resize_mode,
        performance: DiskPerformance {
            kind: volume.volume_type.clone().filter(|kind| !kind.is_empty()),
            iops: volume.iops,
            throughput: volume.throughput,
        },
    }
}

impl SubPath {
    /// The folder a manifest names, if any.
    pub(crate) fn of(path: Option<&str>, is_expression: Option<bool>) -> Option<Self> {
        let path = path.filter(|path| !path.is_empty())?.to_owned();
        Some(if is_expression == Some(true) { Self::Expression(path) } else { Self::Plain(path) })
    }
}

/// Upstream counts an absent `synchronous_node_count` as 0 here, which leaves one member too few; Patroni's own
/// default is 1.
fn budgets(identity: &Identity, spec: &PostgresqlSpec, config: &OperatorConfig) -> Budgets {
    let kubernetes = &config.kubernetes;
    let patroni = spec.patroni.clone().unwrap_or_default();
    let strict = !kubernetes.pdb_master_label_selector && patroni.synchronous_mode_strict == Some(true);
    let synchronous =
        patroni.synchronous_node_count.and_then(|count| i32::try_from(count).ok()).unwrap_or(1).max(1);
    Budgets {
        primary_name: names::primary_budget(&kubernetes.pdb_name_format, &identity.name),
        select_primary: kubernetes.pdb_master_label_selector,
        bootstrap_labels: kubernetes.enable_pod_disruption_budget,
        enforced: kubernetes.enable_pod_disruption_budget && spec.number_of_instances > 0,
        min_available: if strict { synchronous.saturating_add(1) } else { 1 },
    }
}

/// The configured definitions, with the configured name; else an account bound to the cluster role of its name.
fn service_account(config: &OperatorConfig) -> ServiceAccountTemplate {
    let kubernetes = &config.kubernetes;
    let name = &kubernetes.pod_service_account_name;
    let mut account: ServiceAccount = kubernetes.pod_service_account_definition.clone().unwrap_or_default();
    account.metadata.name = Some(name.clone());
    if let Some(role) = &config.aws_or_gcp.irsa_role_arn {
        let annotations = account.metadata.annotations.get_or_insert_default();
        annotations.insert(annotations::IRSA_ROLE.to_owned(), role.clone());
    }
    let binding = kubernetes.pod_service_account_role_binding_definition.clone();
    let binding = binding.unwrap_or_else(|| default_binding(name));
    ServiceAccountTemplate { account, binding }
}

fn default_binding(name: &str) -> RoleBinding {
    let mut binding = RoleBinding {
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".to_owned(),
            kind: "ClusterRole".to_owned(),
            name: name.to_owned(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".to_owned(),
            name: name.to_owned(),
            ..Subject::default()
        }]),
        ..RoleBinding::default()
    };
    binding.metadata.name = Some(name.to_owned());
    binding
}

fn policy(spec: &PostgresqlSpec, config: &OperatorConfig) -> Policy {
    let kubernetes = &config.kubernetes;
    let upgrade = &config.major_version_upgrade;
    let own_affinity = spec
        .node_affinity
        .as_ref()
        .is_some_and(|affinity| affinity.required_during_scheduling_ignored_during_execution.is_some());
    // Joined by OR with an affinity of the manifest's own, the label is one way to be scheduled among others.
    let optional = own_affinity && kubernetes.node_readiness_label_merge == NodeReadinessLabelMerge::Or;
    Policy {
        lazy_image_upgrade: config.general.enable_lazy_spilo_upgrade,
        upgrades: upgrade.major_version_upgrade_mode != MajorVersionUpgradeMode::Off
            || upgrade.major_version_upgrade_team_allow_list.contains(&spec.team_id),
        database_access: config.debug.enable_database_access,
        strict_revocation: config.users.enable_strict_revocation,
        pod_start_timeout: config.timeouts.pod_label_wait_timeout,
        windows: Windows::resolve(spec, config),
        outside_windows: config.general.outside_maintenance_windows.clone(),
        readiness: if optional { BTreeMap::new() } else { kubernetes.node_readiness_label.clone() },
        delete_secrets: kubernetes.enable_secrets_deletion,
        delete_claims: kubernetes.enable_persistent_volume_claim_deletion,
        finalizer: kubernetes.enable_finalizers,
    }
}

/// Whose password changes by itself; admission checks the names.
fn rotation(spec: &PostgresqlSpec, config: &OperatorConfig) -> Rotation {
    let named = |list: &Option<Vec<String>>| names_in(list.as_deref().unwrap_or_default());
    Rotation {
        everyone: config.users.enable_password_rotation,
        interval: config.users.password_rotation_interval,
        retention: config.users.password_rotation_user_retention,
        new_user: named(&spec.users_with_secret_rotation),
        in_place: named(&spec.users_with_in_place_secret_rotation),
        exempt: named(&spec.users_ignoring_secret_rotation),
    }
}

/// What else asks for roles.
struct Asked<'a> {
    pooler: Option<&'a PoolerSettings>,
    streams: &'a [Stream],
    /// Where infrastructure roles and people come from.
    references: &'a References,
}

/// The roles and databases that the manifest asks for. A standby takes them from its source, all but the pooler's user:
/// its Secret must be there for the pooler to start.
fn roles(
    manifest: &Postgresql,
    config: &OperatorConfig,
    asked: &Asked<'_>,
    errors: &mut FieldErrors,
) -> RoleSet {
    let users = FieldPath::new("configuration").field("users");
    let superuser = databases::role_name(&config.users.super_username, users.field("super_username"), errors);
    let replication_user =
        databases::role_name(&config.users.replication_username, users.field("replication_username"), errors);
    let (Some(superuser), Some(replication_user)) = (superuser, replication_user) else {
        return RoleSet::default();
    };
    // What upstream stored unchecked is left out and told; everything else of such a cluster goes on.
    let mut unreadable = FieldErrors::default();
    let own = databases::own(manifest, config, &mut unreadable);
    let given = if manifest.spec.standby.is_some() { References::unread() } else { asked.references.clone() };
    let admin =
        config.teams_api.team_admin_role.as_ref().filter(|_| config.teams_api.enable_admin_role_for_users);
    let inputs = RoleInputs {
        users: own.users,
        databases: own.databases,
        replication_user,
        protected: names_in(&config.teams_api.protected_role_names),
        users_admin: admin.and_then(|name| name.parse().ok()),
        additional_owner_roles: names_in(&config.users.additional_owner_roles),
        pooler: asked.pooler.and_then(|pooler| lookup(pooler, &superuser)),
        stream_user: streams::user(asked.streams),
        publications: streams::publications(asked.streams, &manifest.spec),
        users_name_namespaces: config.kubernetes.enable_cross_namespace_secret,
        prepared: own.prepared,
        infrastructure: given.infrastructure_roles,
        humans: Humans::new(given.people, &config.teams_api),
        superuser,
    };
    let mut roles = roles::desired(&inputs);
    roles.lacks_some = given.lacks_infrastructure_roles || !unreadable.is_empty();
    roles.skipped.extend(unreadable.iter().cloned().map(Skipped::Unreadable));
    roles
}

/// The poolers' lookup function. PgBouncer names its schema without quotes, which makes it lower case.
fn lookup(pooler: &PoolerSettings, superuser: &RoleName) -> Option<Lookup> {
    let schema = pooler.schema.to_lowercase().parse().ok()?;
    Some(Lookup { schema, user: pooler.user.clone(), owner: superuser.clone() })
}

fn names_in(names: &[String]) -> BTreeSet<RoleName> {
    names.iter().filter_map(|name| name.parse().ok()).collect()
}
