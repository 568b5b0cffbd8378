//! `operator render`: every object of a manifest as YAML, with no cluster. For pull requests, and for whoever wonders.
//!
//! The same functions as in the cluster: defaults, all checks, the builders. What only a cluster knows has a
//! placeholder: passwords, and the UID that is part of the path of archives; the Secrets and ConfigMaps that a manifest or
//! the configuration names are taken as empty.

use std::path::{Path, PathBuf};

use serde_json::Value;
use shared::admission;
use shared::api::{OperatorConfiguration, Postgresql};
use shared::build::build;
use shared::cluster::{Cluster, References};
use shared::config::{OperatorConfig, read_config_map, read_resource};
use shared::field::FieldErrors;
use shared::plan;

use crate::args::Render;

/// Stands for what is drawn when a Secret is made.
const PASSWORD: &str = "<generated>";
/// Stands for the UID that the API server gives a manifest.
const UID: &str = "<uid>";
const POSTGRESQL: &str = "postgresql";
const CONFIGURATION: &str = "OperatorConfiguration";
const CONFIG_MAP: &str = "ConfigMap";

/// Why manifests could not be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// A file could not be read.
    #[error("could not read {path}")]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not YAML, or an object cannot be written as YAML.
    #[error("could not parse {path}: {words}")]
    Yaml {
        /// Which file.
        path: PathBuf,
        /// What the parser said.
        words: String,
    },
    /// Nothing in a file is of the kind that is looked for.
    #[error("could not find {kind} in {path}")]
    Nothing {
        /// Which kind.
        kind: &'static str,
        /// Which file.
        path: PathBuf,
    },
    /// Manifests, or the configuration, are wrong: one line per error.
    #[error("{0}")]
    Invalid(String),
}

/// The objects of every manifest in the files, as one stream of YAML documents.
///
/// # Errors
/// When a file cannot be read, or with every error of every manifest.
pub fn render(args: &Render) -> Result<String, RenderError> {
    let config = match &args.config {
        Some(path) => configuration(path)?,
        None => OperatorConfig::default(),
    };
    let (mut rendered, mut wrong) = (String::new(), String::new());
    for path in &args.files {
        let manifests: Vec<Value> =
            documents(path)?.into_iter().filter(|found| kind(found) == POSTGRESQL).collect();
        if manifests.is_empty() {
            return Err(RenderError::Nothing { kind: "a postgresql", path: path.clone() });
        }
        for manifest in manifests {
            match objects(&manifest, &config) {
                Ok(objects) => append(&mut rendered, &objects, path)?,
                Err(errors) => tell(&mut wrong, path, name(&manifest), &errors),
            }
        }
    }
    if wrong.is_empty() { Ok(rendered) } else { Err(RenderError::Invalid(wrong.trim_end().to_owned())) }
}

/// The same order as in the cluster: defaults first, then the checks, then the builders.
fn objects(manifest: &Value, config: &OperatorConfig) -> Result<Vec<Value>, FieldErrors> {
    let complete = admission::mutate(manifest, config)?;
    admission::review(None, &complete, config)?;
    let mut manifest: Postgresql = serde_json::from_value(complete).map_err(|error| {
        let mut errors = FieldErrors::default();
        errors.invalid(shared::field::FieldPath::spec(), format!("cannot be read: {error}"));
        errors
    })?;
    manifest.metadata.uid.get_or_insert_with(|| UID.to_owned());
    let cluster = Cluster::resolve(&manifest, config, &References::unread())?;
    Ok(plan::rendered(&build(&cluster), PASSWORD))
}

fn append(rendered: &mut String, objects: &[Value], path: &Path) -> Result<(), RenderError> {
    for object in objects {
        let yaml = serde_saphyr::to_string(object)
            .map_err(|error| RenderError::Yaml { path: path.to_owned(), words: error.to_string() })?;
        rendered.push_str("---\n");
        rendered.push_str(yaml.trim_start_matches("---\n"));
    }
    Ok(())
}

fn tell(wrong: &mut String, path: &Path, name: &str, errors: &FieldErrors) {
    for error in errors.iter() {
        wrong.push_str(&format!("{}: {name}: {error}\n", path.display()));
    }
}

