//! Which PostgreSQL versions and which Patroni this machine has. Nothing is installed here, only looked for.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Where Debian puts the programs of each version: `<here>/<version>/bin`.
const DEBIAN: &str = "/usr/lib/postgresql";

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Installation {
    /// Versions, newest last, and their folders of programs.
    pub versions: Vec<(u32, PathBuf)>,
    /// Patroni's program.
    pub patroni: Option<PathBuf>,
    /// The Python that Patroni runs in: it has the modules that the image's scripts need.
    pub python: PathBuf,
}

/// The version a member runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The major version.
    pub version: u32,
    /// Its programs.
    pub programs: PathBuf,
    /// What somebody should know who expected another one.
    pub note: Option<String>,
}

impl Installation {
    /// Looks in Debian's folders and in `PATH`.
    pub fn find() -> Self {
        let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir(DEBIAN)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
            .filter(|(_, programs): &(u32, PathBuf)| programs.join("postgres").exists())
            .collect();
        let elsewhere =
            in_path("postgres").and_then(|program| Some((version_of(&program)?, program.parent()?.into())));
        versions.extend(elsewhere.filter(|(version, _)| versions.iter().all(|(known, _)| known != version)));
        versions.sort();
        let patroni = in_path("patroni");
        let python = patroni.as_deref().and_then(interpreter).unwrap_or_else(|| "python3".into());
        Self { versions, patroni, python }
    }

    /// What is missing for databases, as names of Debian packages.
    pub fn missing(&self) -> Vec<&'static str> {
        let postgres = self.versions.is_empty().then_some("postgresql");
        postgres.into_iter().chain(self.patroni.is_none().then_some("patroni")).collect()
    }

    /// The version of the data where there are any, else the one asked for, else the newest.
    ///
    /// # Errors
    /// When there is none, or the data need one that is not there.
    pub fn choose(&self, asked: Option<&str>, of_data: Option<u32>) -> Result<Choice, String> {
        let missing = self.missing();
        if !missing.is_empty() {
            return Err(format!("this machine lacks what databases need: install {}", missing.join(" and ")));
        }
        let find = |version: u32| self.versions.iter().find(|(known, _)| *known == version);
        let asked = asked.and_then(|asked| asked.parse().ok());
        let found = match of_data {
            Some(version) => find(version).ok_or_else(|| {
                format!("the data are of PostgreSQL {version}, which is not installed: install postgresql-{version}")
            })?,
            None => asked.and_then(find).or(self.versions.last()).ok_or("no PostgreSQL is installed")?,
        };
        let (version, programs) = found.clone();
        let note = asked.filter(|asked| *asked != version).map(|asked| match of_data {
            Some(_) => format!(
                "PostgreSQL {asked} is asked for; {version} runs, because the data are of that version"
            ),
            None => format!("PostgreSQL {asked} is asked for and not installed: {version} runs in its place"),
        });
        Ok(Choice { version, programs, note })
    }
}

/// A program in `PATH`.
pub fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}

fn version_of(program: &Path) -> Option<u32> {
    let output = std::process::Command::new(program).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.split_whitespace().nth(2)?.split(['.', 'b', 'r', 'd']).next()?.parse().ok()
}

/// The interpreter that a script's first line names.
fn interpreter(script: &Path) -> Option<PathBuf> {
    let text = String::from_utf8_lossy(&std::fs::read(script).ok()?).into_owned();
    let mut words = text.lines().next()?.strip_prefix("#!")?.split_whitespace();
    let first = Path::new(words.next()?);
    if first.file_name() == Some(OsStr::new("env")) { in_path(words.next()?) } else { Some(first.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(versions: &[u32]) -> Installation {
        Installation {
            versions: versions
                .iter()
                .map(|version| (*version, format!("/pg/{version}/bin").into()))
                .collect(),
            patroni: Some("/usr/bin/patroni".into()),
            python: "python3".into(),
        }
    }

    #[test]
    fn the_version_that_is_asked_for_runs_where_it_is_installed() {
        let choice = with(&[15, 17]).choose(Some("15"), None).unwrap();
        assert_eq!((choice.version, choice.programs, choice.note), (15, "/pg/15/bin".into(), None));
    }

    #[test]
    fn the_newest_runs_in_place_of_a_missing_one_and_says_so() {
        let choice = with(&[14, 15]).choose(Some("17"), None).unwrap();
        assert_eq!(choice.version, 15);
        assert_eq!(
            choice.note.unwrap(),
            "PostgreSQL 17 is asked for and not installed: 15 runs in its place"
        );
    }

    #[test]
    fn data_decide_and_are_never_opened_with_another_version() {
        let choice = with(&[15, 17]).choose(Some("17"), Some(15)).unwrap();
        assert_eq!(choice.version, 15);
        assert!(choice.note.unwrap().contains("the data are of that version"));
        assert!(with(&[15]).choose(Some("17"), Some(17)).unwrap_err().contains("install postgresql-17"));
    }

    #[test]
    fn what_is_missing_is_named_by_its_package() {
        let none = Installation::default();
        assert_eq!(
            none.choose(None, None).unwrap_err(),
            "this machine lacks what databases need: install postgresql and patroni"
        );
    }
}
