//! Values drawn from a CRD's schema: everything the API server would let in, leaning towards what people write.
//!
//! Types, enumerations, patterns, bounds, `nullable`, `required`, maps, lists and integer-or-text come from the schema
//! alone, so a new field is drawn without a line here. [`SENSIBLE`] only says what a text of some name tends to be;
//! without it hardly a drawn manifest would become a cluster, and the builders would never be reached.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::string::string_regex;
use serde_json::{Map, Value, json};

/// The end of a path, and texts that make sense there. The first match counts; `{}` is a map's key.
const SENSIBLE: &[(&str, &[&str])] = &[
    // Of manifests
    ("postgresql.version", &["14", "15", "16", "17", "18"]),
    ("parameters{}", &["max_connections", "shared_buffers", "work_mem", "log_statement", "wal_level", "x.y"]),
    ("parameters", &["100", "64MB", "all", "logical", "on"]),
    ("users{}", &["app", "app_owner", "zalando", "foo-bar", "pooler", "standby"]),
    ("users[]", &["superuser", "createdb", "NOLOGIN", "login", "replication", "inherit"]),
    ("databases{}", &["app", "shop", "a_b", "postgres"]),
    ("databases", &["app", "app_owner", "zalando", "postgres"]),
    ("preparedDatabases{}", &["app", "shop", "bar"]),
    ("schemas{}", &["data", "history", "public"]),
    ("extensions{}", &["pg_stat_statements", "hstore"]),
    ("defaultUsers", &["app"]),
    ("connectionPooler.user", &["pooler", "pgb", ""]),
    ("connectionPooler.mode", &["session", "transaction"]),
    ("maintenanceWindows[]", &["01:00-06:00", "Sat:00:00-04:00"]),
    ("logicalBackupSchedule", &["30 00 * * *", "0 3 * * 1-5"]),
    ("allowedSourceRanges[]", &["10.0.0.0/8", "127.0.0.1/32", "::1/128"]),
    ("clone.timestamp", &["2026-01-31T12:30:00+00:00"]),
    ("clone.cluster", &["source", "acid-other"]),
    ("uid", &["efd12e58-5786-11e8-b5a7-06148230260c"]),
    ("targetContainers[]", &["all", "postgres", "sidecar-0"]),
    ("mountPath", &["/mnt", "/data/x"]),
    ("slots{}", &["cdc", "physical_1"]),
    ("slots{}{}", &["type", "database", "plugin"]),
    ("slots", &["logical", "physical", "app", "pgoutput"]),
    ("initdb{}", &["encoding", "locale", "data-checksums", "auth-host"]),
    ("initdb", &["UTF8", "true", "en_US.UTF-8"]),
    ("pg_hba[]", &["hostssl all all 0.0.0.0/0 scram-sha-256", "local all all trust"]),
    ("tables{}", &["data.orders", "events"]),
    ("filter{}", &["data.orders", "events"]),
    ("applicationId", &["shop", "shop-app"]),
    // Of both
    ("cpu", &["100m", "0.5", "2"]),
    ("memory", &["100Mi", "1Gi"]),
    ("size", &["1Gi", "10Gi", "500M"]),
    ("requests{}", &["cpu", "memory"]),
    ("limits{}", &["cpu", "memory"]),
    ("requests", &["1", "500m"]),
    ("limits", &["2", "1Gi"]),
    ("image", &["ghcr.io/zalando/spilo-17:4.0-p2"]),
    ("name", &["demo", "acid-app", "sidecar"]),
    ("operator", &["In", "Exists", "Equal"]),
    ("effect", &["NoSchedule"]),
    // Of configurations
    ("super_username", &["postgres", "root"]),
    ("replication_username", &["standby", "repl"]),
    ("role_name", &["admin", "app"]),
    ("team_admin_role", &["admin"]),
    ("pam_role_name", &["zalandos"]),
    ("additional_owner_roles[]", &["cron_admin"]),
    ("protected_role_names[]", &["admin", "cron_admin"]),
    ("secret_name_template", &["{username}.{cluster}.credentials.{tprkind}.{tprgroup}"]),
    ("pdb_name_format", &["postgres-{cluster}-pdb"]),
    ("dns_name_format", &["{cluster}.{namespace}.{hostedzone}", "{cluster}.{team}.{hostedzone}"]),
    ("annotations[]", &["owned-by", "downscaler/*"]),
    ("cluster_labels{}", &["application", "env"]),
    ("cluster_labels", &["spilo", "prod"]),
    ("inherited_labels[]", &["app", "team"]),
];

/// How often one of the sensible texts is drawn, and how often any other, of 100.
const OFTEN: (u32, u32) = (97, 3);
/// How often an optional field is there.
const THERE: f64 = 0.25;
/// How often a required one is missing: the webhook sees manifests before the API server has looked at the schema.
const MISSING: f64 = 0.002;

/// Values that follow a schema. `path` names the place, for [`SENSIBLE`].
pub(crate) fn following(schema: &Value, path: &str) -> BoxedStrategy<Value> {
    let values = not_null(schema, path);
    if flag(schema, "nullable") { prop_oneof![9 => values, 1 => Just(Value::Null)].boxed() } else { values }
}

fn flag(schema: &Value, key: &str) -> bool {
    schema.get(key) == Some(&Value::Bool(true))
}

