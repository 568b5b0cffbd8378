//! The catalogue of admission, read from `tests/fixtures/admission`: what people write, and what they are told.
//!
//! `refused/` and `accepted/` hold a file per topic, and a file one YAML document per case. A case names what it is
//! about by its keys (see [`Document`]); a manifest is `base.yaml` with what the case writes besides or instead. The last
//! key is the answer, line by line: `denied` or `told`. `shared` checks the answers and rewrites them
//! (`UPDATE_GOLDEN=1`); the tests on a real API server read the same cases.

#![allow(dead_code, unreachable_pub, reason = "several tests are made with it, each of which needs a part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "read by tests only")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

/// What a case is about.
#[derive(Clone, Debug)]
pub enum Subject {
    /// A new manifest, or an update of `old`.
    Manifest {
        /// The manifest as it was.
        old: Option<Value>,
        /// The manifest as it shall be.
        new: Value,
    },
    /// A manifest that is deleted on 2026-11-22.
    Deletion(Value),
    /// An `OperatorConfiguration`, or a change of one while clusters exist: what stands under `configuration`.
    Resource(Option<Value>, Value),
    /// The `data` of a ConfigMap, or a change of it while clusters exist.
    ConfigMap(Option<BTreeMap<String, String>>, BTreeMap<String, String>),
    /// A `PostgresTeam`, or an update of one, beside others: the `spec` of each.
    Team {
        /// The specification as it was.
        old: Option<Value>,
        /// The specification as it shall be.
        new: Value,
        /// The specifications of other objects.
        others: Vec<Value>,
    },
}

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name, unique in the catalogue.
    pub name: String,
    /// The file it stands in.
    pub file: PathBuf,
    /// What is sent.
    pub subject: Subject,
    /// The operator's configuration in force, as the data of a ConfigMap.
    pub configuration: BTreeMap<String, String>,
    /// The errors it is refused with, one a line.
    pub denied: Vec<String>,
    /// What is told when it is accepted, one a line.
    pub told: Vec<String>,
}

/// One document of a file, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    name: String,
    /// Settings of the operator.
    #[serde(default)]
    configuration: BTreeMap<String, String>,
    /// What the new manifest's spec has besides or instead of the base's.
    spec: Option<Value>,
    /// The same for the whole manifest.
    manifest: Option<Value>,
    /// Fields of the base that the new manifest has not, with dots.
    #[serde(default)]
    without: Vec<String>,
    /// The manifest before an update, besides or instead of the base.
    old: Option<Value>,
    /// The manifest that is deleted.
    deleted: Option<Value>,
    resource: Option<Value>,
    old_resource: Option<Value>,
    config_map: Option<BTreeMap<String, String>>,
    old_config_map: Option<BTreeMap<String, String>>,
    team: Option<Value>,
    old_team: Option<Value>,
    /// The specifications of other `PostgresTeam`s.
    #[serde(default)]
    others: Vec<Value>,
    #[serde(default)]
    denied: String,
    #[serde(default)]
    told: String,
}

/// Where the catalogue is.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/admission")
}

/// Every case that must be refused.
pub fn refused() -> Vec<Case> {
    cases("refused")
}

/// Every case that must be accepted.
pub fn accepted() -> Vec<Case> {
    cases("accepted")
}

fn cases(part: &str) -> Vec<Case> {
    let base = read(&folder().join("base.yaml"));
    let base: Value = serde_saphyr::from_str(&base).unwrap();
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder().join(part)).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let case = |(file, text): (&PathBuf, String)| {
        let document: Document = serde_saphyr::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error} in\n{text}", file.display()));
        document.case(&base, file)
    };
    files
        .iter()
        .flat_map(|file| documents(&read(file)).into_iter().map(move |text| (file, text)))
        .map(case)
        .collect()
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The documents of a file as text.
fn documents(text: &str) -> Vec<String> {
    text.split("\n---\n").map(|document| format!("{}\n", document.trim_end())).collect()
}

impl Document {
    fn case(self, base: &Value, file: &Path) -> Case {
        let lines = |text: &str| text.lines().map(str::to_owned).collect();
        Case {
            denied: lines(&self.denied),
            told: lines(&self.told),
            configuration: self.configuration.clone(),
            name: self.name.clone(),
            file: file.to_owned(),
            subject: self.subject(base),
        }
    }

    fn subject(self, base: &Value) -> Subject {
        let on_base = |overlay: Value| merged(base.clone(), overlay);
        if let Some(deleted) = self.deleted {
            return Subject::Deletion(on_base(deleted));
        }
        if let Some(resource) = self.resource {
            return Subject::Resource(self.old_resource, resource);
        }
        if let Some(data) = self.config_map {
            return Subject::ConfigMap(self.old_config_map, data);
        }
        if let Some(team) = self.team {
            return Subject::Team { old: self.old_team, new: team, others: self.others };
        }
        let mut new = base.clone();
        for field in &self.without {
            let (parent, key) = field.rsplit_once('.').unwrap_or(("", field));
            let parent =
                if parent.is_empty() { String::new() } else { format!("/{}", parent.replace('.', "/")) };
            let parent = new.pointer_mut(&parent).and_then(Value::as_object_mut);
            parent
                .and_then(|parent| parent.remove(key))
                .unwrap_or_else(|| panic!("{}: no {field}", self.name));
        }
        if let Some(spec) = self.spec {
            new = merged(new, Value::Object(Map::from_iter([("spec".to_owned(), spec)])));
        }
        Subject::Manifest { old: self.old.map(on_base), new: self.manifest.into_iter().fold(new, merged) }
    }
}

/// `over` on top of `base`: maps are united, anything else takes the place of what was there.
fn merged(base: Value, over: Value) -> Value {
    match (base, over) {
        (Value::Object(mut base), Value::Object(over)) => {
            for (key, value) in over {
                let before = base.remove(&key);
                let value = before.map_or_else(|| value.clone(), |before| merged(before, value.clone()));
                base.insert(key, value);
            }
            Value::Object(base)
        }
        (_, over) => over,
    }
}

/// Writes new answers, by the names of their cases, into the files; everything else stays as it is.
pub fn rewrite(answers: &BTreeMap<String, (Vec<String>, Vec<String>)>) {
    let files = ["refused", "accepted"].map(|part| fs::read_dir(folder().join(part)).unwrap());
    for file in files.into_iter().flatten().map(|file| file.unwrap().path()) {
        let before = read(&file);
        let texts: Vec<String> = documents(&before).iter().map(|text| answered(text, answers)).collect();
        let after = texts.join("---\n");
        if before != after {
            fs::write(&file, after).unwrap();
        }
    }
}

fn answered(text: &str, answers: &BTreeMap<String, (Vec<String>, Vec<String>)>) -> String {
    let name = text.lines().find_map(|line| line.strip_prefix("name: ")).unwrap_or_default();
    let Some((denied, told)) = answers.get(name) else { return text.to_owned() };
    let asked: Vec<&str> =
        text.lines().take_while(|line| !line.starts_with("denied:") && !line.starts_with("told:")).collect();
    let mut text = format!("{}\n", asked.join("\n"));
    for (key, lines) in [("denied", denied), ("told", told)] {
        if !lines.is_empty() {
            text.push_str(&format!("{key}: |\n  {}\n", lines.join("\n  ")));
        }
    }
    text
}
