//! What the documentation says is so: every command block holds commands that exist, every link leads somewhere, and
//! the refusal that the README shows is what admission says of that manifest.
//!
//! The commands themselves are run by other tests: those of README and quick start by the stories of `quick_start.rs` or by
//! what stands in `tests::document::ELSEWHERE`, the local cluster's verbs by its `test.sh`.
//! A command that nothing here knows fails the test: then it is added below with what checks it, or not documented.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may be blunt")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser as _;
use serde_json::Value;
use shared::admission;
use shared::api::OperatorConfiguration;
use shared::config::OperatorConfig;
use tests::document::{self, ELSEWHERE};

/// Programs of others that the documentation calls: we only check the files that they are given.
const FOREIGN: &[&str] =
    &["apt-get", "psql", "export", "git", "cd", "kind", "kubectl", "cargo", "helm", "mkdir"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// README.md and docs/*.md, by name, with their text.
fn documents() -> Vec<(String, String)> {
    let mut names = vec!["README.md".to_owned()];
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if Path::new(&name).extension().is_some_and(|extension| extension == "md") {
            names.push(format!("docs/{name}"));
        }
    }
    names.sort();
    names.into_iter().map(|name| (name.clone(), read(&name))).collect()
}

/// The commands of a document, as they are typed.
fn commands(text: &str) -> Vec<String> {
    document::commands(text, "console").into_iter().map(|command| command.line).collect()
}

/// Words of a command, without `NAME=value` before it. What is in double quotes is one word.
fn words(command: &str) -> Vec<String> {
    let is_setting = |word: &String| {
        word.split_once('=').is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
    };
    let mut words = vec![String::new()];
    for (index, part) in command.split('"').enumerate() {
        let mut pieces = if index % 2 == 0 { part.split(' ').collect() } else { vec![part] }.into_iter();
        words.last_mut().unwrap().push_str(pieces.next().unwrap_or_default());
        words.extend(pieces.map(str::to_owned));
    }
    words.into_iter().filter(|word| !word.is_empty()).skip_while(is_setting).collect()
}

/// What is wrong with a command, if anything.
fn judge(command: &str, targets: &[String], verbs: &str) -> Option<String> {
    let words = words(command);
    let first = words.first().cloned().unwrap_or_default();
    let wrong = match first.as_str() {
        "" => None, // only settings
        "make" => words
            .iter()
            .skip(1)
            .find(|word| !word.contains('=') && !targets.contains(word))
            .map(|target| format!("the Makefile has no target {target}")),
        "tests/local-cluster/local-cluster" => words
            .get(1)
            .filter(|verb| !verbs.contains(&format!("local-cluster {verb}")))
            .map(|verb| format!("the local cluster has no verb {verb}")),
        "webhook" => {
            webhook::args::Args::try_parse_from(&words).err().map(|error| format!("webhook says: {error}"))
        }
        "operator" => operator::args::CommandLine::try_parse_from(&words)
            .err()
            .map(|error| format!("operator says: {error}")),
        program if program.contains('/') => {
            (!root().join(program).exists()).then(|| format!("there is no {program}"))
        }
        program if FOREIGN.contains(&program) => None,
        program => Some(format!("nothing checks {program}")),
    };
    let missing = words.iter().skip(1).find(|word| is_missing_file(word));
    wrong.or_else(|| missing.map(|word| format!("there is no {word}")))
}

/// Whether a word names a file or folder of this repository that is not there. What is built is not there yet.
fn is_missing_file(word: &str) -> bool {
    let is_ours =
        ["docs/", "deploy/", "crds/", "tests/", "certs/"].iter().any(|folder| word.starts_with(folder));
    is_ours && !root().join(word).exists()
}

