//! What holds for every manifest and every configuration that the CRDs' schemas let in, drawn from those schemas.
//!
//! The draw is the same in every run, so a failure here is one everywhere; `PROPTEST_CASES=10000` draws more of them.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may be blunt")]
#![allow(clippy::cast_possible_truncation, reason = "bounds of a schema are small")]

mod schema;
mod stored;

use std::cell::Cell;

use kube::CustomResourceExt;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use schema::following;
use serde::Serialize;
use serde_json::{Map, Value, json};
use shared::admission;
use shared::api::{OperatorConfiguration, Postgresql};
use shared::build::build;
use shared::cluster::{Cluster, References};
use shared::config::OperatorConfig;
use shared::plan;
use stored::stored;

/// Runs a property on this many values, unless the environment says another number.
fn check<T: std::fmt::Debug>(cases: u32, values: impl Strategy<Value = T>, property: impl Fn(T)) {
    let default = Config { cases, failure_persistence: None, ..Config::default() };
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(cases);
    let config = Config { cases, max_shrink_iters: 2000, ..default };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let result = runner.run(&values, |value| {
        property(value);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

/// The schema of a part of a kind.
fn schema_of(crd: impl Serialize, part: &str) -> Value {
    let crd = serde_json::to_value(crd).unwrap();
    crd.pointer(&format!("/spec/versions/0/schema/openAPIV3Schema/properties/{part}")).unwrap().clone()
}

/// Metadata with some of what the operator reads of it.
fn metadata() -> impl Strategy<Value = Value> {
    let name = prop_oneof![9 => Just("acid-demo".to_owned()), 1 => "[a-z]([-a-z0-9]{0,60}[a-z0-9])?"];
    let pairs = |keys: &'static [&'static str]| {
        let pair = (proptest::sample::select(keys), "[a-z0-9/.]{0,6}");
        proptest::collection::vec(pair, 0..3).prop_map(|pairs| {
            pairs.into_iter().map(|(key, value)| (key.to_owned(), json!(value))).collect::<Map<_, _>>()
        })
    };
    let labels = pairs(&["app", "team", "env", "application"]);
    let annotations = pairs(&["owned-by", "downscaler/uptime", "delete-date", "acid.zalan.do/controller"]);
    (name, labels, annotations).prop_map(|(name, labels, annotations)| {
        json!({
            "name": name, "namespace": "default", "uid": "efd12e58-5786-11e8-b5a7-06148230260c",
            "labels": labels, "annotations": annotations,
        })
    })
}

fn manifest(metadata: Value, spec: Value) -> Value {
    json!({"apiVersion": "acid.zalan.do/v1", "kind": "postgresql", "metadata": metadata, "spec": spec})
}

fn manifests() -> impl Strategy<Value = Value> {
    let spec = following(&schema_of(Postgresql::crd(), "spec"), "spec");
    (metadata(), spec).prop_map(|(metadata, spec)| manifest(metadata, spec))
}

/// A small manifest with a few drawn fields, and what becomes of it when a few others are set. With many of them hardly
/// one would be valid.
fn updates() -> impl Strategy<Value = (Value, Value)> {
    let spec = || following(&schema_of(Postgresql::crd(), "spec"), "spec");
    (metadata(), spec(), spec(), any::<u128>()).prop_map(|(metadata, one, other, which)| {
        let old = with_some_of(
            json!({
                "teamId": "acid", "numberOfInstances": 2, "postgresql": {"version": "17"}, "volume": {"size": "1Gi"},
            }),
            &one,
            which,
        );
        let new = with_some_of(old.clone(), &other, which.rotate_left(64));
        (manifest(metadata.clone(), old), manifest(metadata, new))
    })
}

/// The spec with every fourth field of another one; two bits say for each.
fn with_some_of(mut spec: Value, other: &Value, which: u128) -> Value {
    for (index, (field, value)) in other.as_object().unwrap().iter().enumerate() {
        if (which >> (index * 2 % 126)) & 3 == 0 {
            spec[field] = value.clone();
        }
    }
    spec
}

fn configurations() -> impl Strategy<Value = Value> {
    let configuration = following(&schema_of(OperatorConfiguration::crd(), "configuration"), "configuration");
    configuration.prop_map(|configuration| {
        json!({
            "apiVersion": "acid.zalan.do/v1", "kind": "OperatorConfiguration",
            "metadata": {"name": "operator"}, "configuration": configuration,
        })
    })
}

fn read(configuration: &Value) -> Option<OperatorConfig> {
    let resource: OperatorConfiguration = serde_json::from_value(configuration.clone()).ok()?;
    OperatorConfig::from_resource(&resource).ok()
}

fn resolved(manifest: &Value, config: &OperatorConfig) -> Option<Cluster> {
    let manifest: Postgresql = serde_json::from_value(manifest.clone()).ok()?;
    Cluster::resolve(&manifest, config, &References::unread()).ok()
}

/// What of `given` is not in `kept`. A null means the same as nothing, and a quantity is kept as text.
fn lost(given: &Value, kept: &Value, path: &str) -> Option<String> {
    match (given, kept) {
        (Value::Null, Value::Null) => None,
        (Value::Number(number), Value::String(text)) if number.to_string() == *text => None,
        (Value::Object(fields), Value::Object(kept)) => fields.iter().find_map(|(key, value)| {
            let path = format!("{path}.{key}");
            match kept.get(key) {
                Some(kept) => lost(value, kept, &path),
                None => (!value.is_null()).then_some(path),
            }
        }),
        (Value::Array(items), Value::Array(kept)) if items.len() == kept.len() => items
            .iter()
            .zip(kept)
            .enumerate()
            .find_map(|(at, (item, kept))| lost(item, kept, &format!("{path}[{at}]"))),
        _ => (given != kept).then(|| format!("{path}: {given} became {kept}")),
    }
}

#[test]
fn a_manifest_that_the_schema_admits_is_read_and_written_without_loss() {
    check(400, manifests(), |drawn| {
        let complete = shared::schema::violations(&drawn).is_empty();
        let read: Result<Postgresql, _> = serde_json::from_value(drawn.clone());
        match read {
            Ok(manifest) => {
                let written = serde_json::to_value(manifest).unwrap();
                assert_eq!(lost(&drawn, &written, ""), None);
            }
            Err(error) => assert!(!complete, "{error}"),
        }
    });
}

#[test]
fn a_configuration_that_the_schema_admits_is_read_and_written_without_loss() {
    check(400, configurations(), |drawn| {
        let read: OperatorConfiguration = serde_json::from_value(drawn.clone()).unwrap();
        let written = serde_json::to_value(read).unwrap();
        let part = |of: &Value| of.get("configuration").cloned().unwrap();
        assert_eq!(lost(&part(&drawn), &part(&written), "configuration"), None);
    });
}

#[test]
fn whatever_is_built_is_built_the_same_twice_and_then_there_is_nothing_to_do() {
    let (built, drawn) = (Cell::new(0), Cell::new(0));
    check(250, (manifests(), configurations()), |(manifest, configuration)| {
        drawn.set(drawn.get() + 1);
        let config = read(&configuration).unwrap_or_default();
        let (Some(cluster), Some(again)) = (resolved(&manifest, &config), resolved(&manifest, &config))
        else {
            return;
        };
        let (once, twice) = (build(&cluster), build(&again));
        let text = |resources| serde_json::to_string(&plan::rendered(resources, "secret")).unwrap();
        assert_eq!(text(&once), text(&twice));
        assert_eq!(once, twice);
        assert_eq!(plan::between(&once, &twice), []);
        assert_eq!(plan::between(&stored(&once), &twice), []);
        assert_eq!(plan::orphans(&cluster, &once, &twice), []);
        built.set(built.get() + 1);
    });
    assert!(
        built.get() * 2 > drawn.get(),
        "only {} of {} manifests became clusters",
        built.get(),
        drawn.get()
    );
}

#[test]
fn admission_answers_every_manifest_and_what_it_accepts_can_be_built() {
    let accepted = Cell::new(0);
    check(120, (updates(), proptest::option::of(configurations())), |((old, new), configuration)| {
        let config = configuration.and_then(|drawn| read(&drawn)).unwrap_or_default();
        drop(admission::mutate_update(&old, &new, &config));
        drop(admission::review(Some(&old), &new, &config));
        if let Ok(complete) = admission::mutate(&new, &config) {
            assert_eq!(
                admission::mutate(&complete, &config).as_ref(),
                Ok(&complete),
                "defaults are written once"
            );
            assert!(admission::review(None, &complete, &config).is_ok(), "what is mutated is valid");
            assert!(resolved(&complete, &config).is_some(), "what is valid can be built: {complete}");
            accepted.set(accepted.get() + 1);
        }
    });
    assert!(accepted.get() > 0, "no manifest was accepted");
}

#[test]
fn every_update_can_be_explained_and_what_changes_nothing_says_nothing() {
    check(40, updates(), |(old, new)| {
        let read = |manifest: &Value| serde_json::from_value::<Postgresql>(manifest.clone()).ok();
        let (Some(old), Some(new)) = (read(&old), read(&new)) else { return };
        let config = OperatorConfig::default();
        assert_eq!(plan::plan(&old, &old, &config, None), []);
        for change in plan::plan(&old, &new, &config, None) {
            assert!(!change.message.is_empty(), "{}", change.field);
        }
    });
}
