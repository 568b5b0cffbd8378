//! A new user's path: the commands of the README and of the quick start are typed as they stand there, in order, and print
//! what the pages show. Only the namespace `demo` has another name, so that nobody's demo is in the way.
//!
//! The pages are read when the stories are played, so page and story cannot part. What is not typed here is listed in
//! [`tests::document::ELSEWHERE`], with what runs it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams};
use tests::document::{Command, commands, elsewhere};
use tests::stage::{Reader, Stage, Stop, Told, image, other_image, repository};

const README: &str = "README.md";
const QUICK_START: &str = "docs/quick-start.md";

fn page(name: &str, language: &str) -> Told<Vec<Command>> {
    Ok(commands(&fs::read_to_string(repository().join(name))?, language))
}

/// The namespace that the pages call `demo`. It goes when the story is over.
fn demo_namespace(stage: &Stage) -> String {
    let name = format!("{}-demo", stage.namespace());
    let (namespaces, gone): (Api<Namespace>, _) = (Api::all(stage.client()), name.clone());
    stage.afterwards(async move {
        namespaces.delete(&gone, &DeleteParams::default()).await?;
        Ok(())
    });
    name
}

fn reader<'a>(stage: &'a Stage, demo: &str) -> Reader<'a> {
    let names = ["namespace ", "namespace/"];
    names.iter().fold(stage.reader(), |reader, before| {
        reader.calling(&format!("{before}demo"), &format!("{before}{demo}"))
    })
}

/// Where `KUBECONFIG` is that of a local cluster, the page finds it by itself.
fn is_local() -> bool {
    let set = |name| std::env::var(name).ok();
    set("KUBECONFIG").is_some() && set("KUBECONFIG") == set("LOCAL_CLUSTER_KUBECONFIG")
}

pub(crate) async fn every_command_of_the_quick_start_does_what_the_page_says(stage: &Stage) -> Told {
    let mut typed = page(QUICK_START, "console")?;
    typed.retain(|command| elsewhere(QUICK_START, &command.line).is_none());
    let mut reader = reader(stage, &demo_namespace(stage));
    if is_local() {
        reader = reader.with("KUBECONFIG", None);
    }
    let is_refusal = |command: &Command| command.shown.iter().any(|line| line.ends_with(" is invalid:"));
    reader.follows(&typed, is_refusal).await?;
    Ok(())
}

/// The README's block for a cluster that is there already, with a stand-in for kind that knows this one. Alone: it
/// installs the services once more.
pub(crate) async fn on_a_cluster_of_kind_the_readmes_commands_install_the_services(stage: &Stage) -> Told {
    if !is_local() {
        return Stop::skipped("the stand-in for kind knows the local cluster alone");
    }
    let typed: Vec<Command> = page(README, "console")?
        .into_iter()
        .filter(|command| elsewhere(README, &command.line).is_none())
        .collect();
    assert!(typed.iter().any(|command| command.line.starts_with("kind ")), "{typed:?}");
    let home = std::env::temp_dir().join(format!("home-{}", stage.namespace()));
    let programs = stand_in_for_kind(&home)?;
    let set = |name: &str| std::env::var(name).unwrap_or_default();
    let real =
        |name: &str, usual: &str| std::env::var(name).unwrap_or_else(|_| format!("{}/{usual}", set("HOME")));
    let overlay = std::env::var("OVERLAY").unwrap_or_else(|_| "deploy/overlays/local".to_owned());
    let answer = reader(stage, &demo_namespace(stage))
        .with("HOME", home.to_str())
        .with("PATH", Some(&format!("{}:{}", programs.display(), set("PATH"))))
        .with("CARGO_HOME", Some(&real("CARGO_HOME", ".cargo")))
        .with("RUSTUP_HOME", Some(&real("RUSTUP_HOME", ".rustup")))
        .with("XDG_CACHE_HOME", Some(&real("XDG_CACHE_HOME", ".cache")))
        .with("OVERLAY", Some(&overlay))
        .with("KUBECONFIG", None)
        .with("KIND_KUBECONFIG", Some(&set("KUBECONFIG")))
        .follows(&typed, |_| false)
        .await;
    fs::remove_dir_all(&home)?;
    answer.map(|_| ())
}

