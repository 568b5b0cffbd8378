//! `docs/reference.md` is what the code says: flags of the programs, words of statuses, reasons of events.
//!
//! `UPDATE_REFERENCE=1` writes it anew; without it a difference fails the test.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may be blunt")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use clap::{Arg, Command, CommandFactory};
use operator::events::Reason;

const PAGE: &str = "docs/reference.md";

const HEAD: &str = "# Reference

Generated from the code by `tests/tests/reference.rs`; do not edit. Options of the configuration and fields of manifests, with
their defaults, stand in [compatibility.md](compatibility.md), the reasons of statuses in
[troubleshooting.md](troubleshooting.md).
";

/// A table of the flags of a command, and of the commands below it.
fn describe(path: &str, command: &Command, page: &mut String) {
    let words = |text: Option<&clap::builder::StyledStr>| text.map(ToString::to_string).unwrap_or_default();
    let about = words(command.get_about());
    writeln!(page, "\n## `{path}`\n\n{about}").unwrap();
    let is_shown = |argument: &&Arg| {
        !argument.is_hide_set() && argument.get_id() != "help" && argument.get_id() != "version"
    };
    let arguments: Vec<&Arg> = command.get_arguments().filter(is_shown).collect();
    if !arguments.is_empty() {
        page.push_str("\n| flag | variable | default | meaning |\n|---|---|---|---|\n");
    }
    for argument in arguments {
        let flag = match argument.get_long() {
            Some(long) => format!("--{long}"),
            None => {
                argument.get_value_names().unwrap_or_default().iter().map(|name| format!("{name}…")).collect()
            }
        };
        let code = |text: String| if text.is_empty() { "–".to_owned() } else { format!("`{text}`") };
        let variable = argument.get_env().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let takes_value = argument.get_action().takes_values();
        let defaults = argument.get_default_values().iter().filter(|_| takes_value);
        let default = defaults.map(|value| value.to_string_lossy()).collect::<Vec<_>>().join(" ");
        let help = words(argument.get_help()).replace('\n', " ").replace('|', "\\|");
        writeln!(page, "| `{flag}` | {} | {} | {help} |", code(variable), code(default)).unwrap();
    }
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        describe(&format!("{path} {}", below.get_name()), below, page);
    }
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    let programs = [
        ("operator", operator::args::CommandLine::command()),
        ("webhook", webhook::args::Args::command()),
        ("certs", certs::args::Args::command()),
    ];
    for (name, command) in programs {
        describe(name, &command, &mut page);
    }
    page.push_str("\n## Reasons of events\n\n");
    let reasons: Vec<String> = Reason::ALL.iter().map(|reason| format!("`{}`", reason.as_str())).collect();
    writeln!(page, "{}.", reasons.join(", ")).unwrap();
    page
}

#[test]
fn the_reference_is_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(PAGE);
    let expected = page();
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        fs::write(&path, &expected).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == expected, "{PAGE} is stale; UPDATE_REFERENCE=1 writes it anew");
}
