//! The images: a container engine makes of the Containerfiles what `tests/demo/images.sh` makes without one.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may be blunt")]

use std::fs;
use std::path::Path;

const SERVICES: &[&str] = &["certs", "operator", "webhook"];

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The instructions of a Containerfile, by stage.
fn stages(service: &str) -> Vec<Vec<String>> {
    let text = read(&format!("{service}/Containerfile"));
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let mut stages: Vec<Vec<String>> = Vec::new();
    for line in lines {
        if line.starts_with("FROM ") {
            stages.push(Vec::new());
        }
        stages
            .last_mut()
            .unwrap_or_else(|| panic!("{service}: {line} stands before FROM"))
            .push(line.to_owned());
    }
    stages
}

/// What follows `key` in a text, up to the end of its line.
fn after<'a>(text: &'a str, key: &str) -> &'a str {
    let at = text.find(key).unwrap_or_else(|| panic!("there is no {key}"));
    text[at + key.len()..].lines().next().unwrap()
}

#[test]
fn each_service_is_built_by_the_commands_of_the_script() {
    let script = read("tests/demo/images.sh");
    let cargo = after(&script, "\n  cargo build ").replace("\"$PROFILE\"", "release");
    let strip =
        after(&script, "\n  strip ").replace("\"$stripped\"", "/SERVICE").replace("\"$2\"", "PROGRAM");
    for service in SERVICES {
        let build = &stages(service)[0];
        let cargo = cargo.replace("\"${arguments[@]}\"", &format!("--package {service}"));
        assert!(build.contains(&format!("RUN cargo build {cargo}")), "{service}: {build:#?}");
        let program = format!("target/*-unknown-linux-gnu/release/{service}");
        let strip = strip.replace("SERVICE", service).replace("PROGRAM", &program);
        assert!(build.contains(&format!("RUN strip {strip}")), "{service}: {build:#?}");
    }
}

#[test]
fn the_build_has_the_compiler_of_the_workspace_and_the_packages_of_the_script() {
    let version = after(&read("Cargo.toml"), "rust-version = ").trim_matches('"').to_owned();
    let script = read("tests/demo/images.sh");
    // Each requirement is a file, a colon and the package that brings it; python3 packs the archive.
    let packages: Vec<&str> = after(&script, "REQUIREMENTS=(\n")
        .split_whitespace()
        .map(|requirement| requirement.rsplit_once(':').unwrap().1)
        .filter(|package| *package != "python3")
        .collect();
    for service in SERVICES {
        let build = &stages(service)[0];
        assert!(build[0].starts_with(&format!("FROM docker.io/library/rust:{version}-slim")), "{}", build[0]);
        let installed = after(&build[1], "--no-install-recommends ");
        assert_eq!(installed.split_whitespace().collect::<Vec<_>>(), ["gcc", "libc6-dev", "lld", "binutils"]);
        assert_eq!(packages, installed.split_whitespace().collect::<Vec<_>>(), "{service}");
    }
}

#[test]
fn an_image_holds_one_program_and_nobody_is_root_in_it() {
    for service in SERVICES {
        let all = stages(service);
        let copied = format!("COPY --from=build /{service} /{service}");
        let entry = format!("ENTRYPOINT [\"/{service}\"]");
        let last = ["FROM scratch", &copied, "ENV PATH=/", "USER 65532:65532", &entry];
        assert_eq!(all.last().unwrap(), &last, "{service}");
    }
    let packed = read("tests/local-cluster/lib/images.sh");
    assert!(packed.contains("--user 65532:65532 --path /"), "the script's images have another user or path");
}