/// What stands in for kind: it makes no cluster but hands out the kubeconfig of this one, and loads images into its nodes.
const KIND: &str = r#"#!/bin/sh
case "$1 $2" in
  "create cluster") mkdir -p "$HOME/.kube" && cp "$KIND_KUBECONFIG" "$HOME/.kube/config" ;;
  "load image-archive") exec tests/local-cluster/local-cluster load-image "$3" ;;
  *) echo "kind: $*?" >&2; exit 2 ;;
esac
"#;

fn stand_in_for_kind(home: &Path) -> Told<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let programs = home.join("bin");
    fs::create_dir_all(&programs)?;
    fs::write(programs.join("kind"), KIND)?;
    fs::set_permissions(programs.join("kind"), fs::Permissions::from_mode(0o755))?;
    Ok(programs)
}

/// `make demo` without its first half, which every other story stands on: building and installing.
pub(crate) async fn the_demo_shows_what_the_readme_shows(stage: &Stage) -> Told {
    let demo = demo_namespace(stage);
    let mut shell = tokio::process::Command::new("tests/demo/demo.sh");
    shell.arg("--installed").current_dir(repository()).kill_on_drop(true);
    let output = shell.env("DEMO_NAMESPACE", &demo).env("NEXT_IMAGE", other_image()).output().await?;
    let printed = String::from_utf8_lossy(&output.stdout).replace(&demo, "demo");
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Stop::failed(format!("the demo ended with {}:\n{printed}{errors}", output.status));
    }
    let shown: Vec<Command> =
        page(README, "text")?.into_iter().filter(|command| command.section == "What you will see").collect();
    assert!(shown.len() >= 3, "{shown:?}");
    for command in &shown {
        let line = local(&command.line);
        let after = printed.lines().skip_while(|one| one.strip_prefix("$ ") != Some(&line)).skip(1);
        let answer: Vec<&str> = after.take_while(|one| !one.starts_with("$ ")).collect();
        compare(command, &answer).or_else(|what| Stop::failed(format!("{what}\nThe demo:\n{printed}")))?;
    }
    let ended = printed.lines().last().unwrap_or_default();
    stage.tell(ended);
    Ok(())
}

/// The images' names here, where a page has those of the local cluster.
fn local(text: &str) -> String {
    let short = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
    let text = text.replace("localhost/spilo:2", &other_image());
    text.replace(" spilo:1 ", &format!(" {} ", short(&image())))
        .replace(" spilo:2 ", &format!(" {} ", short(&other_image())))
}

/// Whether the demo printed what the README shows. Of the changes that it follows only those are compared that last: a
/// member that is ready, a step, a status; for each of these by itself, since who is first differs. Figures may differ.
fn compare(command: &Command, printed: &[&str]) -> Result<(), String> {
    let mut happened: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (who, what) in printed.iter().filter_map(|line| lasting(line)) {
        happened.entry(who).or_default().push(what);
    }
    let shown: Vec<String> = command.shown.iter().map(|line| local(line)).collect();
    for line in shown.iter().filter(|line| !line.trim().is_empty()) {
        let told = match (lasting(line), change(line)) {
            (Some((who, what)), _) => {
                let whats = happened.entry(who).or_default();
                let place = whats.iter().position(|one| *one == what);
                place.map(|place| drop(whats.drain(..=place))).is_some()
            }
            (None, Some(_)) => true, // it passes too quickly to be seen each time
            (None, None) => printed.iter().any(|one| without_figures(one) == without_figures(line)),
        };
        if !told {
            return Err(format!("after `{}` the README shows `{line}`", command.line));
        }
    }
    Ok(())
}

/// A change that the demo saw: `1.0 s  status  Creating`, or `1 min 1.0 s  …`. Whose, and what.
fn change(line: &str) -> Option<(&str, String)> {
    let mut words = line.split_whitespace();
    words.next().filter(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
    words.by_ref().take(3).find(|word| *word == "s")?;
    Some((words.next()?, words.collect::<Vec<_>>().join(" ")))
}

fn lasting(line: &str) -> Option<(&str, String)> {
    let is_settled = |what: &str| {
        what.ends_with(" ready") && (what.starts_with("primary ") || what.starts_with("replica "))
    };
    change(line).filter(|(who, what)| ["status", "operator"].contains(who) || is_settled(what))
}

fn without_figures(line: &str) -> String {
    line.trim().chars().map(|each| if each.is_ascii_digit() { '0' } else { each }).fold(
        String::new(),
        |mut text, each| {
            if !(each == '0' && text.ends_with('0')) {
                text.push(each);
            }
            text
        },
    )
}
