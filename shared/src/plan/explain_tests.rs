//! Every kind of change and what it does; bootstrap-only edits and restarts are never confused.

use serde_json::{Value, json};

use super::*;

#[path = "explain_tables.rs"]
mod tables;
use crate::config::{Disruption, one_by_one};

/// One line for each option that touches any of these clusters.
fn plan_configuration(
    old: &OperatorConfig,
    new: &OperatorConfig,
    manifests: &[Postgresql],
    now: Option<Timestamp>,
) -> Vec<Change> {
    let (options, manifests) = (one_by_one(old, new), manifests.iter().collect::<Vec<_>>());
    let touched = touched(old, &options, &manifests, now);
    touched.into_iter().zip(options).filter_map(|(touched, (option, _))| touched.change(option)).collect()
}

/// A cluster of three with something of everything.
fn base() -> Value {
    json!({
        "metadata": {"name": "acid-demo", "namespace": "default", "uid": "u-1"},
        "spec": {
            "teamId": "acid",
            "numberOfInstances": 3,
            "volume": {"size": "10Gi"},
            "postgresql": {"version": "16", "parameters": {
                "max_connections": "100", "work_mem": "4MB", "shared_buffers": "1GB",
            }},
            "users": {"owner": ["superuser", "createdb"], "app": []},
            "databases": {"shop": "owner"},
            "patroni": {"ttl": 30, "initdb": {"encoding": "UTF8"}, "slots": {"cdc": {"type": "physical"}}},
            "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "2Gi"}},
            "clone": {"cluster": "acid-source"},
            "podAnnotations": {"a": "b"},
            "enableMasterLoadBalancer": false,
        },
    })
}

fn with(changes: &[(&str, Value)]) -> Value {
    let mut manifest = base();
    for (pointer, value) in changes {
        let keys: Vec<&str> = pointer.split('/').skip(1).collect();
        let (last, parents) = keys.split_last().unwrap();
        let mut at = &mut manifest;
        for key in parents {
            if at.get(*key).is_none() {
                at[*key] = json!({});
            }
            at = &mut at[*key];
        }
        if value.is_null() && *last != "app2" {
            at.as_object_mut().unwrap().remove(*last);
        } else {
            at[*last] = value.clone();
        }
    }
    manifest
}

fn typed(manifest: Value) -> Postgresql {
    let mut manifest = manifest;
    manifest["apiVersion"] = json!("acid.zalan.do/v1");
    manifest["kind"] = json!("postgresql");
    serde_json::from_value(manifest).unwrap()
}

fn explained(changes: &[(&str, Value)], config: &OperatorConfig) -> Vec<Change> {
    plan(&typed(base()), &typed(with(changes)), config, None)
}

/// What the one changed field does: all its lines have one effect, and are read as one here.
fn single(pointer: &str, value: Value, config: &OperatorConfig) -> Change {
    joined(explained(&[(pointer, value)], config)).unwrap_or_else(|| panic!("{pointer} does nothing"))
}

fn joined(changes: Vec<Change>) -> Option<Change> {
    changes.into_iter().reduce(|first, next| {
        assert_eq!((&first.field, first.effect), (&next.field, next.effect));
        Change { message: format!("{}; {}", first.message, next.message), ..first }
    })
}

#[test]
fn where_revocation_is_strict_what_left_the_manifest_is_taken_away() {
    let mut config = OperatorConfig::default();
    config.users.enable_strict_revocation = true;
    for (pointer, value, sentence) in [
        ("/spec/users/app", Value::Null, "spec.users[app]: by SQL: role app gets NOLOGIN"),
        ("/spec/users/owner", json!(["superuser"]), "spec.users[owner]: by SQL: role owner gets NOCREATEDB"),
        (
            "/spec/databases/shop",
            Value::Null,
            "spec.databases[shop]: nothing is dropped: database shop stays",
        ),
    ] {
        assert_eq!(single(pointer, value, &config).to_string(), sentence);
    }
}

#[test]
fn what_only_a_new_cluster_reads_never_speaks_of_a_restart() {
    for (pointer, value) in [
        ("/spec/patroni/initdb/encoding", json!("LATIN1")),
        ("/spec/patroni/initdb/data-checksums", json!("true")),
        ("/spec/patroni/initdb", Value::Null),
        ("/spec/clone/cluster", json!("acid-other")),
        ("/spec/clone/s3_endpoint", json!("https://s3.example.org")),
        ("/spec/clone/timestamp", json!("2026-11-01T00:00:00+00:00")),
        ("/spec/clone/uid", json!("7f0d5e1c-0000-4000-8000-000000000000")),
        ("/spec/clone", Value::Null),
    ] {
        for change in explained(&[(pointer, value)], &OperatorConfig::default()) {
            assert_eq!(change.effect, Effect::Ignored, "{change}");
            assert!(!change.message.contains("restart") && !change.message.contains("rolling"), "{change}");
        }
    }
}

