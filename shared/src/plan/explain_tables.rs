//! Two tables: which effect a change of each field has, and the sentence that says so.

use serde_json::{Value, json};

use super::*;

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn every_field_has_the_effect_that_building_it_shows() {
    use Effect::{Ignored, MajorUpgrade, Patch, Reload, ReplaceStatefulSet, Restart, RollingUpdate, Sql};
    let parameter = |name: &str| format!("/spec/postgresql/parameters/{name}");
    let table: Vec<(String, Value, Effect)> = vec![
        (parameter("max_connections"), json!("200"), Restart),
        (parameter("max_connections"), json!("50"), Restart),
        (parameter("max_connections"), Value::Null, Reload), // which is 100 again
        (parameter("work_mem"), json!("8MB"), Reload),
        (parameter("work_mem"), Value::Null, Reload),
        (parameter("shared_buffers"), json!("2GB"), RollingUpdate),
        (parameter("shared_preload_libraries"), json!("pg_stat_statements"), RollingUpdate),
        (parameter("wal_level"), json!("logical"), Restart),
        (parameter("autovacuum_max_workers"), json!("8"), Restart),
        (parameter("pg_stat_statements.max"), json!("500"), Restart),
        (parameter("log_statement"), json!("all"), Reload),
        ("/spec/dockerImage".into(), json!("spilo:next"), RollingUpdate),
        ("/spec/resources/requests/cpu".into(), json!("500m"), RollingUpdate),
        ("/spec/resources/limits/memory".into(), json!("3Gi"), RollingUpdate),
        ("/spec/env".into(), json!([{"name": "A", "value": "b"}]), RollingUpdate),
        ("/spec/sidecars".into(), json!([{"name": "x", "image": "x:1"}]), RollingUpdate),
        ("/spec/initContainers".into(), json!([{"name": "x", "image": "x:1"}]), RollingUpdate),
        ("/spec/tolerations".into(), json!([{"key": "a", "operator": "Exists"}]), RollingUpdate),
        ("/spec/schedulerName".into(), json!("other"), RollingUpdate),
        ("/spec/podPriorityClassName".into(), json!("high"), RollingUpdate),
        ("/spec/enableShmVolume".into(), json!(false), RollingUpdate),
        ("/spec/spiloRunAsUser".into(), json!(101), RollingUpdate),
        ("/spec/tls".into(), json!({"secretName": "x"}), RollingUpdate),
        ("/spec/patroni/pg_hba".into(), json!(["local all all trust"]), RollingUpdate),
        ("/spec/patroni/ttl".into(), json!(40), Reload),
        ("/spec/patroni/loop_wait".into(), json!(5), Reload),
        ("/spec/patroni/synchronous_mode".into(), json!(true), Reload),
        ("/spec/patroni/failsafe_mode".into(), json!(true), Reload),
        ("/spec/patroni/slots/cdc".into(), Value::Null, Reload),
        ("/spec/patroni/slots/other".into(), json!({"type": "physical"}), Reload),
        ("/spec/numberOfInstances".into(), json!(5), Patch),
        ("/spec/numberOfInstances".into(), json!(2), Patch),
        ("/spec/numberOfInstances".into(), json!(0), Patch),
        ("/spec/podAnnotations/a".into(), json!("c"), Patch),
        ("/spec/enableMasterLoadBalancer".into(), json!(true), Patch),
        ("/spec/serviceAnnotations/x".into(), json!("y"), Patch),
        ("/spec/volume/size".into(), json!("20Gi"), ReplaceStatefulSet),
        ("/spec/users/app2".into(), json!(["createdb"]), Sql),
        ("/spec/users/app".into(), json!(["nologin"]), Sql),
        ("/spec/users/app".into(), Value::Null, Ignored),
        ("/spec/users/owner".into(), json!(["superuser"]), Ignored),
        ("/spec/users/owner".into(), json!(["superuser", "nocreatedb"]), Sql),
        ("/spec/databases/other".into(), json!("owner"), Sql),
        ("/spec/databases/shop".into(), json!("app"), Sql),
        ("/spec/databases/shop".into(), Value::Null, Ignored),
        ("/spec/patroni/initdb/encoding".into(), json!("LATIN1"), Ignored),
        ("/spec/patroni/initdb/locale".into(), json!("C"), Ignored),
        ("/spec/clone/cluster".into(), json!("acid-other"), Ignored),
        ("/spec/clone".into(), Value::Null, Ignored),
        ("/spec/maintenanceWindows".into(), json!(["Sun:01:00-02:00"]), Ignored),
        ("/spec/postgresql/version".into(), json!("17"), MajorUpgrade),
        ("/spec/teamId".into(), json!("other"), ReplaceStatefulSet),
    ];
    assert!(table.len() >= 40);
    let mut wrong = Vec::new();
    for (pointer, value, effect) in table {
        let change = joined(explained(&[(pointer.as_str(), value.clone())], &OperatorConfig::default()));
        // What does nothing at all is not spoken of.
        let line = change.as_ref().map(ToString::to_string).unwrap_or_default();
        let told = change.map_or(Ignored, |change| change.effect);
        if told != effect {
            wrong.push(format!("{pointer} = {value}: {told:?}, not {effect:?}: {line}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn each_sentence_says_what_happens() {
    for (pointer, value, sentence) in [
        (
            "/spec/postgresql/parameters/max_connections",
            json!("200"),
            "spec.postgresql.parameters[max_connections]: PostgreSQL restarts in every pod, replicas first",
        ),
        (
            "/spec/postgresql/parameters/max_connections",
            json!("50"),
            "spec.postgresql.parameters[max_connections]: PostgreSQL restarts in every pod, the primary first",
        ),
        (
            "/spec/postgresql/parameters/work_mem",
            json!("8MB"),
            "spec.postgresql.parameters[work_mem]: PostgreSQL reads its configuration again, nothing restarts",
        ),
        (
            "/spec/dockerImage",
            json!("spilo:next"),
            "spec.dockerImage: rolling update of 3 pods, replicas first, then a switchover",
        ),
        (
            "/spec/volume/size",
            json!("20Gi"),
            "spec.volume.size: each volume grows from 10Gi to 20Gi, no pod restarts",
        ),
        ("/spec/numberOfInstances", json!(5), "spec.numberOfInstances: two more members are added"),
        (
            "/spec/numberOfInstances",
            json!(2),
            "spec.numberOfInstances: one member is removed; its volume stays",
        ),
        (
            "/spec/numberOfInstances",
            json!(0),
            "spec.numberOfInstances: all members are removed, the database stops; their volumes stay",
        ),
        ("/spec/users/app2", json!(["createdb"]), "spec.users[app2]: by SQL: role app2 is made"),
        ("/spec/users/app", Value::Null, "spec.users[app]: nothing is dropped: role app stays"),
        (
            "/spec/users/owner",
            json!(["superuser"]),
            "spec.users[owner]: nothing is dropped: role owner keeps CREATEDB; take it away with NOCREATEDB",
        ),
        (
            "/spec/databases/shop",
            Value::Null,
            "spec.databases[shop]: nothing is dropped: database shop stays",
        ),
        ("/spec/databases/shop", json!("app"), "spec.databases[shop]: by SQL: database shop goes to app"),
        ("/spec/patroni/ttl", json!(40), "spec.patroni.ttl: Patroni takes it over, nothing restarts"),
        (
            "/spec/clone",
            Value::Null,
            "spec.clone: is read only when the cluster is created; this cluster stays as it is",
        ),
        (
            "/spec/podAnnotations/a",
            json!("c"),
            "spec.podAnnotations[a]: the StatefulSet is updated, no pod restarts",
        ),
        (
            "/spec/serviceAnnotations/x",
            json!("y"),
            "spec.serviceAnnotations[x]: Service acid-demo, Service acid-demo-repl are updated, no pod restarts",
        ),
    ] {
        assert_eq!(single(pointer, value, &OperatorConfig::default()).to_string(), sentence);
    }
}
