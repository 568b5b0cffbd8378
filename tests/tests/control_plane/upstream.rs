//! Upstream's own examples, of every version that is at hand: what upstream shows, our definitions store.
//!
//! They are not ours to copy, so this runs where `UPSTREAM_EXAMPLES` names a folder with one folder of upstream's
//! `manifests/` per version: `UPSTREAM_EXAMPLES=examples cargo test -p tests --test control_plane -- examples`. What it
//! found is in `docs/compatibility-crd.md`.

use std::fs;
use std::path::{Path, PathBuf};

use kube::Client;
use kube::api::{Api, DynamicObject, GroupVersionKind, PostParams};
use kube::core::ApiResource;
use serde_json::Value;

use crate::manifests::make_namespace;

/// The versions of PostgreSQL that upstream once showed and that are no more.
const GONE: &[&str] = &["\"9.6\"", "\"10\"", "\"11\"", "\"12\"", "\"13\""];

/// What upstream once showed and has removed in version 2: it is dropped.
const REMOVED: &[&str] = &["configuration.aws_or_gcp.enable_ebs_gp3_migration"];

/// The variable that names the folder.
pub(crate) const FOLDER: &str = "UPSTREAM_EXAMPLES";

pub(crate) async fn what_upstream_shows_as_examples_is_accepted(client: Client) {
    let folder = std::env::var_os(FOLDER).unwrap();
    let (mut accepted, mut wrong) = (0, Vec::new());
    for (number, version) in files(Path::new(&folder)).into_iter().enumerate() {
        for (index, path) in files(&version).into_iter().enumerate() {
            let namespace = format!("examples-{number}-{index}");
            make_namespace(&client, &namespace).await;
            let shown = format!("{}/{}", file_name(&version), file_name(&path));
            for document in fs::read_to_string(&path).unwrap().split("\n---") {
                let Ok(document) = serde_saphyr::from_str::<Value>(document) else { continue };
                if document["apiVersion"] != "acid.zalan.do/v1" {
                    continue;
                }
                match create(&client, &namespace, document).await {
                    Ok(lost) if lost.is_empty() => accepted += 1,
                    Ok(lost) if lost.iter().all(|path| REMOVED.contains(&path.as_str())) => {
                        println!("{shown}: stored without {lost:?}, which version 2 has removed");
                    }
                    Ok(lost) => wrong.push(format!("{shown}: stored without {lost:?}")),
                    Err(error) if is_of_a_version_that_is_gone(&error) => {
                        println!("{shown}: PostgreSQL of a version that is gone");
                    }
                    Err(error) => wrong.push(format!("{shown}: {error}")),
                }
            }
        }
    }
    println!("{accepted} of upstream's examples are accepted and stored whole");
    assert!(accepted > 0 && wrong.is_empty(), "{accepted} accepted:\n{}", wrong.join("\n"));
}

/// Whether the only thing wrong is the version of PostgreSQL.
fn is_of_a_version_that_is_gone(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
    let is_old = |cause: &kube::core::response::StatusCause| {
        cause.field == "spec.postgresql.version" && GONE.iter().any(|version| cause.message.contains(version))
            || cause.message.contains("some validation rules were not checked")
    };
    !causes.is_empty() && causes.iter().all(is_old)
}

/// Creates it; the fields that were dropped.
async fn create(client: &Client, namespace: &str, document: Value) -> Result<Vec<String>, kube::Error> {
    let kind = document["kind"].as_str().unwrap();
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("acid.zalan.do", "v1", kind));
    let mut object: DynamicObject = serde_json::from_value(document.clone()).unwrap();
    object.metadata.namespace = None;
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let stored = api.create(&PostParams::default(), &object).await?;
    let mut lost = Vec::new();
    for section in ["spec", "configuration"] {
        dropped(section, &document[section], &stored.data[section], &mut lost);
    }
    Ok(lost)
}

/// The paths that `stored` lacks; nulls are dropped everywhere in Kubernetes.
fn dropped(path: &str, given: &Value, stored: &Value, into: &mut Vec<String>) {
    match (given, stored) {
        (Value::Null, _) => {}
        (Value::Object(given), Value::Object(stored)) => {
            for (key, value) in given {
                dropped(&format!("{path}.{key}"), value, stored.get(key).unwrap_or(&Value::Null), into);
            }
        }
        (_, Value::Null) => into.push(path.to_owned()),
        _ => {}
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}