#[test]
fn the_same_manifest_in_other_words_says_nothing() {
    assert_eq!(explained(&[], &OperatorConfig::default()), []);
    let words = [("/spec/env", json!([])), ("/spec/dockerImage", json!("")), ("/spec/users/app", json!([]))];
    assert_eq!(explained(&words, &OperatorConfig::default()), []);
    let label = [("/metadata/labels/unheard", json!("of"))];
    assert_eq!(explained(&label, &OperatorConfig::default()), []);
}

#[test]
fn a_line_fits_a_terminal_whatever_the_names_are() {
    let long = "a".repeat(63);
    let users = format!("/spec/users/{long}");
    let setting = format!("/spec/postgresql/parameters/pg_stat_statements.{long}");
    for (pointer, value) in [
        (users.as_str(), json!(["createdb"])),
        (setting.as_str(), json!("1")),
        ("/spec/postgresql/version", json!("17")),
    ] {
        for change in explained(&[(pointer, value.clone())], &OperatorConfig::default()) {
            let line = change.to_string();
            assert!(line.len() <= super::super::LONGEST_LINE, "{} bytes: {line}", line.len());
            assert!(!change.message.is_empty());
        }
    }
    let everything = [
        ("/spec/postgresql/version", json!("17")),
        ("/spec/numberOfInstances", json!(5)),
        ("/spec/teamId", json!("other")),
        ("/spec/dockerImage", json!("spilo:next")),
    ];
    for change in explained(&everything, &OperatorConfig::default()) {
        assert!(change.to_string().len() <= super::super::LONGEST_LINE, "{change}");
    }
}

#[test]
fn a_label_that_pods_inherit_is_not_harmless() {
    let mut config = OperatorConfig::default();
    config.kubernetes.inherited_labels = vec!["cost-center".to_owned()];
    let change = single("/metadata/labels/cost-center", json!("7"), &config);
    assert!(change.effect >= Effect::RollingUpdate, "{change}");
    assert!(change.message.starts_with("rolling update of 3 pods"), "{change}");
    assert_eq!(change.field.as_str(), "metadata.labels[cost-center]");
}

#[test]
fn fields_that_work_only_together_share_the_effect() {
    let changes = explained(
        &[("/spec/enableMasterNodePort", json!(true)), ("/spec/masterNodePort", json!(31000))],
        &OperatorConfig::default(),
    );
    assert_eq!(changes.len(), 2);
    for change in changes {
        assert_eq!(change.effect, Effect::Patch, "{change}");
    }
}

#[test]
fn the_configuration_has_its_say() {
    let mut config = OperatorConfig::default();
    config.general.enable_lazy_spilo_upgrade = true;
    config.general.max_instances = Some(3);
    config.kubernetes.storage_resize_mode = crate::config::StorageResizeMode::Off;
    let image = single("/spec/dockerImage", json!("spilo:next"), &config);
    assert_eq!(image.effect, Effect::Patch);
    assert!(image.message.starts_with("a pod takes the new image when it is next recreated"), "{image}");
    assert_eq!(explained(&[("/spec/numberOfInstances", json!(5))], &config), []);
    let size = single("/spec/volume/size", json!("20Gi"), &config);
    assert!(size.message.starts_with("only new volumes get 20Gi"), "{size}");
}

#[test]
fn a_cluster_that_goes_with_its_volumes_loses_data() {
    let mut config = OperatorConfig::default();
    config.kubernetes.persistent_volume_claim_retention_policy.when_scaled =
        crate::config::RetentionPolicy::Delete;
    let gone = single("/spec/numberOfInstances", json!(0), &config);
    assert_eq!(gone.effect, Effect::LosesData);
    assert!(gone.message.ends_with("their volumes are deleted"), "{gone}");
    assert_eq!(single("/spec/numberOfInstances", json!(1), &config).effect, Effect::Patch);
}

#[test]
fn a_standby_that_stops_following_is_promoted() {
    let standby = with(&[("/spec/clone", Value::Null), ("/spec/standby", json!({"standby_host": "a"}))]);
    let promoted = with(&[("/spec/clone", Value::Null)]);
    let changes = plan(&typed(standby), &typed(promoted), &OperatorConfig::default(), None);
    assert!(changes.iter().all(|change| change.field.as_str() == "spec.standby"), "{changes:?}");
    assert_eq!(changes[0].effect, Effect::RollingUpdate);
    assert!(changes[0].message.starts_with("the cluster is promoted"), "{}", changes[0]);
}

