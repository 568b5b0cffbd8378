//! The documents of files, folders and standard input, each with where it begins.
//!
//! A file is cut at its document markers before it is parsed, so that every document knows its line; a marker can stand
//! nowhere else at the beginning of a line, not even in a block of text. Lists are taken apart.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::OfflineError;

/// Endings of files that are looked at in folders.
const ENDINGS: &[&str] = &["yaml", "yml", "json"];

/// One document.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The file, as it was named; `-` for standard input.
    pub file: String,
    /// The line of the file at which the document begins; the first is 1.
    pub line: usize,
    /// Its text.
    pub text: String,
    /// What it says.
    pub value: Value,
}

impl Document {
    /// A text of the document by its JSON pointer; empty when it is not there.
    pub fn text_at(&self, pointer: &str) -> &str {
        self.value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// Kind, namespace and name: what makes two documents one object.
    pub fn identity(&self) -> [&str; 3] {
        ["/kind", "/metadata/namespace", "/metadata/name"].map(|at| self.text_at(at))
    }

    /// The line at which a field stands, found by the names on its path; that of the last name that is there.
    pub fn line_of(&self, path: &str) -> usize {
        let lines: Vec<&str> = self.text.lines().collect();
        let mut at = 0;
        for name in path.split(['.', '[']).map(|name| name.trim_end_matches(']')) {
            let stands = |line: &&str| {
                let quoted = [format!("{name}:"), format!("\"{name}\":")];
                quoted.iter().any(|text| line.trim_start().trim_start_matches("- ").starts_with(text))
            };
            if let Some(found) = lines.iter().skip(at).position(stands) {
                at += found;
            }
        }
        self.line + at
    }
}

/// All documents of a file, of every file of a folder, or of standard input (`-`).
///
/// # Errors
/// When something cannot be read or is no YAML; with `pass_over` such a file is left out.
pub fn documents(path: &Path, pass_over: bool) -> Result<Vec<Document>, OfflineError> {
    let mut all = Vec::new();
    for file in files(path)? {
        match parsed(&file) {
            Ok(documents) => all.extend(documents),
            Err(OfflineError::Parse { .. }) if pass_over => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

/// The file itself; of a folder, all files below it that may hold manifests.
fn files(path: &Path) -> Result<Vec<PathBuf>, OfflineError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let failed = |source| OfflineError::Read { path: path.to_owned(), source };
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        entries.push(entry.map_err(failed)?.path());
    }
    entries.sort();
    let mut found = Vec::new();
    for entry in entries {
        let ending = entry.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if entry.is_dir() || ENDINGS.contains(&ending) {
            found.extend(files(&entry)?);
        }
    }
    Ok(found)
}

fn parsed(path: &Path) -> Result<Vec<Document>, OfflineError> {
    let read = if path == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(path)
    };
    let text = read.map_err(|source| OfflineError::Read { path: path.to_owned(), source })?;
    let file = path.display().to_string();
    let mut all = Vec::new();
    for (line, part) in parts(&text) {
        let values: Vec<Value> = serde_saphyr::from_multiple(&part).map_err(|error| OfflineError::Parse {
            path: path.to_owned(),
            words: format!("document at line {line}: {error}"),
        })?;
        for value in values.into_iter().flat_map(items) {
            all.push(Document { file: file.clone(), line, text: part.clone(), value });
        }
    }
    Ok(all)
}

/// The objects of a list, or the object.
fn items(mut value: Value) -> Vec<Value> {
    let is_list = value.get("kind").and_then(Value::as_str) == Some("List");
    match value.get_mut("items").filter(|_| is_list).map(Value::take) {
        Some(Value::Array(items)) => items,
        _ => vec![value],
    }
}

/// The documents of a text with their first lines.
fn parts(text: &str) -> Vec<(usize, String)> {
    let mut parts: Vec<(usize, String)> = vec![(1, String::new())];
    for (index, line) in text.lines().enumerate() {
        if line == "---" || line.starts_with("--- ") {
            parts.push((index + 2, String::new()));
            continue;
        }
        if let Some((_, part)) = parts.last_mut() {
            part.push_str(line);
            part.push('\n');
        }
    }
    let says_something = |line: &str| !line.trim().is_empty() && !line.starts_with(['#', '%']);
    parts.retain(|(_, part)| part.lines().any(says_something));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_know_where_they_begin_and_where_their_fields_stand() {
        let text =
            "# only a comment\n---\nkind: a\nspec:\n  volume:\n    size: 1Gi\n---\nkind: b\ntext: |\n  ---\n";
        let parts = parts(text);
        assert_eq!(parts.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3, 8]);
        let (line, text) = parts[0].clone();
        let document = Document { file: "x".to_owned(), line, text, value: Value::Null };
        assert_eq!(document.line_of("spec.volume.size"), 6);
        assert_eq!(document.line_of("spec.teamId"), 4);
        assert_eq!(document.line_of("metadata.name"), 3);
    }

    #[test]
    fn a_list_is_taken_apart() {
        let list = serde_json::json!({"kind": "List", "items": [{"kind": "a"}, {"kind": "b"}]});
        assert_eq!(items(list).len(), 2);
    }
}
