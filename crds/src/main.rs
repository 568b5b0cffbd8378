//! Prints every CRD as YAML into `crds/`; `--check` fails when what is committed is stale.
//!
//! The types in `shared::api` are the only source. Nobody edits the YAML.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use kube::CustomResourceExt;
use shared::api::{OperatorConfiguration, PostgresTeam, Postgresql};

fn main() -> ExitCode {
    let check = std::env::args().any(|argument| argument == "--check");
    match run(check) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("crds: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Every generated file and what belongs in it.
fn files() -> Result<Vec<(PathBuf, String)>, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    [
        ("operatorconfiguration.yaml", OperatorConfiguration::crd()),
        ("postgresql.yaml", Postgresql::crd()),
        ("postgresteam.yaml", PostgresTeam::crd()),
    ]
    .into_iter()
    .map(|(name, crd)| {
        let yaml = serde_saphyr::to_string(&crd).map_err(|error| format!("{name}: {error}"))?;
        Ok((
            folder.join(name),
            format!("# Generated from shared/src/api by `make crds`. Do not edit.\n{yaml}"),
        ))
    })
    .collect()
}

fn run(check: bool) -> Result<(), String> {
    for (path, wanted) in files()? {
        let current = std::fs::read_to_string(&path).unwrap_or_default();
        if current == wanted {
            continue;
        }
        if check {
            return Err(format!("{} is stale; run `make crds`", path.display()));
        }
        std::fs::write(&path, wanted)
            .map_err(|error| format!("could not write {}: {error}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_committed_crds_are_current() {
        super::run(true).unwrap();
    }
}