#[test]
fn a_lone_pod_is_told_of_its_absence() {
    let old = with(&[("/spec/numberOfInstances", json!(1))]);
    let new = with(&[("/spec/numberOfInstances", json!(1)), ("/spec/dockerImage", json!("spilo:next"))]);
    let changes = plan(&typed(old), &typed(new), &OperatorConfig::default(), None);
    assert_eq!(changes[0].message, "the only pod is recreated; the database is down meanwhile");
}

/// What is said of a change on a Thursday, of clusters that may be disturbed on Sundays.
fn on_a_thursday(changes: &[(&str, Value)], outside: &[Disruption]) -> Vec<String> {
    let mut config = OperatorConfig::default();
    config.general.maintenance_windows = vec!["Sun:02:00-04:00".parse().unwrap()];
    config.general.outside_maintenance_windows = outside.to_vec();
    let thursday = "2026-01-01T12:00:00Z".parse().unwrap();
    let lines = plan(&typed(base()), &typed(with(changes)), &config, Some(thursday));
    lines.iter().map(ToString::to_string).collect()
}

#[test]
fn what_the_rollout_holds_back_is_told_with_its_window() {
    let image: &[_] = &[("/spec/dockerImage", json!("spilo:next"))];
    let rolling = "spec.dockerImage: rolling update of 3 pods, replicas first, then a switchover";
    assert_eq!(on_a_thursday(image, &[]), [format!("{rolling}; waits for the window Sun:02:00-04:00 UTC")]);
    assert_eq!(
        on_a_thursday(image, &[Disruption::RecreateReplica]),
        [rolling, "spec.dockerImage: the switchover waits for the window Sun:02:00-04:00 UTC"]
    );
    let both = [Disruption::RecreateReplica, Disruption::Switchover];
    assert_eq!(on_a_thursday(image, &both), [rolling]);
    let restart: &[_] = &[("/spec/postgresql/parameters/max_connections", json!("200"))];
    assert_eq!(
        on_a_thursday(restart, &both).concat(),
        "spec.postgresql.parameters[max_connections]: PostgreSQL restarts in every pod, replicas first\
         spec.postgresql.parameters[max_connections]: waits for the window Sun:02:00-04:00 UTC"
    );
    let quiet: &[_] =
        &[("/spec/postgresql/parameters/work_mem", json!("5MB")), ("/spec/numberOfInstances", json!(4))];
    assert!(on_a_thursday(quiet, &[]).iter().all(|line| !line.contains("waits")), "nobody is disturbed");
    let lifted: &[_] = &[image[0].clone(), ("/spec/maintenanceWindows", json!(["00:00-23:59"]))];
    assert_eq!(on_a_thursday(lifted, &[]), [rolling], "the new manifest's windows count, and they are open");
}

#[test]
fn clusters_that_wait_for_their_windows_are_counted() {
    let windows = ["Sun:02:00-04:00", "Mon:02:00-04:00", "Tue:02:00-04:00"];
    let own = [("/metadata/name", json!("acid-1")), ("/spec/maintenanceWindows", json!(windows))];
    let manifests = [typed(base()), typed(with(&own))];
    let old = OperatorConfig::default();
    let mut new = old.clone();
    new.general.docker_image = "spilo:next".into();
    let lines = |manifests: &[Postgresql]| plan_configuration(&old, &new, manifests, None)[0].message.clone();
    assert_eq!(
        lines(&manifests),
        "rolling update of 2 clusters (6 pods), 1 of them in maintenance windows; first: default/acid-demo, default/acid-1"
    );
    assert_eq!(
        lines(&manifests[1..]),
        "rolling update of 1 cluster (3 pods), in maintenance windows; first: default/acid-1"
    );
    let image = with(&[own[0].clone(), own[1].clone(), ("/spec/dockerImage", json!("spilo:next"))]);
    let changes = plan(&manifests[1], &typed(image), &old, None);
    assert_eq!(changes.last().unwrap().message, "waits for the window Sun:02:00-04:00 UTC, or one of 2 more");
}

#[test]
fn a_new_member_takes_over_before_the_old_one_is_recreated() {
    let old = with(&[("/spec/numberOfInstances", json!(1))]);
    let new = with(&[
        ("/spec/numberOfInstances", json!(2)),
        ("/spec/dockerImage", json!("spilo:next")),
        ("/spec/postgresql/parameters/max_connections", json!("200")),
    ]);
    let lines = plan(&typed(old), &typed(new), &OperatorConfig::default(), None);
    let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
    assert!(lines.concat().contains("a switchover, and the old pod is recreated"), "{lines:?}");
}

