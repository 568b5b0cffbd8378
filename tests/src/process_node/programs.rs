//! Images that are programs of ours: which file to run for each.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::args::Args;

/// Images and programs, by flags and by a file that may grow while we run.
#[derive(Clone, Debug, Default)]
pub struct Programs {
    given: BTreeMap<String, PathBuf>,
    list: Option<PathBuf>,
}

impl Programs {
    /// As the flags say.
    pub fn new(args: &Args) -> Self {
        Self { given: lines(args.binary.iter().map(String::as_str)), list: args.programs.clone() }
    }

    /// The program of an image.
    pub fn of(&self, image: &str) -> Option<PathBuf> {
        let text = self.list.as_ref().and_then(|list| std::fs::read_to_string(list).ok()).unwrap_or_default();
        let listed = lines(text.lines());
        self.given.get(image).or_else(|| listed.get(image)).cloned()
    }
}

fn lines<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeMap<String, PathBuf> {
    lines
        .filter_map(|line| line.split_once('='))
        .map(|(image, path)| (image.to_owned(), path.into()))
        .collect()
}
