//! The rules of this repository that a compiler does not know: what `shared` may reach, how long a file may be, what
//! it may be called, and that each is part of a crate and says what it is about.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may be blunt")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The crates, and what they are made of: every folder of these in each of them.
const CRATES: &[&str] = &["shared", "webhook", "operator", "certs", "crds", "tests"];

/// What decides nothing has no business in `shared`: runtimes, HTTP, TLS, databases.
const IMPURE: &[&str] = &[
    "async-std",
    "axum",
    "h2",
    "hyper",
    "kube-client",
    "kube-runtime",
    "mio",
    "reqwest",
    "rustls",
    "smol",
    "socket2",
    "tokio",
    "tokio-postgres",
    "tower",
];

/// Names that say nothing about what is in a file.
const EMPTY_NAMES: &[&str] = &["common", "helper", "helpers", "manager", "misc", "util", "utils"];

/// Lines a file may have, tests apart.
const LINES: usize = 400;

/// Files that are longer today, and by how much exactly: a list that may only get shorter.
const TOO_LONG: &[(&str, usize)] = &[];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every source file, with its path from the repository's root.
fn sources() -> Vec<(String, String)> {
    let mut paths = Vec::new();
    for name in CRATES {
        rust_files(&root().join(name).join("src"), &mut paths);
        rust_files(&root().join(name).join("tests"), &mut paths);
    }
    paths.sort();
    let name = |path: &Path| path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
    paths.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

/// Whether all of a file is a test, by where it is.
fn is_test(name: &str) -> bool {
    name.contains("/tests/") || name.ends_with("/tests.rs") || name.ends_with("_tests.rs")
}

/// The lines before the module of tests, which is the last thing in a file.
fn lines_of_code(text: &str) -> usize {
    text.lines().take_while(|line| line.trim() != "#[cfg(test)]").count()
}

fn assert_none(offenders: &[String], rule: &str) {
    assert!(offenders.is_empty(), "{rule}:\n  {}", offenders.join("\n  "));
}

// `cargo metadata` would not do: it unites the features of all crates, and `operator` asks kube for a client.
#[test]
fn shared_reaches_no_runtime_and_no_network() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--package", "shared", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .args(["--locked", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    let reached: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(reached.contains("kube"), "cargo tree says something else than before:\n{tree}");
    let impure: Vec<String> =
        IMPURE.iter().filter(|name| reached.contains(**name)).map(|name| (*name).to_owned()).collect();
    assert_none(&impure, "shared is pure, but reaches (cargo tree -p shared -e normal -i NAME says how)");
}

#[test]
fn no_file_is_longer_than_four_hundred_lines_apart_from_its_tests() {
    let long: Vec<(String, usize)> = sources()
        .iter()
        .filter(|(name, _)| !is_test(name))
        .map(|(name, text)| (name.clone(), lines_of_code(text)))
        .filter(|(_, lines)| *lines > LINES)
        .collect();
    let known: Vec<(String, usize)> =
        TOO_LONG.iter().map(|(name, lines)| ((*name).to_owned(), *lines)).collect();
    assert_eq!(long, known, "files over {LINES} lines (left) and those known to be (right)");
}

#[test]
fn every_file_is_named_after_what_is_in_it() {
    let empty = |name: &str| {
        let path = Path::new(name);
        path.components()
            .filter_map(|part| Path::new(part.as_os_str()).file_stem())
            .any(|part| EMPTY_NAMES.contains(&&*part.to_string_lossy()))
    };
    let offenders: Vec<String> =
        sources().into_iter().map(|(name, _)| name).filter(|name| empty(name)).collect();
    assert_none(&offenders, "a name that fits everything says nothing");
}

#[test]
fn every_module_says_what_it_is_about() {
    let offenders: Vec<String> = sources()
        .into_iter()
        .filter(|(name, text)| !name.ends_with("/tests.rs") && !text.starts_with("//! "))
        .map(|(name, _)| name)
        .collect();
    assert_none(&offenders, "a file begins with //! and what it decides");
}

#[test]
fn every_file_belongs_to_a_crate() {
    let sources = sources();
    let mut reached = BTreeSet::new();
    for (name, _) in &sources {
        if is_crate_root(name) {
            follow_modules(name, &sources, &mut reached);
        }
    }
    let orphans: Vec<String> =
        sources.iter().map(|(name, _)| name.clone()).filter(|name| !reached.contains(name)).collect();
    assert_none(&orphans, "no `mod` leads to these files, so nothing compiles them");
}

/// What cargo compiles by itself: libraries, programs, and each file or `main.rs` in a crate's folder of tests.
fn is_crate_root(name: &str) -> bool {
    let parts: Vec<&str> = name.split('/').collect();
    matches!(parts[..], [_, "src", "lib.rs" | "main.rs"] | [_, "src", "bin", _] | [_, "tests", _])
        || matches!(parts[..], [_, "src", "bin", _, "main.rs"] | [_, "tests", _, "main.rs"])
}

fn follow_modules(name: &str, sources: &[(String, String)], reached: &mut BTreeSet<String>) {
    let Some((_, text)) = sources.iter().find(|(known, _)| known == name) else { return };
    if !reached.insert(name.to_owned()) {
        return;
    }
    let (folder, file) = name.rsplit_once('/').unwrap();
    let stem = file.trim_end_matches(".rs");
    let inner =
        if is_crate_root(name) || stem == "mod" { folder.to_owned() } else { format!("{folder}/{stem}") };
    for named in text.lines().filter_map(named_file) {
        follow_modules(&format!("{folder}/{named}"), sources, reached);
    }
    for module in text.lines().filter_map(declared_module) {
        for candidate in [format!("{inner}/{module}.rs"), format!("{inner}/{module}/mod.rs")] {
            follow_modules(&candidate, sources, reached);
        }
    }
}

/// `#[path = "name.rs"]` → `name.rs`, which lies beside the file that says so.
fn named_file(line: &str) -> Option<&str> {
    line.trim().strip_prefix("#[path = \"")?.strip_suffix("\"]")
}

/// `pub(crate) mod name;` → `name`. Modules with a body are in the file already.
fn declared_module(line: &str) -> Option<&str> {
    let declaration = line.trim().strip_suffix(';')?;
    let (visibility, name) = declaration.split_once("mod ")?;
    let is_visibility = visibility.is_empty() || visibility.trim_end().starts_with("pub");
    is_visibility.then_some(name.trim())
}
