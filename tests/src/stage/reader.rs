//! Somebody who reads a page of the handbook and types its commands, one after the other, into one shell.
//!
//! What the page names and a story cannot have for itself, such as the namespace `demo`, goes by another name here; the
//! page's own name is put back before anything is compared. A `port-forward` has a terminal of its own: it stays.

use std::path::PathBuf;

use crate::document::{Command, missing};

use super::{Stage, Stop, Told};

/// The longest that one page may take: it waits for a cluster.
const PAGE_SECONDS: u32 = 600;

/// Where `make images` leaves the programs that it packs.
const PROGRAMS: &str = "target/demo/images/program";

/// The repository, where every command of the handbook is typed.
pub fn repository() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// A reader, and what goes by another name.
pub struct Reader<'a> {
    stage: &'a Stage,
    names: Vec<(String, String)>,
    settings: Vec<(String, Option<String>)>,
}

/// A command that was typed.
#[derive(Debug)]
pub struct Typed {
    /// How it ended.
    pub code: i32,
    /// Standard output and error, as they came.
    pub printed: Vec<String>,
}

impl Stage {
    /// Somebody who reads, and has the programs that are in the services' images.
    pub fn reader(&self) -> Reader<'_> {
        let (path, programs) = (std::env::var("PATH").unwrap_or_default(), repository().join(PROGRAMS));
        let reader = Reader { stage: self, names: Vec::new(), settings: Vec::new() };
        reader.with("PATH", Some(&format!("{path}:{}", programs.display())))
    }
}

impl Reader<'_> {
    /// What the page calls `name` goes by another one here. Name the longest first.
    #[must_use]
    pub fn calling(mut self, name: &str, other: &str) -> Self {
        self.names.push((name.to_owned(), other.to_owned()));
        self
    }

    /// A variable of the reader's shell; `None` takes it out.
    #[must_use]
    pub fn with(mut self, variable: &str, value: Option<&str>) -> Self {
        self.settings.push((variable.to_owned(), value.map(str::to_owned)));
        self
    }

    /// Types the commands and holds each against what the page shows. `may_fail` are those that are to fail.
    ///
    /// # Errors
    /// With the first command that ends or prints otherwise.
    pub async fn follows(
        &self,
        commands: &[Command],
        may_fail: impl Fn(&Command) -> bool,
    ) -> Told<Vec<Typed>> {
        let typed = self.types(commands, &may_fail).await?;
        for (command, typed) in commands.iter().zip(&typed) {
            let printed = typed.printed.join("\n");
            if (typed.code != 0) != may_fail(command) {
                return Stop::failed(format!("`{}` ended with {}: {printed}", command.line, typed.code));
            }
            if let Some(line) = missing(&command.shown, &typed.printed) {
                return Stop::failed(format!("`{}` does not print `{line}` there: {printed}", command.line));
            }
        }
        if let Some(untyped) = commands.get(typed.len()) {
            return Stop::failed(format!("`{}` was not reached within {PAGE_SECONDS} s", untyped.line));
        }
        self.stage.tell(format!("{} commands typed", typed.len()));
        Ok(typed)
    }

    async fn types(&self, commands: &[Command], may_fail: &impl Fn(&Command) -> bool) -> Told<Vec<Typed>> {
        let folder = std::env::temp_dir().join(format!("reader-{}", self.stage.namespace()));
        std::fs::create_dir_all(&folder)?;
        let script = script(commands.iter().map(|command| (self.renamed(&command.line), may_fail(command))));
        let mut shell = tokio::process::Command::new("timeout");
        shell.arg(PAGE_SECONDS.to_string()).args(["bash", "-c", &script]);
        shell.current_dir(repository()).env("TYPED", &folder).kill_on_drop(true);
        for (variable, value) in &self.settings {
            match value {
                Some(value) => shell.env(variable, value),
                None => shell.env_remove(variable),
            };
        }
        let output = shell.output().await?;
        let mut typed = Vec::new();
        for index in 0..commands.len() {
            let (Ok(printed), Ok(code)) = (
                std::fs::read_to_string(folder.join(format!("{index}.out"))),
                std::fs::read_to_string(folder.join(format!("{index}.code"))),
            ) else {
                break;
            };
            let printed = self.named_back(&printed).lines().map(str::to_owned).collect();
            typed.push(Typed { code: code.trim().parse()?, printed });
        }
        std::fs::remove_dir_all(&folder)?;
        if typed.is_empty() {
            return Stop::failed(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(typed)
    }

    fn renamed(&self, text: &str) -> String {
        self.names.iter().fold(text.to_owned(), |text, (name, other)| text.replace(name, other))
    }

    fn named_back(&self, text: &str) -> String {
        self.names.iter().fold(text.to_owned(), |text, (name, other)| text.replace(other, name))
    }
}

/// Every command in the same shell, its output in `N.out` and its end in `N.code`; the first that ends unexpectedly is
/// the last.
fn script(commands: impl Iterator<Item = (String, bool)>) -> String {
    let mut script = "trap 'kill $(jobs -p) 2>/dev/null' EXIT\n".to_owned();
    for (index, (line, may_fail)) in commands.enumerate() {
        let (out, code) = (format!("\"$TYPED/{index}.out\""), format!("\"$TYPED/{index}.code\""));
        let typed = if line.contains(" port-forward ") {
            format!(
                "{line} >{out} 2>&1 </dev/null &\n\
                 until [ -s {out} ] || ! kill -0 $!; do sleep 0.1; done; kill -0 $!"
            )
        } else {
            format!("{{ {line}\n}} >{out} 2>&1 </dev/null")
        };
        let go_on = if may_fail { "!=" } else { "=" };
        script.push_str(&format!("{typed}\ncode=$?; echo $code >{code}; [ $code {go_on} 0 ] || exit 1\n"));
    }
    script
}