/// The configuration that is installed: what admission says depends on it.
fn installed_configuration() -> OperatorConfig {
    let text = read("deploy/base/operator/configuration.yaml");
    let resource: OperatorConfiguration = serde_saphyr::from_str(&text).unwrap();
    OperatorConfig::from_resource(&resource).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn every_documented_command_exists() {
    let makefile = read("Makefile");
    let targets: Vec<String> = makefile
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()))
        .filter_map(|line| line.split_once(':'))
        .map(|(target, _)| target.to_owned())
        .collect();
    let help = Command::new(root().join("tests/local-cluster/local-cluster")).arg("help").output().unwrap();
    let verbs = String::from_utf8(help.stdout).unwrap();
    let mut wrong = Vec::new();
    for (name, text) in documents() {
        for command in commands(&text) {
            wrong
                .extend(judge(&command, &targets, &verbs).map(|what| format!("{name}: `{command}`: {what}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_no_story_types_of_readme_and_quick_start_is_run_where_it_is_said() {
    let stories = read("tests/tests/e2e/quick_start.rs");
    for page in ["README.md", "docs/quick-start.md"] {
        assert!(stories.contains(&format!("= \"{page}\";")), "no story types what {page} says");
    }
    for entry in ELSEWHERE {
        let commands = commands(&read(entry.page));
        assert!(
            commands.iter().any(|known| known == entry.command),
            "{} has no `{}`",
            entry.page,
            entry.command
        );
        let is_run = read(entry.file)
            .lines()
            .any(|line| !line.trim().starts_with(['#', '/']) && line.contains(entry.says));
        assert!(is_run, "{} does not run `{}`", entry.file, entry.says);
    }
    for command in ["make demo", "make test"] {
        assert!(document::elsewhere("README.md", command).is_some(), "README.md has no `{command}`");
    }
}

#[test]
fn the_hook_and_the_workflow_call_the_webhook_as_it_can_be_called() {
    for (name, pointer) in [
        ("docs/examples/pre-commit-config.yaml", "/repos/0/hooks/0/entry"),
        ("docs/examples/ci.yaml", "/jobs/validate/steps/1/run"),
    ] {
        let file: Value = serde_saphyr::from_str(&read(name)).unwrap();
        let command =
            file.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{name}: no command"));
        let command = command.split(" > ").next().unwrap();
        // A hook is called with the files that are committed behind it.
        let words = words(&format!("{command} docs/examples/minimal.yaml"));
        assert_eq!(words[..2], ["webhook", "validate"], "{name}");
        if let Err(error) = webhook::args::Args::try_parse_from(&words) {
            panic!("{name}: {error}");
        }
    }
}

/// Words that are steps or conditions and never a reason.
const NO_REASONS: &[&str] =
    &["Ready", "Reconciling", "Stalled", "True", "False", "Unknown", "Wait", "Settled"];

/// Every CamelCase word in quotes of a source file, its tests apart.
fn words_in_quotes(file: &str) -> Vec<String> {
    let text = read(file);
    let code = text.split("#[cfg(test)]").next().unwrap();
    let is_word = |word: &&str| {
        word.starts_with(|c: char| c.is_ascii_uppercase()) && word.chars().all(|c| c.is_ascii_alphabetic())
    };
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split('"').skip(1).step_by(2))
        .filter(is_word)
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_reason_of_a_status_has_its_section_in_troubleshooting() {
    let mut reasons = words_in_quotes("shared/src/status/mod.rs");
    reasons.extend(words_in_quotes("shared/src/rollout/step.rs"));
    reasons.sort();
    reasons.dedup();
    reasons.retain(|reason| !NO_REASONS.contains(&reason.as_str()));
    assert!(reasons.len() > 20, "{reasons:?}");
    let page = read("docs/troubleshooting.md");
    let mut sections: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    sections.sort_unstable();
    assert_eq!(sections, reasons, "docs/troubleshooting.md (left) has other sections than there are reasons");
}

#[test]
fn the_handbooks_index_names_every_page() {
    let index = read("docs/README.md");
    let missing: Vec<String> = documents()
        .into_iter()
        .filter_map(|(name, _)| name.strip_prefix("docs/").map(str::to_owned))
        .filter(|page| page != "README.md" && !index.contains(&format!("]({page})")))
        .collect();
    assert!(missing.is_empty(), "docs/README.md does not name {missing:?}");
}

#[test]
fn every_link_leads_somewhere() {
    let mut wrong = Vec::new();
    for (name, text) in documents() {
        let folder = root().join(&name).parent().unwrap().to_owned();
        for part in text.split("](").skip(1) {
            let target = part.split([')', '#']).next().unwrap();
            if !target.is_empty() && !target.contains("://") && !folder.join(target).exists() {
                wrong.push(format!("{name}: {target}"));
            }
        }
    }
    assert!(wrong.is_empty(), "links to nothing:\n{}", wrong.join("\n"));
}

/// The text of every Rust file below a folder.
fn sources(folder: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.push_str(&sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
    all
}

#[test]
fn every_scenario_is_played_by_tests_that_exist() {
    let folders = ["tests/tests", "shared/src", "operator/src", "operator/tests"];
    let code: String = folders.iter().map(|folder| sources(&root().join(folder))).collect();
    let mut wrong = Vec::new();
    for line in read("docs/scenarios.md").lines().filter(|line| line.starts_with("| ")) {
        let played = line.split('|').nth(2).unwrap();
        let names =
            played.split('`').skip(1).step_by(2).filter(|name| name.contains('_') && !name.contains('.'));
        wrong.extend(names.filter(|name| !code.contains(*name)).map(str::to_owned));
    }
    assert!(wrong.is_empty(), "docs/scenarios.md names tests that do not exist: {wrong:#?}");
}

#[test]
fn the_refusal_in_the_readme_is_what_admission_says() {
    let manifest: Value = serde_saphyr::from_str(&read("docs/examples/rejected.yaml")).unwrap();
    let config = installed_configuration();
    let answer = admission::mutate(&manifest, &config)
        .and_then(|complete| admission::review(None, &complete, &config).map(|_| ()));
    let Err(errors) = answer else { panic!("docs/examples/rejected.yaml is accepted") };
    let said: Vec<String> = errors.iter().map(|error| format!("* {error}")).collect();
    let readme = read("README.md");
    let shown: Vec<&str> =
        readme.lines().filter(|line| line.starts_with("* ") && !line.starts_with("* [")).collect();
    assert!(said.len() >= 5, "the example shows too little: {said:?}");
    assert_eq!(shown, said, "README.md (left) shows another answer than admission gives (right)");
}

#[test]
fn every_example_but_the_rejected_one_is_valid_and_says_nothing_unknown() {
    let config = installed_configuration();
    let mut tried = 0;
    for entry in fs::read_dir(root().join("docs/examples")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let manifest: Value = serde_saphyr::from_str(&read(&format!("docs/examples/{name}"))).unwrap();
        match manifest["kind"].as_str() {
            Some("postgresql") if name != "rejected.yaml" => {
                let answer = admission::mutate(&manifest, &config)
                    .and_then(|complete| admission::review(None, &complete, &config));
                answer.unwrap_or_else(|errors| panic!("{name}: {errors}"));
            }
            Some("PostgresTeam") => {
                admission::review_team(None, &manifest, &[])
                    .unwrap_or_else(|errors| panic!("{name}: {errors}"));
            }
            _ => continue, // one is wrong on purpose, others are for other programs
        }
        let unknown: Vec<String> =
            admission::unknown_fields(&manifest).iter().map(ToString::to_string).collect();
        assert_eq!(unknown, [""; 0], "{name}");
        tried += 1;
    }
    assert!(tried > 10, "only {tried} examples were found");
}

#[test]
fn flux_is_told_the_same_by_the_handbook_and_by_the_example() {
    let handbook = read("docs/gitops.md");
    let block = handbook.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let shown: Value = serde_saphyr::from_str(block).unwrap();
    let example: Value = serde_saphyr::from_str(&read("docs/examples/gitops-flux.yaml")).unwrap();
    assert_eq!(shown["healthCheckExprs"], example["spec"]["healthCheckExprs"]);
}
