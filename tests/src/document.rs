//! Pages of the handbook as their readers use them: the commands that stand there, in order, and what a page shows of
//! their output. Stories type the commands; a rule of the repository says which of them is run where.
//!
//! Pure. A newcomer would not guess how output is compared: word by word, and three kinds of words may differ. See [`is_like`].

/// A command of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The heading above it, without the marks.
    pub section: String,
    /// What a reader types.
    pub line: String,
    /// What the page says that it prints, line by line; empty where the page says nothing.
    pub shown: Vec<String>,
}

/// The commands of a page: the lines behind a prompt, `$` or `#`, in blocks of this language (`console`, `text`). What
/// follows two spaces and a `#` is a comment.
pub fn commands(page: &str, language: &str) -> Vec<Command> {
    let mut found: Vec<Command> = Vec::new();
    let (mut section, mut inside, mut typed) = (String::new(), false, false);
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside && line.trim().strip_prefix("```") == Some(language);
            typed = false;
        } else if !inside {
            section =
                line.strip_prefix('#').map_or(section, |title| title.trim_matches(['#', ' ']).to_owned());
        } else if let Some(command) = line.strip_prefix("$ ").or_else(|| line.strip_prefix("# ")) {
            let command = command.split("  #").next().unwrap_or_default().trim().to_owned();
            found.push(Command { section: section.clone(), line: command, shown: Vec::new() });
            typed = true;
        } else if let Some(last) = found.last_mut().filter(|_| typed) {
            last.shown.push(line.to_owned());
        }
    }
    found
}

/// Stands for any lines.
const ELSE: &str = "...";

/// Which of the lines that a page shows was not printed in its place, if any.
pub fn missing<'a>(shown: &'a [String], printed: &[String]) -> Option<&'a str> {
    let mut left = printed.iter().filter(|line| !line.trim().is_empty());
    let mut anywhere = false;
    for line in shown.iter().filter(|line| !line.trim().is_empty()) {
        let is_it = |one: &&String| is_like(line, one);
        if line.trim() == ELSE {
            anywhere = true;
            continue;
        }
        let printed = if anywhere { left.find(is_it) } else { left.next().filter(is_it) };
        if printed.is_none() {
            return Some(line);
        }
        anywhere = false;
    }
    None
}

/// Whether a line is the one that a page shows: the same words, but for ages, figures and addresses. How far they stand
/// apart does not matter, and the line may go on: a newer `kubectl` says more.
pub fn is_like(shown: &str, printed: &str) -> bool {
    let mut printed = printed.split_whitespace();
    shown.split_whitespace().all(|word| {
        printed.next().is_some_and(|other| word == other || kind(word).is_some() && kind(word) == kind(other))
    })
}

/// What kind of word it is of those that differ from run to run: an age or a duration (`29s`, `4m5s`), a figure (`12.5`),
/// an address (`10.96.43.138`). A whole number is none: how many pods are ready does not differ.
fn kind(word: &str) -> Option<&'static str> {
    let numbers: Vec<&str> = word.split('.').collect();
    let are_numbers =
        numbers.iter().all(|part| !part.is_empty() && part.chars().all(|digit| digit.is_ascii_digit()));
    let is_age = word.starts_with(|first: char| first.is_ascii_digit())
        && word.ends_with(['s', 'm', 'h', 'd'])
        && word.chars().all(|each| each.is_ascii_digit() || "smhd".contains(each));
    match (are_numbers, numbers.len()) {
        (true, 4) => Some("address"),
        (true, 2) => Some("figure"),
        _ => is_age.then_some("age"),
    }
}

/// A command of README.md or of the quick start that no story types as it stands there, and what runs it instead.
#[derive(Clone, Copy, Debug)]
pub struct Elsewhere {
    /// The page, from the repository's root.
    pub page: &'static str,
    /// The command.
    pub command: &'static str,
    /// A file that is run, from the root.
    pub file: &'static str,
    /// What stands in that file.
    pub says: &'static str,
}

/// All of them. Each other command of these pages is typed by a story in `tests/tests/e2e/quick_start.rs`.
pub const ELSEWHERE: &[Elsewhere] = &[
    // The demo's own half of `make demo` is a story; the other, which builds and installs, is what all stories begin with.
    Elsewhere {
        page: "README.md",
        command: "make demo",
        file: "tests/tests/e2e/quick_start.rs",
        says: "tests/demo/demo.sh",
    },
    Elsewhere { page: "README.md", command: "make test", file: ".ci/run", says: "make test " },
    Elsewhere {
        page: "docs/quick-start.md",
        command: "make install",
        file: "tests/run",
        says: "tests/demo/install.sh",
    },
];

/// What runs a command of a page in the place of a story that types it.
pub fn elsewhere(page: &str, command: &str) -> Option<&'static Elsewhere> {
    ELSEWHERE.iter().find(|entry| entry.page == page && entry.command == command)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may be blunt")]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_command_has_its_section_and_what_is_shown_after_it() {
        let page = "# Page\n\n## Try it\n\n```console\n# make it    # slow\n$ show\none\n$ next\n```\n\n```yaml\n$ not: one\n```\n";
        let found = commands(page, "console");
        let typed: Vec<&str> = found.iter().map(|command| command.line.as_str()).collect();
        assert_eq!(typed, ["make it", "show", "next"]);
        assert!(found.iter().all(|command| command.section == "Try it"), "{found:?}");
        assert_eq!(found[1].shown, ["one"]);
        assert_eq!(commands(page, "yaml")[0].line, "not: one");
    }

    #[test]
    fn ages_figures_and_addresses_may_differ_and_nothing_else() {
        assert!(is_like(
            "acid-0   1/1  Running  29s  10.1.2.3",
            "acid-0 1/1 Running 4m5s 10.244.0.17  <none>"
        ));
        assert!(is_like("pause 4.1 s", "pause 12.0 s"));
        assert!(!is_like("acid-0 1/1 29s", "acid-0 0/1 29s"));
        assert!(!is_like("2 members", "3 members"));
        assert!(!is_like("all is well", "all is"));
        assert!(!is_like("29s", "10.1.2.3"));
    }

    #[test]
    fn lines_come_in_order_and_three_dots_stand_for_any() {
        let printed = lines("one\n\ntwo\nthree");
        assert_eq!(missing(&lines("one\ntwo"), &printed), None);
        assert_eq!(missing(&lines("one\n...\nthree"), &printed), None);
        assert_eq!(missing(&lines("...\n"), &printed), None);
        assert_eq!(missing(&lines("one\nthree"), &printed), Some("three"));
        assert_eq!(missing(&lines("two\n...\none"), &printed), Some("two"));
        assert_eq!(missing(&lines("one\ntwo\nthree\nfour"), &printed), Some("four"));
    }
}
