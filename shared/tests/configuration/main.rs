//! The operator's configuration as users write it, against the contract: every key, both sets of defaults, every
//! error with its key.

mod keys;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use shared::api::OperatorConfiguration;
use shared::config::*;
use shared::field::FieldErrors;

use keys::{KEYS, OTHER_KEYS};

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
            r#"configuration.kubernetes.enable_finalizers: must be true or false without quotes, not the string "yes""#,
            "configuration.kubernetes.pdb_name_format: has \"name\", which nothing fills in; use {cluster}",
            "configuration.kubernetes.pdb_name_format: lacks {cluster}, so names would not be unique",
            "configuration.users: is a group of settings; write a map",
            "configuration.workers: is 0; write at least 1",
        ]
    );
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
        let custom: &[&str] = &[
            "configuration.kubernetes.delete_annotation_date_key",
            "configuration.kubernetes.storage_resize_mode",
            "configuration.kubernetes_use_configmaps",
        ];
        let expected: &[&str] = if name == "custom" { custom } else { &[] };
        assert_eq!(warned, expected);
    }
}