#[test]
fn what_kubernetes_stores_in_the_same_form_is_no_change() {
    let old = with(&[
        ("/spec/sidecars", json!([{"name": "a", "image": "a:1"}])),
        ("/spec/env", json!([{"name": "A", "value": "b"}])),
        (
            "/spec/additionalVolumes",
            json!([{"name": "m", "mountPath": "/m", "volumeSource": {"nfs": {"server": "s", "path": "/"}}}]),
        ),
    ]);
    let same = with(&[
        ("/spec/volume/size", json!("10240Mi")),
        (
            "/spec/resources",
            json!({"requests": {"cpu": "1000m", "memory": "1024Mi"}, "limits": {"cpu": "2.0", "memory": "2048Mi"}}),
        ),
        ("/spec/sidecars", json!([{"name": "a", "image": "a:1", "env": [], "ports": [], "command": []}])),
        ("/spec/env", json!([{"name": "A", "value": "b"}])),
        (
            "/spec/additionalVolumes",
            json!([{"name": "m", "mountPath": "/m", "subPath": "", "targetContainers": [],
            "volumeSource": {"nfs": {"server": "s", "path": "/", "readOnly": false}}}]),
        ),
        ("/spec/tolerations", json!([])),
        ("/spec/nodeAffinity", json!({"preferredDuringSchedulingIgnoredDuringExecution": []})),
        ("/spec/topologySpreadConstraints", json!([])),
        ("/spec/initContainers", json!([])),
    ]);
    assert_eq!(plan(&typed(old), &typed(same), &OperatorConfig::default(), None), []);
}

#[test]
fn an_option_of_the_operator_is_counted_over_all_clusters() {
    let cluster = |name: &str, image: Value| {
        let own = [("/metadata/name", json!(name)), ("/spec/dockerImage", image)];
        typed(with(&own))
    };
    let manifests: Vec<Postgresql> = (0..4)
        .map(|n| cluster(&format!("acid-{n}"), if n == 0 { json!("own:1") } else { Value::Null }))
        .collect();
    let old = OperatorConfig::default();
    let mut new = old.clone();
    new.general.docker_image = "spilo:next".into();
    new.general.workers = 3;
    new.patroni.enable_patroni_failsafe_mode = !old.patroni.enable_patroni_failsafe_mode;
    let lines: Vec<String> =
        plan_configuration(&old, &new, &manifests, None).iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "docker_image: rolling update of 3 clusters (9 pods); first: default/acid-1, default/acid-2",
            "enable_patroni_failsafe_mode: PostgreSQL reads its configuration again in 4 clusters; first: default/acid-0, default/acid-1",
        ]
    );
}

#[test]
fn what_ec2_is_asked_for_is_told_and_what_nobody_asks_for_too() {
    let mut config = OperatorConfig::default();
    let told = |value: i32, config: &OperatorConfig| {
        explained(&[("/spec/volume/iops", json!(value))], config)
            .into_iter()
            .map(|change| change.to_string())
            .collect::<Vec<_>>()
    };
    let only =
        "spec.volume.iops: has no effect: only with storage_resize_mode: mixed the operator asks EC2 for it";
    assert_eq!(told(4000, &config), [only]);
    config.kubernetes.storage_resize_mode = crate::config::StorageResizeMode::Mixed;
    assert_eq!(told(4000, &config), ["spec.volume.iops: EC2 changes the members' disks, no pod restarts"]);
    assert_eq!(told(100, &config), [""; 0]);
}

#[test]
fn where_ec2_enlarges_disks_nobody_is_told_that_claims_grow_and_the_mode_alone_does_nothing() {
    let mut config = OperatorConfig::default();
    let before = config.clone();
    config.kubernetes.storage_resize_mode = crate::config::StorageResizeMode::Ebs;
    let told: Vec<String> =
        explained(&[("/spec/volume/size", json!("20Gi"))], &config).iter().map(ToString::to_string).collect();
    let expected =
        "spec.volume.size: EC2 enlarges the disks from 10Gi to 20Gi, if the operator is built with ec2";
    assert_eq!(told, [expected]);
    assert_eq!(plan_configuration(&before, &config, &[typed(base())], None), []);
}

#[test]
fn a_restart_is_told_only_where_a_value_becomes_another_one() {
    let config = OperatorConfig::default();
    let told = |name: &str, value: Value| {
        single(&format!("/spec/postgresql/parameters/{name}"), value, &config).message
    };
    let (reload, restart) = (
        "PostgreSQL reads its configuration again, nothing restarts",
        "PostgreSQL restarts in every pod, replicas first",
    );
    for (name, value, expected) in [
        ("max_worker_processes", json!("8"), reload),
        ("max_worker_processes", json!("9"), restart),
        ("max_connections", json!("1e2"), reload),
        ("max_connections", json!(null), reload),
        ("max_connections", json!("101"), restart),
        ("track_commit_timestamp", json!("no"), reload),
    ] {
        assert_eq!(told(name, value.clone()), expected, "{name} = {value}");
    }
    assert_eq!(
        told("pg_stat_statements.max", json!("5000")),
        format!("{restart}; nothing restarts if that is its value already")
    );
}
