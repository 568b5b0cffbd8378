//! The rules that stand in the definition of `postgresql`: tables of what is refused, with what would be right.

use kube::Client;
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::manifests::{manifest, manifests};

/// From, to, and the field and words of the refusal; empty where it is accepted.
fn changes() -> Vec<(Value, Value, &'static str, &'static str)> {
    let version = |version: &str| json!({ "postgresql": { "version": version } });
    let volume = |volume: Value| json!({ "volume": volume });
    let size = |size: &str| json!({ "volume": { "size": size } });
    let standby = || json!({ "standby": { "standby_host": "elsewhere" } });
    vec![
        (version("16"), version("15"), "spec.postgresql.version", "cannot go down"),
        (version("16"), version("17"), "", ""),
        (size("10Gi"), size("9Gi"), "spec.volume.size", "cannot shrink"),
        (size("10Gi"), size("10000Mi"), "spec.volume.size", "cannot shrink"),
        (size("1Ti"), size("1000G"), "spec.volume.size", "cannot shrink"),
        (size("10Gi"), size("10240Mi"), "", ""),
        (size("10Gi"), size("1Ti"), "", ""),
        (
            size("10Gi"),
            volume(json!({"size": "10Gi", "storageClass": "fast"})),
            "spec.volume.storageClass",
            "stay behind",
        ),
        (
            volume(json!({"size": "10Gi", "storageClass": "fast"})),
            size("10Gi"),
            "spec.volume.storageClass",
            "stay behind",
        ),
        (volume(json!({"size": "10Gi", "storageClass": ""})), size("10Gi"), "", ""),
        (size("10Gi"), volume(json!({"size": "10Gi", "subPath": "a"})), "spec.volume.subPath", "stay behind"),
        (
            size("10Gi"),
            volume(json!({"size": "10Gi", "isSubPathExpr": true})),
            "spec.volume.isSubPathExpr",
            "stay behind",
        ),
        (size("10Gi"), volume(json!({"size": "10Gi", "isSubPathExpr": false, "iops": 3000})), "", ""),
        (json!({}), standby(), "spec.standby", "cannot be added"),
        (standby(), json!({}), "", ""),
        (standby(), json!({ "standby": { "s3_wal_path": "s3://b/p" } }), "", ""),
        (
            standby(),
            json!({ "standby": { "standby_host": "elsewhere" }, "postgresql": { "version": "17" } }),
            "spec.postgresql.version",
            "cannot change on a standby",
        ),
        (json!({ "numberOfInstances": 2 }), json!({ "numberOfInstances": 0 }), "", ""),
    ]
}

