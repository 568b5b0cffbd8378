//! What was judged, in the form that was asked for: text for people, JSON for scripts, SARIF and JUnit for CI.
//!
//! The text is word for word what the API server would pass on. SARIF is what code hosts show beside the changed line,
//! so each error has a line; JUnit has one test case for each document.

use clap::ValueEnum;
use serde_json::{Value, json};
use shared::field::{FieldError, FieldErrors};

use super::documents::Document;
use crate::answer::refusal_text;

/// The forms of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One paragraph for each document.
    #[default]
    Text,
    /// One object with a list of documents.
    Json,
    /// Static Analysis Results Interchange Format 2.1.0.
    Sarif,
    /// JUnit's XML.
    Junit,
}

/// A document and what was said of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The document.
    pub document: Document,
    /// What is wrong with it.
    pub errors: FieldErrors,
    /// What should be known of it: warnings, and what a change does.
    pub lines: Vec<String>,
    /// What it is, in the words after its name: `is valid`, `changes`.
    pub head: &'static str,
}

impl Judged {
    fn name(&self) -> &str {
        self.document.text_at("/metadata/name")
    }

    fn kind(&self) -> &str {
        self.document.text_at("/kind")
    }

    fn text(&self) -> String {
        if !self.errors.is_empty() {
            return refusal_text(self.kind(), self.name(), &self.errors);
        }
        let mut text = format!("{} {:?} {}", self.kind(), self.name(), self.head);
        for line in &self.lines {
            text.push_str("\n  ");
            text.push_str(line);
        }
        text
    }

    fn line_of(&self, error: &FieldError) -> usize {
        self.document.line_of(error.path.as_str())
    }
}

/// The report on all documents.
pub fn report(judged: &[Judged], format: Format) -> String {
    match format {
        Format::Text => judged.iter().map(Judged::text).collect::<Vec<_>>().join("\n"),
        Format::Json => pretty(&json(judged)),
        Format::Sarif => pretty(&sarif(judged)),
        Format::Junit => junit(judged),
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn json(judged: &[Judged]) -> Value {
    let documents = judged.iter().map(|one| {
        let errors = one.errors.iter().map(|error| {
            json!({
                "field": error.path.as_str(), "reason": error.reason.as_str(), "message": error.message,
                "line": one.line_of(error),
            })
        });
        json!({
            "file": one.document.file, "line": one.document.line, "kind": one.kind(), "name": one.name(),
            "namespace": one.document.text_at("/metadata/namespace"), "valid": one.errors.is_empty(),
            "errors": errors.collect::<Vec<_>>(), "warnings": one.lines,
        })
    });
    json!({ "documents": documents.collect::<Vec<_>>() })
}

fn sarif(judged: &[Judged]) -> Value {
    let result = |one: &Judged, level: &str, rule: &str, text: String, line: usize| {
        json!({
            "ruleId": rule, "level": level, "message": { "text": text },
            "locations": [{ "physicalLocation": {
                "artifactLocation": { "uri": one.document.file }, "region": { "startLine": line },
            }}],
        })
    };
    let mut results = Vec::new();
    for one in judged {
        for error in &one.errors {
            let line = one.line_of(error);
            results.push(result(one, "error", error.reason.as_str(), error.to_string(), line));
        }
        for text in &one.lines {
            let line = one.document.line_of(text.split(": ").next().unwrap_or_default());
            results.push(result(one, "note", "Effect", text.clone(), line));
        }
    }
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "webhook validate", "version": env!("CARGO_PKG_VERSION") } },
            "results": results,
        }],
    })
}

fn junit(judged: &[Judged]) -> String {
    let failures = judged.iter().filter(|one| !one.errors.is_empty()).count();
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"webhook validate\" \
         tests=\"{}\" failures=\"{failures}\">\n",
        judged.len()
    );
    for one in judged {
        let name = format!("{} {}/{}", one.kind(), one.document.text_at("/metadata/namespace"), one.name());
        let (file, name) = (escaped(&one.document.file), escaped(&name));
        xml.push_str(&format!("<testcase classname=\"{file}\" name=\"{name}\">"));
        if !one.errors.is_empty() {
            let head = format!("{} errors", one.errors.len());
            let text = escaped(&one.text());
            xml.push_str(&format!("<failure message=\"{head}\">{text}</failure>"));
        } else if !one.lines.is_empty() {
            xml.push_str(&format!("<system-out>{}</system-out>", escaped(&one.lines.join("\n"))));
        }
        xml.push_str("</testcase>\n");
    }
    xml.push_str("</testsuite>\n</testsuites>");
    xml
}

/// Text in XML. Characters that XML cannot hold at all become a question mark.
fn escaped(text: &str) -> String {
    let mut xml = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            '\n' | '\t' => xml.push(character),
            other if other.is_control() => xml.push('?'),
            other => xml.push(other),
        }
    }
    xml
}