fn not_null(schema: &Value, path: &str) -> BoxedStrategy<Value> {
    if let Some(known) = schema.get("enum").and_then(Value::as_array) {
        let known: Vec<Value> = known.iter().filter(|value| !value.is_null()).cloned().collect();
        return select(known).boxed();
    }
    if flag(schema, "x-kubernetes-int-or-string") {
        return prop_oneof![integers(schema), texts(schema, path)].boxed();
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("boolean") => any::<bool>().prop_map(Value::from).boxed(),
        Some("integer") => integers(schema),
        Some("number") => (-1000_i32..1000).prop_map(|tenths| json!(f64::from(tenths) / 10.0)).boxed(),
        Some("string") => texts(schema, path),
        Some("array") => lists(schema, path),
        Some("object") => objects(schema, path),
        None if path.ends_with("volumeSource") => volume_sources(),
        None => anything(),
        Some(other) => panic!("{path}: no values of type {other} are drawn yet"),
    }
}

fn integers(schema: &Value) -> BoxedStrategy<Value> {
    let (least, most) = match schema.get("format").and_then(Value::as_str) {
        Some("int64") => (i64::MIN, i64::MAX),
        _ => (i32::MIN.into(), i32::MAX.into()),
    };
    let bound = |key| schema.get(key).and_then(Value::as_f64).map(|bound| bound as i64);
    let (least, most) = (bound("minimum").unwrap_or(least), bound("maximum").unwrap_or(most));
    let small = least.max(0)..=most.min(least.max(0).saturating_add(9));
    prop_oneof![9 => small, 1 => least..=most].prop_map(Value::from).boxed()
}

fn texts(schema: &Value, path: &str) -> BoxedStrategy<Value> {
    let most = schema.get("maxLength").and_then(Value::as_u64).unwrap_or(u64::MAX);
    let sensible = SENSIBLE.iter().find(|(end, _)| path.ends_with(end)).map(|(_, texts)| *texts);
    let any =
        match (schema.get("pattern").and_then(Value::as_str), schema.get("format").and_then(Value::as_str)) {
            (Some(pattern), _) => {
                let inner = pattern.strip_prefix('^').and_then(|rest| rest.strip_suffix('$'));
                string_regex(inner.unwrap_or_else(|| panic!("{path}: {pattern} is not anchored")))
                    .unwrap()
                    .boxed()
            }
            (None, Some("uuid")) => Just("efd12e58-5786-11e8-b5a7-06148230260c".to_owned()).boxed(),
            (None, Some("date-time")) => Just("2026-01-31T12:30:00Z".to_owned()).boxed(),
            (None, _) => prop_oneof![3 => "[a-z]{1,8}", 1 => "\\PC{0,12}", 1 => Just(String::new())].boxed(),
        };
    let short = move |text: &String| u64::try_from(text.chars().count()).unwrap() <= most;
    let any = any.prop_filter("is longer than the schema allows", short);
    match sensible {
        Some(texts) if schema.get("pattern").is_none() => {
            prop_oneof![OFTEN.0 => select(texts).prop_map(str::to_owned), OFTEN.1 => any]
                .prop_map(Value::from)
                .boxed()
        }
        _ => any.prop_map(Value::from).boxed(),
    }
}

fn lists(schema: &Value, path: &str) -> BoxedStrategy<Value> {
    let element = schema.get("items").map_or_else(anything, |items| following(items, &format!("{path}[]")));
    proptest::collection::vec(element, 0..4).prop_map(Value::from).boxed()
}

fn objects(schema: &Value, path: &str) -> BoxedStrategy<Value> {
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let fields: Vec<_> = properties
            .iter()
            .map(|(name, property)| {
                let often = if required.contains(&name.as_str()) { 1.0 - MISSING } else { THERE };
                let value = proptest::option::weighted(often, following(property, &format!("{path}.{name}")));
                (Just(name.clone()), value)
            })
            .collect();
        return fields
            .prop_map(|fields| {
                fields
                    .into_iter()
                    .filter_map(|(name, value)| Some((name, value?)))
                    .collect::<Map<_, _>>()
                    .into()
            })
            .boxed();
    }
    match schema.get("additionalProperties") {
        Some(inner) if inner.is_object() => {
            let key = texts(&json!({}), &format!("{path}{{}}"));
            let entries = proptest::collection::vec((key, following(inner, path)), 0..4);
            entries
                .prop_map(|entries| {
                    let text = |key: Value| key.as_str().unwrap().to_owned();
                    entries.into_iter().map(|(key, value)| (text(key), value)).collect::<Map<_, _>>().into()
                })
                .boxed()
        }
        _ => anything(),
    }
}

/// What `x-kubernetes-preserve-unknown-fields` lets in.
fn anything() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        let entries = proptest::collection::vec(("[a-z]{1,4}", inner.clone()), 0..3);
        prop_oneof![
            proptest::collection::vec(inner, 0..3).prop_map(Value::from),
            entries.prop_map(|entries| entries.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
    .boxed()
}

fn volume_sources() -> BoxedStrategy<Value> {
    let known = [
        json!({"emptyDir": {}}),
        json!({"emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}),
        json!({"configMap": {"name": "settings", "items": [{"key": "a", "path": "b"}]}}),
        json!({"secret": {"secretName": "keys", "defaultMode": 256}}),
        json!({"persistentVolumeClaim": {"claimName": "more"}}),
    ];
    prop_oneof![OFTEN.0 => select(known.to_vec()), OFTEN.1 => anything()].boxed()
}
