//! The operator's configuration as users write it, against the contract: every key, both sets of defaults, every
//! error with its key.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use shared::api::OperatorConfiguration;
use shared::config::*;
use shared::field::FieldErrors;

fn config_map(data: &[(&str, &str)]) -> Reading {
    read_config_map(&data.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect())
}

fn resource(configuration: Value) -> Reading {
    let configuration = configuration.as_object().cloned().unwrap_or_default();
    read_resource(&OperatorConfiguration { configuration, ..Default::default() })
}

fn told(errors: &FieldErrors) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

/// Every key with a text that is not its default, and where that ends up.
const KEYS: &[(&str, &str, &str, &str)] = &[
    ("enable_crd_registration", "false", "", "false"),
    ("crd_categories", "all,postgres", "", r#"["all","postgres"]"#),
    ("enable_lazy_spilo_upgrade", "true", "", "true"),
    ("enable_pgversion_env_var", "false", "", "false"),
    ("enable_spilo_wal_path_compat", "true", "", "true"),
    ("enable_team_id_clustername_prefix", "true", "", "true"),
    ("etcd_host", "etcd:2379", "", r#""etcd:2379""#),
    ("kubernetes_use_configmaps", "false", "", "false"),
    ("docker_image", "spilo:next", "", r#""spilo:next""#),
    ("workers", "16", "", "16"),
    ("resync_period", "1h", "", r#""1h""#),
    ("repair_period", "90s", "", r#""1m30s""#),
    ("enable_maintenance_windows", "false", "", "false"),
    ("maintenance_windows", "Sat:02:00-04:00,01:00-02:00", "", r#"["Sat:02:00-04:00","01:00-02:00"]"#),
    ("min_instances", "2", "", "2"),
    ("max_instances", "5", "", "5"),
    ("ignore_instance_limits_annotation_key", "ignore-instances", "", r#""ignore-instances""#),
    ("ignore_resources_limits_annotation_key", "ignore-resources", "", r#""ignore-resources""#),
    ("set_memory_request_to_limit", "true", "", "true"),
    ("enable_shm_volume", "false", "", "false"),
    ("sidecar_docker_images", "log:reg.io/log:1.2", "", r#"{"log":"reg.io/log:1.2"}"#),
    ("super_username", "root", "users", r#""root""#),
    ("replication_username", "replica", "users", r#""replica""#),
    ("additional_owner_roles", "cron_admin, dba", "users", r#"["cron_admin","dba"]"#),
    ("enable_password_rotation", "true", "users", "true"),
    ("password_rotation_interval", "30", "users", "30"),
    ("password_rotation_user_retention", "200", "users", "200"),
    ("major_version_upgrade_mode", "full", "major_version_upgrade", r#""full""#),
    ("major_version_upgrade_team_allow_list", "acid,dba", "major_version_upgrade", r#"["acid","dba"]"#),
    ("minimal_major_version", "15", "major_version_upgrade", r#""15""#),
    ("target_major_version", "17", "major_version_upgrade", r#""17""#),
    ("enable_owner_references", "true", "kubernetes", "true"),
    ("enable_finalizers", "true", "kubernetes", "true"),
    ("pod_service_account_name", "pg", "kubernetes", r#""pg""#),
    ("pod_terminate_grace_period", "3m", "kubernetes", r#""3m""#),
    ("spilo_privileged", "true", "kubernetes", "true"),
    ("spilo_allow_privilege_escalation", "false", "kubernetes", "false"),
    ("spilo_runasuser", "101", "kubernetes", "101"),
    ("spilo_runasgroup", "103", "kubernetes", "103"),
    ("spilo_fsgroup", "0x67", "kubernetes", "103"),
    ("additional_pod_capabilities", "SYS_NICE", "kubernetes", r#"["SYS_NICE"]"#),
    ("watched_namespace", "*", "kubernetes", r#""*""#),
    ("pdb_name_format", "pdb-{cluster}", "kubernetes", r#""pdb-{cluster}""#),
    ("pdb_master_label_selector", "false", "kubernetes", "false"),
    ("enable_pod_disruption_budget", "false", "kubernetes", "false"),
    ("storage_resize_mode", "mixed", "kubernetes", r#""mixed""#),
    ("enable_init_containers", "false", "kubernetes", "false"),
    ("enable_sidecars", "false", "kubernetes", "false"),
    ("share_pgsocket_with_sidecars", "true", "kubernetes", "true"),
    ("secret_name_template", "{username}.{cluster}", "kubernetes", r#""{username}.{cluster}""#),
    ("cluster_domain", "k8s.example.com", "kubernetes", r#""k8s.example.com""#),
    ("oauth_token_secret_name", "ns/token", "kubernetes", r#""ns/token""#),
    ("infrastructure_roles_secret_name", "default/roles", "kubernetes", r#""default/roles""#),
    (
        "infrastructure_roles_secrets",
        "secretname:roles,userkey:user,passwordkey:password,defaultuservalue:app,template:true",
        "kubernetes",
        r#"[{"secretname":"roles","userkey":"user","passwordkey":"password","rolekey":null,
            "defaultuservalue":"app","defaultrolevalue":null,"details":null,"template":true}]"#,
    ),
    ("pod_role_label", "role", "kubernetes", r#""role""#),
    ("cluster_labels", "application:spilo,env:prod", "kubernetes", r#"{"application":"spilo","env":"prod"}"#),
    ("inherited_labels", "owned-by,tier", "kubernetes", r#"["owned-by","tier"]"#),
    ("inherited_annotations", "owned-by", "kubernetes", r#"["owned-by"]"#),
    ("downscaler_annotations", "downscaler/.*", "kubernetes", r#"["downscaler/.*"]"#),
    ("ignored_annotations", "k8s.v1.cni.cncf.io/status", "kubernetes", r#"["k8s.v1.cni.cncf.io/status"]"#),
    ("cluster_name_label", "name", "kubernetes", r#""name""#),
    ("delete_annotation_date_key", "delete-date", "kubernetes", r#""delete-date""#),
    ("delete_annotation_name_key", "delete-name", "kubernetes", r#""delete-name""#),
    ("node_readiness_label", "lifecycle-status:ready", "kubernetes", r#"{"lifecycle-status":"ready"}"#),
    ("node_readiness_label_merge", "AND", "kubernetes", r#""AND""#),
    ("custom_pod_annotations", "a:\"1,2\",b:x:y", "kubernetes", r#"{"a":"\"1,2\"","b":"x:y"}"#),
    (
        "toleration",
        "key:db-only,operator:Exists,effect:NoSchedule",
        "kubernetes",
        r#"{"key":"db-only","operator":"Exists","effect":"NoSchedule"}"#,
    ),
    ("pod_environment_configmap", "default/env", "kubernetes", r#""default/env""#),
    ("pod_environment_secret", "env", "kubernetes", r#""env""#),
    ("pod_priority_class_name", "high", "kubernetes", r#""high""#),
    ("master_pod_move_timeout", "10m", "kubernetes", r#""10m""#),
    ("enable_pod_antiaffinity", "true", "kubernetes", "true"),
    ("pod_antiaffinity_topology_key", "zone", "kubernetes", r#""zone""#),
    ("pod_antiaffinity_preferred_during_scheduling", "true", "kubernetes", "true"),
    ("pod_management_policy", "parallel", "kubernetes", r#""parallel""#),
    (
        "persistent_volume_claim_retention_policy",
        "when_deleted:delete",
        "kubernetes",
        r#"{"when_deleted":"delete","when_scaled":"retain"}"#,
    ),
    ("enable_secrets_deletion", "false", "kubernetes", "false"),
    ("enable_persistent_volume_claim_deletion", "false", "kubernetes", "false"),
    ("enable_readiness_probe", "true", "kubernetes", "true"),
    ("enable_cross_namespace_secret", "true", "kubernetes", "true"),
    ("default_cpu_request", "100m", "postgres_pod_resources", r#""100m""#),
    ("default_memory_request", "100Mi", "postgres_pod_resources", r#""100Mi""#),
    ("default_cpu_limit", "1", "postgres_pod_resources", r#""1""#),
    ("default_memory_limit", "500Mi", "postgres_pod_resources", r#""500Mi""#),
    ("min_cpu_limit", "250m", "postgres_pod_resources", r#""250m""#),
    ("min_memory_limit", "250Mi", "postgres_pod_resources", r#""250Mi""#),
    ("max_cpu_request", "2", "postgres_pod_resources", r#""2""#),
    ("max_memory_request", "4Gi", "postgres_pod_resources", r#""4Gi""#),
    ("resource_check_interval", "4s", "timeouts", r#""4s""#),
    ("resource_check_timeout", "11m", "timeouts", r#""11m""#),
    ("pod_label_wait_timeout", "12m", "timeouts", r#""12m""#),
    ("pod_deletion_wait_timeout", "13m", "timeouts", r#""13m""#),
    ("ready_wait_interval", "5s", "timeouts", r#""5s""#),
    ("ready_wait_timeout", "31s", "timeouts", r#""31s""#),
    ("patroni_api_check_interval", "500ms", "timeouts", r#""500ms""#),
    ("patroni_api_check_timeout", "6s", "timeouts", r#""6s""#),
    ("db_hosted_zone", "db.acme.com", "load_balancer", r#""db.acme.com""#),
    ("enable_master_load_balancer", "false", "load_balancer", "false"),
    ("enable_master_pooler_load_balancer", "true", "load_balancer", "true"),
    ("enable_replica_load_balancer", "true", "load_balancer", "true"),
    ("enable_replica_pooler_load_balancer", "true", "load_balancer", "true"),
    ("enable_master_node_port", "true", "load_balancer", "true"),
    ("enable_master_pooler_node_port", "true", "load_balancer", "true"),
    ("enable_replica_node_port", "true", "load_balancer", "true"),
    ("enable_replica_pooler_node_port", "true", "load_balancer", "true"),
    ("custom_service_annotations", "keyx:valuez", "load_balancer", r#"{"keyx":"valuez"}"#),
    ("master_dns_name_format", "{cluster}.{team}", "load_balancer", r#""{cluster}.{team}""#),
    ("master_legacy_dns_name_format", "{cluster}.x", "load_balancer", r#""{cluster}.x""#),
    ("replica_dns_name_format", "{cluster}-r.{team}", "load_balancer", r#""{cluster}-r.{team}""#),
    ("replica_legacy_dns_name_format", "{cluster}-r.x", "load_balancer", r#""{cluster}-r.x""#),
    ("external_traffic_policy", "Local", "load_balancer", r#""Local""#),
    ("wal_s3_bucket", "wal", "aws_or_gcp", r#""wal""#),
    ("log_s3_bucket", "log", "aws_or_gcp", r#""log""#),
    ("kube_iam_role", "role", "aws_or_gcp", r#""role""#),
    ("irsa_role_arn", "arn:aws:iam::1:role/x", "aws_or_gcp", r#""arn:aws:iam::1:role/x""#),
    ("wal_gs_bucket", "gs", "aws_or_gcp", r#""gs""#),
    ("gcp_credentials", "/var/gcp.json", "aws_or_gcp", r#""/var/gcp.json""#),
    ("wal_az_storage_account", "az", "aws_or_gcp", r#""az""#),
    ("additional_secret_mount", "creds", "aws_or_gcp", r#""creds""#),
    ("additional_secret_mount_path", "/var/secrets", "aws_or_gcp", r#""/var/secrets""#),
    ("aws_region", "eu-west-1", "aws_or_gcp", r#""eu-west-1""#),
    ("logical_backup_schedule", "0 3 * * *", "logical_backup", r#""0 3 * * *""#),
    ("logical_backup_docker_image", "backup:1", "logical_backup", r#""backup:1""#),
    ("logical_backup_provider", "gcs", "logical_backup", r#""gcs""#),
    ("logical_backup_s3_bucket", "dumps", "logical_backup", r#""dumps""#),
    ("logical_backup_s3_bucket_prefix", "pg", "logical_backup", r#""pg""#),
    ("logical_backup_s3_region", "eu", "logical_backup", r#""eu""#),
    ("logical_backup_s3_endpoint", "https://s3", "logical_backup", r#""https://s3""#),
    ("logical_backup_s3_access_key_id", "id", "logical_backup", r#""id""#),
    ("logical_backup_s3_secret_access_key", "key", "logical_backup", r#""key""#),
    ("logical_backup_s3_sse", "AES256", "logical_backup", r#""AES256""#),
    ("logical_backup_s3_retention_time", "2 week", "logical_backup", r#""2 week""#),
    ("logical_backup_google_application_credentials", "/gcp", "logical_backup", r#""/gcp""#),
    ("logical_backup_azure_storage_account_name", "acc", "logical_backup", r#""acc""#),
    ("logical_backup_azure_storage_container", "box", "logical_backup", r#""box""#),
    ("logical_backup_azure_storage_account_key", "key", "logical_backup", r#""key""#),
    ("logical_backup_job_prefix", "lb-", "logical_backup", r#""lb-""#),
    ("logical_backup_cronjob_environment_secret", "env", "logical_backup", r#""env""#),
    ("logical_backup_cpu_request", "100m", "logical_backup", r#""100m""#),
    ("logical_backup_memory_request", "50Mi", "logical_backup", r#""50Mi""#),
    ("logical_backup_cpu_limit", "500m", "logical_backup", r#""500m""#),
    ("logical_backup_memory_limit", "250Mi", "logical_backup", r#""250Mi""#),
    ("logical_backup_successful_jobs_history_limit", "1", "logical_backup", "1"),
    ("logical_backup_failed_jobs_history_limit", "0", "logical_backup", "0"),
    ("logical_backup_ttl_seconds_after_finished", "3600", "logical_backup", "3600"),
    ("debug_logging", "false", "debug", "false"),
    ("enable_database_access", "false", "debug", "false"),
    ("enable_teams_api", "false", "teams_api", "false"),
    ("teams_api_url", "http://teams", "teams_api", r#""http://teams""#),
    ("team_api_role_configuration", "log_statement:ddl", "teams_api", r#"{"log_statement":"ddl"}"#),
    ("enable_team_superuser", "true", "teams_api", "true"),
    ("team_admin_role", "dba", "teams_api", r#""dba""#),
    ("enable_admin_role_for_users", "false", "teams_api", "false"),
    ("pam_role_name", "humans", "teams_api", r#""humans""#),
    ("pam_configuration", "https://t uid", "teams_api", r#""https://t uid""#),
    ("protected_role_names", "admin", "teams_api", r#"["admin"]"#),
    ("postgres_superuser_teams", "acid", "teams_api", r#"["acid"]"#),
    ("role_deletion_suffix", "_gone", "teams_api", r#""_gone""#),
    ("enable_team_member_deprecation", "true", "teams_api", "true"),
    ("enable_postgres_team_crd", "true", "teams_api", "true"),
    ("enable_postgres_team_crd_superusers", "true", "teams_api", "true"),
    ("api_port", "8081", "logging_rest_api", "8081"),
    ("ring_log_lines", "10", "logging_rest_api", "10"),
    ("cluster_history_entries", "20", "logging_rest_api", "20"),
    ("scalyr_api_key", "key", "scalyr", r#""key""#),
    ("scalyr_image", "scalyr:1", "scalyr", r#""scalyr:1""#),
    ("scalyr_server_url", "https://s", "scalyr", r#""https://s""#),
    ("scalyr_cpu_request", "200m", "scalyr", r#""200m""#),
    ("scalyr_memory_request", "60Mi", "scalyr", r#""60Mi""#),
    ("scalyr_cpu_limit", "2", "scalyr", r#""2""#),
    ("scalyr_memory_limit", "600Mi", "scalyr", r#""600Mi""#),
    ("connection_pooler_number_of_instances", "3", "connection_pooler", "3"),
    ("connection_pooler_schema", "pgb", "connection_pooler", r#""pgb""#),
    ("connection_pooler_user", "pgb", "connection_pooler", r#""pgb""#),
    ("connection_pooler_image", "pgb:1", "connection_pooler", r#""pgb:1""#),
    ("connection_pooler_mode", "session", "connection_pooler", r#""session""#),
    ("connection_pooler_max_db_connections", "90", "connection_pooler", "90"),
    ("connection_pooler_default_cpu_request", "500m", "connection_pooler", r#""500m""#),
    ("connection_pooler_default_memory_request", "100Mi", "connection_pooler", r#""100Mi""#),
    ("connection_pooler_default_cpu_limit", "1", "connection_pooler", r#""1""#),
    ("connection_pooler_default_memory_limit", "100Mi", "connection_pooler", r#""100Mi""#),
    ("enable_patroni_failsafe_mode", "true", "patroni", "true"),
];

/// Keys whose text is long, or that a ConfigMap cannot hold.
const OTHER_KEYS: &[&str] = &[
    "sidecars",
    "liveness_probe",
    "pod_service_account_definition",
    "pod_service_account_role_binding_definition",
];

#[test]
fn every_key_of_the_contract_reads_from_a_config_map() {
    let data: Vec<(&str, &str)> = KEYS.iter().map(|(key, text, _, _)| (*key, *text)).collect();
    let config = config_map(&data).config.unwrap_or_else(|errors| panic!("{:#?}", told(&errors)));
    let config = serde_json::to_value(config).unwrap();
    for (key, _, group, expected) in KEYS {
        let pointer = if group.is_empty() { format!("/{key}") } else { format!("/{group}/{key}") };
        let expected: Value = serde_json::from_str(expected).unwrap();
        assert_eq!(config.pointer(&pointer), Some(&expected), "{key}");
    }
}

#[test]
fn the_contract_lists_every_key_there_is() {
    let config = serde_json::to_value(OperatorConfig::default()).unwrap();
    let mut groups: Vec<&str> = KEYS.iter().map(|(_, _, group, _)| *group).collect();
    groups.sort_unstable();
    groups.dedup();
    let known =
        |key: &String| OTHER_KEYS.contains(&key.as_str()) || KEYS.iter().any(|(known, ..)| known == key);
    for (key, value) in config.as_object().unwrap() {
        if groups.contains(&key.as_str()) {
            let unknown: Vec<_> = value.as_object().unwrap().keys().filter(|key| !known(key)).collect();
            assert!(unknown.is_empty(), "{key}: {unknown:?}");
        } else {
            assert!(known(key), "{key}");
        }
    }
}

#[test]
fn every_key_reads_from_a_resource_as_it_is_written() {
    let mut configuration = json!({});
    for (key, _, group, value) in KEYS {
        let value: Value = serde_json::from_str(value).unwrap();
        if group.is_empty() {
            configuration[*key] = value;
        } else {
            configuration[*group][*key] = value;
        }
    }
    let read = resource(configuration.clone()).config.unwrap_or_else(|errors| panic!("{:#?}", told(&errors)));
    let written = serde_json::to_value(read).unwrap();
    for (key, _, group, _) in KEYS {
        let pointer = if group.is_empty() { format!("/{key}") } else { format!("/{group}/{key}") };
        assert_eq!(written.pointer(&pointer), configuration.pointer(&pointer), "{key}");
    }
}

#[test]
fn an_empty_config_map_means_the_defaults_of_the_contract() {
    let reading = config_map(&[]);
    assert_eq!(reading.warnings, []);
    let config = reading.config.unwrap();
    assert_eq!(config, OperatorConfig::default());
    assert_eq!(config.general.workers, 8);
    assert_eq!(config.general.resync_period, Duration::from_secs(1800));
    assert_eq!((config.general.min_instances, config.general.max_instances), (None, None));
    assert_eq!(config.users.password_rotation_user_retention, 180);
    assert_eq!(config.kubernetes.oauth_token_secret_name.to_string(), "postgresql-operator");
    assert_eq!(config.kubernetes.node_readiness_label_merge, NodeReadinessLabelMerge::Or);
    assert!(config.load_balancer.enable_master_load_balancer);
    assert!(config.teams_api.enable_teams_api);
    assert!(!config.teams_api.enable_postgres_team_crd);
}

#[test]
fn a_resource_has_defaults_of_its_own_even_where_a_group_is_left_out() {
    for configuration in [json!({}), json!({"users": {}, "kubernetes": null, "load_balancer": {}})] {
        let reading = resource(configuration);
        assert_eq!(reading.warnings, []);
        let config = reading.config.unwrap();
        assert!(!config.load_balancer.enable_master_load_balancer);
        assert!(!config.teams_api.enable_teams_api);
        assert!(config.teams_api.enable_postgres_team_crd);
        assert_eq!(config.kubernetes.oauth_token_secret_name.to_string(), "postgres-operator");
        assert_eq!(config.kubernetes.pdb_name_format, "postgres-{cluster}-pdb");
        assert_eq!(config.kubernetes.master_pod_move_timeout, Duration::from_secs(1200));
        assert_eq!(config.general.max_instances, None);
        // The default of 120 days is less than two rotations, so it is raised as it always was.
        assert_eq!(config.users.password_rotation_user_retention, 180);
    }
}

#[test]
fn an_empty_text_means_none_or_the_default() {
    let config = resource(json!({
        "etcd_host": "", "docker_image": "",
        "kubernetes": {"secret_name_template": "", "pod_environment_configmap": ""},
        "teams_api": {"team_admin_role": ""},
        "postgres_pod_resources": {"default_cpu_limit": "0", "default_memory_limit": ""},
    }))
    .config
    .unwrap();
    assert_eq!(config.general.etcd_host, None);
    assert_eq!(config.general.docker_image, "ghcr.io/zalando/spilo-18:4.1-p2");
    assert!(config.kubernetes.secret_name_template.contains("{username}"));
    assert_eq!(config.kubernetes.pod_environment_configmap, None);
    assert_eq!(config.teams_api.team_admin_role, None);
    assert_eq!(config.postgres_pod_resources, PostgresPodResources::default());
}

#[test]
fn every_bad_value_is_named_at_once() {
    let errors = config_map(&[
        ("workers", "many"),
        ("resync_period", "30 minutes"),
        ("enable_sidecars", ""),
        ("min_cpu_limit", "250Q"),
        ("storage_resize_mode", "magic"),
        ("cluster_labels", "application"),
        ("max_instances", "0"),
        ("pod_service_account_definition", "kind: Pod"),
        ("target_major_version", "12"),
    ])
    .config
    .unwrap_err();
    let paths: Vec<String> = errors.paths().map(ToString::to_string).collect();
    for key in [
        "workers",
        "resync_period",
        "enable_sidecars",
        "min_cpu_limit",
        "storage_resize_mode",
        "cluster_labels",
        "max_instances",
        "pod_service_account_definition",
        "target_major_version",
    ] {
        assert!(paths.contains(&format!("data[{key}]")), "{key} is not in {paths:?}");
    }
    assert_eq!(paths.len(), 9, "{:#?}", told(&errors));
}

#[test]
fn errors_of_a_resource_have_its_paths_and_say_what_would_be_right() {
    let errors = resource(json!({
        "workers": 0,
        "users": "everyone",
        "kubernetes": {"pdb_name_format": "pdb-{name}", "enable_finalizers": "yes"},
        "connection_pooler": {"connection_pooler_mode": "statement"},
    }))
    .config
    .unwrap_err();
    let mut told = told(&errors);
    told.sort();
    assert_eq!(
        told,
        [
            r#"configuration.connection_pooler.connection_pooler_mode: is "statement"; choose one of session, transaction"#,
            r#"configuration.kubernetes.enable_finalizers: invalid type: string "yes", expected a boolean"#,
            "configuration.users: is a group of settings; write a map",
            "configuration.workers: is 0; write at least 1",
        ]
    );
}

/// One setting (or a few) that each check refuses, and the key it must name.
const REFUSED: &[(&[(&str, &str)], &str)] = &[
    (&[("min_instances", "3"), ("max_instances", "2")], "min_instances"),
    (&[("resync_period", "0")], "resync_period"),
    (&[("resource_check_interval", "1h")], "resource_check_timeout"),
    (&[("patroni_api_check_timeout", "500ms")], "patroni_api_check_timeout"),
    (&[("minimal_major_version", "17"), ("target_major_version", "16")], "minimal_major_version"),
    (&[("password_rotation_interval", "0")], "password_rotation_interval"),
    (&[("api_port", "70000")], "api_port"),
    (&[("api_port", "0")], "api_port"),
    (&[("spilo_fsgroup", "-1")], "spilo_fsgroup"),
    (&[("replication_username", "postgres")], "replication_username"),
    (&[("connection_pooler_user", "postgres")], "connection_pooler_user"),
    (&[("connection_pooler_user", "standby")], "connection_pooler_user"),
    (&[("connection_pooler_user", "cron_admin")], "connection_pooler_user"),
    (&[("connection_pooler_number_of_instances", "0")], "connection_pooler_number_of_instances"),
    (&[("teams_api_url", "teams.example.com")], "teams_api_url"),
    (&[("docker_image", "Spilo 18")], "docker_image"),
    (&[("pod_service_account_name", "Postgres_Pod")], "pod_service_account_name"),
    (&[("logical_backup_job_prefix", "-lb")], "logical_backup_job_prefix"),
    (&[("watched_namespace", "a,b")], "watched_namespace"),
    (&[("sidecar_docker_images", "postgres:spilo")], "sidecar_docker_images"),
    (&[("pod_environment_configmap", "a/b/c")], "pod_environment_configmap"),
    (&[("cluster_name_label", "cluster name")], "cluster_name_label"),
    (&[("cluster_labels", "application:a b")], "cluster_labels"),
    (&[("cluster_labels", "spilo-role:x")], "cluster_labels"),
    (&[("pod_role_label", "cluster-name")], "pod_role_label"),
    (&[("inherited_labels", "application")], "inherited_labels"),
    (&[("inherited_labels", "team")], "inherited_labels"),
    (&[("downscaler_annotations", "*/x")], "downscaler_annotations"),
    (&[("secret_name_template", "{username}.{namespace}.{cluster}")], "secret_name_template"),
    (&[("secret_name_template", "{username}")], "secret_name_template"),
    (&[("pdb_name_format", "PDB_{cluster}")], "pdb_name_format"),
    (&[("master_dns_name_format", "{cluster")], "master_dns_name_format"),
    (&[("maintenance_windows", "Sun:25:00-26:00")], "maintenance_windows"),
    (&[("default_cpu_request", "2"), ("default_cpu_limit", "1")], "default_cpu_request"),
    (&[("min_memory_limit", "-1Gi")], "min_memory_limit"),
    (&[("logical_backup_schedule", "daily")], "logical_backup_schedule"),
    (&[("additional_secret_mount", "creds")], "additional_secret_mount_path"),
    (
        &[("persistent_volume_claim_retention_policy", "when_delete:delete")],
        "persistent_volume_claim_retention_policy",
    ),
    (&[("toleration", "{key:x")], "toleration"),
    (&[("infrastructure_roles_secrets", "userkey:user")], "infrastructure_roles_secrets"),
    (
        &[("pod_service_account_role_binding_definition", r#"{"roleRef":{"name":"x"},"subjects":[]}"#)],
        "pod_service_account_role_binding_definition",
    ),
];

#[test]
fn every_check_names_the_key_to_change() {
    for (data, key) in REFUSED {
        let Err(errors) = config_map(data).config else { panic!("{data:?} should be refused") };
        let paths: Vec<String> = errors.paths().map(ToString::to_string).collect();
        assert!(paths.iter().all(|path| *path == format!("data[{key}]")), "{data:?}: {:?}", told(&errors));
    }
}

#[test]
fn what_is_ignored_or_unwise_is_a_warning() {
    for (key, text, words) in [
        ("worker", "8", "did you mean workers?"),
        ("favourite_colour", "blue", "is unknown and ignored"),
        ("sidecars", "[]", "OperatorConfiguration only"),
        ("enable_load_balancer", "true", "enable_master_load_balancer"),
        ("super_username", "", "the default"),
        ("logical_backup_s3_secret_access_key", "hunter2", "stands in clear"),
        ("kubernetes_use_configmaps", "false", "Endpoints"),
        ("password_rotation_user_retention", "10", "is raised to 180"),
        ("sidecar_docker_images", "a:b", "use sidecars"),
        ("repair_period", "2h", "longer than resync_period"),
    ] {
        let reading = config_map(&[(key, text)]);
        assert!(reading.config.is_ok(), "{key}: {:?}", reading.config);
        let warnings: Vec<String> = reading.warnings.iter().map(ToString::to_string).collect();
        assert!(
            warnings.iter().any(|w| w.starts_with(&format!("data[{key}]: ")) && w.contains(words)),
            "{warnings:?}"
        );
        assert!(warnings.iter().all(|warning| !warning.contains("hunter2")));
    }
}

#[test]
fn a_misplaced_setting_is_told_its_place() {
    let reading = resource(json!({"pdb_name_format": "x", "users": {"worker": 1}}));
    let warnings: Vec<String> = reading.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "configuration.pdb_name_format: is ignored here; it belongs at configuration.kubernetes.pdb_name_format",
            "configuration.users.worker: is unknown and ignored; did you mean workers?",
        ]
    );
}

#[test]
fn a_pooler_of_a_resource_has_two_pods() {
    let pods = |reading: Reading| reading.config.unwrap().connection_pooler.number_of_instances;
    let one = json!({"connection_pooler": {"connection_pooler_number_of_instances": 1}});
    assert_eq!(pods(resource(one)), 2);
    assert_eq!(pods(config_map(&[("connection_pooler_number_of_instances", "1")])), 1);
}

#[test]
fn structures_of_kubernetes_are_read_whole() {
    let config = resource(json!({
        "sidecars": [{"name": "exporter", "image": "exporter:1"}],
        "kubernetes": {
            "liveness_probe": {"periodSeconds": 5},
            "pod_service_account_definition": "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  annotations: {a: b}",
            "pod_service_account_role_binding_definition":
                r#"{"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"x"},
                    "subjects":[{"kind":"ServiceAccount","name":"postgres-pod"}]}"#,
        },
    }))
    .config
    .unwrap_or_else(|errors| panic!("{:#?}", told(&errors)));
    assert_eq!(config.general.sidecars[0].name, "exporter");
    assert_eq!(config.kubernetes.liveness_probe.unwrap().period_seconds, Some(5));
    let account = config.kubernetes.pod_service_account_definition.unwrap();
    assert_eq!(account.metadata.annotations.unwrap(), BTreeMap::from([("a".into(), "b".into())]));
    assert_eq!(config.kubernetes.pod_service_account_role_binding_definition.unwrap().role_ref.name, "x");
}

#[test]
fn what_is_written_reads_back_the_same() {
    for config in [OperatorConfig::default(), OperatorConfig::default_of_resource()] {
        let json = serde_json::to_value(&config).unwrap();
        assert_eq!(serde_json::from_value::<OperatorConfig>(json).unwrap(), config);
    }
}

#[test]
fn the_golden_configurations_parse() {
    for name in ["default", "custom"] {
        let path =
            format!("{}/../tests/fixtures/golden/configurations/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let configuration: OperatorConfiguration = serde_saphyr::from_str(&text).unwrap();
        let reading = read_resource(&configuration);
        let config = reading.config.unwrap_or_else(|errors| panic!("{name}: {:#?}", told(&errors)));
        assert_eq!(config.general.workers, 16);
        assert_eq!(config.general.kubernetes_use_configmaps, name == "default");
        let warned: Vec<&str> = reading.warnings.iter().map(|warning| warning.path.as_str()).collect();
        let expected: &[&str] =
            if name == "custom" { &["configuration.kubernetes_use_configmaps"] } else { &[] };
        assert_eq!(warned, expected);
    }
}