fn configuration(path: &Path) -> Result<OperatorConfig, RenderError> {
    let invalid = |errors: FieldErrors| {
        let mut wrong = String::new();
        tell(&mut wrong, path, "configuration", &errors);
        RenderError::Invalid(wrong.trim_end().to_owned())
    };
    let yaml =
        |error: serde_json::Error| RenderError::Yaml { path: path.to_owned(), words: error.to_string() };
    for mut document in documents(path)? {
        match kind(&document) {
            CONFIGURATION => {
                let resource: OperatorConfiguration = serde_json::from_value(document).map_err(yaml)?;
                return read_resource(&resource).config.map_err(invalid);
            }
            CONFIG_MAP => {
                let data = document.get_mut("data").map(Value::take).unwrap_or_default();
                return read_config_map(&serde_json::from_value(data).map_err(yaml)?).config.map_err(invalid);
            }
            _ => {}
        }
    }
    Err(RenderError::Nothing { kind: "an OperatorConfiguration or ConfigMap", path: path.to_owned() })
}

fn documents(path: &Path) -> Result<Vec<Value>, RenderError> {
    let read = if path == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(path)
    };
    let text = read.map_err(|source| RenderError::Read { path: path.to_owned(), source })?;
    serde_saphyr::from_multiple(&text)
        .map_err(|error| RenderError::Yaml { path: path.to_owned(), words: error.to_string() })
}

fn kind(document: &Value) -> &str {
    document.get("kind").and_then(Value::as_str).unwrap_or_default()
}

fn name(document: &Value) -> &str {
    document.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(path: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
    }

    fn rendered(files: &[&str], config: Option<&str>) -> Result<Vec<Value>, String> {
        let files = files.iter().map(|file| root(file)).collect();
        let text = render(&Render { files, config: config.map(root) }).map_err(|error| error.to_string())?;
        Ok(serde_saphyr::from_multiple(&text).unwrap())
    }

    fn names(objects: &[Value]) -> Vec<String> {
        objects.iter().map(|object| format!("{} {}", kind(object), name(object))).collect()
    }

    #[test]
    fn the_minimal_example_becomes_its_objects_in_the_order_of_their_making() {
        let objects = rendered(&["docs/examples/minimal.yaml"], None).unwrap();
        let secret = |user: &str| format!("Secret {user}.acid-minimal.credentials.postgresql.acid.zalan.do");
        assert_eq!(
            names(&objects),
            [
                "ServiceAccount postgres-pod".to_owned(),
                "RoleBinding postgres-pod".to_owned(),
                "Service acid-minimal".to_owned(),
                "Service acid-minimal-repl".to_owned(),
                secret("foo-user"),
                secret("postgres"),
                secret("standby"),
                secret("zalando"),
                "PodDisruptionBudget postgres-acid-minimal-critical-op-pdb".to_owned(),
                "PodDisruptionBudget postgres-acid-minimal-pdb".to_owned(),
                "StatefulSet acid-minimal".to_owned(),
            ]
        );
        let foo_user = objects.get(4).unwrap();
        assert_eq!(foo_user.pointer("/stringData/username"), Some(&"foo_user".into()));
        assert_eq!(foo_user.pointer("/stringData/password"), Some(&PASSWORD.into()));
    }

    #[test]
    fn several_manifests_and_a_configuration_are_rendered_together() {
        let golden = "tests/fixtures/golden";
        let files = [
            format!("{golden}/manifests/pooler-both.yaml"),
            format!("{golden}/manifests/logical-backup.yaml"),
        ];
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        let config = format!("{golden}/configurations/custom.yaml");
        let names = names(&rendered(&files, Some(&config)).unwrap());
        for name in [
            "Deployment acid-pooler-both-pooler",
            "Deployment acid-pooler-both-pooler-repl",
            "Secret acid-pooler-both-pooler-u",
            "CronJob lb-acid-logical-backup",
        ] {
            assert!(names.iter().any(|found| found == name), "{name} in {names:#?}");
        }
    }

    #[test]
    fn a_wrong_manifest_is_told_with_every_error() {
        let errors =
            rendered(&["docs/examples/minimal.yaml", "docs/examples/rejected.yaml"], None).unwrap_err();
        for field in ["metadata.name", "spec.numberOfInstances", "spec.volume.size", "spec.databases[foo]"] {
            assert!(errors.contains(field), "{field} in {errors}");
        }
        assert!(errors.lines().all(|line| line.contains("rejected.yaml: Acid_Minimal: ")), "{errors}");
    }
}