pub(crate) async fn a_change_that_cannot_be_is_refused_and_told_what_would_be_right(client: Client) {
    let api = manifests(&client, "default");
    let mut wrong = Vec::new();
    for (index, (from, to, field, words)) in changes().into_iter().enumerate() {
        let name = format!("change-{index}");
        let stored = api.create(&PostParams::default(), &manifest(&name, &from)).await.unwrap();
        let mut changed = manifest(&name, &to);
        changed.metadata.resource_version = stored.metadata.resource_version;
        let answer = api.replace(&name, &PostParams::default(), &changed).await;
        wrong.extend(unexpected(answer, field, words).map(|told| format!("{from} → {to}: {told}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is refused from the start.
#[allow(clippy::too_many_lines, reason = "a table")]
fn contradictions() -> Vec<(Value, &'static str, &'static str)> {
    let patroni = |section: Value| json!({ "patroni": section });
    let standby = |section: Value| json!({ "standby": section });
    vec![
        (
            json!({ "clone": {"cluster": "a"}, "standby": {"standby_host": "b"} }),
            "spec.standby",
            "contradicts spec.clone",
        ),
        (
            standby(json!({"s3_wal_path": "s3://a", "gs_wal_path": "gs://b"})),
            "spec.standby.gs_wal_path",
            "keep one",
        ),
        (standby(json!({})), "spec.standby", "needs a source"),
        (
            standby(json!({"standby_host": "a", "standby_port": "five"})),
            "spec.standby.standby_port",
            "1 to 65535",
        ),
        (
            json!({ "clone": {"cluster": "a", "timestamp": "2026-01-31T12:30:00Z"} }),
            "spec.clone.timestamp",
            "+00:00",
        ),
        (json!({ "tls": {"secretName": "a", "caSecretName": "b"} }), "spec.tls.caFile", "ca.crt"),
        (
            patroni(json!({"synchronous_mode_strict": true})),
            "spec.patroni.synchronous_mode_strict",
            "synchronous_mode: true",
        ),
        (
            patroni(json!({"slots": {"Big-Slot": {"type": "physical"}}})),
            "spec.patroni.slots",
            "lower-case letters",
        ),
        (patroni(json!({"ttl": -1})), "spec.patroni.ttl", "greater than or equal to 0"),
        (json!({ "teamId": "-acid" }), "spec.teamId", "value of a label"),
        (json!({ "users": {"Foo": []} }), "spec.users", "lower-case"),
        (json!({ "databases": {"1st": "foo"} }), "spec.databases", "not beginning with a digit"),
        (
            json!({ "preparedDatabases": {"a-b": {}} }),
            "spec.preparedDatabases",
            "letters, digits and underscores",
        ),
        (json!({ "volume": {"size": "5K"} }), "spec.volume.size", "not a quantity"),
        (
            json!({ "resources": {"requests": {"memory": "5K"}} }),
            "spec.resources.requests.memory",
            "not a quantity",
        ),
        (
            json!({ "sidecars": [{"resources": {"limits": {"cpu": "much"}}}] }),
            "spec.sidecars[0].resources.limits.cpu",
            "500m",
        ),
        (json!({ "maintenanceWindows": ["Sunday"] }), "spec.maintenanceWindows[0]", "Sat:02:00-04:00"),
        (json!({ "logicalBackupSchedule": "daily" }), "spec.logicalBackupSchedule", "five fields"),
        (
            json!({ "connectionPooler": {"numberOfInstances": 4, "maxDBConnections": 3} }),
            "spec.connectionPooler.maxDBConnections",
            "at least numberOfInstances",
        ),
        (
            json!({ "additionalVolumes": [{"name": "a", "mountPath": "/home/postgres/pgdata", "volumeSource": {}}] }),
            "spec.additionalVolumes[0].mountPath",
            "mount it elsewhere",
        ),
        (json!({ "postgresql": {"version": "13"} }), "spec.postgresql.version", "\"18\""),
    ]
}

pub(crate) async fn a_manifest_that_contradicts_itself_is_refused(client: Client) {
    let api = manifests(&client, "default");
    let mut wrong = Vec::new();
    for (fields, field, words) in contradictions() {
        let answer = api.create(&PostParams::default(), &manifest("contradiction", &fields)).await;
        wrong.extend(unexpected(answer, field, words).map(|told| format!("{fields}: {told}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

pub(crate) async fn what_upstream_accepts_is_accepted(client: Client) {
    let api = manifests(&client, "default");
    let fields = json!({
        "tls": {"secretName": "", "caSecretName": "b"},
        "patroni": {"synchronous_mode_strict": false, "maximum_lag_on_failover": -1, "slots": {"a_1": {"type": "physical"}}},
        "users": {"a": null, "b": [], "ns.c-d_e": ["SUPERUSER", "login"]},
        "databases": {"_Foo1": "a"},
        "preparedDatabases": {"foo": {}},
        "maintenanceWindows": [" 1:5-2:6 ", "Sat:23:59-23:59"],
        "logicalBackupSchedule": "*/5 1 * * 2/3",
        "clone": {"cluster": "acid-batman", "timestamp": "2017-12-19T12:40:33.5-01:00"},
        "connectionPooler": {"maxDBConnections": 60, "mode": "session"},
        "allowedSourceRanges": ["10.0.0.0/8", "::/0"],
        "resources": {"requests": {"cpu": "0.125", "memory": "1e9", "hugepages-2Mi": "128Mi"}, "limits": {"cpu": "0"}},
        "volume": {"size": "1.5Gi", "storageClass": "", "iops": 80000, "throughput": 2000},
        "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"key": "k"}}}],
        "envFrom": [{"configMapRef": {"optional": true}}],
        "additionalVolumes": [{"name": "a", "mountPath": "/a", "targetContainers": null, "volumeSource": {"emptyDir": {}}}],
        "unknown": "is dropped",
    });
    api.create(&PostParams::default(), &manifest("accepted", &fields)).await.unwrap();
}

/// What is not as expected about an answer.
fn unexpected<T>(answer: kube::Result<T>, field: &str, words: &str) -> Option<String> {
    match answer {
        Ok(_) if field.is_empty() => None,
        Ok(_) => Some(format!("is accepted, but should be refused for {field}")),
        Err(kube::Error::Api(status)) if !field.is_empty() => {
            let causes = status.details.map(|details| details.causes).unwrap_or_default();
            let is_told = causes.iter().any(|cause| cause.field == field && cause.message.contains(words));
            (!is_told).then(|| format!("is refused by {causes:?}, not {field}: {words}"))
        }
        Err(error) => Some(format!("is refused: {error}")),
    }
}
